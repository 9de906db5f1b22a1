package secure

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// The files of an identity, in a directory of its own, and those of the authority.
const (
	CertificateFile = "tls.crt"
	KeyFile         = "tls.key"
	AuthorityFile   = "ca.crt"
	authorityKey    = "ca.key"
)

const (
	organization = "quartet"
	authorityFor = 20 * 365 * 24 * time.Hour
	// backdated is how far a machine's clock may be behind that of the authority.
	backdated = time.Hour
)

// Errors of an [Authority].
var (
	ErrThere = errors.New("secure: it is there already")
	ErrName  = errors.New("secure: bad name")
)

// Authority signs the certificates of one cluster.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// names are of identities: they are names of directories, too.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Begin makes an authority in dir, which may be there and holds none. The error wraps [ErrThere].
func Begin(dir string, now time.Time) (*Authority, error) {
	for _, file := range []string{AuthorityFile, authorityKey} {
		if _, err := os.Lstat(filepath.Join(dir, file)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("%w: %s holds an authority: another one would be none of its nodes' (take a "+
				"new directory, or add to this one)", ErrThere, dir), ifOther(err))
		}
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: "quartet CA " + now.UTC().Format("2006-01-02")},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(authorityFor),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}

	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}
	if err := writePair(dir, AuthorityFile, authorityKey, der, key); err != nil {
		return nil, err
	}
	return OpenAuthority(dir)
}

// ifOther is an error of looking that says more than that something is there.
func ifOther(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secure: %w", err)
}

// OpenAuthority opens the authority that [Begin] has made in dir.
func OpenAuthority(dir string) (*Authority, error) {
	certs, err := readCertificates(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, authorityKey))
	if err != nil {
		return nil, err
	}
	a := &Authority{dir: dir, cert: certs[0], key: key}
	public, comparable := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !comparable || !public.Equal(a.cert.PublicKey) {
		return nil, fmt.Errorf("secure: %s is not the key of %s", filepath.Join(dir, authorityKey), filepath.Join(dir, AuthorityFile))
	}
	return a, nil
}

// Asked says whose certificate is to be issued.
type Asked struct {
	Name  string   // of it, and of its directory below the authority's
	Role  Role     //
	Hosts []string // addresses and names at which others reach it: of a node, or of a client that serves a console
	For   time.Duration
}

// Issue makes a new identity in a directory of its name. The error wraps [ErrThere], [ErrName] or
// [ErrRole].
func (a *Authority) Issue(q Asked, now time.Time) (dir string, err error) {
	dir = filepath.Join(a.dir, q.Name)
	if err := q.Check(); err != nil {
		return "", err
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return "", errors.Join(fmt.Errorf("%w: %s (a certificate is renewed by: quartet secure renew)", ErrThere, dir), ifOther(err))
	}
	return dir, a.write(q, dir, now)
}

// Renew issues a certificate again for the identity of this name, with a new key; a process that
// uses the directory takes it without a restart.
func (a *Authority) Renew(name string, valid time.Duration, now time.Time) (dir string, err error) {
	dir = filepath.Join(a.dir, name)
	if !names.MatchString(name) {
		return "", fmt.Errorf("%w %q", ErrName, name)
	}
	old, err := readCertificates(filepath.Join(dir, CertificateFile))
	if err != nil {
		return "", err
	}
	role, err := RoleOf(old[0])
	if err != nil {
		return "", err
	}
	q := Asked{Name: old[0].Subject.CommonName, Role: role, For: valid, Hosts: old[0].DNSNames}
	for _, ip := range old[0].IPAddresses {
		q.Hosts = append(q.Hosts, ip.String())
	}
	return dir, a.write(q, dir, now)
}

// Check finds what could not be issued; the error wraps [ErrName] or [ErrRole].
func (q *Asked) Check() error {
	switch {
	case !names.MatchString(q.Name):
		return fmt.Errorf("%w %q: want letters, digits, dots, dashes and underscores, 63 at the most", ErrName, q.Name)
	case q.Role == Node && len(q.Hosts) == 0:
		return fmt.Errorf("%w: node %s is reached at no address", ErrName, q.Name)
	}
	for _, host := range q.Hosts {
		if net.ParseIP(host) == nil && !hostName.MatchString(host) {
			return fmt.Errorf("%w: %q is no address and no name of a host", ErrName, host)
		}
	}
	_, err := ParseRole(string(q.Role))
	return err
}

// hostName is a host's name, as DNS has it.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// own is where a node, or a console, is reached by those on its own machine.
var own = []string{"localhost", "127.0.0.1", "::1"}

func (a *Authority) write(q Asked, dir string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("secure: %w", err)
	}
	revoked, err := ReadRevoked(a.dir)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, q.template(a.cert, revoked.after(q.Name, now)), a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("secure: %w", err)
	}

	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("secure: %w", err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: a.cert.Raw})
	if err := replace(filepath.Join(dir, AuthorityFile), authority, 0o644); err != nil {
		return err
	}
	if isListing := q.Role == Node && revoked != nil; isListing {
		if err := revoked.write(dir); err != nil {
			return err
		}
	}
	return writePair(dir, CertificateFile, KeyFile, der, key)
}

// template is the certificate that is asked for. It ends with the authority's at the latest.
func (q *Asked) template(authority *x509.Certificate, now time.Time) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{organization}, CommonName: q.Name},
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(q.For),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{{Scheme: "quartet", Opaque: string(q.Role)}},
	}
	if c.NotAfter.After(authority.NotAfter) {
		c.NotAfter = authority.NotAfter
	}
	if len(q.Hosts) == 0 {
		return c
	}

	c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	there := map[string]bool{}
	for _, host := range append(append([]string{}, own...), q.Hosts...) {
		if there[host] {
			continue
		}
		there[host] = true
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	return c
}

// serial is a serial number of 127 random bits.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
