//go:build long

package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus/testkit"
	"quartet/client"
)

// written are acknowledged sets, by revision.
type written struct {
	mu  sync.Mutex
	all map[uint64]string // key and value
}

func (w *written) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// write sets keys of one prefix until ctx ends. A set of unknown outcome is sent again by the
// client, and so is acknowledged once it is known.
func (w *written) write(ctx context.Context, t *testing.T, nc *nats.Conn, prefix string) {
	c, err := client.New(nc, client.WithRetries(100))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()

	filler := strings.Repeat("x", 4000)
	for n := 0; ctx.Err() == nil; n++ {
		key, value := fmt.Sprintf("%s%d", prefix, n%5), fmt.Sprint(n, filler)
		r, err := c.Set(t.Context(), key, []byte(value))
		if err != nil {
			t.Errorf("set %s: %v", key, err)
			return
		}
		w.mu.Lock()
		w.all[r.Revision] = key + "=" + value
		w.mu.Unlock()
	}
}

// viewer follows a watch, and remembers what it was told.
type viewer struct {
	model  client.Consistency
	prefix string
	held   chan struct{} // it does not go on before this is closed; nil: it is not slow

	caught chan struct{} // closed once it has caught up

	mu     sync.Mutex
	told   map[uint64]string
	last   map[string]string
	newest uint64
}

// watch keeps what it is told until ctx ends.
func (v *viewer) watch(ctx context.Context, t *testing.T, nc *nats.Conn) {
	c, err := client.New(nc, client.WithRetries(100))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()

	for e, err := range c.Watch(ctx, v.prefix, client.With(v.model)) {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.Errorf("the watch of %s, %s: %v", v.prefix, v.model, err)
			return
		case e.Kind == client.EventCaughtUp:
			close(v.caught)
			if v.held != nil {
				<-v.held
			}
		case e.Kind.Concerns():
			v.take(t, &e)
		}
	}
}

// take notes an event: of models 1 and 2 each comes once, and revisions rise.
func (v *viewer) take(t *testing.T, e *client.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last[e.Key] = string(e.Value)
	if !v.model.Strong() {
		return
	}
	if e.Kind.Changes() && e.Revision <= v.newest {
		t.Errorf("the watch of %s is told of revision %d after %d", v.prefix, e.Revision, v.newest)
	}
	if e.Kind.Changes() {
		v.newest = e.Revision
	}
	v.told[e.Revision] = e.Key + "=" + string(e.Value)
}

// lacks says what the viewer was not told of the acknowledged sets, or nil.
func (v *viewer) lacks(w *written) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()

	missing, newest := 0, map[string]uint64{}
	for revision, set := range w.all { // any order
		key, _, _ := strings.Cut(set, "=")
		if !strings.HasPrefix(key, v.prefix) {
			continue
		}
		if v.model.Strong() && v.told[revision] != set {
			missing++
		}
		newest[key] = max(newest[key], revision)
	}

	for key, revision := range newest {
		if !strings.HasSuffix(w.all[revision], "="+v.last[key]) {
			missing++
		}
	}

	if missing > 0 {
		return fmt.Errorf("the watch of %q, %s, lacks %d of %d sets", v.prefix, v.model, missing, len(w.all))
	}
	return nil
}

// Watches go on while replicas and the master are killed, and everything at once: one of everything
// in each model, a slow one, and 100 of disjoint prefixes. What was acknowledged was told, once, in
// order.
func TestWatchesWhileProcessesAreKilled(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	killLeftovers(t, pids(mustStatus(t, nc)))

	slow := &viewer{model: client.Linearizable, held: make(chan struct{})}
	viewers := []*viewer{slow}
	for _, c := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		viewers = append(viewers, &viewer{model: c})
	}
	for i := range 100 {
		viewers = append(viewers, &viewer{model: client.Sequential, prefix: fmt.Sprintf("w%d/", i%3) + strings.Repeat("0", i%2)})
	}

	ctx, stop := context.WithCancel(t.Context())
	var watches, writers sync.WaitGroup
	defer watches.Wait()
	defer stop()
	conn := outlives(t, m.url)
	for _, v := range viewers {
		v.told, v.last, v.caught = map[uint64]string{}, map[string]string{}, make(chan struct{})
		watches.Go(func() { v.watch(ctx, t, conn) })
	}
	for _, v := range viewers { // what is set from now on is no longer what was there
		select {
		case <-v.caught:
		case <-time.After(restLimit):
			t.Fatalf("the watch of %q, %s, has not caught up in %s", v.prefix, v.model, restLimit)
		}
	}

	w := &written{all: map[uint64]string{}}
	writing, rest := context.WithCancel(t.Context())
	defer rest()
	for i := range 3 {
		writers.Go(func() { w.write(writing, t, outlives(t, m.url), fmt.Sprintf("w%d/", i)) })
	}
	goesOn := func() {
		t.Helper()
		before := w.count()
		testkit.Eventually(t, restLimit, "sets are acknowledged", func() error {
			if n := w.count() - before; n < 60 && !t.Failed() {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	}

	throughKills(t, p, args, m, nc, goesOn)
	rest()
	writers.Wait()
	close(slow.held)

	for _, v := range slices.Backward(viewers) {
		testkit.Eventually(t, restLimit, "all is told", func() error { return v.lacks(w) })
	}
}
