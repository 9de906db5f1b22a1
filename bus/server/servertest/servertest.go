// Package servertest is NATS servers for tests that are not quartet's embedded one: somebody
// else's, as "quartet master --nats" uses them. It promises that a server is ready when it is
// returned, and is gone when its test has ended. No program imports it.
package servertest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyLimit is how long a server may take to start, on a machine that is busy.
const readyLimit = time.Minute

// Start starts a server in this process, which says nothing, on this machine: on the port that the
// options say, or on a free one where they say none. It is shut down at the end of the test.
func Start(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoLog, o.NoSigs = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(readyLimit) {
		t.Fatalf("the NATS server %s is not ready", o.ServerName)
	}
	return s
}
