package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
)

// answering has the nodes' front answer requests of clients on a server.
func answering(t *testing.T, s *Server, subjects bus.Subjects) {
	t.Helper()
	user, password := s.FrontCredentials()
	front := bustest.Dial(t, bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: user, Password: password})
	_, err := front.QueueSubscribe(subjects.Request(), subjects.Masters(), func(m *client.Msg) { _ = m.Respond(m.Data) })
	if err := errors.Join(err, front.FlushTimeout(wait)); err != nil {
		t.Fatal(err)
	}
}

// asks wants a request of a connection to be answered.
func asks(t *testing.T, nc *client.Conn, subjects bus.Subjects) {
	t.Helper()
	testkit.Eventually(t, wait, "a request is answered", func() error {
		m, err := nc.Request(subjects.Request(), []byte("1, 2, key"), time.Second)
		if err == nil && string(m.Data) != "1, 2, key" {
			err = errors.New(string(m.Data))
		}
		return err
	})
}

// A configuration's websocket serves clients as the port of the server does: its users, and holders
// of certificates, with what they may and no more, and nobody else.
func TestWebsocketOfAConfiguration(t *testing.T) {
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	root := securetest.Begin(t)
	node := root.Identity(secure.Asked{Name: "n1", Role: secure.Node})
	for name, id := range map[string]*secure.Identity{"open": nil, "secure": node} {
		at := testkit.FreeAddress(t)
		encrypted := "no_tls: true"
		if id != nil {
			encrypted = fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q }",
				id.Dir()+"/"+secure.CertificateFile, id.Dir()+"/"+secure.KeyFile, id.Dir()+"/"+secure.AuthorityFile)
		}
		file := configured(t, fmt.Sprintf(`websocket { listen: %q, %s }
			authorization { users: [ { user: plain, password: word } ] }`, at, encrypted))
		s := start(t, Options{Config: file, Secure: id})
		answering(t, s, subjects)

		scheme, options := "ws://", []client.Option{}
		if id != nil {
			config := node.Client()
			config.GetClientCertificate, config.Certificates = nil, nil
			scheme, options = "wss://", append(options, client.Secure(config))
		}
		nc, err := client.Connect(scheme+at, append(options, client.UserInfo("plain", "word"))...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer nc.Close()
		asks(t, nc, subjects)
		for subject, refused := range map[string]bool{subjects.Request(): false, subjects.Lead(): true, subjects.Node(1): true} {
			if got := isRefused(t, nc, subject); got != refused {
				t.Errorf("%s: %s: refused %t", name, subject, got)
			}
		}
		for what, o := range map[string]client.Option{"nobody": client.Name("nobody"), "a guess": client.UserInfo("plain", "guess")} {
			if nc, err := client.Connect(scheme+at, append(options, o)...); err == nil {
				nc.Close()
				t.Errorf("%s: %s is let in", name, what)
			}
		}
	}
}

// A leaf node joins the clients by name and password, and those who are connected with it are
// served; with another password it does not.
func TestLeafNodesOfAConfiguration(t *testing.T) {
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	root := securetest.Begin(t)
	for name, id := range map[string]*secure.Identity{"open": nil, "secure": root.Identity(secure.Asked{Name: "n1", Role: secure.Node})} {
		at := testkit.FreeAddress(t)
		var said testkit.Buffer
		s := start(t, Options{Secure: id, Log: slog.New(slog.NewTextHandler(&said, nil)), Config: configured(t, fmt.Sprintf(
			`leafnodes { listen: %q, authorization { user: leaf, password: word, account: CLIENTS } }`, at))})
		answering(t, s, subjects)

		leaf := func(user *url.Userinfo) *nats.Server {
			return servertest.Start(t, &nats.Options{LeafNode: nats.LeafNodeOpts{
				ReconnectInterval: 50 * time.Millisecond,
				Remotes:           []*nats.RemoteLeafOpts{{URLs: []*url.URL{{Scheme: "nats-leaf", Host: at, User: user}}}},
			}})
		}
		nc, err := client.Connect(leaf(url.UserPassword("leaf", "word")).ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		asks(t, nc, subjects)

		strange, err := client.Connect(leaf(url.UserPassword("leaf", "guess")).ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		defer strange.Close()
		testkit.Eventually(t, wait, "another password is refused", func() error {
			if !said.Has("authentication error") {
				return errors.New(said.String())
			}
			return nil
		})
		if _, err := strange.Request(subjects.Request(), nil, time.Second); !errors.Is(err, client.ErrNoResponders) {
			t.Errorf("%s: with another password: %v", name, err)
		}
		if n := s.nats.NumLeafNodes(); n != 1 {
			t.Errorf("%s: %d leaf nodes", name, n)
		}
	}
}
