package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quartet/bus"
)

const year = 365 * 24 * time.Hour

// begin makes an authority in a directory of its own.
func begin(t *testing.T) *Authority {
	t.Helper()
	a, err := Begin(filepath.Join(t.TempDir(), "certs"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, q Asked) string {
	t.Helper()
	if q.For == 0 {
		q.For = year
	}
	dir, err := a.Issue(q, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *Identity {
	t.Helper()
	i, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// shake has a client connect to a server, both of these configurations, and returns how each end
// saw it. The client waits for a byte: in TLS 1.3 its own handshake is over before it is refused.
func shake(t *testing.T, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			tc := tls.Server(conn, server)
			if err = tc.Handshake(); err == nil {
				_, err = tc.Write([]byte{1})
			}
		}
		done <- err
	}()
	client = client.Clone()
	client.ServerName = "127.0.0.1"
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
		conn.Close()
	}
	return <-done, err
}

// Who has a certificate of the authority is let in by servers, whatever its role; routes are for
// nodes alone; and of another authority nobody is let in, at either end.
func TestWhoIsLetIn(t *testing.T) {
	a, other := begin(t), begin(t)
	node := open(t, issue(t, a, Asked{Name: "n1", Role: Node, Hosts: []string{"10.0.0.1", "db1.example.org"}}))
	second := open(t, issue(t, a, Asked{Name: "n2", Role: Node, Hosts: []string{"10.0.0.2"}}))
	reader := open(t, issue(t, a, Asked{Name: "reader", Role: Read}))
	stranger := open(t, issue(t, other, Asked{Name: "n3", Role: Node, Hosts: []string{"10.0.0.3"}}))
	nobody := node.Client()
	nobody.GetClientCertificate, nobody.Certificates = nil, nil

	for what, c := range map[string]struct {
		server, client *tls.Config
		is             bool
		because        error // what the refusal wraps at the server; nil: anything
	}{
		"a client":                 {node.Server(false), reader.Client(), true, nil},
		"a node":                   {node.Server(false), second.Client(), true, nil},
		"nobody":                   {node.Server(false), nobody, false, nil},
		"a stranger":               {node.Server(false), stranger.Client(), false, nil},
		"a route":                  {node.Routes(), second.Routes(), true, nil},
		"a client at routes":       {node.Routes(), reader.Client(), false, ErrRole},
		"a stranger at routes":     {node.Routes(), stranger.Routes(), false, nil},
		"a route to a stranger":    {stranger.Routes(), node.Routes(), false, nil},
		"a client to no server":    {reader.Server(false), reader.Client(), false, nil},
		"a client to a stranger's": {stranger.Server(false), reader.Client(), false, nil},
	} {
		atServer, atClient := shake(t, c.server, c.client)
		if is := atServer == nil && atClient == nil; is != c.is {
			t.Errorf("%s: let in %t; the server says %v, the client %v", what, is, atServer, atClient)
		}
		if c.because != nil && !errors.Is(atServer, c.because) {
			t.Errorf("%s: the server says %v", what, atServer)
		}
	}

	for host, is := range map[string]bool{
		"10.0.0.1": true, "db1.example.org": true, "127.0.0.1": true, "localhost": true, "0.0.0.0": true, "": true, "::": true,
		"10.0.0.2": false, "example.org": false,
	} {
		if err := node.IsFor(host); (err == nil) != is {
			t.Errorf("is it for %q: %v", host, err)
		}
	}
}

// A certificate that has ended is refused by a server and is not opened; one that was renewed is
// taken by a process that runs; and files that cannot be used leave the one before in use.
func TestCertificatesEndAndAreRenewed(t *testing.T) {
	a := begin(t)
	node := open(t, issue(t, a, Asked{Name: "n1", Role: Node, Hosts: []string{"10.0.0.1"}}))
	late := issue(t, a, Asked{Name: "late", Role: Write, For: -time.Minute})
	if _, err := Open(late, nil); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "late ended at") {
		t.Errorf("one that has ended: %v", err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(late, CertificateFile), filepath.Join(late, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	expired := node.Client()
	expired.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	var invalid x509.CertificateInvalidError
	if atServer, _ := shake(t, node.Server(false), expired); !errors.As(atServer, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("the server says %v", atServer)
	}

	server, before := node.Server(false), node.Ends()
	if _, err := a.Renew("n1", 2*year, time.Now()); err != nil {
		t.Fatal(err)
	}
	if after := node.Ends(); !after.After(before) {
		t.Errorf("it ends at %s, and after it was renewed at %s", before, after)
	}
	if err := node.IsFor("10.0.0.1"); err != nil {
		t.Errorf("renewed it is not for the address that it was for: %v", err)
	}
	seen := open(t, issue(t, a, Asked{Name: "app", Role: Write})).Client()
	var until time.Time
	seen.VerifyConnection = func(s tls.ConnectionState) error { until = s.PeerCertificates[0].NotAfter; return nil }
	if atServer, atClient := shake(t, server, seen); atServer != nil || atClient != nil {
		t.Fatalf("%v, %v", atServer, atClient)
	}
	if !until.Equal(node.Ends()) {
		t.Errorf("a server that ran shows one that ends at %s, not at %s", until, node.Ends())
	}

	ends := node.Ends()
	if err := os.WriteFile(filepath.Join(node.Dir(), CertificateFile), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if atServer, atClient := shake(t, server, seen); atServer != nil || atClient != nil || !node.Ends().Equal(ends) {
		t.Errorf("with a broken file: %v, %v, until %s", atServer, atClient, node.Ends())
	}
}

// Nothing that is there is written over, keys are for their owner alone, and what has no sense is
// refused.
func TestWhatIsThereStays(t *testing.T) {
	a := begin(t)
	if _, err := Begin(a.dir, time.Now()); !errors.Is(err, ErrThere) {
		t.Errorf("another authority: %v", err)
	}
	dir := issue(t, a, Asked{Name: "app", Role: Write})
	if _, err := a.Issue(Asked{Name: "app", Role: Read, For: year}, time.Now()); !errors.Is(err, ErrThere) {
		t.Errorf("another app: %v", err)
	}
	if role := open(t, dir).Role(); role != Write {
		t.Errorf("it has become %s", role)
	}

	for _, secret := range []string{filepath.Join(a.dir, authorityKey), filepath.Join(dir, KeyFile)} {
		info, err := os.Stat(secret)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
	for _, q := range []Asked{
		{Name: "../out", Role: Read}, {Name: "", Role: Read}, {Name: "x", Role: "king"}, {Name: "n1", Role: Node},
		{Name: "n1", Role: Node, Hosts: []string{"10.0.0.1/24"}}, {Name: "x", Role: Write, Hosts: []string{"10.0.0.1/24"}},
	} {
		q.For = year
		if _, err := a.Issue(q, time.Now()); !errors.Is(err, ErrName) && !errors.Is(err, ErrRole) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := a.Renew("nobody", year, time.Now()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("renewing nobody: %v", err)
	}

	if err := os.Rename(filepath.Join(begin(t).dir, authorityKey), filepath.Join(a.dir, authorityKey)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(a.dir); err == nil || !strings.Contains(err.Error(), "is not the key of") {
		t.Errorf("with another's key: %v", err)
	}
}

// A certificate is of one role; and who may request may not operate.
func TestRoles(t *testing.T) {
	s, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	may := func(p Permissions, subject string) bool {
		matches := func(all []string) bool {
			for _, pattern := range all {
				head, isOpen := strings.CutSuffix(pattern, ">")
				isBelow := isOpen && strings.HasPrefix(subject, head)
				if pattern == subject || isBelow {
					return true
				}
			}
			return false
		}
		allowed := len(p.Publish) == 0 || matches(p.Publish)
		return allowed && !matches(p.Deny)
	}

	for subject, who := range map[string]string{
		s.Request(): "write", s.Batch(): "write", s.Read(): "read write operate", s.Status(): "read write operate",
		s.Lead(): "operate", s.Recover(): "operate", s.Remove(): "operate", s.Node(1): "", s.Beats(): "", s.Led(): "",
		s.Shadow() + "x": "", s.Flow(1, 2, 3): "read write operate", "$JS.API.STREAM.CREATE.x": "",
		"quartet.kv.$KV.orders.17": "write", "quartet.kv.causal.$KV.orders.17": "write", "quartet.kv.$KV.CONSUMER.x": "write",
		"quartet.kv.STREAM.CREATE.KV_orders": "write", "quartet.kv.STREAM.PURGE.KV_orders": "write",
		"quartet.kv.STREAM.INFO.KV_orders": "read write operate", "quartet.kv.causal.DIRECT.GET.KV_orders.x": "read write operate",
		"quartet.kv.CONSUMER.CREATE.KV_orders.x": "read write operate", "elsewhere": "write",
	} {
		for _, r := range Clients {
			want := strings.Contains(who, string(r))
			if got := may(Of(r, s, s.OfNodes()), subject); got != want {
				t.Errorf("%s on %s: %t, want %t", r, subject, got, want)
			}
		}
	}
	for _, r := range Clients {
		if !may(Of(r, s, s.OfNodes()).WithJetStream(), "$JS.API.STREAM.CREATE.x") {
			t.Errorf("%s with JetStream may not ask for it", r)
		}
	}
}

// All certificates of a name that were issued by the time it is revoked are refused, the renewed
// ones and those renewed before, at both ends of a connection; others, and those that are issued
// afterwards, are not, within the same second either.
func TestRevocations(t *testing.T) {
	a := begin(t)
	node := open(t, issue(t, a, Asked{Name: "n1", Role: Node, Hosts: []string{"127.0.0.1"}}))
	before := open(t, issue(t, a, Asked{Name: "billing", Role: Write}))
	other := open(t, issue(t, a, Asked{Name: "other", Role: Write}))
	stolen := before.Client() // of the files as they are now
	pair := *must(stolen.GetClientCertificate(nil))(t)
	stolen.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	isRefused := func(client *tls.Config) bool {
		atServer, atClient := shake(t, node.Server(false), client)
		if (atServer == nil) != (atClient == nil) {
			t.Errorf("at the server %v, at the client %v", atServer, atClient)
		}
		if atServer != nil && !errors.Is(atServer, ErrRevoked) {
			t.Errorf("refused for another reason: %v", atServer)
		}
		return atServer != nil
	}
	if isRefused(before.Client()) || isRefused(stolen) {
		t.Fatal("it is refused before it is revoked")
	}

	if _, err := a.Renew("billing", year, time.Now()); err != nil {
		t.Fatal(err)
	}
	lists, err := a.Revoke("billing", time.Now())
	if err != nil || len(lists) != 2 {
		t.Fatalf("lists %q, %v", lists, err)
	}
	if !isRefused(before.Client()) || !isRefused(stolen) || isRefused(other.Client()) {
		t.Error("the newest, the one before and another name's: refused, refused, not")
	}
	if _, err := a.Renew("billing", year, time.Now()); err != nil {
		t.Fatal(err)
	}
	if isRefused(before.Client()) || !isRefused(stolen) {
		t.Error("what was issued afterwards is not refused, what was before is")
	}

	// A node that is renewed brings the list along, and so does a new one; one that cannot be read is
	// none, and the one before counts.
	if err := os.Remove(lists[1]); err != nil {
		t.Fatal(err)
	}
	if isRefused(stolen) {
		t.Error("without a list it is refused")
	}
	if _, err := a.Renew("n1", year, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !isRefused(stolen) {
		t.Error("a node that was renewed has no list")
	}
	if err := os.WriteFile(lists[1], []byte("billing yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !isRefused(stolen) {
		t.Error("a list that cannot be read counts as an empty one")
	}
	if _, err := Open(node.Dir(), nil); err == nil || !strings.Contains(err.Error(), "billing yesterday") {
		t.Errorf("a node begins with it: %v", err)
	}
	if _, err := a.Revoke("../n1", time.Now()); !errors.Is(err, ErrName) {
		t.Errorf("a path is revoked: %v", err)
	}
}

// must is a value that is there.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
