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
	"quartet/bus/secure/securetest"
)

// What is served to a visitor ends with the visitor's certificate, a page that is kept up to date
// with it; and a handler that nobody has let anyone into changes nothing.
func TestAVisitEndsWithItsCertificate(t *testing.T) {
	root := securetest.Begin(t)
	node := root.Identity(secure.Asked{Name: "n1", Role: secure.Node})
	dir := root.Files(secure.Asked{Name: "ann", Role: secure.Write})
	ann, err := secure.Certificate(filepath.Join(dir, secure.CertificateFile))
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
