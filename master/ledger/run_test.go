package ledger

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// However long a run is, its spans count every request once, in the order of time.
func TestSpansCountEveryRequest(t *testing.T) {
	for _, last := range []int{1, buckets, buckets + 1, 100 * buckets} { // seconds
		s := newStats(begin2026)
		const n = 1000
		for i := range n {
			var l line
			code := model.OK
			if i%10 == 0 {
				code = model.Unknown
			}
			l.set(&Entry{
				Model: model.All[i%4], Type: model.Get, Code: code, Taken: time.Millisecond,
				Received: begin2026.Add(time.Duration(i) * time.Duration(last) * time.Second / n),
			})
			s.add(&l)
		}

		r := s.run()
		var all, failed uint64
		for _, span := range r.Spans {
			for _, k := range span.Answered {
				all += k
			}
			for _, k := range span.Failed {
				failed += k
			}
		}

		if all != n || failed != n/10 || len(r.Spans) > buckets || r.Drawn != n {
			t.Errorf("%d s: %d requests, %d failed, %d spans, drawn %d", last, all, failed, len(r.Spans), r.Drawn)
		}
		if whole := time.Duration(len(r.Spans)) * r.Width; whole < time.Duration(last)*time.Second*9/10 ||
			whole > time.Duration(last+1)*time.Second+r.Width {
			t.Errorf("%d s: the spans are %s", last, whole)
		}
		if first := r.Spans[0].Answered; len(r.Spans) > 1 && first[1] == 0 {
			t.Errorf("%d s: nothing in the first span", last)
		}
	}
}

// Of each model the slowest are kept, the slowest first, and one of each message.
func TestSlowest(t *testing.T) {
	s := newStats(begin2026)
	for i := range 5000 {
		e := entry(i)
		e.Taken = time.Duration(i*7919%5000) * time.Microsecond // each time once, in no order
		e.Received = begin2026.Add(time.Duration(i*7919%5000/2) * time.Millisecond)
		e.Position, e.Timestamp, e.Clock, e.Forwarded, e.Heard = 1, 2, lamport.Timestamp{Time: 3, Node: 4}, 5*time.Microsecond, time.Hour
		e.Sent = lamport.Replica(3)
		var l line
		l.set(&e)
		s.add(&l)
	}

	by := map[model.Consistency][]Entry{}
	for _, e := range s.run().Slowest {
		by[e.Model] = append(by[e.Model], e)
	}

	for _, m := range model.All {
		list := by[m]
		if len(list) != SlowestKept || !slices.IsSortedFunc(list, func(a, b Entry) int { return int(b.Taken - a.Taken) }) {
			t.Errorf("%v: %d kept: %+v", m, len(list), list)
			continue
		}
		if list[0].Taken < 4900*time.Microsecond || list[SlowestKept-1].Taken < 4800*time.Microsecond {
			t.Errorf("%v: from %s to %s", m, list[0].Taken, list[SlowestKept-1].Taken)
		}
		for i, e := range list {
			if slices.ContainsFunc(list[i+1:], func(o Entry) bool { return o.Received.Equal(e.Received) }) {
				t.Errorf("%v: two of one message", m)
			}
		}

		e := list[0]
		if e.Position != 1 || e.Timestamp != 2 || e.Clock != (lamport.Timestamp{Time: 3, Node: 4}) ||
			e.Forwarded != 5*time.Microsecond || e.Heard <= 30*time.Minute || e.Sent != lamport.Replica(3) {
			t.Errorf("%v: %+v", m, e)
		}
	}
}

// The bars of a spread hold every request once, each between its ends.
func TestSpread(t *testing.T) {
	s := newStats(begin2026)
	takes := []time.Duration{
		0, time.Microsecond, 2 * time.Microsecond, 999 * time.Microsecond, time.Millisecond, 59 * time.Second,
		time.Hour,
	}
	for _, d := range takes {
		var l line
		l.set(&Entry{Model: model.Causal, Type: model.Set, Code: model.OK, Received: begin2026, Taken: d})
		s.add(&l)
	}
	spread := s.run().Spread
	if len(spread) != 1 || spread[0].Consistency != "causal" || spread[0].Request != "set" {
		t.Fatalf("%+v", spread)
	}
	var total uint64
	for i, b := range spread[0].Bars {
		total += b.Count
		overlaps := i > 0 && b.From < spread[0].Bars[i-1].To-1e-6
		if b.To <= b.From || overlaps {
			t.Errorf("bar %d: %+v", i, b)
		}
	}
	if first, last := spread[0].Bars[0], spread[0].Bars[len(spread[0].Bars)-1]; total != 7 || first.Count != 2 ||
		last.Count != 2 || last.From > slowest || last.To < slowest {
		t.Errorf("%+v", spread[0].Bars)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	var paged Run
	l := open(t, Options{Dir: dir, Page: func(w io.Writer, r Run) error {
		paged = r
		_, err := io.WriteString(w, "a page")
		return err
	}})

	l.Describe(Cluster{Prefix: "quartet"})
	for i := range viewsKept + 10 {
		l.Changed(View{Epoch: uint64(i)})
	}
	for i := range 100 {
		l.Record(entry(i))
	}

	running := l.Run()
	closed(t, l)
	for when, r := range map[string]Run{"running": running, "closed": l.Run(), "paged": paged} {
		if r.Drawn != 100 || r.Summary.Total.Count != 100 || len(r.Spread) != 8 || len(r.Slowest) != 4*SlowestKept ||
			r.Cluster.Prefix != "quartet" || !r.Steps {
			t.Errorf("%s: %+v", when, r)
		}
		if len(r.Views) != viewsKept || r.Earlier != 10 || r.Views[0].Epoch != 10 {
			t.Errorf("%s: %d views, %d before them", when, len(r.Views), r.Earlier)
		}
	}

	if !paged.Summary.Finished {
		t.Error("the page's run has not ended")
	}
	listed, err := ReadRun(dir)
	if err != nil || listed.Drawn != 100 || listed.Steps || len(listed.Slowest) != 4*SlowestKept || listed.Summary.Total.Count != 100 {
		t.Errorf("from the list: %v %+v", err, listed)
	}

	closed(t, open(t, Options{Dir: dir}))
	if b, err := os.ReadFile(filepath.Join(dir, previousRun, reportHTML)); err != nil || string(b) != "a page" {
		t.Errorf("of the run before: %v %q", err, b)
	}
	if _, err := os.Stat(filepath.Join(dir, reportHTML)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an old page lies beside a new run: %v", err)
	}
	if _, err := ReadRun(t.TempDir()); !errors.Is(err, ErrNoRun) {
		t.Errorf("of no run: %v", err)
	}
}

// A page that cannot be written is told, and costs nothing else.
func TestPageThatFails(t *testing.T) {
	dir, why := t.TempDir(), errors.New("no page today")
	l := open(t, Options{Dir: dir, Page: func(io.Writer, Run) error { return why }})
	l.Record(entry(1))
	if err := l.Close(); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, reportText)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, reportHTML)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a page: %v", err)
	}
}
