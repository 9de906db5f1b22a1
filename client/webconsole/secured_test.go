package webconsole_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
	"quartet/bus/testkit"
	"quartet/client/internal/responder"
	"quartet/client/webconsole"
)

// closed is a console that is secured, with an authority that makes its visitors' certificates.
type closed struct {
	*site
	root *securetest.Authority
	node *secure.Identity
	log  testkit.Buffer
}

const (
	day       = 24 * time.Hour
	otherHost = "db1.example.org"
)

func issued(t *testing.T, a *securetest.Authority, q secure.Asked) tls.Certificate {
	t.Helper()
	dir := a.Files(q)
	return pair(t, filepath.Join(dir, secure.CertificateFile), filepath.Join(dir, secure.KeyFile))
}

func pair(t *testing.T, cert, key string) tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// secured starts a console of a node's certificate.
func secured(t *testing.T, o webconsole.Options, to string) *closed {
	t.Helper()
	root := securetest.Begin(t)
	node := root.Identity(secure.Asked{Name: "n1", Role: secure.Node, Hosts: []string{"127.0.0.1", otherHost}})
	c := &closed{root: root, node: node}
	o.Secure, o.Log = node, slog.New(slog.NewTextHandler(&c.log, nil))
	c.site = listen(t, o, to, c.transport(t, issued(t, root, secure.Asked{Name: "first", Role: secure.Read})))
	return c
}

// transport shows a certificate, whichever authorities the server names; an empty one is none.
func (c *closed) transport(t *testing.T, p tls.Certificate) http.RoundTripper {
	t.Helper()
	roots := c.node.Client().RootCAs
	by := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p, nil },
	}}
	t.Cleanup(by.CloseIdleConnections)
	return by
}

// visits is the console as the holder of a certificate sees it.
func (c *closed) visits(t *testing.T, p tls.Certificate) *site {
	t.Helper()
	v := &site{t: t, url: c.url, by: c.transport(t, p)}
	v.enter()
	return v
}

func (c *closed) client(t *testing.T, role secure.Role) *site {
	t.Helper()
	return c.visits(t, issued(t, c.root, secure.Asked{Name: "a-" + string(role), Role: role}))
}

// forged is a certificate that the authority in root signs, of a kind that it never issues.
func forged(t *testing.T, root string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	authority := pair(t, filepath.Join(root, secure.AuthorityFile), filepath.Join(root, "ca.key"))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "forged"}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(day), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Who may do what: a certificate's role decides, for each thing that the console does, and what is
// refused says what to do next.
func TestWhoMayDoWhat(t *testing.T) {
	r := responder.Start(t, nil)
	c := secured(t, webconsole.Options{Write: true, Runs: t.TempDir()}, r.URL)
	set := map[string]string{"key": "k", "value": "1", "model": "1", "request": "set"}
	type deed struct {
		address      string
		fields       map[string]string // nil: it is looked at
		asked, write int               // the status for who may only read, and for who may write
	}
	deeds := map[string]deed{
		"the cluster":     {"/", nil, 200, 200},
		"four ways":       {"/four", nil, 200, 200},
		"stories":         {"/story", nil, 200, 200},
		"keys":            {"/keys", nil, 200, 200},
		"a key":           {"/keys/one?key=k", nil, 200, 200},
		"runs":            {"/runs", nil, 200, 200},
		"a style":         {"/assets/console.css", nil, 200, 200},
		"try a get":       {"/four/try", map[string]string{"key": "k", "do": "get:1"}, 200, 200},
		"a get's story":   {"/story", map[string]string{"key": "k", "model": "1", "request": "get"}, 303, 303},
		"try a set":       {"/four/try", map[string]string{"key": "k", "value": "1", "do": "set:1"}, 403, 200},
		"a set's story":   {"/story", set, 403, 303},
		"a delete's":      {"/story", map[string]string{"key": "k", "model": "1", "request": "delete"}, 403, 303},
		"set a key":       {"/keys/one", set, 403, 200},
		"delete a key":    {"/keys/one", map[string]string{"key": "k", "model": "1", "request": "delete"}, 403, 200},
		"pause a replica": {"/demo/pause", map[string]string{"pid": "1"}, 403, 403},
	}

	for _, role := range secure.Clients {
		visitor, before, changes := c.client(t, role), r.Executed(), 0
		for name, d := range deeds {
			a, want := answer{}, d.asked
			if role == secure.Write {
				want = d.write
			}
			if d.fields == nil {
				a = visitor.get(d.address)
			} else {
				a = visitor.post(d.address, d.fields, nil)
			}
			if a.status != want {
				t.Errorf("%s, %s: %d, want %d: %s", role, name, a.status, want, a.body)
			}
			if isChange := d.asked != d.write; isChange {
				changes++
				if role != secure.Write && !strings.Contains(a.body, "has the role "+string(role)+", and keys are changed by the role write") {
					t.Errorf("%s, %s: nothing of what to do next: %s", role, name, a.body)
				}
			}
		}
		if role != secure.Write {
			changes = 0
		}
		if n := r.Executed() - before; n != changes {
			t.Errorf("%s: %d changes were executed, want %d", role, n, changes)
		}
		if body := visitor.get("/keys/one?key=k").body; strings.Contains(body, ">Set<") != (role == secure.Write) ||
			!strings.Contains(body, "a-"+string(role)+", role "+string(role)) {
			t.Errorf("%s: what the page offers: %s", role, body)
		}
	}
}

// Who has no certificate that opens the console is told why in words, and nothing else: not how the
// cluster is, and no token.
func TestWhoIsRefusedACertificate(t *testing.T) {
	r := responder.Start(t, nil)
	c := secured(t, webconsole.Options{Write: true}, r.URL)
	other := securetest.Begin(t)
	role := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, name := range names {
				c.URIs = append(c.URIs, &url.URL{Scheme: "quartet", Opaque: name})
			}
		}
	}
	good := c.client(t, secure.Write)

	for want, shown := range map[string]tls.Certificate{
		"the browser has shown none":     {},
		"stranger, signed by quartet CA": issued(t, other, secure.Asked{Name: "stranger", Role: secure.Write}),
		"that of late ended at":          issued(t, c.root, secure.Asked{Name: "late", Role: secure.Write, For: -time.Minute}),
		"forged begins at":               forged(t, c.root.Dir, func(c *x509.Certificate) { role("write")(c); c.NotBefore = time.Now().Add(time.Hour) }),
		"that of n2 is a node's":         issued(t, c.root, secure.Asked{Name: "n2", Role: secure.Node, Hosts: []string{"10.0.0.2"}}),
		"forged names 0 roles":           forged(t, c.root.Dir, func(*x509.Certificate) {}),
		"forged names 2 roles":           forged(t, c.root.Dir, role("read", "write")),
		`role is "king"`:                 forged(t, c.root.Dir, role("king")),
		"certificate specifies an incompatible key": forged(t, c.root.Dir, func(c *x509.Certificate) {
			role("write")(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}),
	} {
		v := c.visits(t, shown)
		v.token = good.token
		for what, a := range map[string]answer{
			"a page": v.get("/"), "a stream": v.get("/live"), "a style": v.get("/assets/console.css"),
			"a set": v.post("/keys/one", map[string]string{"key": "k", "value": "v", "model": "1", "request": "set"}, nil),
		} {
			if a.status != http.StatusForbidden || !strings.Contains(a.body, want) || !strings.Contains(a.body, "quartet secure browser") {
				t.Errorf("%s, %s: %d %s", want, what, a.status, a.body)
			}
			if strings.Contains(a.body, "data-token") || strings.Contains(a.body, "127.0.0.1:") {
				t.Errorf("%s, %s: it is told more: %s", want, what, a.body)
			}
		}
		if !c.log.Has(strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("whoever runs it is not told: %s\n%s", want, &c.log)
		}
	}

	if n := r.Executed(); n != 0 {
		t.Errorf("%d sets were executed", n)
	}
	if a := good.get("/"); a.status != http.StatusOK {
		t.Errorf("who may come is disturbed: %d %s", a.status, a.body)
	}
}

// Names and addresses of the certificate are the console's own, and no other; a page's token is its
// visitor's, and of no use with another certificate.
func TestASecuredConsoleIsOpenedByItsOwnNames(t *testing.T) {
	r := responder.Start(t, nil)
	c := secured(t, webconsole.Options{Write: true}, r.URL)
	writer, second := c.client(t, secure.Write), c.visits(t, issued(t, c.root, secure.Asked{Name: "b", Role: secure.Write}))
	_, port, _ := strings.Cut(strings.TrimPrefix(c.url, "https://"), ":")
	for host, want := range map[string]int{
		"localhost:" + port: 200, "[::1]:" + port: 200, otherHost + ":" + port: 200, "127.0.0.1:" + port: 200,
		"evil.example:" + port: 421, "127.0.0.1.evil.example:" + port: 421, "10.0.0.1:" + port: 421, "0.0.0.0:" + port: 421,
		otherHost: 421, "127.0.0.1:1": 421, "a." + otherHost + ":" + port: 421,
	} {
		if a := writer.ask("GET", "/", nil, map[string]string{"Host": host}); a.status != want {
			t.Errorf("%s: %d, want %d", host, a.status, want)
		}
	}

	set := map[string]string{"key": "k", "value": "v", "model": "1", "request": "set"}
	site := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
	if a := writer.post("/keys/one", set, site); a.status != http.StatusForbidden {
		t.Errorf("a form elsewhere: %d", a.status)
	}
	own := writer.token
	writer.token = second.token
	if a := writer.post("/keys/one", set, nil); a.status != http.StatusForbidden {
		t.Errorf("with another's token: %d", a.status)
	}
	writer.token = own
	if a := writer.post("/keys/one", set, nil); a.status != http.StatusOK || r.Executed() != 1 {
		t.Errorf("with its own: %d, %d executed", a.status, r.Executed())
	}
}

// The console's certificate is read again when it is renewed, and so is the authority.
func TestASecuredConsoleTakesARenewedCertificate(t *testing.T) {
	c := secured(t, webconsole.Options{}, responder.Start(t, nil).URL)
	ends := func() (until time.Time) {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(c.url, "https://"), c.node.Client())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].NotAfter
	}
	before := ends()
	if _, err := c.root.Renew("n1", 2*day, time.Now()); err != nil {
		t.Fatal(err)
	}
	if after := ends(); !after.After(before) {
		t.Errorf("it shows one that ends at %s, and after it was renewed at %s", before, after)
	}
	if a := c.client(t, secure.Read).get("/"); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Where a secured console listens its certificate must be for; then it may be anywhere.
func TestWhereASecuredConsoleListens(t *testing.T) {
	root := securetest.Begin(t)
	root.Files(secure.Asked{Name: "desk", Role: secure.Read, Hosts: []string{"192.0.2.9", "desk.example.org"}})
	root.Files(secure.Asked{Name: "ann", Role: secure.Read})

	for _, try := range []struct {
		dir, listen, url string // "": it is refused
		says             string
	}{
		{"desk", "0.0.0.0:0", "https://192.0.2.9:", ""},
		{"desk", "[::]:0", "https://192.0.2.9:", ""},
		{"desk", "127.0.0.1:0", "https://127.0.0.1:", ""},
		{"desk", "localhost:0", "https://localhost:", ""},
		{"desk", "198.51.100.1:0", "", "whoever connects to 198.51.100.1 would not trust"},
		{"ann", "127.0.0.1:0", "", "quartet secure console makes one"},
		{"ann", "0.0.0.0:0", "", "quartet secure console makes one"},
	} {
		i, err := secure.Open(filepath.Join(root.Dir, try.dir), nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := webconsole.Listen(webconsole.Options{Listen: try.listen, Secure: i})
		if try.url == "" {
			if !errors.Is(err, webconsole.ErrAddress) || !strings.Contains(fmt.Sprint(err), try.says) {
				t.Errorf("%s on %s: %v", try.dir, try.listen, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s on %s: %v", try.dir, try.listen, err)
			continue
		}
		if !strings.HasPrefix(s.URL(), try.url) {
			t.Errorf("%s on %s: it is at %s", try.dir, try.listen, s.URL())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
