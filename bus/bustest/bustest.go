// Package bustest is connections for tests, of whatever account and role. It promises that a
// connection is there when it is returned, and is closed when its test has ended. No program
// imports it.
package bustest

import (
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// Dial connects as [bus.Dial] does. A refusal ends the test.
func Dial(t testing.TB, o bus.DialOptions) *nats.Conn {
	t.Helper()
	nc, err := bus.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
