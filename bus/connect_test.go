package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/server"
	"quartet/bus/testkit"
)

const wait = 10 * time.Second

func startServer(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func logger() (*slog.Logger, *testkit.Buffer) {
	out := &testkit.Buffer{}
	return slog.New(slog.NewTextHandler(out, nil)), out
}

func TestDialNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = bus.Dial(t.Context(), bus.DialOptions{URL: "nats://me:secret@" + address})
	if !errors.Is(err, bus.ErrDial) || !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("got %v", err)
	}
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), address) {
		t.Errorf("the error names the password, or not the address: %v", err)
	}
}

// A listener that accepts and says nothing must not hold up a caller that gives up.
func TestDialContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	accepted := make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
		}
		cancel(cause)
		<-accepted
	}()
	defer close(accepted)
	_, err = bus.Dial(ctx, bus.DialOptions{URL: l.Addr().String()})
	if !errors.Is(err, bus.ErrDial) || !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if _, err := bus.Dial(ctx, bus.DialOptions{URL: l.Addr().String()}); !errors.Is(err, cause) {
		t.Errorf("with an ended context: %v", err)
	}
}

// Of several servers the first that answers is taken, in the order given, always: a node that drew
// one by chance would sit on another machine's, and the cut of that machine would take two.
func TestServersAreTriedInTheirOrder(t *testing.T) {
	var urls []string
	for range 4 {
		urls = append(urls, startServer(t, server.Options{Listen: "127.0.0.1:-1"}).ClientURL())
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "nats://" + gone.Addr().String()
	gone.Close()

	for range 10 { // by chance, once in a million
		slices.Reverse(urls)
		for _, before := range [][]string{nil, {nobody}} {
			given := append(slices.Clone(before), urls...)
			nc, err := bus.Dial(t.Context(), bus.DialOptions{URL: strings.Join(given, ",")})
			if err != nil {
				t.Fatal(err)
			}
			if got := nc.ConnectedUrl(); got != urls[0] {
				t.Errorf("%v: connected to %s", given, got)
			}
			nc.Close()
		}
	}
}

// A server that comes back is found again however it was away, subscriptions and all;
// meanwhile publishing fails at once and nothing old arrives later.
func TestReconnectsWithoutBuffer(t *testing.T) {
	first := startServer(t, server.Options{Listen: "127.0.0.1:-1", NodePassword: "first"})
	address := strings.TrimPrefix(first.ClientURL(), "nats://")
	log, out := logger()
	nc := bustest.Dial(t, bus.DialOptions{URL: first.NodeURL(), Name: "n", Log: log})
	inbox := bus.NewInbox[*nats.Msg]()
	if _, err := bus.Subscribe(nc, "s", inbox.Push); err != nil {
		t.Fatal(err)
	}
	first.Shutdown()
	testkit.Await(t, "disconnected", func() bool { return !nc.IsConnected() && out.Has("disconnected") })
	if err := nc.Publish("s", []byte("old")); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publish while away: %v", err)
	}

	// One that refuses us twice, which by default ends a connection for good.
	serverLog, refusals := logger()
	refusing := startServer(t, server.Options{Listen: address, NodePassword: "other", Log: serverLog})
	testkit.Await(t, "refused several times", func() bool { return refusals.Count("authentication error") >= 4 })
	refusing.Shutdown()

	startServer(t, server.Options{Listen: address, NodePassword: "first"})
	testkit.Await(t, "reconnected", func() bool { return nc.IsConnected() && out.Has("reconnected") })
	if err := nc.Publish("s", []byte("new")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-inbox.Ready():
	case <-time.After(wait):
		t.Fatal("nothing received")
	}
	if got := inbox.Drain(nil); len(got) != 1 || string(got[0].Data) != "new" {
		t.Errorf("received %d, first %q", len(got), got[0].Data)
	}
}

func TestSubscribeKeepsOrder(t *testing.T) {
	s := startServer(t, server.Options{Listen: "127.0.0.1:-1"})
	receiver, sender := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()}), bustest.Dial(t, bus.DialOptions{InProcess: s.InProcess()})
	inbox := bus.NewInbox[*nats.Msg]()
	sub, err := bus.Subscribe(receiver, "s", inbox.Push)
	if err != nil {
		t.Fatal(err)
	}

	const n = 2000
	for i := range n {
		// No flush before: the subscription must be known when Subscribe returns.
		if err := sender.Publish("s", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}

	var batch []*nats.Msg
	for next := 0; next < n; {
		select {
		case <-inbox.Ready():
		case <-time.After(wait):
			t.Fatalf("stuck at %d", next)
		}
		batch = inbox.Drain(batch)
		for _, m := range batch {
			if string(m.Data) != fmt.Sprint(next) {
				t.Fatalf("got %s, want %d", m.Data, next)
			}
			next++
		}
	}

	if sub.Dropped() != 0 {
		t.Errorf("dropped %d", sub.Dropped())
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if err := sub.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestSubscribeErrors(t *testing.T) {
	s := startServer(t, server.Options{Listen: "127.0.0.1:-1"})
	nc := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()})
	if _, err := bus.Subscribe(nc, "a b", func(*nats.Msg) {}); !errors.Is(err, bus.ErrSubscribe) {
		t.Errorf("bad subject: %v", err)
	}
	nc.Close()
	if _, err := bus.Subscribe(nc, "a", func(*nats.Msg) {}); !errors.Is(err, bus.ErrSubscribe) ||
		!errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("closed connection: %v", err)
	}
}

func TestOverflowIsLoggedAndCounted(t *testing.T) {
	s := startServer(t, server.Options{Listen: "127.0.0.1:-1"})
	log, out := logger()
	receiver, sender := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), Log: log}), bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()})
	release := make(chan struct{})
	sub, err := bus.SubscribeLimited(receiver, "s", func(*nats.Msg) { <-release }, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer close(release)
	const n = 100
	for range n {
		if err := sender.Publish("s", nil); err != nil {
			t.Fatal(err)
		}
	}
	// One may be with the callback, ten wait, the others are dropped.
	testkit.Await(t, "dropped", func() bool { return sub.Dropped() >= n-11 })
	testkit.Await(t, "logged", func() bool { return out.Has("OVERFLOW") && out.Has("subject=s") })
}

// frozen passes connections on to an address, until nothing passes any more: as a machine that is
// cut off.
func frozen(t *testing.T, to string) (address string, freeze func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })

	stop := make(chan struct{})
	pass := func(from, to net.Conn) {
		defer from.Close()
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)

			select {
			case <-stop:
				<-t.Context().Done() // neither passed on nor closed
				return
			default:
			}

			if err != nil {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}

	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				return
			}
			go pass(from, there)
			go pass(there, from)
		}
	}()
	return l.Addr().String(), func() {
		close(stop)
		l.Close()
	}
}

// A client whose server is cut off goes to another one that it knows in seconds.
func TestAServerThatIsCutOffIsLeft(t *testing.T) {
	t.Parallel()
	first, second := startServer(t, server.Options{Listen: "127.0.0.1:-1"}), startServer(t, server.Options{Listen: "127.0.0.1:-1"})
	address, freeze := frozen(t, strings.TrimPrefix(first.ClientURL(), "nats://"))
	nc := bustest.Dial(t, bus.DialOptions{URL: "nats://" + address + "," + second.ClientURL()})
	if at := nc.ConnectedAddr(); at != address {
		t.Fatalf("connected with %s", at)
	}
	freeze()
	const promised, slack = 3 * time.Second, 12 * time.Second
	testkit.Eventually(t, promised+slack, "it is connected with the other server", func() error {
		if at := nc.ConnectedUrl(); at != second.ClientURL() {
			return fmt.Errorf("connected with %q", at)
		}
		return nil
	})
}
