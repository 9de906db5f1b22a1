package server

import (
	"net"

	client "github.com/nats-io/nats.go"
)

// pipes makes connections to a server of this process that are told when a login is refused.
//
// A pipe of the standard library hands a write over only to a read. The client writes its
// credentials and then a ping; the server, which refuses the credentials, writes that instead
// of reading the ping. Each would wait for the other until the deadline, and the client would
// hear of a closed pipe. So what a client writes before its first answer goes out while it
// reads, as over a socket.
type pipes struct{ server client.InProcessConnProvider }

// InProcessConn implements [client.InProcessConnProvider].
func (p pipes) InProcessConn() (net.Conn, error) {
	c, err := p.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &pipe{Conn: c}, nil
}

// pipe is the client's end. One goroutine logs in, writing and reading in turn; afterwards
// one may write while another reads.
type pipe struct {
	net.Conn
	login  []byte        // what was written and waits for the next read to be sent
	sent   chan struct{} // is closed once the login was written, or was not; nil: it waits
	failed error         // why it was not; set before sent is closed
}

// Write implements [net.Conn].
func (p *pipe) Write(b []byte) (int, error) {
	if p.sent == nil {
		p.login = append(p.login, b...)
		return len(b), nil
	}
	<-p.sent
	if p.failed != nil {
		return 0, p.failed
	}
	return p.Conn.Write(b)
}

// Read implements [net.Conn].
func (p *pipe) Read(b []byte) (int, error) {
	if p.sent == nil && len(p.login) > 0 {
		p.sent = make(chan struct{})
		go func() { // ends with the login's deadline, or with the pipe
			defer close(p.sent)
			_, p.failed = p.Conn.Write(p.login)
			p.login = nil
		}()
	}
	return p.Conn.Read(b)
}
