//go:build long

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
)

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
