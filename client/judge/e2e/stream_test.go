package e2e_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
)

// stream sets keys linearizably, one after the other, at most one each pace. A pulse beside it
// gets a key eventually from one replica that lives all the time: it needs master, bus and
// that replica, but no view, so it stands still only when the machine has no time for them.
type stream struct {
	mu      sync.Mutex
	acked   int
	longest gap // between two outcomes
	bad     []error
	beats   []gap // of the pulse, those that are longer than a beat
	pulsed  int
	stop    chan struct{}
	done    sync.WaitGroup
}

type gap struct{ from, to time.Time }

func (g gap) length() time.Duration { return g.to.Sub(g.from) }

// beat is what an eventual get may take before the machine counts as stalled.
const beat = 20 * time.Millisecond

// pace is short beside every pause that is looked for, and leaves the processor to the cluster.
const pace = 2 * time.Millisecond

// begin begins a stream on keys that begin with prefix, its pulse at the replica alive.
// end ends it.
func begin(t *testing.T, url, prefix, alive string) *stream {
	t.Helper()
	c, err := client.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}

	s := &stream{stop: make(chan struct{})}
	s.run(func(n int, between gap) {
		_, err := c.Set(t.Context(), fmt.Sprintf("%s-%d", prefix, n), fmt.Append(nil, n))
		between.to = time.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		if between.length() > s.longest.length() {
			s.longest = between
		}
		if err != nil {
			s.bad = append(s.bad, err)
		} else {
			s.acked = n + 1
		}
	})

	s.run(func(_ int, between gap) {
		_, err := c.Get(t.Context(), "pulse", client.With(model.Eventual), client.OnReplica(alive))
		between.to = time.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		if between.length() > beat {
			s.beats = append(s.beats, between)
		}
		if err == nil || errors.Is(err, client.ErrNotFound) {
			s.pulsed++
		}
	})

	t.Cleanup(func() {
		s.end()
		_ = c.Close()
	})
	return s
}

// run calls do with a rising number, and when the last call ended, until the end.
func (s *stream) run(do func(n int, between gap)) {
	s.done.Go(func() {
		next := time.NewTicker(pace)
		defer next.Stop()
		last := time.Now()
		for n := 0; ; n++ {
			select {
			case <-s.stop:
				return
			case <-next.C:
			}
			do(n, gap{from: last})
			last = time.Now()
		}
	})
}

func (s *stream) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.done.Wait()
}

// count returns how many sets were acknowledged.
func (s *stream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

// goesOn waits until it has set some more.
func (s *stream) goesOn(t *testing.T) {
	t.Helper()
	from := s.count()
	testkit.Eventually(t, restLimit, "sets go on", func() error {
		if n := s.count(); n < from+20 {
			return fmt.Errorf("%d more", n-from)
		}
		return nil
	})
}

// stalled is how long of a gap the pulse stood still, too.
func (s *stream) stalled(g gap) (sum time.Duration) {
	for _, b := range s.beats {
		from, to := b.from, b.to
		if from.Before(g.from) {
			from = g.from
		}
		if to.After(g.to) {
			to = g.to
		}
		if d := to.Sub(from) - beat; d > 0 {
			sum += d
		}
	}
	return sum
}

// check ends the stream and looks for every set that was acknowledged, at each replica.
func (s *stream) check(t *testing.T, nc *nats.Conn, prefix string, limit time.Duration) {
	t.Helper()
	s.end()
	if len(s.bad) > 0 {
		t.Errorf("%d sets failed, the first: %v", len(s.bad), s.bad[0])
	}

	stalled := s.stalled(s.longest)
	t.Logf("%d sets, the longest pause %s, in which the machine stood still for %s; %d beats of the pulse", s.acked,
		s.longest.length(), stalled, s.pulsed)
	if pause := s.longest.length() - stalled; pause > limit {
		t.Errorf("the longest pause was %s, want %s at the most", pause, limit)
	}

	if s.pulsed == 0 {
		t.Error("eventual gets did not go on")
	}

	for _, r := range atRest(t, nc).Replicas {
		for n := range s.acked {
			key := fmt.Sprintf("%s-%d", prefix, n)
			if got := ask(t, nc, "2, 2, "+key, bus.HeaderReplica, r.ID); string(got.Data) != fmt.Sprint(n) {
				t.Fatalf("%s at %s: %q %q", key, r.ID, code(got), got.Data)
			}
		}
	}
}
