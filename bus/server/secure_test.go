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
	"quartet/bus/bustest"
	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
	"quartet/bus/testkit"
)

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
	root := securetest.Begin(t)
	node := root.Identity(secure.Asked{Name: "n1", Role: secure.Node})
	s := start(t, Options{Listen: "0.0.0.0:-1", Secure: node, NodePassword: "secret"})
	if s.Open() || !strings.HasPrefix(s.ClientURL(), "tls://") {
		t.Errorf("open %t, %s", s.Open(), s.ClientURL())
	}

	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range secure.Clients {
		nc := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: root.Identity(secure.Asked{Name: "a-" + string(role), Role: role}).Client()})
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
	writer := root.Identity(secure.Asked{Name: "w", Role: secure.Write}).Client()
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
	bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: node.Client(), User: user, Password: password})
	bustest.Dial(t, bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: front, Password: password})
}

// Guests of this process do what their role may, as if it stood in a certificate; their names are
// of no use to whoever has one. Where everybody is let in they are everybody.
func TestGuests(t *testing.T) {
	root := securetest.Begin(t)
	s := start(t, Options{Secure: root.Identity(secure.Asked{Name: "n1", Role: secure.Node})})
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	read, write := s.Guests()
	for role, o := range map[secure.Role]bus.DialOptions{secure.Read: read, secure.Write: write} {
		nc := bustest.Dial(t, o)
		for subject, may := range map[string]bool{
			subjects.Request(): role == secure.Write, subjects.Read(): true, subjects.Status(): true, subjects.Lead(): false,
			subjects.Remove(): false, subjects.Node(1): false, "$JS.API.INFO": false,
		} {
			if got := isRefused(t, nc, subject); got == may {
				t.Errorf("a guest that may %s on %s: refused %t", role, subject, got)
			}
		}

		writer := root.Identity(secure.Asked{Name: "w-" + string(role), Role: secure.Write})
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
		if isRefused(t, bustest.Dial(t, read), subjects.Read()) || isRefused(t, bustest.Dial(t, write), subjects.Request()) {
			t.Errorf("%s: a guest is refused", what)
		}
	}
}

// A connection ends with the certificate that it was made with.
func TestAConnectionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	root := securetest.Begin(t)
	s := start(t, Options{Secure: root.Identity(secure.Asked{Name: "n1", Role: secure.Node})})
	brief := root.Identity(secure.Asked{Name: "brief", Role: secure.Read, For: 5 * time.Second})
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
	root := securetest.Begin(t)
	addresses := []string{testkit.FreeAddress(t), testkit.FreeAddress(t), testkit.FreeAddress(t)}
	var said testkit.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	at := func(name string, i int, id *secure.Identity, routes ...string) *Server {
		return start(t, Options{Secure: id, Cluster: &Cluster{Name: name, Listen: addresses[i], Routes: routes}, Log: log})
	}
	first := at("n1", 0, root.Identity(secure.Asked{Name: "n1", Role: secure.Node}), addresses[1])
	second := at("n2", 1, root.Identity(secure.Asked{Name: "n2", Role: secure.Node}), addresses[0])
	know := func(n int) {
		testkit.Eventually(t, wait, "the two know each other", func() error {
			if first.Remotes() != n || second.Remotes() != n {
				return errors.New("they do not")
			}
			return nil
		})
	}
	know(1)

	intruder := at("n3", 2, root.Identity(secure.Asked{Name: "w", Role: secure.Write}), addresses[0], addresses[1])
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
	root := securetest.Begin(t)
	s := start(t, Options{Secure: root.Identity(secure.Asked{Name: "n1", Role: secure.Node})})
	billing, other := root.Identity(secure.Asked{Name: "billing", Role: secure.Write}), root.Identity(secure.Asked{Name: "other", Role: secure.Write})
	ended := make(chan struct{})
	nc, err := nats.Connect(s.ClientURL(), nats.Secure(billing.Client()), nats.NoReconnect(),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	stays := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: other.Client()})

	if _, err := root.Revoke("billing", time.Now()); err != nil {
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
	root := securetest.Begin(t)
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	file := configured(t, `authorization { users: [ { user: plain, password: word }
		{ user: some, password: word, permissions: { subscribe: { allow: [">"] } } } ] }`)

	for name, o := range map[string]Options{
		"open": {}, "secure": {Secure: root.Identity(secure.Asked{Name: "n1", Role: secure.Node})}, "with users": {Config: file},
	} {
		s := start(t, o)
		var clients []bus.DialOptions
		switch {
		case o.Secure != nil:
			for _, role := range secure.Clients {
				clients = append(clients, bus.DialOptions{TLS: root.Identity(secure.Asked{Name: "q-" + string(role), Role: role}).Client()})
			}
		case o.Config != "":
			clients = []bus.DialOptions{{User: "plain", Password: "word"}, {User: "some", Password: "word"}}
		default:
			clients = []bus.DialOptions{{}}
		}

		user, password := s.FrontCredentials()
		front := bustest.Dial(t, bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: user, Password: password})
		master, err := front.QueueSubscribeSync(subjects.Request(), subjects.Masters())
		if err != nil {
			t.Fatal(err)
		}
		var beside []*nats.Subscription
		for _, d := range clients {
			d.URL = s.ClientURL()
			nc := bustest.Dial(t, d)
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
