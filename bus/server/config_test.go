package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
)

// configured is a file with a configuration.
func configured(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Users of a configuration are let in by password, by bcrypt's digest of one, and by nkey, with
// what they are allowed and never with what is the nodes'; nobody else is, but for certificates
// where the server has one; and what the configuration says besides holds.
func TestUsersOfAConfiguration(t *testing.T) {
	root := securetest.Begin(t)
	digest, err := bcrypt.GenerateFromPassword([]byte("hashed"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	file := configured(t, fmt.Sprintf(`
		max_payload: 2MB
		authorization { users: [
			{ user: plain, password: word }
			{ user: digest, password: %q }
			{ nkey: %s, permissions: { publish: { allow: ["quartet.lead", "quartet.node.>"] } } }
		] }
		accounts { APART { users: [ { user: apart, password: word } ] } }`, digest, public))

	for name, id := range map[string]*secure.Identity{"open": nil, "secure": root.Identity(secure.Asked{Name: "n1", Role: secure.Node})} {
		s := start(t, Options{Config: file, Secure: id})
		var withTLS bus.DialOptions
		if id != nil {
			withTLS.TLS = id.Client()
			withTLS.TLS.GetClientCertificate, withTLS.TLS.Certificates = nil, nil
			bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), TLS: root.Identity(secure.Asked{Name: "w", Role: secure.Write}).Client()})
		}
		as := func(user, password string) (*nats.Conn, error) {
			o := withTLS
			o.URL, o.User, o.Password = s.ClientURL(), user, password
			nc, err := bus.Dial(t.Context(), o)
			if err == nil {
				t.Cleanup(nc.Close)
			}
			return nc, err
		}

		for user, password := range map[string]string{"plain": "word", "digest": "hashed", "apart": "word"} {
			nc, err := as(user, password)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, user, err)
			}
			if nc.MaxPayload() != 2<<20 {
				t.Errorf("%s: max_payload is %d", name, nc.MaxPayload())
			}
			isApart := user == "apart" // in an account of its own nothing is quartet's
			for subject, refused := range map[string]bool{"quartet.request": false, "quartet.lead": !isApart, "quartet.node.r1": !isApart} {
				if got := isRefused(t, nc, subject); got != refused {
					t.Errorf("%s: %s on %s: refused %t", name, user, subject, got)
				}
			}
			if _, err := as(user, "guess"); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s: %s with another password: %v", name, user, err)
			}
		}
		if _, err := as("", ""); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: nobody: %v", name, err)
		}
		if _, err := as("digest", string(digest)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: with the digest itself: %v", name, err)
		}

		options := []nats.Option{nats.Nkey(public, pair.Sign)}
		if withTLS.TLS != nil {
			options = append(options, nats.Secure(withTLS.TLS))
		}
		nc, err := nats.Connect(s.ClientURL(), options...)
		if err != nil {
			t.Fatalf("%s: by nkey: %v", name, err)
		}
		defer nc.Close()
		for subject, refused := range map[string]bool{"quartet.lead": false, "quartet.request": true, "quartet.node.r1": true} {
			if got := isRefused(t, nc, subject); got != refused {
				t.Errorf("%s: by nkey on %s: refused %t", name, subject, got)
			}
		}
		options[0] = nats.Nkey(public, func([]byte) ([]byte, error) { return make([]byte, 64), nil })
		if _, err := nats.Connect(s.ClientURL(), options...); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: with a wrong signature: %v", name, err)
		}
		user, password := s.NodeCredentials()
		bustest.Dial(t, bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: user, Password: password})
	}
}

// What a configuration says that quartet says itself is refused by name, before anything begins;
// and users alone do not let a server listen beyond this machine, for they are not encrypted.
func TestConflictsOfAConfiguration(t *testing.T) {
	for text, says := range map[string]string{
		"port: 4333":                             "port is not for it to say here: use --listen",
		"Listen: 4333":                           "Listen is not for it to say here: use --listen",
		"tls { cert_file: x }":                   "use --secure",
		"jetstream: enabled":                     "use --dir",
		"cluster { port: 1 }":                    "use --routes",
		"no_auth_user: x":                        "no_auth_user is not",
		"operator: x":                            "NATS server of your own",
		"authorization { token: x }":             "name users",
		"authorization { user: x, password: y }": "name users",
		"accounts { NODES {} }":                  "the account NODES is quartet's own",
		"accounts { CLIENTS {} }":                "the account CLIENTS is quartet's own",
		"authorization { users: [ { user: quartet-front, password: y } ] }":                               "the user quartet-front is quartet's own",
		"authorization { users: [ { user: a, password: y, allowed_connection_types: [WEBSOCKET] } ] }":    "allowed_connection_types",
		"websocket { port: 4333, no_tls: true, no_auth_user: quartet-node }":                              "websocket: no_auth_user: the user quartet-node",
		"mqtt { port: 4333, no_auth_user: quartet-front }":                                                "mqtt: no_auth_user: the user quartet-front",
		"leafnodes { port: 4333, authorization { user: a, password: b, account: NODES } }":                "leafnodes: the account NODES",
		"leafnodes { port: 4333, authorization { users: [ { user: a, password: b, account: NODES } ] } }": "leafnodes: the account NODES",
		"leafnodes { remotes: [ { url: \"nats://127.0.0.1:4333\", account: NODES } ] }":                   "leafnodes: the account NODES",
		"authorization {": "nats.conf",
	} {
		o := Options{Listen: "127.0.0.1:-1", Config: configured(t, text)}
		for what, err := range map[string]error{"check": Check(t.Context(), o), "start": begins(t, o)} {
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %s: %v", what, text, err)
			}
		}
	}

	beyond := Options{Listen: "0.0.0.0:-1", Config: configured(t, "authorization { users: [ { user: a, password: b } ] }")}
	if err := Check(t.Context(), beyond); !errors.Is(err, ErrInsecure) {
		t.Errorf("beyond this machine: %v", err)
	}
}

// begins starts a server that is not to start.
func begins(t *testing.T, o Options) error {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err == nil {
		s.Shutdown()
	}
	return err
}
