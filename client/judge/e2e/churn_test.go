//go:build long

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
	"quartet/client/judge/history"
	histories "quartet/client/judge/record"
)

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

// lister lists again and again, page by page, and counts.
type lister struct {
	c        *client.Client
	recorder *histories.Recorder
	name     string
	model    client.Consistency

	whole, gone atomic.Int64
}

// list lists until ctx ends. What is gone is begun again; what no replica can serve now, too.
func (l *lister) list(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		r := client.Request{}
		r.Request.Model, r.Request.Type, r.Request.Key = l.model, client.TypeList, "l/"
		client.WithPage(7)(&r)
		client.WithValues()(&r)

		for {
			call := l.recorder.Begin(l.name, l.name, &r)
			result, err := l.c.Do(t.Context(), r)
			call.End(&result, err)

			switch {
			case errors.Is(err, client.ErrGone):
				l.gone.Add(1)
			case err != nil && !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrUnknownOutcome):
				t.Errorf("a %s list: %v", l.model, err)
				return
			}
			if err != nil {
				break
			}
			if result.Next == "" {
				l.whole.Add(1)
				break
			}
			client.FromPage(result.Next)(&r)
		}
	}
}

// Lists and watches of every model go on while replicas, the master and everything at once are
// killed, and keys are set and deleted, some in transactions. Each page is of the cut that its
// position names, and all pages of a list are of one; each watch tells every change once, in order,
// and the last of each key is its final value.
func TestListsAndWatchesWhileProcessesAreKilled(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	killLeftovers(t, pids(mustStatus(t, nc)))
	dir := filepath.Join(p.tmp, "history")
	recorder, err := histories.Open(histories.Options{Dir: dir, Program: "a test", Complete: true})
	if err != nil {
		t.Fatal(err)
	}
	defer recorder.Close()

	ctx, stop := context.WithCancel(t.Context())
	var under sync.WaitGroup
	defer under.Wait()
	defer stop()
	for i := range 2 {
		under.Go(func() { churn(ctx, t, outlives(t, m.url), recorder, i) })
	}
	var listers []*lister
	for i := range 4 {
		c, err := client.New(outlives(t, m.url), client.WithRetries(100))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l := &lister{c: c, recorder: recorder, name: fmt.Sprint("lister", i), model: client.Consistency(i + 1)}
		listers = append(listers, l)
		under.Go(func() { l.list(ctx, t) })
	}
	var told []*recordedWatch
	for _, c := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		told = append(told, startRecorded(t, outlives(t, m.url), recorder, c))
	}
	goesOn := func() {
		t.Helper()
		for _, l := range listers {
			before := l.whole.Load()
			testkit.Eventually(t, restLimit, "lists go on", func() error {
				if n := l.whole.Load() - before; n < 3 && !t.Failed() {
					return fmt.Errorf("%d %s lists", n, l.model)
				}
				return nil
			})
		}
	}

	throughKills(t, p, args, m, nc, goesOn)
	stop()
	under.Wait()
	comeToRest(t, m.url, recorder, told)

	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	judgeLists(t, filepath.Join(dir, histories.HistoryFile), listers)
}

// churn sets and deletes keys until ctx ends.
func churn(ctx context.Context, t *testing.T, nc *nats.Conn, recorder *histories.Recorder, index int) {
	c, err := client.New(nc, client.WithRetries(100))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()

	name := fmt.Sprint("writer", index)
	for n := 0; ctx.Err() == nil; n++ {
		r := client.NewSet(client.Linearizable, fmt.Sprintf("l/%d/%02d", index, n*7%40), fmt.Appendf(nil, "%d-%d", index, n))
		switch {
		case n%3 == 2:
			r.Type, r.Value = client.TypeDelete, nil
		case n%5 == 4:
			r.Type, r.Key, r.Value = client.TypeTxn, "", pair(t, r.Key, r.Value)
		}
		r.Identity = fmt.Sprintf("%s-%d", name, n)
		call := recorder.Begin(name, name, &r)
		result, err := c.Do(t.Context(), r)
		call.End(&result, err)
		if err != nil && !errors.Is(err, client.ErrUnknownOutcome) && !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%s %s: %v", r.Type, r.Key, err)
			return
		}
	}
}

// pair is a transaction that sets a key and another one.
func pair(t *testing.T, key string, value []byte) []byte {
	set := model.Step{Type: client.TypeSet, Key: key, Value: value}
	other := model.Step{Type: client.TypeSet, Key: key + "/other", Value: append(value, " too"...)}
	packed, err := bus.PackTransaction(&model.Transaction{Then: []model.Step{set, other}})
	if err != nil {
		t.Error(err)
	}
	return packed
}

// recordedWatch is a watch that is recorded when it ends.
type recordedWatch struct {
	newest atomic.Uint64 // revision
	stop   func()        // ends it, and records it
}

// lastWritten is the key of the last write.
const lastWritten = "l/last"

// startRecorded begins a watch of what churn writes.
func startRecorded(t *testing.T, nc *nats.Conn, recorder *histories.Recorder, c client.Consistency) *recordedWatch {
	t.Helper()
	watcher, err := client.New(nc, client.WithRetries(100))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close() }) // of no interest any more

	w := &recordedWatch{}
	ctx, cancel := context.WithCancel(context.Background())
	asked := client.Request{Request: model.Request{Model: c, Type: client.TypeWatch, Key: "l/"}}
	var events []history.Event
	began, ended := time.Now(), make(chan struct{})
	go func() {
		defer close(ended)
		for e, err := range watcher.Watch(ctx, asked.Key, client.With(c)) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("a %s watch has ended: %v", c, err)
				}
				return
			}
			events = append(events, recorder.Event(&e))
			if e.Key == lastWritten {
				w.newest.Store(e.Revision)
			}
		}
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		name := "watcher" + c.Word()
		recorder.Watched(name, name, &asked, began, time.Now(), events, true, nil)
	})
	t.Cleanup(w.stop)
	return w
}

// comeToRest writes once more, waits until every watch has told that, and records what is left.
func comeToRest(t *testing.T, url string, recorder *histories.Recorder, told []*recordedWatch) {
	t.Helper()
	nc := outlives(t, url)
	c, err := client.New(nc, client.WithRetries(100))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	r := client.NewSet(client.Linearizable, lastWritten, []byte("the last"))
	r.Identity = "the last"
	call := recorder.Begin("last", "last", &r)
	last, err := c.Do(t.Context(), r)
	call.End(&last, err)
	if err != nil {
		t.Fatal(err)
	}
	atRest(t, nc)
	for _, w := range told {
		testkit.Eventually(t, restLimit, "the watches have told everything", func() error {
			if newest := w.newest.Load(); newest != last.Revision {
				return fmt.Errorf("the last write has revision %d, told is %d", last.Revision, newest)
			}
			return nil
		})
		w.stop()
	}
	if err := recorder.Rest(t.Context(), c, restLimit); err != nil {
		t.Fatal(err)
	}
}

// judgeLists holds the lists and watches that were recorded against the order.
func judgeLists(t *testing.T, file string, listers []*lister) {
	t.Helper()
	rec, err := history.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	pages, watches, whole := 0, 0, int64(0)
	for i := range rec.Operations {
		o := &rec.Operations[i]
		switch {
		case o.Type == client.TypeList && o.Outcome == history.OK:
			pages++
		case o.Type == client.TypeWatch && len(o.Events) > 10:
			watches++
		}
	}
	for _, l := range listers {
		whole += l.whole.Load()
	}
	t.Logf("%d operations, %d pages of %d whole lists", len(rec.Operations), pages, whole)
	if watches != len(listers) {
		t.Errorf("%d watches have told something, of %d", watches, len(listers))
	}

	for _, judge := range []func([]history.Operation) history.Verdict{
		history.Lists, history.Watches, history.Causal, history.Revisions, history.Agreed, history.Settled,
	} {
		if v := judge(rec.Operations); !v.OK() {
			t.Errorf("%s", v)
		}
	}
}
