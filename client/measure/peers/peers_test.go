package peers

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"quartet/client/measure/load"
)

// results are those of one side: answers a second and latency by round.
func results(t *testing.T, rounds ...[2]int64) []load.Result {
	t.Helper()
	var all []load.Result
	for _, round := range rounds {
		h := hdrhistogram.New(1, 60_000_000, 3)
		if err := h.RecordValue(round[1]); err != nil {
			t.Fatal(err)
		}
		all = append(all, load.Result{
			Window: time.Second, Counts: [4]uint64{load.OK: uint64(round[0])}, Latency: h,
			CPU: []time.Duration{time.Millisecond},
		})
	}
	return all
}

// measured makes a measurement of a load: each entry gets two rounds, the n-th entry's
// rates are n+1 and 10(n+1), its latencies 100(n+1) and 400(n+1) µs.
func measured(t *testing.T, name string, asked Options) *measurement {
	t.Helper()
	w := workloads()[slices.Index(Loads(), name)]
	m := &measurement{workload: w, entries: asked.lineup(&w, func(string) bool { return false })}
	for i := range m.entries {
		n := int64(i + 1)
		m.results = append(m.results, results(t, [2]int64{n, 100 * n}, [2]int64{10 * n, 400 * n}))
		m.processes = append(m.processes, []load.Process{{Name: "p"}})
	}
	return m
}

func TestRatiosAreOfRoundsAndOfSides(t *testing.T) {
	o := Defaults()
	o.Peers, o.Modes = []string{natsR1, etcdFsync}, []string{"memory", "always"}
	l := measured(t, "set", o).load()
	if l.Rounds != 2 || len(l.Sides) != 5 || len(l.Ratios) != 4 { // memory in two models by two drivers, nats-r1
		t.Fatalf("%d rounds, %d sides, %d ratios", l.Rounds, len(l.Sides), len(l.Ratios))
	}

	callbacks := l.Ratios[1] // the second side over the fifth
	ours, theirs := "quartet-memory linearizable, callbacks, 64 at once", "nats-r1, nats.go, 64 at once"
	want := load.Spread{Median: 0.4, Min: 0.4, Max: 0.4}
	if callbacks.Rate != want || callbacks.Theirs != theirs || callbacks.Ours != ours {
		t.Errorf("%+v", callbacks)
	}
	if got := callbacks.P50; math.Abs(got.Median-0.4) > 0.01 {
		t.Errorf("p50 time %+v, want 0.4", got)
	}
	if s := l.Sides[1]; s.Rate != (load.Spread{Median: 11, Min: 2, Max: 20}) || s.Ops != 22 ||
		s.Durability != "memory of 3" || s.Reads != "" {
		t.Errorf("%+v", s)
	}
	// 2 ms for 22 answers.
	if s := l.Sides[1]; len(s.CPU) != 1 || s.CPU[0] != (CPU{"p", 90.9}) {
		t.Errorf("%+v", s.CPU)
	}

	// On disk: what is kept is compared with its own in memory, driven in the same way, and
	// all with the peer.
	durable := measured(t, "set-durable", o).load()
	var pairs []string
	for _, r := range durable.Ratios {
		us, them := durable.Sides[r.ours], durable.Sides[r.theirs]
		pairs = append(pairs, us.label+"/"+us.Driver+" to "+them.label+"/"+them.Driver)
	}
	wanted := []string{
		"quartet-memory linearizable/go package to etcd-fsync/clientv3",
		"quartet-memory linearizable/callbacks to etcd-fsync/clientv3",
		"quartet-always linearizable/go package to quartet-memory linearizable/go package",
		"quartet-always linearizable/go package to etcd-fsync/clientv3",
		"quartet-always linearizable/callbacks to quartet-memory linearizable/callbacks",
		"quartet-always linearizable/callbacks to etcd-fsync/clientv3",
	}
	if !slices.Equal(pairs, wanted) {
		t.Errorf("compared: %s", strings.Join(pairs, "\n"))
	}

	deep := measured(t, "set-256", o).load()
	if len(deep.Ratios) != 2 || deep.Sides[deep.Ratios[0].ours].Concurrency != 256 || deep.Sides[deep.Ratios[0].theirs].Concurrency != 64 {
		t.Errorf("256 to 64: %+v", deep.Ratios)
	}
}

func TestARoundWithoutAnswersHasNoTimeRatio(t *testing.T) {
	ours, theirs := results(t, [2]int64{1, 300}, [2]int64{1, 300}), results(t, [2]int64{1, 100}, [2]int64{1, 100})
	theirs[1].Latency = hdrhistogram.New(1, 1000, 3)
	if got := timeRatios(ours, theirs, 50); math.Abs(got.Max-3) > 0.01 || got.Max != got.Min {
		t.Errorf("%+v, want 3", got)
	}
}

func TestWhatIsAsked(t *testing.T) {
	o := Defaults()
	r := newReport(&o, time.Unix(0, 0))
	r.Missing = []Missing{{Peer: natsR3, Reason: "not found", Remedy: "build it"}}
	o.Peers = []string{natsR1, etcdMemory, redisMemory}
	r.measured = []*measurement{measured(t, "set", o), measured(t, "set-single", o), measured(t, "set-256", o), measured(t, "get", o)}
	r.measured[3].results = make([][]load.Result, len(r.measured[3].entries)) // no round was complete

	r.finish()
	if len(r.Asked) != len(demands()) {
		t.Fatalf("%d rows, want %d", len(r.Asked), len(demands()))
	}

	row := func(what, against string) Asked {
		t.Helper()
		i := slices.IndexFunc(r.Asked, func(a Asked) bool { return a.What == what && strings.HasPrefix(a.Against, against) })
		if i < 0 {
			t.Fatalf("no row of %s against %s", what, against)
		}
		return r.Asked[i]
	}

	// Sides of set: memory linearizable (1, 2), eventual (3, 4), nats-r1 (5), etcd-memory (6),
	// redis.
	if a := row("linearizable set, 64 shared, memory", "NATS KV R1"); len(a.Measured) != 2 ||
		a.Measured[0].Ratio.Median != 0.2 || a.Measured[1].Ratio.Median != 0.4 || a.Measured[1].Reached {
		t.Errorf("%+v", a)
	}
	if a := row("eventual set, 64 shared", "NATS KV R1"); len(a.Measured) != 2 || a.Measured[0].Ratio.Median != 0.6 ||
		a.Measured[1].Driver != "callbacks" {
		t.Errorf("%+v", a)
	}
	// Sides of set-256: go package at 256 (1) and 64 (2), callbacks at 256 (3) and 64 (4).
	if a := row("linearizable set, 256 shared", "its own"); len(a.Measured) != 2 || a.Measured[0].Ratio.Median != 0.5 ||
		a.Measured[1].Ratio.Median != 0.75 {
		t.Errorf("%+v", a)
	}

	for _, c := range []struct{ what, against, why string }{
		{"linearizable set, 64 shared, memory", "NATS KV R3", "nats-r3 is missing"},
		{"linearizable get, 64 shared", "etcd", "no round was complete"},
		{"linearizable set, 64 connections", "NATS KV R3", "nats-r3 is missing"},
		{"linearizable set, --dir --sync always", "etcd", "load set-durable was not run"},
	} {
		if a := row(c.what, c.against); a.Why != c.why || len(a.Measured) != 0 {
			t.Errorf("%s: %q, want %q; %+v", c.what, a.Why, c.why, a.Measured)
		}
	}

	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"MISSING nats-r3: not found; to have it: build it\n",
		"not measured: nats-r3 is missing", "nats-r1, nats.go, 64 (file of 1, no fsync)", "P50 TIME RATIO TO",
		"at least 2.2 x", "0.20 (0.20-0.20)  NO",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

// A ratio that reaches what is asked, and a time, which must not be above it.
func TestReached(t *testing.T) {
	o := Defaults()
	o.Modes, o.Peers = []string{"memory"}, []string{natsR3}
	m := measured(t, "set-single", o) // go package (1), callbacks (2), eventual (3), nats-r3 (4)
	m.results[1] = results(t, [2]int64{9, 401}, [2]int64{9, 1601})
	r := newReport(&o, time.Unix(0, 0))
	r.measured = []*measurement{m}
	r.finish()
	i := slices.IndexFunc(r.Asked, func(a Asked) bool { return a.Measure == p50Time && a.Why == "" })
	if a := r.Asked[i]; len(a.Measured) != 2 || !a.Measured[0].Reached || a.Measured[0].Ratio.Median != 0.25 || a.Measured[1].Reached {
		t.Errorf("%+v", a)
	}
	if r.failures() {
		t.Error("failures, but none")
	}
	m.results[1][1].Outside[load.Unknown] = 1
	if r.finish(); !r.failures() {
		t.Error("an unknown outcome is no failure")
	}
}

// Each demand must be about sides that are measured beside each other.
func TestDemandsAreMeasured(t *testing.T) {
	o := Defaults()
	r := newReport(&o, time.Unix(0, 0))
	for _, name := range Loads() {
		r.measured = append(r.measured, measured(t, name, o))
	}
	r.finish()
	for _, a := range r.Asked {
		want := 2
		byOne := strings.Contains(a.What, "list") || strings.Contains(a.What, "nats.go")
		if byOne { // page after page the Go package's iterator alone; unmodified clients have one way
			want = 1
		}
		if len(a.Measured) != want {
			t.Errorf("%s against %s: %d drivers measured; %s", a.What, a.Against, len(a.Measured), a.Why)
		}
	}
	for _, s := range sides() {
		for _, l := range s.loads {
			unread := s.read == "" && strings.HasPrefix(l, "get")
			if !slices.Contains(Loads(), l) || s.held == "" || unread {
				t.Errorf("%s %s: load %q, held %q, read %q", s.system, s.driver, l, s.held, s.read)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	o := Defaults()
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"unknown peer": func(o *Options) { o.Peers = []string{"consul"} },
		"a peer twice": func(o *Options) { o.Peers = []string{natsR1, natsR1} },
		"unknown mode": func(o *Options) { o.Modes = []string{"quartet-memory"} },
		"no mode":      func(o *Options) { o.Modes = nil },
		"unknown load": func(o *Options) { o.Loads = []string{"scan"} },
		"no load":      func(o *Options) { o.Loads = nil },
		"rounds":       func(o *Options) { o.Rounds = 0 },
		"round":        func(o *Options) { o.Round = 0 },
		"keys":         func(o *Options) { o.Keys = -1 },
		"timeout":      func(o *Options) { o.Timeout = 0 },
		"silence":      func(o *Options) { o.Talk = nil },
	} {
		o := Defaults()
		change(&o)
		if report, err := Run(t.Context(), o); !errors.Is(err, ErrOptions) || report != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is not installed is known before anything is started.
func TestMissing(t *testing.T) {
	o := Defaults()
	none := t.TempDir() + "/none"
	o.Programs = Programs{Quartet: "go", NATSServer: none, Etcd: "go", Redis: none}
	o.MemoryDir = t.TempDir() + "/none"
	found, missing, err := find(&o)
	if err != nil || !strings.HasPrefix(found.Quartet, "/") {
		t.Fatalf("%+v, %v", found, err)
	}
	var names []string
	for _, m := range missing {
		names = append(names, m.Peer)
		if m.Reason == "" || m.Remedy == "" || m.Installed {
			t.Errorf("%+v", m)
		}
	}
	if !slices.Equal(names, []string{natsR1, natsR3, etcdMemory, redisMemory}) { // etcd-fsync can be measured
		t.Errorf("missing: %v", names)
	}
	o.Programs.Quartet = none
	if _, _, err := find(&o); err == nil {
		t.Error("quartet itself may be missing")
	}
	o.Talk = io.Discard
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("a run without quartet")
	}
}

// Only what is driven by calls is a [load.Caller]: whatever is one is called, in a goroutine for
// each request, whatever its Send does.
func TestCallbacksAreNotCalled(t *testing.T) {
	for _, s := range sides() {
		if s.driver != callbacks && s.driver != goPackage {
			continue
		}
		if _, isCalled := s.sender(nil, 1).(load.Caller); isCalled != (s.driver == goPackage) {
			t.Errorf("%s %s by %s: called %t", s.system, s.request, s.driver, isCalled)
		}
	}
}
