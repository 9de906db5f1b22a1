// Package testkit is what tests of several packages need: a buffer that goroutines share, a way
// to wait for what tells nobody when it has happened, and a process that ends with its test. It
// promises that a test that waits fails in the end, and says what it has waited for. No program
// imports it.
package testkit

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// Patience is how long [Await] waits. It is not reached where all is well, on a machine
	// that is several times slower, or busy, either.
	Patience = 20 * time.Second

	lookEvery = 5 * time.Millisecond
)

// Buffer keeps all that is written to it. It is safe for concurrent use, and its zero value is
// empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Has reports whether s was written.
func (b *Buffer) Has(s string) bool { return strings.Contains(b.String(), s) }

// Count returns how often s was written.
func (b *Buffer) Count(s string) int { return strings.Count(b.String(), s) }

// Eventually tries until that succeeds, every 5 ms, and fails the test with the last error if
// it does not within limit. It is for what tells nobody when it has happened.
func Eventually(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("not in %s: %s: %v", limit, what, err)
		}
	}
}

var errNotYet = errors.New("it is not so")

// Await is [Eventually] for a condition, within [Patience].
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	Eventually(t, Patience, what, func() error {
		if done() {
			return nil
		}
		return errNotYet
	})
}
