package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// A cursor is good at the cluster and in the history in which it was told: another cluster, and one
// that was put back to a backup, say 421, a replica's process that is gone 410, and nonsense is
// 400.
func TestCursorsElsewhere(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	data, backup := filepath.Join(p.tmp, "data"), filepath.Join(p.tmp, "backup")
	args := []string{"--listen", testkit.FreeAddress(t), "--dir", data, "--suspect", calm, "--replicas", "2"}
	m := startIn(t, p, args...)
	m.stop(t, os.Interrupt)
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	m = startIn(t, p, args...)
	nc := connect(t, m.url)
	for n := range 10 {
		mustOK(t, nc, fmt.Sprintf("1, 1, key%d ::: v", n))
	}
	first := mustOK(t, nc, "1, list, key", bus.HeaderLimit, "4", bus.HeaderValues, "true")
	next := first.Header.Get(bus.HeaderNext)
	if got := string(first.Data); next == "" || got != "key0 ::: v\nkey1 ::: v\nkey2 ::: v\nkey3 ::: v\n" {
		t.Fatalf("%v %s", first.Header, got)
	}
	mustOK(t, nc, "1, delete, key7")
	for range 2 { // it may be asked again
		second := mustOK(t, nc, "1, list, key", bus.HeaderLimit, "10", bus.HeaderFrom, next)
		if got := string(second.Data); got != "key4\nkey5\nkey6\nkey7\nkey8\nkey9\n" || second.Header.Get(bus.HeaderNext) != "" {
			t.Errorf("%v %s", second.Header, got)
		}
		if here, there := second.Header.Get(bus.HeaderPosition), first.Header.Get(bus.HeaderPosition); here != there {
			t.Errorf("the second page is of the cut %s, and the first of %s", here, there)
		}
	}

	refused := func(nc *nats.Conn, body, code, why string, headers ...string) {
		t.Helper()
		if r := ask(t, nc, body, headers...); r.Header.Get(bus.HeaderErrorCode) != code || !strings.Contains(string(r.Data), why) {
			t.Errorf("%s %v: %v %s", body, headers, r.Header, r.Data)
		}
	}
	from := func(word string) []string { return []string{bus.HeaderFrom, word} }
	refused(nc, "1, list, ke", "400", "prefix", from(next)...)
	refused(nc, "4, list, key", "400", "linearizable list", from(next)...)
	refused(nc, "1, list, key", "400", "not the Quartet-Next", from("nonsense")...)
	refused(nc, "1, list, key", "400", "not the Quartet-Next", from(next[1:])...)
	other := "r1"
	if first.Header.Get(bus.HeaderReplica) == "r1" {
		other = "r2"
	}
	refused(nc, "1, list, key", "400", "is kept by", append(from(next), bus.HeaderReplica, other)...)

	foreign := connect(t, start(t, "--replicas", "1").url)
	refused(foreign, "1, list, key", "421", "another cluster", from(next)...)

	m.stop(t, os.Interrupt)
	m = startIn(t, p, args...)
	nc = connect(t, m.url)
	refused(nc, "1, list, key", "410", "begin again", from(next)...)

	m.stop(t, os.Interrupt)
	if err := errors.Join(os.RemoveAll(data), os.Rename(backup, data)); err != nil {
		t.Fatal(err)
	}
	m = startIn(t, p, args...)
	refused(connect(t, m.url), "1, list, key", "421", "has ended", from(next)...)
}

// A list of many keys, by the package and the command, while they are written over: each key once,
// in order.
func TestALongList(t *testing.T) {
	t.Parallel()
	m := start(t)
	c, err := client.Connect(t.Context(), m.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const keys = 20_000
	var requests []client.Request
	for n := range keys {
		requests = append(requests, client.NewSet(client.Eventual, fmt.Sprintf("many/%05d", n), []byte("first")))
	}
	if _, err := c.DoMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	atRest(t, connect(t, m.url))

	begun := time.Now()
	n := 0
	for item, err := range c.List(t.Context(), "many/", client.WithValues(), client.With(client.Sequential)) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("many/%05d", n); item.Key != want || string(item.Value) != "first" {
			t.Fatalf("key %d is %s, %q", n, item.Key, item.Value)
		}
		n++
		if n%5000 == 1 { // of a page that is still to come
			if _, err := c.Set(t.Context(), fmt.Sprintf("many/%05d", keys-1-n%7), []byte("second")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != keys {
		t.Errorf("%d keys of %d", n, keys)
	}
	t.Logf("%d keys in %s", n, time.Since(begun).Round(time.Millisecond))

	got := quartet(t, "list", "--nats", m.url, "many/", "-o", "raw")
	if lines := strings.Count(got.stdout, "\n"); got.status != 0 || lines != keys {
		t.Errorf("quartet list: status %d, %d lines, %s", got.status, lines, got.stderr)
	}
}
