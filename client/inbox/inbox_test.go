package inbox_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/client/inbox"
	"quartet/client/internal/responder"
)

type end struct {
	m   *nats.Msg
	err error
}

func connect(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url,
		append(opts, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func newInbox(t *testing.T, nc *nats.Conn) *inbox.Inbox {
	t.Helper()
	in, err := inbox.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

func wait(t *testing.T, ends <-chan end) end {
	t.Helper()
	select {
	case e := <-ends:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no end")
		return end{}
	}
}

func TestManyRequestsEachGetTheirOwnReply(t *testing.T) {
	s := responder.Server(t)
	nc := connect(t, s.ClientURL(), nats.CustomInboxPrefix("_MINE"))
	reply := make(chan string, 1)
	if _, err := nc.Subscribe("echo", func(m *nats.Msg) {
		select {
		case reply <- m.Reply:
		default:
		}
		_ = m.Respond(m.Data)
		_ = m.Respond([]byte("a second reply finds nobody"))
	}); err != nil {
		t.Fatal(err)
	}

	in := newInbox(t, nc)
	const workers, each = 8, 200
	var group sync.WaitGroup

	for w := range workers {
		group.Go(func() {
			ends := make(chan string, each)
			for i := range each {
				want := fmt.Sprintf("%d-%d", w, i)
				_, err := in.Send("echo", nil, []byte(want), 10*time.Second, func(m *nats.Msg, err error) {
					switch {
					case err != nil:
						ends <- err.Error()
					case string(m.Data) != want:
						ends <- fmt.Sprintf("%s got %s", want, m.Data)
					default:
						ends <- ""
					}
				})
				if err != nil {
					t.Error(err)
					return
				}
			}

			for range each {
				if bad := <-ends; bad != "" {
					t.Error(bad)
				}
			}
		})
	}

	group.Wait()
	if n := in.Outstanding(); n != 0 {
		t.Errorf("%d requests left behind", n)
	}

	if r := <-reply; len(r) < 6 || r[:6] != "_MINE." {
		t.Errorf("reply subject %q ignores the connection's inbox prefix", r)
	}
}

func TestEnds(t *testing.T) {
	s := responder.Server(t)
	nc := connect(t, s.ClientURL())
	heard := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe("silent", heard); err != nil {
		t.Fatal(err)
	}
	in := newInbox(t, nc)

	ends := make(chan end, 10)
	done := func(m *nats.Msg, err error) { ends <- end{m, err} }
	send := func(subject string, timeout time.Duration) inbox.Token {
		t.Helper()
		token, err := in.Send(subject, nats.Header{"A": {"b"}}, []byte("x"), timeout, done)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}

	send("silent", time.Millisecond)
	if e := wait(t, ends); e.err != inbox.ErrTimeout || e.m != nil {
		t.Errorf("timeout: %v, %v", e.m, e.err)
	}

	m := <-heard
	if m.Header.Get("A") != "b" {
		t.Errorf("header %v", m.Header)
	}

	send("nobody", 10*time.Second)
	if e := wait(t, ends); e.err != nil || e.m.Header.Get("Status") != "503" {
		t.Errorf("no responders: %v, %v", e.m, e.err)
	}

	token := send("silent", 10*time.Second)
	if !in.Cancel(token) || in.Cancel(token) {
		t.Error("cancelling works once")
	}

	// A reply to what was cancelled or timed out is nobody's; the next one still arrives.
	for _, late := range []*nats.Msg{m, <-heard} {
		if err := late.Respond(nil); err != nil {
			t.Fatal(err)
		}
	}

	send("silent", 10*time.Second)
	if err := (<-heard).Respond([]byte("mine")); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, ends); e.err != nil || string(e.m.Data) != "mine" {
		t.Errorf("got %v, %v", e.m, e.err)
	}

	if _, err := in.Send("silent", nil, make([]byte, 2<<20), time.Second, done); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("too large: %v", err)
	}

	send("silent", time.Hour)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}

	if e := wait(t, ends); e.err != inbox.ErrClosed {
		t.Errorf("closed: %v", e.err)
	}
	if _, err := in.Send("silent", nil, nil, time.Second, done); err != inbox.ErrClosed {
		t.Errorf("after closing: %v", err)
	}
	if len(ends) > 0 || in.Outstanding() > 0 {
		t.Errorf("%d ends too many, %d outstanding", len(ends), in.Outstanding())
	}
}

func TestLostConnection(t *testing.T) {
	s := responder.Server(t)
	nc := connect(t, s.ClientURL())
	heard := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe("silent", heard); err != nil {
		t.Fatal(err)
	}
	in := newInbox(t, nc)
	ends := make(chan end, 10)
	if _, err := in.Send("silent", nil, nil, time.Hour, func(m *nats.Msg, err error) { ends <- end{m, err} }); err != nil {
		t.Fatal(err)
	}
	<-heard
	s.Shutdown()
	if e := wait(t, ends); e.err != inbox.ErrDisconnected {
		t.Errorf("got %v", e.err)
	}
	if _, err := in.Send("silent", nil, nil, time.Hour, nil); !errors.Is(err, inbox.ErrNotConnected) {
		t.Errorf("while away: %v", err)
	}
	nc.Close()
}
