package webconsole

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"quartet/bus/secure"
)

// What is served to a visitor ends with the visitor's certificate, a page that is kept up to date
// with it; and a handler that nobody has let anyone into changes nothing.
func TestAVisitEndsWithItsCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	a, err := secure.Begin(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []secure.Asked{
		{Name: "n1", Role: secure.Node, Hosts: []string{"127.0.0.1"}, For: time.Hour}, {Name: "ann", Role: secure.Write, For: time.Hour},
	} {
		if _, err := a.Issue(q, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	node, err := secure.Open(filepath.Join(dir, "n1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ann, err := secure.Certificate(filepath.Join(dir, "ann", secure.CertificateFile))
	if err != nil {
		t.Fatal(err)
	}

	s := &Server{o: Options{Secure: node, Write: true, Log: slog.New(slog.DiscardHandler)}}
	r := httptest.NewRequest(http.MethodGet, "/live", nil)
	if _, may := s.mayWrite(r); may {
		t.Error("whoever was not let in may write")
	}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{ann}}
	served := false
	s.known(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		served = true
		until, isBounded := r.Context().Deadline()
		if !isBounded || !until.Equal(ann.NotAfter) {
			t.Errorf("it ends at %s, %t, and the certificate at %s", until, isBounded, ann.NotAfter)
		}
		if why, may := s.mayWrite(r); !may {
			t.Errorf("who may write may not: %s", why)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if !served {
		t.Error("ann is not let in")
	}
}

// deadlines notes what a stream sets, as a connection would keep it.
type deadlines struct {
	httptest.ResponseRecorder
	write time.Time
}

func (d *deadlines) SetReadDeadline(time.Time) error     { return nil }
func (d *deadlines) SetWriteDeadline(at time.Time) error { d.write = at; return nil }

// A stream that has nothing to say has no deadline: over HTTP/2 that would end it, written or not.
func TestAStreamThatIsSilentStays(t *testing.T) {
	w := &deadlines{ResponseRecorder: *httptest.NewRecorder()}
	out := begin(w)
	if !out.alive() || !out.send("news") || !w.write.IsZero() {
		t.Errorf("after it was written to the deadline is %s", w.write)
	}
}
