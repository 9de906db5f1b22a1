// Package securetest is certificates for tests. It promises that what it issues is valid, unless
// the test asks otherwise, and lies in a directory that goes with the test. No program imports it.
package securetest

import (
	"path/filepath"
	"testing"
	"time"

	"quartet/bus/secure"
)

// Authority is one of the test's own, which issues certificates or ends the test.
type Authority struct {
	*secure.Authority

	Dir string // where it is, and below it what it has issued, each by its name
	t   testing.TB
}

// Begin makes an authority.
func Begin(t testing.TB) *Authority {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	a, err := secure.Begin(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{a, dir, t}
}

// Files issues what is asked for, and returns the directory of its files. A certificate is valid
// for an hour, and a node's for this machine, unless the test says otherwise.
func (a *Authority) Files(q secure.Asked) string {
	a.t.Helper()
	if q.For == 0 {
		q.For = time.Hour
	}
	if q.Role == secure.Node && q.Hosts == nil {
		q.Hosts = []string{"127.0.0.1"}
	}
	dir, err := a.Issue(q, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	return dir
}

// Identity issues what is asked for as Files does, and opens it.
func (a *Authority) Identity(q secure.Asked) *secure.Identity {
	a.t.Helper()
	i, err := secure.Open(a.Files(q), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return i
}
