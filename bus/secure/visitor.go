package secure

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// ErrVisitor is wrapped where nobody is let in to pages with what was shown.
var ErrVisitor = errors.New("secure: no certificate that opens this page")

// Visitor is who opens pages in a browser, by a client's certificate.
type Visitor struct {
	Name string
	Role Role // a client's
	Ends time.Time
	ID   string // of the certificate, a digest: another one of the same name has another
}

// Pages is how a server of pages is reached whose visitors have certificates. Whoever connects is
// asked for one and let through without: so a browser shows why it is refused, in words, where the
// end of a handshake would be a number. [Identity.Visitor] says who it is, and nobody is served
// before.
func (i *Identity) Pages() *tls.Config {
	with := func() *tls.Config {
		m := i.fresh()
		return &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{m.pair}, NextProtos: []string{"h2", "http/1.1"},
			ClientCAs: m.roots, ClientAuth: tls.RequestClientCert,
		}
	}
	c := with()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return with(), nil }
	return c
}

// Visitor is who is at the other end of a connection of [Identity.Pages]: the holder of a
// certificate of this authority that is a client's and valid at a time. The error wraps
// [ErrVisitor], and says in words what is amiss.
func (i *Identity) Visitor(state *tls.ConnectionState, at time.Time) (Visitor, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Visitor{}, fmt.Errorf("%w: the browser has shown none", ErrVisitor)
	}
	c, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, more := range state.PeerCertificates[1:] {
		between.AddCert(more)
	}
	options := x509.VerifyOptions{
		Roots: i.fresh().roots, Intermediates: between, CurrentTime: c.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}

	// Whose it is comes before whether it is valid now: only of its own does an authority say more.
	if _, err := c.Verify(options); err != nil {
		return Visitor{}, fmt.Errorf("%w: that of %s, signed by %s, is none that this cluster's authority has made for a client: %w", ErrVisitor,
			c.Subject.CommonName, c.Issuer.CommonName, err)
	}
	if err := Valid(c, at); err != nil {
		return Visitor{}, fmt.Errorf("%w: %w", ErrVisitor, err)
	}
	options.CurrentTime = at
	if _, err := c.Verify(options); err != nil {
		return Visitor{}, fmt.Errorf("%w: %w", ErrVisitor, err)
	}

	role, err := RoleOf(c)
	switch {
	case err != nil:
		return Visitor{}, fmt.Errorf("%w: %w", ErrVisitor, err)
	case role == Node:
		return Visitor{}, fmt.Errorf("%w: that of %s is a node's, and a page is opened with a client's", ErrVisitor, c.Subject.CommonName)
	}
	digest := sha256.Sum256(c.Raw)
	return Visitor{Name: c.Subject.CommonName, Role: role, Ends: c.NotAfter, ID: hex.EncodeToString(digest[:])}, nil
}

// Names reports whether the certificate is for a host's address or name.
func (i *Identity) Names(host string) bool { return i.fresh().leaf.VerifyHostname(host) == nil }

// Serving is the host by which a server is reached that listens on listen with this certificate:
// for one that stands for all addresses the first beyond this machine that the certificate is for.
// The error says that nobody would trust it there.
func (i *Identity) Serving(listen string) (string, error) {
	leaf := i.fresh().leaf
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return "", fmt.Errorf("%w: %s is of a client that nobody connects to: quartet secure console makes one for a console",
			ErrRole, i.dir)
	}
	if ip := net.ParseIP(listen); ip == nil || !ip.IsUnspecified() {
		return listen, i.IsFor(listen)
	}

	for _, ip := range leaf.IPAddresses {
		if !ip.IsLoopback() {
			return ip.String(), nil
		}
	}
	for _, name := range leaf.DNSNames {
		if !slices.Contains(own, name) {
			return name, nil
		}
	}
	return "localhost", nil
}
