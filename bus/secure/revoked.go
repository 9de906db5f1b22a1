package secure

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RevokedFile lists whose certificates are refused: in the directory of an authority, and of each
// node, which reads it anew.
const RevokedFile = "revoked"

// ErrRevoked is wrapped where a certificate has been revoked.
var ErrRevoked = errors.New("secure: the certificate was revoked")

// Revocations are whose certificates are refused, by name: all that were issued up to a time. So
// one that was renewed before is refused, too, and one that is made afterwards is not.
type Revocations map[string]time.Time

// Refuses reports by an error that wraps [ErrRevoked] that a certificate has been revoked.
func (r Revocations) Refuses(c *x509.Certificate) error {
	name := c.Subject.CommonName
	until, isListed := r[name]
	if !isListed || issued(c).After(until) {
		return nil
	}
	return fmt.Errorf("%w: those of %s that were issued until %s are refused", ErrRevoked, name, until.Format(time.RFC3339))
}

// issued is when a certificate was issued, to the second.
func issued(c *x509.Certificate) time.Time { return c.NotBefore.Add(backdated) }

// Revoke has all certificates of this name that are issued by now be refused by the nodes that
// read the list, and returns where it is to be brought from: the authority's own, and those in the
// directories of nodes. A name of which no certificate is here may be revoked, too: its directory
// may have been brought elsewhere. The error wraps [ErrName].
func (a *Authority) Revoke(name string, now time.Time) (lists []string, err error) {
	if !names.MatchString(name) {
		return nil, fmt.Errorf("%w %q", ErrName, name)
	}
	all, err := ReadRevoked(a.dir)
	if err != nil {
		return nil, err
	}
	if all == nil {
		all = Revocations{}
	}
	all[name] = now.UTC().Truncate(time.Second)

	dirs := []string{a.dir}
	found, err := filepath.Glob(filepath.Join(a.dir, "*", CertificateFile))
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}
	for _, f := range found {
		c, err := Certificate(f)
		if err != nil {
			return nil, err
		}
		if role, err := RoleOf(c); err == nil && role == Node {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	for _, dir := range dirs {
		if err := all.write(dir); err != nil {
			return lists, err
		}
		lists = append(lists, filepath.Join(dir, RevokedFile))
	}
	return lists, nil
}

// after is when a certificate of this name may be issued that is not refused.
func (r Revocations) after(name string, now time.Time) time.Time {
	until, isListed := r[name]
	if isListed && !now.Truncate(time.Second).After(until) {
		return until.Add(time.Second)
	}
	return now
}

func (r Revocations) write(dir string) error {
	var b bytes.Buffer
	b.WriteString("# of quartet secure revoke: whose certificates are refused, and those that were issued until when\n")
	for _, name := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "%s %s\n", name, r[name].Format(time.RFC3339))
	}
	return replace(filepath.Join(dir, RevokedFile), b.Bytes(), 0o644)
}

// ReadRevoked reads the list in a directory; nil: there is none.
func ReadRevoked(dir string) (Revocations, error) {
	file := filepath.Join(dir, RevokedFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}

	all := Revocations{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, text, _ := strings.Cut(line, " ")
		until, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("secure: %s: %q is no NAME and time", file, line)
		}
		all[name] = until
	}
	return all, nil
}
