package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Soon is how long before its end a certificate is a finding.
const Soon = 14 * 24 * time.Hour

// ErrEnded is wrapped where a certificate is not valid any more, or not yet.
var ErrEnded = errors.New("secure: the certificate is not valid now")

// Identity is a directory that [Authority.Issue] has made, in use. It is read again when its files
// change; as long as what is there cannot be used, what was read last is. It is safe for concurrent
// use.
type Identity struct {
	dir string
	log *slog.Logger

	mu     sync.Mutex
	now    *material
	stamp  stamp
	failed string // why the files that are there are not used; "": they are
}

// material is what the files hold.
type material struct {
	pair  tls.Certificate
	leaf  *x509.Certificate
	role  Role
	roots *x509.CertPool

	revoked Revocations
}

// stamp is by what a change of the files is known.
type stamp [len(files)]os.FileInfo

// is reports whether the files are those of another stamp. A file that is replaced is another one,
// however soon that is.
func (s stamp) is(other stamp) bool {
	for i, a := range s {
		b := other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		isSame := os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
		if !isSame {
			return false
		}
	}
	return true
}

var files = [...]string{CertificateFile, KeyFile, AuthorityFile, RevokedFile}

// Open reads an identity. One that is not valid now is refused: the error wraps [ErrEnded].
func Open(dir string, log *slog.Logger) (*Identity, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	i := &Identity{dir: dir, log: log, stamp: stampOf(dir)}
	if i.now, err = read(dir); err != nil {
		return nil, err
	}
	return i, Valid(i.now.leaf, time.Now())
}

// Valid reports by an error that wraps [ErrEnded] that a certificate is not valid at a time.
func Valid(c *x509.Certificate, at time.Time) error {
	switch {
	case at.After(c.NotAfter):
		return fmt.Errorf("%w: that of %s ended at %s", ErrEnded, c.Subject.CommonName, c.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(c.NotBefore):
		return fmt.Errorf("%w: that of %s begins at %s, and this machine's clock says %s", ErrEnded, c.Subject.CommonName,
			c.NotBefore.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	return nil
}

// Certificate reads the certificate in a file, the first.
func Certificate(file string) (*x509.Certificate, error) {
	all, err := readCertificates(file)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func stampOf(dir string) (s stamp) {
	for i, name := range files {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			s[i] = info
		}
	}
	return s
}

func read(dir string) (*material, error) {
	cert, key := filepath.Join(dir, CertificateFile), filepath.Join(dir, KeyFile)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("secure: %s: %w (quartet secure init makes such directories)", dir, err)
	}
	m := &material{pair: pair, leaf: pair.Leaf, roots: x509.NewCertPool()}
	if m.role, err = RoleOf(m.leaf); err != nil {
		return nil, fmt.Errorf("%s: %w", cert, err)
	}

	if m.revoked, err = ReadRevoked(dir); err != nil {
		return nil, err
	}
	authorities, err := readCertificates(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return nil, err
	}
	for _, a := range authorities {
		m.roots.AddCert(a)
	}
	at := m.leaf.NotBefore // whether it is valid now is another question
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	if _, err := m.leaf.Verify(x509.VerifyOptions{Roots: m.roots, CurrentTime: at, KeyUsages: usages}); err != nil {
		return nil, fmt.Errorf("secure: %s was not signed by %s: %w", cert, filepath.Join(dir, AuthorityFile), err)
	}
	return m, nil
}

// fresh is what the files hold now, or held last.
func (i *Identity) fresh() *material {
	s := stampOf(i.dir)
	i.mu.Lock()
	defer i.mu.Unlock()
	if s.is(i.stamp) {
		return i.now
	}

	m, err := read(i.dir)
	if err == nil {
		err = Valid(m.leaf, time.Now())
	}
	switch {
	case err == nil:
		i.now, i.stamp, i.failed = m, s, ""
		i.log.Info("the certificate was read again", "dir", i.dir, "until", m.leaf.NotAfter)
	case err.Error() != i.failed:
		i.failed = err.Error()
		i.log.Error("the certificate that is there cannot be used: the one before is", "dir", i.dir, "error", err)
	}
	return i.now
}

// Tell has a nil or other identity say to log when its files change.
func (i *Identity) Tell(log *slog.Logger) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.log = log
}

// Dir is the directory, absolute.
func (i *Identity) Dir() string { return i.dir }

// Role is what the certificate says.
func (i *Identity) Role() Role { return i.fresh().role }

// Name is whose it is.
func (i *Identity) Name() string { return i.fresh().leaf.Subject.CommonName }

// Refuses reports by an error that wraps [ErrRevoked] that somebody's certificate has been revoked.
// A nil identity refuses nobody's.
func (i *Identity) Refuses(c *x509.Certificate) error {
	if i == nil {
		return nil
	}
	return i.fresh().revoked.Refuses(c)
}

// Ends is until when it is valid.
func (i *Identity) Ends() time.Time { return i.fresh().leaf.NotAfter }

// IsFor reports by an error that clients that reach this node at host would not trust it. A host
// that stands for all addresses, or for none, is any.
func (i *Identity) IsFor(host string) error {
	ip := net.ParseIP(host)
	isEvery := ip != nil && ip.IsUnspecified()
	if host == "" || isEvery {
		return nil
	}
	if err := i.fresh().leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("secure: %s: whoever connects to %s would not trust this certificate: %w", i.dir, host, err)
	}
	return nil
}

// Environment is what tells a child process, or the nats command, of this identity.
func (i *Identity) Environment() []string {
	return []string{
		"NATS_CERT=" + filepath.Join(i.dir, CertificateFile), "NATS_KEY=" + filepath.Join(i.dir, KeyFile),
		"NATS_CA=" + filepath.Join(i.dir, AuthorityFile),
	}
}

// Server is how a server is reached whose clients have certificates of this authority, of any role;
// or, where others are let in who prove otherwise who they are, no certificate.
func (i *Identity) Server(others bool) *tls.Config {
	auth := tls.RequireAndVerifyClientCert
	if others {
		auth = tls.VerifyClientCertIfGiven
	}
	return i.config(auth, func(c *x509.Certificate) error {
		_, err := RoleOf(c)
		return err
	})
}

// Routes is how servers of nodes reach each other: both ends are nodes.
func (i *Identity) Routes() *tls.Config {
	return i.config(tls.RequireAndVerifyClientCert, func(c *x509.Certificate) error {
		role, err := RoleOf(c)
		if err == nil && role != Node {
			err = fmt.Errorf("%w: %s is a client's (%s), and only nodes form a cluster", ErrRole, c.Subject.CommonName, role)
		}
		return err
	})
}

// Client is how a process of this identity connects.
func (i *Identity) Client() *tls.Config {
	c := i.config(tls.RequireAndVerifyClientCert, func(*x509.Certificate) error { return nil })
	c.GetConfigForClient = nil
	return c
}

// config is for both ends of a connection, whose other end has a certificate that is allowed.
func (i *Identity) config(auth tls.ClientAuthType, allowed func(*x509.Certificate) error) *tls.Config {
	verify := func(state tls.ConnectionState) error {
		isNone := len(state.PeerCertificates) == 0
		switch {
		case isNone && auth == tls.VerifyClientCertIfGiven:
			return nil
		case isNone:
			return fmt.Errorf("%w: the other end has no certificate", ErrRole)
		}
		if err := i.Refuses(state.PeerCertificates[0]); err != nil {
			return err
		}
		return allowed(state.PeerCertificates[0])
	}
	with := func(m *material) *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{m.pair},
			RootCAs: m.roots, ClientCAs: m.roots, ClientAuth: auth, VerifyConnection: verify,
		}
	}

	c := with(i.fresh())
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return with(i.fresh()), nil }
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair := i.fresh().pair
		return &pair, nil
	}
	return c
}
