package faults_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// direction is a way through a proxy.
type direction int

const (
	toReplica   direction = iota // what the server says
	fromReplica                  // what the replica says
)

// proxy stands between a replica and the server and may hold what goes one way or the
// other. What is held is not lost: it arrives late, unless the connections are broken.
type proxy struct {
	listener net.Listener
	target   string
	filters  bool // it reads what the replica says: see startFilter

	mu    sync.Mutex
	free  *sync.Cond
	held  [2]bool
	down  bool
	lost  map[string]bool // subjects, of a filter
	drops int             // messages that were lost
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	return startProxyOf(t, target, false)
}

func startProxyOf(t testing.TB, target string, filters bool) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, filters: filters, conns: map[net.Conn]bool{}}
	p.free = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil || !p.know(in, out) {
			in.Close()
			if out != nil {
				out.Close()
			}
			continue
		}
		if p.filters {
			p.wg.Go(func() { p.filter(in, out) })
		} else {
			p.wg.Go(func() { p.pass(fromReplica, in, out) })
		}
		p.wg.Go(func() { p.pass(toReplica, out, in) })
	}
}

func (p *proxy) know(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.down
}

// pass copies from one side to the other while its direction is not held.
func (p *proxy) pass(d direction, from, to net.Conn) {
	defer p.drop(from, to)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.await(d)
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) await(d direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held[d] && !p.down {
		p.free.Wait()
	}
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) hold(ways ...direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ways {
		p.held[d] = true
	}
}

// release lets both ways go on: with what was held or, if broken, with new connections.
func (p *proxy) release(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if broken {
		for c := range p.conns {
			c.Close()
		}
	}
	p.held = [2]bool{}
	p.free.Broadcast()
}

func (p *proxy) close() {
	p.mu.Lock()
	p.down = true
	for c := range p.conns {
		c.Close()
	}
	p.free.Broadcast()
	p.mu.Unlock()
	p.listener.Close()
	p.wg.Wait()
}

// What is held arrives late and in order; what is held when the connection breaks never
// arrives; the other way is open meanwhile.
func TestProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startProxy(t, l.Addr().String())

	dial := func() (replica, server net.Conn) {
		replica, err := net.Dial("tcp", p.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if server, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { replica.Close(); server.Close() })
		return replica, server
	}

	replica, server := dial()
	p.hold(toReplica)
	say(t, server, "held")
	say(t, replica, "open")
	if got := hear(server, 5*time.Second); got != "open" {
		t.Errorf("the way from the replica: %q", got)
	}
	if got := hear(replica, 50*time.Millisecond); got != "" {
		t.Errorf("what is held arrived: %q", got)
	}

	p.release(false)
	if got := hear(replica, 5*time.Second); got != "held" {
		t.Errorf("after the release: %q", got)
	}

	p.hold(toReplica, fromReplica)
	say(t, server, "lost")
	p.release(true)
	if got := hear(replica, 5*time.Second); got != "" {
		t.Errorf("over a broken connection: %q", got)
	}

	replica, server = dial()
	say(t, server, "anew")
	if got := hear(replica, 5*time.Second); got != "anew" {
		t.Errorf("over a new connection: %q", got)
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear returns what one read yields, "" at the end of the connection or of the time.
func hear(c net.Conn, limit time.Duration) string {
	b := make([]byte, 64)
	_ = c.SetReadDeadline(time.Now().Add(limit))
	n, _ := c.Read(b)
	return string(b[:n])
}
