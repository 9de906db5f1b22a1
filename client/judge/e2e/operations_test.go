package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
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

// throughKills kills two replicas, the master and at last everything of a cluster, and calls goesOn
// before the first and after each of these, when what was killed has been started again.
func throughKills(t *testing.T, p folder, args []string, m *master, nc *nats.Conn, goesOn func()) {
	t.Helper()
	goesOn()
	for _, id := range []string{"r1", "r2"} {
		pid := replicaOf(mustStatus(t, nc), id).PID
		kill(t, pid)
		awaitMember(t, nc, id, pid)
		goesOn()
	}

	m.Kill()
	m = startIn(t, p, args...)
	goesOn()

	killAll(t, m, nc)
	startIn(t, p, args...)
	goesOn()
}

// Creates, compare-and-sets, deletes and adds of several clients on a few keys, while replicas and
// the master are killed; then everything is killed at once. Each request is sent until its outcome
// is known. The outcomes are what some one order says, that of their revisions; they are told
// again, the same, to whoever sends the same request once more.
func TestOperationsWhileProcessesAreKilled(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	killLeftovers(t, pids(mustStatus(t, nc)))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := &script{}
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() { s.play(ctx, t, outlives(t, m.url), client) })
	}

	s.goesOn(t)
	for _, id := range []string{"r1", "r3"} {
		pid := replicaOf(mustStatus(t, nc), id).PID
		kill(t, pid)
		awaitMember(t, nc, id, pid)
		s.goesOn(t)
	}

	m.Kill()
	m = startIn(t, p, args...)
	s.goesOn(t)
	stop()
	clients.Wait()
	if t.Failed() {
		return
	}

	killAll(t, m, nc)
	m = startIn(t, p, args...)
	nc = outlives(t, m.url)
	s.judge(t, nc)
	s.repeat(t, nc)
	s.judge(t, nc)
}

// script is what clients did.
type script struct {
	mu   sync.Mutex
	done []act
}

// goesOn waits until the clients have learned the outcomes of some more requests.
func (s *script) goesOn(t *testing.T) {
	t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.done)
	}

	before := count()
	testkit.Eventually(t, restLimit, "requests are answered", func() error {
		if n := count() - before; n < 60 && !t.Failed() {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// play sends requests, one after the other, until ctx ends.
func (s *script) play(ctx context.Context, t *testing.T, nc *nats.Conn, client int) {
	random := rand.New(rand.NewPCG(uint64(client), 7))
	models := []string{"linearizable", "sequential"}
	for n := 0; ctx.Err() == nil && !t.Failed(); n++ {
		a := act{
			id: fmt.Sprintf("script-%d-%d", client, n), model: models[random.IntN(2)], key: fmt.Sprintf("k%d", random.IntN(3)),
		}
		switch random.IntN(8) {
		case 0, 1: // adds have a key of their own: no value of a set is a number
			a.request, a.key, a.value = "add", "sum", strconv.Itoa(random.IntN(2000)-1000)
		case 2:
			a.request = "delete"
		case 3:
			a.request, a.value = "set", a.id
		case 4:
			a.request, a.value, a.conditional = "set", a.id, true // only if there is none
		default:
			last, err := revisionOf(nc, a.key)
			if err != nil {
				continue
			}
			a.request, a.value, a.conditional, a.revision = "set", a.id, true, last
			if random.IntN(4) == 0 {
				a.request, a.value = "delete", ""
			}
		}

		if err := a.run(nc); err != nil {
			t.Error(err)
			return
		}
		s.mu.Lock()
		s.done = append(s.done, a)
		s.mu.Unlock()
	}
}

// revisionOf reads a key's revision; 0: it has no value.
func revisionOf(nc *nats.Conn, key string) (uint64, error) {
	m, err := request(nc, "linearizable, get, "+key)
	if err != nil {
		return 0, err
	}
	switch code(m) {
	case "404":
		return 0, nil
	case "":
		return strconv.ParseUint(m.Header.Get(bus.HeaderRevision), 10, 64)
	}
	return 0, fmt.Errorf("%s %s", code(m), m.Data)
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
