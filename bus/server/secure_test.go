package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/secure"
	"quartet/bus/testkit"
)

// closed is an authority with two nodes and a client of each role.
type closed struct {
	t    *testing.T
	root *secure.Authority
}

func newClosed(t *testing.T) *closed {
	t.Helper()
	a, err := secure.Begin(filepath.Join(t.TempDir(), "certs"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &closed{t, a}
}

func (c *closed) identity(name string, role secure.Role, valid time.Duration) *secure.Identity {
	c.t.Helper()
	q := secure.Asked{Name: name, Role: role, For: valid}
	if role == secure.Node {
		q.Hosts = []string{"127.0.0.1"}
	}
	dir, err := c.root.Issue(q, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	i, err := secure.Open(dir, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return i
}

// isRefused publishes on a subject, and reports whether the server refuses that.
func isRefused(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	was := make(chan *bus.PermissionError, 1)
	defer bus.OnRefusal(nc, func(p *bus.PermissionError) { was <- p })()
	if err := nc.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(wait); err != nil { // what is refused is said before the pong
		t.Fatal(err)
	}
	testkit.Eventually(t, wait, "what the server has said is handed on", func() error {
		if last := nc.LastError(); last != nil && len(was) == 0 && errors.Is(last, nats.ErrPermissionViolation) &&
			strings.Contains(last.Error(), `"`+subject+`"`) {
			return errors.New("not yet")
		}
		return nil
	})
	return len(was) > 0
}

// A server with an identity lets in who has a certificate, as its role says; the nodes by their
// password besides; and nobody else. Beyond this machine it may listen.
func TestRolesOfASecureServer(t *testing.T) {
	c := newClosed(t)
	node := c.identity("n1", secure.Node, time.Hour)
	s := start(t, Options{Listen: "0.0.0.0:-1", Secure: node, NodePassword: "secret"})
	if s.Open() || !strings.HasPrefix(s.ClientURL(), "tls://") {
		t.Errorf("open %t, %s", s.Open(), s.ClientURL())
	}

	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range secure.Clients {
		nc := dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: c.identity("a-"+string(role), role, time.Hour).Client()})
		for subject, want := range map[string]secure.Role{
			subjects.Request(): secure.Write, subjects.Lead(): secure.Operate, subjects.Read(): role, subjects.Node(1): "nobody",
		} {
			if got := isRefused(t, nc, subject); got != (role != want) {
				t.Errorf("%s on %s: refused %t", role, subject, got)
			}
		}
	}

	user, password := s.NodeCredentials()
	front, _ := s.FrontCredentials()
	writer := c.identity("w", secure.Write, time.Hour).Client()
	for what, o := range map[string]bus.DialOptions{
		"nobody":                            {TLS: &tls.Config{RootCAs: node.Client().RootCAs}},
		"no TLS":                            {},
		"a node without the password":       {TLS: node.Client()},
		"a node with a wrong password":      {TLS: node.Client(), User: user, Password: "guess"},
		"a client with the password":        {TLS: writer, User: user, Password: password},
		"a client as front":                 {TLS: writer, User: front, Password: password},
		"somebody through the pipe":         {InProcess: s.InProcess()},
		"a wrong password through the pipe": {InProcess: s.InProcess(), User: user, Password: "guess"},
	} {
		o.URL = s.ClientURL()
		if o.TLS == nil {
			o.URL = "nats://" + s.Address()
		}
		nc, err := bus.Dial(t.Context(), o)
		if err == nil {
			nc.Close()
			t.Errorf("%s is let in", what)
		}
	}
	dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: node.Client(), User: user, Password: password})
	dial(t, bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: front, Password: password})
}

// Guests of this process do what their role may, as if it stood in a certificate; their names are
// of no use to whoever has one. Where everybody is let in they are everybody.
func TestGuests(t *testing.T) {
	c := newClosed(t)
	s := start(t, Options{Secure: c.identity("n1", secure.Node, time.Hour)})
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	read, write := s.Guests()
	for role, o := range map[secure.Role]bus.DialOptions{secure.Read: read, secure.Write: write} {
		nc := dial(t, o)
		for subject, may := range map[string]bool{
			subjects.Request(): role == secure.Write, subjects.Read(): true, subjects.Status(): true, subjects.Lead(): false,
			subjects.Remove(): false, subjects.Node(1): false, "$JS.API.INFO": false,
		} {
			if got := isRefused(t, nc, subject); got == may {
				t.Errorf("a guest that may %s on %s: refused %t", role, subject, got)
			}
		}

		writer := c.identity("w-"+string(role), secure.Write, time.Hour)
		asClient := bus.DialOptions{URL: s.ClientURL(), TLS: writer.Client(), User: o.User, Password: o.Password}
		if nc, err := bus.Dial(t.Context(), asClient); err == nil {
			nc.Close()
			t.Errorf("a client's certificate with the name of a guest that may %s is let in", role)
		}
	}

	config := filepath.Join(t.TempDir(), "users.conf")
	if err := os.WriteFile(config, []byte("authorization { users: [ { user: ann, password: secret } ] }"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, o := range map[string]Options{"everybody": {}, "users of a configuration": {Config: config}} {
		read, write := start(t, o).Guests()
		if isRefused(t, dial(t, read), subjects.Read()) || isRefused(t, dial(t, write), subjects.Request()) {
			t.Errorf("%s: a guest is refused", what)
		}
	}
}

// A connection ends with the certificate that it was made with.
func TestAConnectionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	s := start(t, Options{Secure: c.identity("n1", secure.Node, time.Hour)})
	brief := c.identity("brief", secure.Read, 5*time.Second)
	ended := make(chan struct{})
	nc, err := nats.Connect(s.ClientURL(), nats.Secure(brief.Client()), nats.NoReconnect(),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	select {
	case <-ended:
	case <-time.After(wait):
		t.Fatal("it goes on")
	}
	if now := time.Now(); now.Before(brief.Ends()) {
		t.Errorf("at %s, which ends at %s: %v", now, brief.Ends(), nc.LastError())
	}
}

// Servers form a cluster by nodes' certificates: one with a client's is none of it, and those that
// are go on.
func TestRoutesOfSecureServers(t *testing.T) {
	c := newClosed(t)
	addresses := []string{testkit.FreeAddress(t), testkit.FreeAddress(t), testkit.FreeAddress(t)}
	var said testkit.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	at := func(name string, i int, id *secure.Identity, routes ...string) *Server {
		return start(t, Options{Secure: id, Cluster: &Cluster{Name: name, Listen: addresses[i], Routes: routes}, Log: log})
	}
	first := at("n1", 0, c.identity("n1", secure.Node, time.Hour), addresses[1])
	second := at("n2", 1, c.identity("n2", secure.Node, time.Hour), addresses[0])
	know := func(n int) {
		testkit.Eventually(t, wait, "the two know each other", func() error {
			if first.Remotes() != n || second.Remotes() != n {
				return errors.New("they do not")
			}
			return nil
		})
	}
	know(1)

	intruder := at("n3", 2, c.identity("w", secure.Write, time.Hour), addresses[0], addresses[1])
	testkit.Eventually(t, wait, "a node says why it refuses the third", func() error {
		if !said.Has("w is a client's (write), and only nodes form a cluster") {
			return errors.New("it does not")
		}
		return nil
	})
	if n := intruder.Remotes(); n != 0 {
		t.Errorf("a server with a client's certificate has %d routes", n)
	}
	know(1)
}

// A connection that was made with a certificate ends when that is revoked, and none begins with it
// any more; others go on.
func TestAConnectionEndsWhenItsCertificateIsRevoked(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	s := start(t, Options{Secure: c.identity("n1", secure.Node, time.Hour)})
	billing, other := c.identity("billing", secure.Write, time.Hour), c.identity("other", secure.Write, time.Hour)
	ended := make(chan struct{})
	nc, err := nats.Connect(s.ClientURL(), nats.Secure(billing.Client()), nats.NoReconnect(),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	stays := dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: other.Client()})

	if _, err := c.root.Revoke("billing", time.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(wait):
		t.Fatal("it goes on")
	}
	if nc, err := nats.Connect(s.ClientURL(), nats.Secure(billing.Client())); err == nil {
		nc.Close()
		t.Error("another begins")
	}
	if err := stays.FlushTimeout(wait); err != nil || stays.Stats().Reconnects > 0 {
		t.Errorf("another's has ended: %v, %d", err, stays.Stats().Reconnects)
	}
}

// Of one of the masters' queue group alone hears a request. No client is one of it, whatever it
// subscribes to, so none takes requests away from a master; and each may listen beside it.
func TestNobodyHearsInPlaceOfAMaster(t *testing.T) {
	c := newClosed(t)
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	file := configured(t, `authorization { users: [ { user: plain, password: word }
		{ user: some, password: word, permissions: { subscribe: { allow: [">"] } } } ] }`)

	for name, o := range map[string]Options{
		"open": {}, "secure": {Secure: c.identity("n1", secure.Node, time.Hour)}, "with users": {Config: file},
	} {
		s := start(t, o)
		var clients []bus.DialOptions
		switch {
		case o.Secure != nil:
			for _, role := range secure.Clients {
				clients = append(clients, bus.DialOptions{TLS: c.identity("q-"+string(role), role, time.Hour).Client()})
			}
		case o.Config != "":
			clients = []bus.DialOptions{{User: "plain", Password: "word"}, {User: "some", Password: "word"}}
		default:
			clients = []bus.DialOptions{{}}
		}

		user, password := s.FrontCredentials()
		front := dial(t, bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: user, Password: password})
		master, err := front.QueueSubscribeSync(subjects.Request(), subjects.Masters())
		if err != nil {
			t.Fatal(err)
		}
		var beside []*nats.Subscription
		for _, d := range clients {
			d.URL = s.ClientURL()
			nc := dial(t, d)
			for _, subject := range []string{subjects.Request(), "quartet.*", subjects.All(), ">", "*.request"} {
				_, err := nc.QueueSubscribeSync(subject, subjects.Masters()) // what it would take away shows below
				sub, serr := nc.SubscribeSync(subject)
				if err := errors.Join(err, serr, nc.FlushTimeout(wait)); err != nil {
					t.Fatal(err)
				}
				beside = append(beside, sub)
			}
		}

		const sent = 100
		if err := front.FlushTimeout(wait); err != nil {
			t.Fatal(err)
		}
		for range sent {
			if err := front.Publish(subjects.Request(), nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range sent {
			if _, err := master.NextMsg(wait); err != nil {
				t.Fatalf("%s: %d of %d requests came to the master: %v", name, i, sent, err)
			}
		}
		for _, sub := range beside {
			if _, err := sub.NextMsg(wait); err != nil {
				t.Errorf("%s: a subscription to %s hears nothing: %v", name, sub.Subject, err)
			}
		}
	}
}
