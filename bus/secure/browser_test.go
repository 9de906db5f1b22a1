package secure

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// What a browser takes is the client's certificate with its key and its authority; it opens with
// the password that was told, which is another one each time, and is for its owner alone.
func TestWhatABrowserTakes(t *testing.T) {
	a := begin(t)
	node := open(t, issue(t, a, Asked{Name: "n1", Role: Node, Hosts: []string{"10.0.0.1"}}))
	if _, _, err := node.ForBrowser(); !errors.Is(err, ErrRole) {
		t.Errorf("a node's: %v", err)
	}
	ann := open(t, issue(t, a, Asked{Name: "ann", Role: Read}))
	passwords := map[string]bool{}
	for range 2 {
		file, password, err := ann.ForBrowser()
		if err != nil {
			t.Fatal(err)
		}
		passwords[password] = true
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}

		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := pkcs12.DecodeChain(b, "changeit"); !errors.Is(err, pkcs12.ErrIncorrectPassword) {
			t.Errorf("with another password: %v", err)
		}
		key, leaf, authorities, err := pkcs12.DecodeChain(b, password)
		if err != nil {
			t.Fatal(err)
		}
		signer, isKey := key.(*ecdsa.PrivateKey)
		isWhole := isKey && signer.PublicKey.Equal(leaf.PublicKey) && len(authorities) == 1 && authorities[0].Equal(a.cert)
		if role, err := RoleOf(leaf); !isWhole || err != nil || role != Read {
			t.Errorf("it holds %T, %s (%s, %v) and %d authorities", key, leaf.Subject, role, err, len(authorities))
		}
	}
	if len(passwords) != 2 {
		t.Errorf("the passwords are %v", passwords)
	}
}

// A client that serves a console has a certificate that servers show, for its hosts, and it stays
// one when it is renewed; a client that serves nothing has none.
func TestWhoServesPages(t *testing.T) {
	a := begin(t)
	desk := open(t, issue(t, a, Asked{Name: "desk", Role: Write, Hosts: []string{"10.0.0.9", "desk.example.org"}}))
	plain := open(t, issue(t, a, Asked{Name: "plain", Role: Write}))
	local := open(t, issue(t, a, Asked{Name: "local", Role: Read, Hosts: []string{"127.0.0.1"}}))
	for range 2 {
		for _, try := range []struct {
			who            *Identity
			listen, at     string
			isRefused, own bool
		}{
			{desk, "10.0.0.9", "10.0.0.9", false, true}, {desk, "0.0.0.0", "10.0.0.9", false, false}, {desk, "::", "10.0.0.9", false, false},
			{desk, "desk.example.org", "desk.example.org", false, true}, {desk, "10.0.0.8", "", true, false},
			{local, "0.0.0.0", "localhost", false, false}, {plain, "127.0.0.1", "", true, false}, {plain, "0.0.0.0", "", true, false},
		} {
			at, err := try.who.Serving(try.listen)
			isElsewhere := err == nil && at != try.at
			if (err != nil) != try.isRefused || isElsewhere || try.who.Names(try.listen) != try.own {
				t.Errorf("%s on %s: at %s, %v; named %t", try.who.Name(), try.listen, at, err, try.who.Names(try.listen))
			}
		}
		if role := desk.Role(); role != Write {
			t.Errorf("it is %s", role)
		}
		if _, err := a.Renew("desk", year, time.Now()); err != nil {
			t.Fatal(err)
		}
	}

	atServer, atClient := shake(t, desk.Pages(), plain.Client())
	if atServer != nil || atClient != nil {
		t.Errorf("%v, %v", atServer, atClient)
	}
	node := open(t, issue(t, a, Asked{Name: "n1", Role: Node, Hosts: []string{"127.0.0.1"}}))
	if atServer, _ := shake(t, node.Routes(), desk.Routes()); !errors.Is(atServer, ErrRole) {
		t.Errorf("a console among the nodes: %v", atServer)
	}
}

// A visitor is known by what is true at the moment of a request, however old the connection is.
func TestAVisitorIsKnownUntilItsCertificateEnds(t *testing.T) {
	a := begin(t)
	node := open(t, issue(t, a, Asked{Name: "n1", Role: Node, Hosts: []string{"127.0.0.1"}}))
	ann := open(t, issue(t, a, Asked{Name: "ann", Role: Operate})).now.leaf
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{ann}}
	who, err := node.Visitor(state, time.Now())
	if err != nil || who.Name != "ann" || who.Role != Operate || !who.Ends.Equal(ann.NotAfter) || who.ID == "" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, at := range []time.Time{ann.NotAfter.Add(time.Second), ann.NotBefore.Add(-time.Second)} {
		if _, err := node.Visitor(state, at); !errors.Is(err, ErrVisitor) || !errors.Is(err, ErrEnded) {
			t.Errorf("at %s: %v", at, err)
		}
	}
	for _, none := range []*tls.ConnectionState{nil, {}} {
		if _, err := node.Visitor(none, time.Now()); !errors.Is(err, ErrVisitor) {
			t.Errorf("nobody: %v", err)
		}
	}
}
