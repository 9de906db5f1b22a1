package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
)

// ending is how long a value with an end may be seen beyond its end in these tests, on a machine
// that is busy, and while a view changes.
const ending = 30 * time.Second

// outlives is a connection that goes on at a master's address, whichever master listens there.
func outlives(t *testing.T, url string) *nats.Conn {
	return connect(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0))
}

// kill ends a replica's process, or a master's, at once.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// killAll ends every process of a cluster at once.
func killAll(t *testing.T, m *master, nc *nats.Conn) {
	t.Helper()
	running := pids(mustStatus(t, nc))
	for _, pid := range append(running, m.PID()) {
		kill(t, pid)
	}
	<-m.Exited
	awaitDead(t, deadLimit, running...)
}

// A delete of any model is kept like a set: a replica that dies right after it, and then all
// processes, do not bring the value back.
func TestDeletesSurvive(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	models := []string{"linearizable", "sequential", "causal", "eventual"}

	var gone []string
	for round, id := range []string{"r2", "r1"} {
		for _, set := range models {
			for _, deletes := range models {
				key := fmt.Sprintf("%s-%s-%d", set, deletes, round)
				gone = append(gone, key)
				mustOK(t, nc, set+", set, "+key+" ::: value")
				if set == "eventual" || set == "causal" {
					atRest(t, nc) // committed: a strong delete comes after it
				}
				if got := mustOK(t, nc, deletes+", delete, "+key); string(got.Data) != key {
					t.Errorf("a delete is answered with %q", got.Data)
				}
			}
		}
		pid := replicaOf(mustStatus(t, nc), id).PID
		kill(t, pid)
		awaitMember(t, nc, id, pid)
	}
	absent(t, nc, gone)

	killAll(t, m, nc)
	m = startIn(t, p, args...)
	nc = outlives(t, m.url)
	absent(t, nc, gone)
	if s := atRest(t, nc); s.Replicas[0].Keys != 0 {
		t.Errorf("%d keys after all were deleted", s.Replicas[0].Keys)
	}

	mustOK(t, nc, "eventual, set, "+gone[0]+" ::: again")
	if got := linearizably(t, nc, gone[0]); got != "again" {
		t.Errorf("a value that was set after the delete is %q", got)
	}
	m.stop(t, os.Interrupt)
}

// absent wants that no replica has a value under some keys, in whatever model it is read.
func absent(t *testing.T, nc *nats.Conn, keys []string) {
	t.Helper()
	atRest(t, nc)
	for _, key := range keys {
		for n, model := range []string{"linearizable", "sequential", "causal", "eventual"} {
			replica := fmt.Sprintf("r%d", n%3+1)
			if m := ask(t, nc, model+", get, "+key, bus.HeaderReplica, replica); code(m) != "404" {
				t.Errorf("%s get of the deleted %s at %s: %q %s", model, key, replica, code(m), m.Data)
			}
		}
	}
}

// A value ends after its TTL and not before, though the replica that ends values is killed, and all
// processes are; one that was set again without a TTL stays.
func TestValuesEndWhileProcessesAreKilled(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	models := []string{"linearizable", "sequential", "causal", "eventual"}
	const ttl = 4 * time.Second

	began := time.Now()
	for _, model := range models {
		mustOK(t, nc, model+", set, ends-"+model+" ::: v", bus.HeaderTTL, ttl.String())
		mustOK(t, nc, model+", set, stays-"+model+" ::: v", bus.HeaderTTL, ttl.String())
		mustOK(t, nc, model+", set, stays-"+model+" ::: w")
	}
	got := ask(t, nc, "linearizable, get, ends-linearizable")
	expires, err := time.Parse(time.RFC3339, got.Header.Get(bus.HeaderExpires))
	inTime := expires.After(began.Add(ttl-time.Second)) && expires.Before(time.Now().Add(ttl+time.Second))
	isWrong := err != nil || !inTime
	if isWrong && code(got) == "" {
		t.Errorf("it is to end at %s (%v), and was set at %s", expires, err, began)
	}

	first := replicaOf(mustStatus(t, nc), "r1").PID
	kill(t, first)
	for _, model := range models {
		ends(t, nc, "ends-"+model, began.Add(ttl))
	}
	awaitMember(t, nc, "r1", first)

	began = time.Now()
	for _, model := range models {
		mustOK(t, nc, model+", set, ends-"+model+" ::: again", bus.HeaderTTL, ttl.String())
	}
	killAll(t, m, nc)
	m = startIn(t, p, args...)
	nc = outlives(t, m.url)
	for _, model := range models {
		ends(t, nc, "ends-"+model, began.Add(ttl))
		if got := linearizably(t, nc, "stays-"+model); got != "w" {
			t.Errorf("a value without an end, after one with an end: %q", got)
		}
	}
	m.stop(t, os.Interrupt)
}

// ends waits until a key has no value, and wants that it had one until then.
func ends(t *testing.T, nc *nats.Conn, key string, earliest time.Time) {
	t.Helper()
	testkit.Eventually(t, time.Until(earliest)+ending, key+" ends", func() error {
		m, err := request(nc, "linearizable, get, "+key)
		at := time.Now()
		switch {
		case err != nil:
			return err
		case code(m) == "":
			return fmt.Errorf("it is %q", m.Data)
		case code(m) != "404":
			return fmt.Errorf("%s %s", code(m), m.Data)
		case at.Before(earliest):
			t.Errorf("%s has ended %s too early", key, earliest.Sub(at))
		}
		return nil
	})
}
