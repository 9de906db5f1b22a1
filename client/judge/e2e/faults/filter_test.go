package faults_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// longestLine bounds a line of the NATS protocol: the server takes control lines of 4 KiB, and a
// CONNECT may be longer.
const longestLine = 64 << 10

var errProtocol = errors.New("that is no line of the NATS protocol")

// startFilter is a proxy that knows what the replica behind it publishes, and on which subject:
// see [proxy.cut].
func startFilter(t testing.TB, target string) *proxy {
	t.Helper()
	return startProxyOf(t, target, true)
}

// cut loses from now on, for good, what is published on these subjects; all else goes on. Of two
// replicas behind filters, that is a cut of the link from one of them to the other.
func (p *proxy) cut(subjects ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = map[string]bool{}
	for _, s := range subjects {
		p.lost[s] = true
	}
}

// loses reports whether what is published on a subject is lost, and counts it.
func (p *proxy) loses(subject []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := p.lost[string(subject)]
	if lost {
		p.drops++
	}
	return lost
}

// dropped is how many messages were lost so far.
func (p *proxy) dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drops
}

// filter copies what a client of NATS says to the server, without what is lost.
func (p *proxy) filter(from, to net.Conn) {
	defer p.drop(from, to)
	r, w := bufio.NewReaderSize(from, longestLine), bufio.NewWriterSize(to, longestLine)
	for {
		operation, subject, err := readOperation(r)
		if err != nil {
			return
		}
		p.await(fromReplica)
		if subject == nil || !p.loses(subject) {
			_, err = w.Write(operation)
		}
		if err == nil && r.Buffered() == 0 {
			err = w.Flush()
		}
		if err != nil {
			return
		}
	}
}

// readOperation reads one operation of a client: a line and, of PUB and HPUB, the message after
// it, whose subject it returns.
func readOperation(r *bufio.Reader) (operation, subject []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, nil, err
	}
	operation = bytes.Clone(line)

	fields := bytes.Fields(operation)
	if len(fields) == 0 {
		return operation, nil, nil
	}
	publishes := bytes.EqualFold(fields[0], []byte("PUB")) || bytes.EqualFold(fields[0], []byte("HPUB"))
	if !publishes {
		return operation, nil, nil
	}
	if len(fields) < 3 {
		return nil, nil, errProtocol
	}
	size, err := strconv.Atoi(string(fields[len(fields)-1])) // of headers and body together
	if err != nil || size < 0 {
		return nil, nil, errProtocol
	}

	head := len(operation)
	operation = append(operation, make([]byte, size+len("\r\n"))...)
	if _, err = io.ReadFull(r, operation[head:]); err != nil {
		return nil, nil, err
	}
	return operation, fields[1], nil
}

// What is published on a subject that is cut is lost, headers and bodies that look like
// operations included; what is before and after it arrives, byte for byte.
func TestFilter(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startFilter(t, l.Addr().String())
	replica, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	p.cut("quartet.node.r2")
	passes := []string{
		"CONNECT {\"verbose\":false}\r\nPING\r\n", "SUB quartet.node.r2 1\r\n", "PUB quartet.node.r3 5\r\nhello\r\n",
		"PUB quartet.node.r22 reply.to 23\r\nPUB quartet.node.r2 1\r\n\r\n",
		"HPUB quartet.node.r1 12 17\r\nNATS/1.0\r\n\r\nhello\r\n", "PUB x 0\r\n\r\n",
	}
	lost := []string{
		"PUB quartet.node.r2 5\r\nhello\r\n", "HPUB quartet.node.r2 reply 12 17\r\nNATS/1.0\r\n\r\nhello\r\n",
		"pub quartet.node.r2 6\r\nPING\r\n\r\n",
	}
	want := ""
	for i, operation := range passes {
		say(t, replica, operation)
		want += operation
		say(t, replica, lost[i%len(lost)])
	}
	heard := make([]byte, len(want))
	if err := server.SetReadDeadline(time.Now().Add(startLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, heard); err != nil || string(heard) != want {
		t.Errorf("%v: %q, want %q", err, heard, want)
	}

	say(t, server, "MSG quartet.node.r2 1 2\r\nok\r\n") // the other way nothing is looked at
	if got := hear(replica, startLimit); got != "MSG quartet.node.r2 1 2\r\nok\r\n" {
		t.Errorf("to the replica: %q", got)
	}
	p.cut()
	say(t, replica, lost[0])
	if got := hear(server, startLimit); got != lost[0] {
		t.Errorf("once nothing is cut: %q", got)
	}
	if p.dropped() != len(passes) {
		t.Errorf("%d messages were lost, want %d", p.dropped(), len(passes))
	}
}
