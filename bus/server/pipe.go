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

// pipe is the client's end of a connection. One goroutine logs in, writing and reading in turn;
// after the login one goroutine may write while another reads.
type pipe struct {
	net.Conn
	login  []byte        // written by the client; it is sent at the next read
	sent   chan struct{} // closed once the writing of login has ended; nil: it has not begun
	failed error         // why login could not be written; set before sent is closed
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
