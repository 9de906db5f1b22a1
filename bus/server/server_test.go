package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/lamport"
	"quartet/bus/testkit"
)

const wait = 10 * time.Second

// start starts a server on a free port and stops it with the test.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:-1"
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func listen(t *testing.T, nc *nats.Conn, subject string) <-chan *nats.Msg {
	t.Helper()
	messages := make(chan *nats.Msg, 64)
	if _, err := nc.ChanSubscribe(subject, messages); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return messages
}

func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := nc.FlushTimeout(wait); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, messages <-chan *nats.Msg) *nats.Msg {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(wait):
		t.Fatal("no message")
		return nil
	}
}

func publish(t *testing.T, nc *nats.Conn, m *nats.Msg) {
	t.Helper()
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
}

func subjects(t *testing.T, prefix string) bus.Subjects {
	t.Helper()
	s, err := bus.NewSubjects(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A node's message reaches the node and an anonymous listener; a client's reaches neither.
func TestClientsCannotReachNodes(t *testing.T) {
	for _, prefix := range []string{bus.DefaultPrefix, "my.kv", `od"d`} {
		t.Run(prefix, func(t *testing.T) {
			s := start(t, Options{Prefix: prefix})
			names := subjects(t, prefix)
			node := names.Node(lamport.Replica(2))
			replica, master := bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()}), bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})
			passive := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()})
			atNode, atPassive := listen(t, replica, node), listen(t, passive, names.All())

			violations := make(chan error, 64)
			client := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()})
			client.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err })
			publish(t, client, &nats.Msg{Subject: node, Data: []byte("forged")})
			select {
			case err := <-violations:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("forged publish: %v", err)
				}
			case <-time.After(wait):
				t.Error("the server said nothing of a forged publish")
			}

			real := &nats.Msg{Subject: node, Data: []byte("real"), Header: nats.Header{bus.HeaderRequestID: {"1,2"}}}
			publish(t, master, real)
			for who, messages := range map[string]<-chan *nats.Msg{"node": atNode, "passive": atPassive} {
				// The forged one was handled by the server before the real one was sent.
				m := next(t, messages)
				if m.Subject != node || string(m.Data) != "real" || m.Header.Get(bus.HeaderRequestID) != "1,2" {
					t.Errorf("%s heard %q %q %v", who, m.Subject, m.Data, m.Header)
				}
			}
		})
	}
}

// Whatever the master answers in the clients' account stays there, even if it were to
// answer on the reply subject that a hostile client names; and a client's other
// subjects never come up on the nodes' side.
func TestReplySubjectsStayAmongClients(t *testing.T) {
	s := start(t, Options{})
	names := subjects(t, bus.DefaultPrefix)
	node := names.Node(lamport.Replica(1))
	replica := bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})
	atNode := listen(t, replica, ">")
	master := bustest.Dial(t, bus.DialOptions{InProcess: s.InProcess()})
	if _, err := master.Subscribe(names.Request(), func(m *nats.Msg) { _ = m.Respond([]byte("answer")) }); err != nil {
		t.Fatal(err)
	}
	flush(t, master)
	client := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()})
	if err := client.PublishRequest(names.Request(), node, []byte("hostile")); err != nil {
		t.Fatal(err)
	}
	reply, err := client.Request(names.Request(), []byte("honest"), wait)
	if err != nil || string(reply.Data) != "answer" {
		t.Fatalf("honest request: %v %v", reply, err)
	}
	flush(t, master)
	// A message of the nodes' own ends the wait: nothing came before it.
	publish(t, replica, &nats.Msg{Subject: node, Data: []byte("end")})
	if m := next(t, atNode); string(m.Data) != "end" {
		t.Errorf("a node heard %q %q", m.Subject, m.Data)
	}
}

// refused dials in vain, and is told why: the credentials, not a lost connection.
func refused(t *testing.T, name string, o bus.DialOptions) {
	t.Helper()
	if nc, err := bus.Dial(t.Context(), o); !errors.Is(err, bus.ErrDial) || !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("%s: %v %v", name, nc, err)
	}
}

func TestCredentials(t *testing.T) {
	s := start(t, Options{NodePassword: "secret"})
	for name, o := range map[string]bus.DialOptions{
		"wrong password": {URL: s.ClientURL(), User: defaultNodeUser, Password: "no"},
		"no password":    {URL: s.ClientURL(), User: defaultNodeUser},
		"unknown user":   {URL: s.ClientURL(), User: "somebody", Password: "secret"},
	} {
		refused(t, name, o)
		o.URL, o.InProcess = "", s.InProcess()
		refused(t, name+", in this process", o)
	}
	user, password := s.NodeCredentials()
	bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), User: user, Password: password})
	inside := bustest.Dial(t, bus.DialOptions{InProcess: s.InProcess(), User: user, Password: password})
	outside := bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})
	messages := listen(t, outside, "x")
	publish(t, inside, &nats.Msg{Subject: "x"})
	next(t, messages)

	closed := start(t, Options{ClientUser: "app", ClientPassword: "pw"})
	refused(t, "anonymous, where clients need credentials", bus.DialOptions{URL: closed.ClientURL()})
	refused(t, "anonymous, in this process", bus.DialOptions{InProcess: closed.InProcess()})
	bustest.Dial(t, bus.DialOptions{URL: closed.ClientURL(), User: "app", Password: "pw"})
	if _, err := Start(t.Context(), Options{Listen: "127.0.0.1:-1", ClientUser: "same", NodeUser: "same"}); !errors.Is(err, ErrStart) {
		t.Errorf("one user for both accounts: %v", err)
	}
}

func TestJetStreamInBothAccountsOnDisk(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*wait)
	defer cancel()
	put := func(url, value string) {
		kv, err := bucket(ctx, bustest.Dial(t, bus.DialOptions{URL: url}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.PutString(ctx, "view", value); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, Options{StoreDir: dir, ClientJetStream: true})
	put(s.ClientURL(), "client's")
	put(s.NodeURL(), "node's")
	s.Shutdown()

	// A start without the option in between neither shows nor loses what clients have stored.
	without := start(t, Options{StoreDir: dir})
	err := unlessRefused(t, without.ClientURL(), func(ctx context.Context, nc *nats.Conn) error {
		_, err := bucket(ctx, nc)
		return err
	})
	if !errors.Is(err, bus.ErrPermission) {
		t.Errorf("a client's bucket without the option: %v", err)
	}
	without.Shutdown()

	again := start(t, Options{StoreDir: dir, ClientJetStream: true})
	for url, want := range map[string]string{again.ClientURL(): "client's", again.NodeURL(): "node's"} {
		kv, err := bucket(ctx, bustest.Dial(t, bus.DialOptions{URL: url}))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := kv.Get(ctx, "view"); err != nil || string(e.Value()) != want {
			t.Errorf("after a restart: %v %v, want %q", e, err, want)
		}
	}
}

// Unless clients are given JetStream, none of them can have a stream take requests.
func TestClientsHaveNoJetStreamUnlessGiven(t *testing.T) {
	audit := jetstream.StreamConfig{Name: "AUDIT", Subjects: []string{"quartet.>"}, Storage: jetstream.MemoryStorage}
	for name, c := range map[string]struct {
		options Options
		want    error
	}{
		"not given": {Options{}, bus.ErrPermission},
		"given":     {Options{ClientJetStream: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.options)
			for what, ask := range map[string]func(context.Context, jetstream.JetStream) error{
				"a stream on quartet.>": func(ctx context.Context, js jetstream.JetStream) error {
					_, err := js.CreateStream(ctx, audit)
					return err
				},
				"JetStream's account": func(ctx context.Context, js jetstream.JetStream) error {
					_, err := js.AccountInfo(ctx)
					return err
				},
			} {
				err := unlessRefused(t, s.ClientURL(), func(ctx context.Context, nc *nats.Conn) error {
					js, err := jetstream.New(nc)
					if err != nil {
						return err
					}
					return ask(ctx, js)
				})
				if !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", what, err, c.want)
				}
			}

			if _, err := bucket(t.Context(), bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})); err != nil {
				t.Errorf("a node's bucket: %v", err)
			}
		})
	}
}

// unlessRefused does what a client may or may not do; the server's refusal is its error.
func unlessRefused(t *testing.T, url string, do func(context.Context, *nats.Conn) error) error {
	t.Helper()
	nc := bustest.Dial(t, bus.DialOptions{URL: url})
	ctx, refused := context.WithCancelCause(t.Context())
	defer refused(nil)
	defer bus.OnRefusal(nc, func(e *bus.PermissionError) { refused(e) })()
	if err := do(ctx, nc); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

func bucket(ctx context.Context, nc *nats.Conn) (jetstream.KeyValue, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	return js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "b"})
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = Start(t.Context(), Options{Listen: l.Addr().String()})
	if !errors.Is(err, ErrPortTaken) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{fmt.Sprint(port), "--listen 127.0.0.1:-1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
}

// The port may be taken after the probe: what the server calls fatal must come back as
// the same error, and leave neither process nor test dead.
func TestPortTakenAfterProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{options: Options{Listen: l.Addr().String()}.withDefaults()}
	defer s.Shutdown()
	err = s.run(t.Context(), "127.0.0.1", l.Addr().(*net.TCPAddr).Port, t.TempDir())
	if !errors.Is(err, ErrPortTaken) {
		t.Fatalf("got %v", err)
	}
}

func TestStoreThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Listen: "127.0.0.1:-1", StoreDir: file}); !errors.Is(err, ErrStart) {
		t.Errorf("a file as store: %v", err)
	}
}

func TestListenAddresses(t *testing.T) {
	refused := map[string]error{
		"127.0.0.1":        ErrListen,
		"127.0.0.1:":       ErrListen,
		"127.0.0.1:http":   ErrListen,
		"127.0.0.1:-2":     ErrListen,
		"127.0.0.1:65536":  ErrListen,
		"0.0.0.0:-1":       ErrInsecure,
		":-1":              ErrInsecure,
		"[::]:-1":          ErrInsecure,
		"192.0.2.1:4222":   ErrInsecure,
		"[2001:db8::1]:-1": ErrInsecure,
	}
	for address, want := range refused {
		if _, err := Start(t.Context(), Options{Listen: address}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", address, err, want)
		}
	}
	// Credentials without TLS are no protection.
	if _, err := Start(t.Context(), Options{Listen: "0.0.0.0:-1", ClientUser: "u", ClientPassword: "p"}); !errors.Is(err, ErrInsecure) {
		t.Errorf("credentials without TLS: %v", err)
	}
	for _, address := range []string{"127.0.0.1:-1", "127.0.0.1:0", "localhost:-1"} {
		bustest.Dial(t, bus.DialOptions{URL: start(t, Options{Listen: address}).ClientURL()})
	}
	open := start(t, Options{Listen: "0.0.0.0:-1", AllowInsecureBind: true})
	if !strings.HasPrefix(open.ClientURL(), "nats://127.0.0.1:") {
		t.Errorf("URL of all addresses: %s", open.ClientURL())
	}
	bustest.Dial(t, bus.DialOptions{URL: open.ClientURL()})
	if !open.Open() {
		t.Error("it does not say that everybody is let in")
	}
	if closed := start(t, Options{Listen: "127.0.0.1:-1"}); closed.Open() {
		t.Error("loopback is called open")
	}

	// The refusal names what works today.
	_, err := Start(t.Context(), Options{Listen: "0.0.0.0:-1"})
	for _, way := range []string{"--nats", "--allow-insecure-bind", "127.0.0.1"} {
		if err == nil || !strings.Contains(err.Error(), way) {
			t.Errorf("the refusal does not say %s: %v", way, err)
		}
	}
}

// What JetStream may store does not depend on how full the disk was at the start, and nodes
// stay with the server that is named first.
func TestLimitsAndOrder(t *testing.T) {
	s := start(t, Options{Listen: "127.0.0.1:-1"})
	if got := s.nats.JetStreamConfig().MaxStore; got != maxStore {
		t.Errorf("JetStream may store %d bytes", got)
	}
	if nc := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()}); !nc.Opts.NoRandomize {
		t.Error("servers are tried in a random order")
	}
}

// Where everybody is let in, operators prove that they can read the master's directory.
func TestOperatorsOfAnOpenServer(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		user    string
		heard   bool
	}{
		"anybody, open":     {Options{Listen: "0.0.0.0:-1", AllowInsecureBind: true, NodePassword: "secret"}, "", false},
		"an operator, open": {Options{Listen: "0.0.0.0:-1", AllowInsecureBind: true, NodePassword: "secret"}, "quartet-operator", true},
		"anybody, loopback": {Options{Listen: "127.0.0.1:-1", NodePassword: "secret"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, test.options)
			user, password := s.FrontCredentials()
			master := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), User: user, Password: password})
			for _, subject := range []string{"quartet.recover", "quartet.remove", "quartet.request"} {
				if _, err := master.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
					t.Fatal(err)
				}
			}
			if err := master.Flush(); err != nil {
				t.Fatal(err)
			}

			o := bus.DialOptions{URL: s.ClientURL(), User: test.user}
			if test.user != "" {
				o.Password = "secret"
			}
			asker := bustest.Dial(t, o)
			for subject, want := range map[string]bool{
				"quartet.recover": test.heard, "quartet.remove": test.heard, "quartet.request": true,
			} {
				wait := 5 * time.Second
				if !want {
					wait = 200 * time.Millisecond
				}
				if _, err := asker.Request(subject, nil, wait); (err == nil) != want {
					t.Errorf("%s: %v", subject, err)
				}
			}
		})
	}
}

func TestBadPrefix(t *testing.T) {
	if _, err := Start(t.Context(), Options{Listen: "127.0.0.1:-1", Prefix: "a.*"}); !errors.Is(err, bus.ErrPrefix) {
		t.Errorf("got %v", err)
	}
}

func TestContextEndsStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Listen: "127.0.0.1:-1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMaxPayload(t *testing.T) {
	s := start(t, Options{MaxPayload: 2 << 20})
	if got := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()}).MaxPayload(); got != 2<<20 {
		t.Errorf("got %d", got)
	}
}

// Shutdown waits: the port is free, the temporary store gone, the goroutines ended.
func TestShutdownLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := Start(t.Context(), Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}

	address := strings.TrimPrefix(s.ClientURL(), "nats://")
	nc, err := bus.Dial(t.Context(), bus.DialOptions{URL: s.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.scratch); err != nil {
		t.Errorf("temporary store: %v", err)
	}

	nc.Close()
	s.Shutdown()
	s.Shutdown()

	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("port still used: %v", err)
	}
	l.Close()
	if _, err := os.Stat(s.scratch); !os.IsNotExist(err) {
		t.Errorf("temporary store still there: %v", err)
	}

	deadline := time.Now().Add(wait)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

func TestLogIsBridged(t *testing.T) {
	var out testkit.Buffer
	s := start(t, Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
	s.Shutdown()
	if text := out.String(); !strings.Contains(text, "Listening for client connections") || !strings.Contains(text, "level=INFO") {
		t.Errorf("log: %s", text)
	}
}
