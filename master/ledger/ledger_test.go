package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/bus/testkit"
)

var begin2026 = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

// entry returns a request that was answered with OK after 1 to 1,000 µs.
func entry(i int) Entry {
	return Entry{
		RID: uint64(i), Client: "Client1", Model: model.All[i%4], Type: model.Types[i/4%2], Key: fmt.Sprintf("key%d", i%100),
		Replica: lamport.Replica(1 + i%3), Code: model.OK,
		Received: begin2026.Add(time.Duration(i) * 10 * time.Microsecond), Taken: time.Duration(1+i%1000) * time.Microsecond,
	}
}

func open(t testing.TB, o Options) *Ledger {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func closed(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, dir string) []Entry {
	t.Helper()
	var all []Entry
	if err := ReadRequests(dir, func(e Entry) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryRequestIsCountedAndListed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	const n = 3*batchLen + 17
	for i := range n {
		l.Record(entry(i))
	}

	s := l.Summary()
	if s.Total.Count != n || s.Total.OK != n || s.Finished {
		t.Errorf("before Close: %+v", s.Total)
	}
	closed(t, l)

	got := readAll(t, dir)
	if len(got) != n {
		t.Fatalf("%d requests in the list, want %d", len(got), n)
	}
	for i, e := range got {
		if e != entry(i) {
			t.Fatalf("request %d: %+v, want %+v", i, e, entry(i))
		}
	}

	s, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Finished || s.Total.Count != n || s.List != (bus.ReportList{Lines: n}) || len(s.Groups) != 8 || len(s.Replicas) != 3 {
		t.Errorf("after Close: %+v", s)
	}

	for _, name := range []string{reportText, reportJSON} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Contains(text, []byte("linearizable")) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestFigures(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	for i := range 1000 {
		e := Entry{Model: model.Causal, Type: model.Get, Code: model.OK, Replica: 2, Taken: time.Duration(i+1) * time.Microsecond}
		if i < 10 {
			e.Code = model.TooEarly
		}
		if i < 3 {
			e.Code, e.Replica = model.Unknown, 0
		}
		e.Duplicate = i == 999
		l.Record(e)
	}
	l.Record(Entry{Model: model.Linearizable, Type: model.Set, Code: model.OK, Taken: 90 * time.Second, Replica: 1})
	l.Record(Entry{Code: model.Malformed, Taken: -time.Second})

	s := l.Summary()
	want := []bus.ReportGroup{
		{Count: 1, Failed: 1, Codes: map[model.Code]uint64{400: 1}},
		// Beyond the histogram's range: quantiles end there, mean and maximum do not.
		{Consistency: "linearizable", Request: "set", Count: 1, OK: 1, Timed: 1, Mean: 9e7, P50: 6e7, P90: 6e7, P99: 6e7, Max: 9e7},
		{Consistency: "causal", Request: "get", Count: 1000, OK: 990, Failed: 10, Codes: map[model.Code]uint64{425: 7, 504: 3},
			Duplicates: 1, Timed: 1000, Mean: 500.5, P50: 500, P90: 900, P99: 990, Max: 1000},
	}

	if !reflect.DeepEqual(s.Groups, want) {
		t.Errorf("groups\n%+v, want\n%+v", s.Groups, want)
	}
	if s.Total.Count != 1002 || s.Total.OK != 991 || s.Total.Failed != 11 || s.Total.Max != 9e7 ||
		s.Total.Duplicates != 1 || s.Total.Codes[504] != 3 {
		t.Errorf("total %+v", s.Total)
	}

	served := []bus.ReportServed{{Count: 4, Failed: 4}, {Replica: "r1", Count: 1, OK: 1}, {Replica: "r2", Count: 997, OK: 990, Failed: 7}}
	if !slices.Equal(s.Replicas, served) {
		t.Errorf("replicas %+v, want %+v", s.Replicas, served)
	}
}

// Whatever counts requests counts by one meaning of answered and failed: a get without a value
// is an answer, a condition that did not hold is one, and each request is one of the two.
func TestAnsweredMeansOneThing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	answers, failures := []model.Code{model.OK, model.NotFound, model.Failed}, []model.Code{
		model.Malformed, model.Conflict, model.TooLarge, model.TooEarly, model.Unavailable, model.Unknown, 599,
	}
	for i, code := range slices.Concat(answers, answers, failures) {
		e := entry(i)
		e.Code, e.Model, e.Type, e.Replica = code, model.Eventual, model.Get, lamport.Replica(1)
		l.Record(e)
	}

	r := l.Run()
	closed(t, l)
	read, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	for name, s := range map[string]bus.Report{"asked": r.Summary, "read": read} {
		for _, g := range []bus.ReportGroup{s.Total, s.Groups[0]} {
			if g.Count != 13 || g.OK != 2 || g.NoValue != 2 || g.Unmet != 2 || g.Failed != 7 || g.Codes[model.NotFound] != 2 {
				t.Errorf("%s: %+v", name, g)
			}
		}
		if !slices.Equal(s.Replicas, []bus.ReportServed{{Replica: "r1", Count: 13, OK: 2, NoValue: 2, Unmet: 2, Failed: 7}}) {
			t.Errorf("%s: %+v", name, s.Replicas)
		}
	}

	var overTime, spread uint64
	for _, s := range r.Spans {
		for _, n := range s.Failed {
			overTime += n
		}
	}
	for _, b := range r.Spread[0].Bars {
		spread += b.Count
	}
	if overTime != 7 {
		t.Errorf("%d failed over time", overTime)
	}

	// What was refused at sight is in no distribution of times, nor among the slowest.
	if g := r.Summary.Groups[0]; g.Timed != 11 || spread != 11 ||
		slices.ContainsFunc(r.Slowest, func(e Entry) bool { return !e.Code.Timed() }) {
		t.Errorf("%d timed, %d drawn, slowest %+v", g.Timed, spread, r.Slowest)
	}

	var text strings.Builder
	if err := WriteTable(&text, r.Summary); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"eventual     get         13   2         2      2       7 ", "r1          13   2         2      2       7\n",
		"400:1 409:1 413:1 425:1 503:1 504:1 599:1\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("lacks %q:\n%s", want, text.String())
		}
	}
}

// A report that was written before a get without a value was an answer is read as if it had
// been written today.
func TestReportsOfEarlierVersions(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, reportJSON), `{"total": {"count": 5, "ok": 2, "failed": 3, "codes": {"404": 2, "503": 1}, "p50_us": 7, "max_us": 9},
		"groups": [{"consistency": "causal", "request": "get", "count": 5, "ok": 2, "failed": 3, "codes": {"404": 2, "503": 1}, "max_us": 9}]}`)
	s, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range append(s.Groups, s.Total) {
		if g.Count != 5 || g.OK != 2 || g.NoValue != 2 || g.Failed != 1 || g.Timed != 5 {
			t.Errorf("%+v", g)
		}
	}
}

// What is told of the list is so at the moment of the telling: a report knows how many lines
// were written before it, and what has not come so far is said to be on its way.
func TestTheListIsToldAsItIs(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	for n := range uint64(200) {
		l.Record(entry(int(n)))
		if s := l.Summary(); s.Coming() != s.Total.Count-s.List.Lines {
			t.Errorf("%d are on their way, of %d requests and %d lines", s.Coming(), s.Total.Count, s.List.Lines)
		}
	}

	// Nothing happens any more, so no later report mends this one.
	testkit.Eventually(t, time.Minute, "the report is current", func() error {
		s, _, err := readReport(dir)
		if err != nil || s.Total.Count != 200 {
			return fmt.Errorf("%+v, %v", s, err)
		}
		if s.List.Lines != 200 || s.Coming() != 0 {
			t.Errorf("the report of the whole run: %+v", s.List)
		}
		return nil
	})

	s := bus.Report{Total: bus.ReportGroup{Count: 14}, List: bus.ReportList{Lines: 3, Lost: 1}}
	var b strings.Builder
	if err := WriteTable(&b, s); err != nil ||
		!strings.Contains(b.String(),
			"The list of requests has 3 lines; 10 more are on their way to it; 1 were never written") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestSeries(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	for i := range 1000 {
		e := Entry{
			Model: model.Causal, Type: model.Get, Code: model.OK, Replica: 2,
			Taken: time.Duration(i+1) * time.Millisecond, Duplicate: i == 9,
		}
		if i >= 990 {
			e.Code, e.Replica = model.Unknown, 0
		}
		l.Record(e)
	}
	l.Record(Entry{Model: model.Linearizable, Type: model.Set, Code: model.OK, Replica: 1, Taken: 90 * time.Second})
	l.Record(Entry{Code: model.Malformed})
	bounds := []time.Duration{time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 10 * time.Second}
	want := []Series{
		{Count: 1, Codes: []CodeCount{{Code: 400, Count: 1}}, Within: []uint64{0, 0, 0, 0}},
		{
			Consistency: "linearizable", Request: "set", Count: 1, Codes: []CodeCount{{"r1", 200, 1}}, Timed: 1,
			Sum: 90, Within: []uint64{0, 0, 0, 0},
		},
		{Consistency: "causal", Request: "get", Count: 1000, Duplicates: 1, Codes: []CodeCount{{"r2", 200, 990}, {"", 504, 10}},
			Timed: 1000, Sum: 500.5, Within: []uint64{1, 100, 500, 1000}},
	}

	for _, when := range []string{"running", "closed"} {
		if got := l.Series(bounds); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: series\n%+v, want\n%+v", when, got, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQuantilesAreWithinThreeDigits(t *testing.T) {
	s := newStats(begin2026)
	const n = 100_000
	for i := range n {
		var l line
		l.set(&Entry{Model: 1, Type: 1, Code: model.OK, Taken: time.Duration(i+1) * 37 * time.Microsecond})
		s.add(&l)
	}
	g := s.summary(begin2026).Groups[0]
	for _, c := range []struct {
		got  int64
		rank float64
	}{{g.P50, 0.5}, {g.P90, 0.9}, {g.P99, 0.99}, {g.Max, 1}} {
		want := c.rank * n * 37
		if off := (float64(c.got) - want) / want; off < -0.001 || off > 0.001 {
			t.Errorf("quantile %v is %d, want %.0f", c.rank, c.got, want)
		}
	}
}

func TestRecordFromManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	const writers, each = 8, 5000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				l.Record(entry(w*each + i))
			}
		})
	}

	var last uint64
	for range 20 {
		n := l.Summary().Total.Count
		if n < last {
			t.Errorf("the count fell from %d to %d", last, n)
		}
		last = n
	}

	wg.Wait()
	closed(t, l)
	if n := l.Summary().Total.Count; n != writers*each {
		t.Errorf("%d counted, want %d", n, writers*each)
	}

	s, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if listed := len(readAll(t, dir)); uint64(listed) != s.List.Lines || s.List.Lines+s.List.Lost != writers*each {
		t.Errorf("%d in the list, the report says %+v; together they must be %d", listed, s.List, writers*each)
	}
}

func TestReportIsCurrentWithoutClose(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	l.Record(entry(1))
	testkit.Eventually(t, time.Minute, "the report is current", func() error {
		s, _, err := readReport(dir)
		if isCurrent := err == nil && s.Total.Count == 1 && !s.Finished && len(readAll(t, dir)) == 1; !isCurrent {
			return fmt.Errorf("%+v, %v", s, err)
		}
		return nil
	})
}

func TestRecountedFromTheList(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	for i := range 5000 {
		l.Record(entry(i))
	}
	closed(t, l)
	want, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func(how string) {
		t.Helper()
		got, err := ReadDir(dir)
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if !reflect.DeepEqual(got.Groups, want.Groups) || !reflect.DeepEqual(got.Total, want.Total) ||
			!reflect.DeepEqual(got.Replicas, want.Replicas) {
			t.Errorf("%s:\n%+v, want\n%+v", how, got, want)
		}
	}
	// As kill -9 leaves it: a report of a second ago and half a line.
	report, list := filepath.Join(dir, reportJSON), filepath.Join(dir, requestsCSV)
	old := want
	old.Total.Count, old.Groups = 10, nil
	text, _ := jsonOf(old)
	write(t, report, string(text))
	lines, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	write(t, list, string(lines)+"5001,Client1,causal,get,key")
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(report, past, past); err != nil {
		t.Fatal(err)
	}
	check("older report")
	write(t, report, "{")
	if err := os.Chtimes(report, past, past); err != nil {
		t.Fatal(err)
	}
	check("damaged report")
	if err := os.Remove(report); err != nil {
		t.Fatal(err)
	}
	check("no report")

	// A list that lost its beginning to rotation knows less than the report.
	all, _ := jsonOf(want)
	write(t, report, string(all))
	if err := os.Chtimes(report, past, past); err != nil {
		t.Fatal(err)
	}
	write(t, list, header+"1,,causal,get,k,r1,200,2026-01-02T03:04:05.678901Z,17,false\n")
	check("shorter list")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, Rotate: 1})
	const n, each = 5, 100
	for i := range n {
		for k := range each {
			l.Record(entry(i*each + k))
		}
		l.Summary() // hands the batch over
	}

	closed(t, l)
	s, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	// Each batch fills a file. Most often it is one of a hundred; the ledger's clock may have
	// handed over a part of it.
	kept := s.List.Lines
	if kept < 2 || kept > 2*each || s.List != (bus.ReportList{Lines: kept, Deleted: n*each - kept}) || s.Total.Count != n*each {
		t.Errorf("%+v of %d requests, want the last %d at the most, and no other loss", s.List, s.Total.Count, 2*each)
	}

	got := readAll(t, dir)
	if uint64(len(got)) != kept {
		t.Fatalf("%d lines, the report says %d", len(got), kept)
	}
	for i, e := range got {
		if want := n*each - kept + uint64(i); e.RID != want {
			t.Fatalf("line %d is of request %d, want %d: the last in order", i, e.RID, want)
		}
	}
}

func TestTheRunBeforeIsKept(t *testing.T) {
	dir := t.TempDir()
	previous := filepath.Join(dir, previousRun)
	run := func(from, n int) {
		l := open(t, Options{Dir: dir, Rotate: 1})
		for i := range n {
			l.Record(entry(from + i))
			l.Summary()
		}
		closed(t, l)
	}

	run(100, 3)
	run(200, 1)
	if got := readAll(t, previous); len(got) != 2 || got[1].RID != 102 {
		t.Errorf("previous run: %+v", got)
	}
	if s, err := ReadDir(previous); err != nil || s.Total.Count != 3 {
		t.Errorf("previous run: %+v, %v", s.Total, err)
	}
	if got := readAll(t, dir); len(got) != 1 || got[0].RID != 200 {
		t.Errorf("last run: %+v", got)
	}

	run(0, 0)
	run(0, 0) // a run without requests pushes nothing out
	if got := readAll(t, previous); len(got) != 1 || got[0].RID != 200 {
		t.Errorf("previous run: %+v", got)
	}
	if s, err := ReadDir(dir); err != nil || s.Total.Count != 0 || !s.Finished {
		t.Errorf("run without requests: %+v, %v", s, err)
	}
}

func TestOneWriterADirectory(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Options{Dir: dir})
	if err := first.At("nats://127.0.0.1:4222"); err != nil {
		t.Error(err)
	}
	who := fmt.Sprintf("pid %d, at nats://127.0.0.1:4222, has %s", os.Getpid(), dir)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), who) {
		t.Errorf("second Open: %v, want ErrInUse that says %q", err, who)
	}
	closed(t, first)
	open(t, Options{Dir: dir})
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if _, err := Open(Options{Dir: file}); err == nil {
		t.Error("a file was taken for a log directory")
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, requestsCSV)); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(Options{Dir: dir}); err != nil { // the link is only moved away
		t.Error(err)
	} else {
		closed(t, l)
	}
}

func TestRecordAfterClose(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	l.Record(entry(1))
	closed(t, l)
	l.Record(entry(2))
	if s := l.Summary(); s.Total.Count != 1 || s.List.Lines != 1 || s.List.Lost != 1 {
		t.Errorf("%+v", s)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// A disk that stands still costs lines, each of them counted, and nothing else.
func TestDiskTooSlow(t *testing.T) {
	var lost atomic.Uint64
	c := counter{stats: newStats(begin2026), lost: &lost, disk: &disk{jobs: make(chan job, maxChunks), lost: &lost}}
	var b [10]line
	const batches = maxChunks + 5
	for range batches {
		for i := range b {
			e := entry(i)
			b[i].set(&e)
		}
		c.add(b[:])
	}
	c.report(begin2026)
	s := c.summary(begin2026)
	if s.Total.Count != batches*10 || s.List.Lost != 5*10 {
		t.Errorf("%d counted and %d lost, want %d and %d", s.Total.Count, s.List.Lost, batches*10, 5*10)
	}
}

func TestDiskThatRefuses(t *testing.T) {
	dir := t.TempDir()
	var lost atomic.Uint64
	d, err := begin(Options{Dir: dir, Rotate: DefaultRotate, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d.lost = &lost
	lineOf := func(i int) job {
		e := entry(i)
		var l line
		l.set(&e)
		return job{count: 1, lines: new(formatter).append(nil, &l)}
	}

	good := d.file
	if d.file, err = os.Open(filepath.Join(dir, requestsCSV)); err != nil {
		t.Fatal(err)
	}
	d.jobs <- lineOf(1) // this one cannot be written
	close(d.jobs)
	d.run()

	if lost.Load() != 1 || d.lines.Load() != 0 || d.failed == nil {
		t.Errorf("lost %d, written %d, error %v; want 1, 0 and an error", lost.Load(), d.lines.Load(), d.failed)
	}
	if err := d.file.Close(); err != nil {
		t.Fatal(err)
	}

	d.file, d.jobs = good, make(chan job, 1)
	if _, err := good.WriteString("half a li"); err != nil { // what a full disk leaves
		t.Fatal(err)
	}
	d.jobs <- lineOf(2)
	close(d.jobs)
	d.run()
	if err := d.close(); err != nil {
		t.Fatal(err)
	}

	if got := readAll(t, dir); len(got) != 1 || got[0].RID != 2 || lost.Load() != 1 || d.lines.Load() != 1 {
		t.Errorf("list %+v, lost %d, written %d", got, lost.Load(), d.lines.Load())
	}
}

// As fast as the counter can count: the rate of a loop that does nothing else.
func BenchmarkRecord(b *testing.B) {
	l := open(b, Options{Dir: b.TempDir()})
	e := entry(12345)
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
	b.StopTimer()
	s := l.Summary()
	b.ReportMetric(float64(s.List.Lost), "lost")
}

// The cost on the master's goroutine while the counter keeps up.
func BenchmarkRecordAlone(b *testing.B) {
	l := &Ledger{batch: make([]line, 0, batchLen), full: make(chan []line, 1), empty: make(chan []line, 1)}
	e := entry(12345)
	b.ReportAllocs()
	for b.Loop() {
		if len(l.batch) == batchLen-1 {
			l.batch = l.batch[:0]
		}
		l.Record(e)
	}
}

// The cost on the counter's goroutine.
func BenchmarkCount(b *testing.B) {
	s := newStats(begin2026)
	var f formatter
	var l line
	var text []byte
	e := entry(12345)
	l.set(&e)
	b.ReportAllocs()
	for b.Loop() {
		l.received += 10
		s.add(&l)
		text = f.append(text[:0], &l)
	}
}

func BenchmarkSummary(b *testing.B) {
	s := newStats(begin2026)
	for i := range 100_000 {
		var l line
		e := entry(i)
		l.set(&e)
		s.add(&l)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(s.summary(begin2026)); err != nil {
			b.Fatal(err)
		}
	}
}
