package timeline

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two processors, a load (thread 10), a master (20 and 21), and a stranger. Times are µs. At 650 a
// thread is woken that runs: it waits for nothing.
//
//	processor 0: idle 0-100, load 100-400, master 400-700, idle 700-1000
//	processor 1: stranger 0-500, idle 500-800, master's other thread 800-1000
const scene = `# tracer: nop
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
          <idle>-0       [000] d..2.     7.000000: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=swapper/0 next_pid=0 next_prio=120
          <idle>-0       [001] d..2.     7.000000: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=a b-c - x next_pid=99 next_prio=120
          <idle>-0       [000] d.h4.     7.000060: sched_waking: comm=load pid=10 prio=120 target_cpu=000
          <idle>-0       [000] d..2.     7.000100: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=load next_pid=10 next_prio=120
            load-10      [000] d..3.     7.000200: sched_waking: comm=quartet pid=20 prio=120 target_cpu=000
            load-10      [000] d..3.     7.000250: sched_waking: comm=quartet pid=20 prio=120 target_cpu=000
            load-10      [000] d..2.     7.000400: sched_switch: prev_comm=load prev_pid=10 prev_prio=120 prev_state=R+ ==> next_comm=quartet next_pid=20 next_prio=120
    a b-c - x-99       [001] d..2.     7.000500: sched_switch: prev_comm=a b-c - x prev_pid=99 prev_prio=120 prev_state=S ==> next_comm=swapper/1 next_pid=0 next_prio=120
         quartet-20      [000] d..3.     7.000600: sched_waking: comm=quartet pid=21 prio=120 target_cpu=001
          <idle>-0       [001] d..3.     7.000650: sched_waking: comm=quartet pid=20 prio=120 target_cpu=000
         quartet-20      [000] d..2.     7.000700: sched_switch: prev_comm=quartet prev_pid=20 prev_prio=120 prev_state=S ==> next_comm=swapper/0 next_pid=0 next_prio=120
          <idle>-0       [001] d..2.     7.000800: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=quartet next_pid=21 next_prio=120
          <idle>-0       [000] d..2.     7.001000: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=load next_pid=10 next_prio=120
         quartet-21      [001] d..2.     7.001000: sched_switch: prev_comm=quartet prev_pid=21 prev_prio=120 prev_state=S ==> next_comm=swapper/1 next_pid=0 next_prio=120
`

var (
	processes = []string{"load", "master"}
	threads   = []Thread{{10, "load"}, {20, "master"}, {21, "master"}, {33, "nobody"}}
)

func readScene(t *testing.T) *Trace {
	t.Helper()
	trace, err := Read(strings.NewReader(scene), processes, threads)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

func TestFigures(t *testing.T) {
	f := readScene(t).Figures()
	const µs = time.Microsecond
	// The load waits from 60 to 100, on an idle processor, and from 400, where it was taken
	// from its processor, to 1,000: from 500 on one idles, and from 700 on the one on which it
	// runs then. The master waits from 200 to 400 and 600 to 800.
	want := []Lane{
		{"load", 0.3, 0.64, 0.54, 0.34, 1000, 40 * µs, 40 * µs, 40 * µs},
		{"master", 0.5, 0.4, 0.2, 0.2, 2000, 200 * µs, 200 * µs, 200 * µs},
		{Others, 0.5, 0, 0, 0, 0, 0, 0, 0},
	}
	if f.Lasted != 1000*µs || len(f.Lanes) != len(want) {
		t.Fatalf("%+v", f)
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	for i, w := range want {
		got := f.Lanes[i]
		sameShares := near(got.Running, w.Running) && near(got.Ready, w.Ready) &&
			near(got.Missed, w.Missed) && near(got.Roused, w.Roused) && near(got.Wakes, w.Wakes)
		w.Running, w.Ready, w.Missed, w.Roused, w.Wakes = got.Running, got.Ready, got.Missed, got.Roused, got.Wakes
		if !sameShares || got != w {
			t.Errorf("lane %d: %+v, want %+v", i, got, want[i])
		}
	}

	// One idles from 0 to 100, 500 to 700 and 800 to 1,000, both from 700 to 800.
	for n, share := range []float64{0.4, 0.5, 0.1} {
		if !near(f.Idle[n], share) {
			t.Errorf("%d idle: %v, want %v", n, f.Idle[n], share)
		}
	}
	if !near(f.IdleShare(), 0.35) {
		t.Errorf("%v of the processors idle", f.IdleShare())
	}
}

// A kernel that does not tell of switches from idling: the threads ran all the same, since they
// were woken, as far as that was told.
func TestUntoldSwitches(t *testing.T) {
	told := readScene(t)
	if told.Untold != 0 {
		t.Errorf("%d switches are missing, and all are there", told.Untold)
	}

	var lines []string
	for line := range strings.Lines(scene) {
		isFirst := strings.Contains(line, "7.000000")
		if isFirst || !strings.Contains(line, "sched_switch: prev_comm=swapper") {
			lines = append(lines, line)
		}
	}
	trace, err := Read(strings.NewReader(strings.Join(lines, "")), processes, threads)
	if err != nil {
		t.Fatal(err)
	}

	// The load seems to run from 60 on, when it was woken, and the master's other thread, woken at
	// 600, from 650, when its processor was heard of idling still. The last switch, to the load,
	// left no trace.
	const µs = time.Microsecond
	wantRuns := []Run{
		{0, 0, 60 * µs, 400 * µs}, {2, 1, 0, 500 * µs}, {1, 0, 400 * µs, 700 * µs}, {1, 1, 650 * µs, 1000 * µs},
	}
	wantIdle := []Run{{2, 0, 0, 60 * µs}, {2, 1, 500 * µs, 650 * µs}}
	since := func(runs []Run) []Run {
		for i := range runs {
			runs[i].From, runs[i].To = runs[i].From-trace.Begin, runs[i].To-trace.Begin
		}
		return runs
	}
	if got := since(trace.Runs); !slices.Equal(got, wantRuns) {
		t.Errorf("ran %+v, want %+v", got, wantRuns)
	}
	if got := since(trace.Idle); !slices.Equal(got, wantIdle) {
		t.Errorf("idled %+v, want %+v", got, wantIdle)
	}
	if trace.Untold != 2 {
		t.Errorf("%d switches are missing, want 2", trace.Untold)
	}
}

func TestDraw(t *testing.T) {
	trace := readScene(t)
	var b bytes.Buffer
	if err := trace.Draw(&b, "a < b", []string{"line"}, trace.Begin, trace.End); err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := dec.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, &b)
		}
	}

	// Four runs, each on its processor and in its process, and four waits. The load woke the master;
	// another lane, that of nobody, woke the load, and the
	// master woke itself.
	if n := strings.Count(b.String(), "<rect"); n != 4*2+4 {
		t.Errorf("%d stretches", n)
	}
	if n := strings.Count(b.String(), "marker-end"); n != 2 {
		t.Errorf("%d arrows", n)
	}
	for _, want := range []string{"a &lt; b", ">line<", ">processor 1<", ">master<", ">others<", ">500 µs<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q", want)
		}
	}

	// What lies outside is not drawn.
	var part bytes.Buffer
	if err := trace.Draw(&part, "", nil, trace.Begin, trace.Begin+50*time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(part.String(), "<rect"); n != 2 {
		t.Errorf("%d stretches in the first 50 µs: one, on its processor and in its process", n)
	}
}

func TestBadTraces(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":        {"# a comment\n\n", ErrEmpty},
		"no event":       {"hello\n", ErrLine},
		"another format": {"  x-1 [000] d 1.0: sched_switch: a\n", ErrLine},
		"switch":         {"  x-1 [000] d..2. 1.000000: sched_switch: prev_pid=1\n", ErrLine},
		"waking":         {"  x-1 [000] d..2. 1.000000: sched_waking: comm=a\n", ErrLine},
		"lost":           {"CPU:0 [LOST 12 EVENTS]\n", ErrLost},
		"other events":   {"  x-1 [000] d..2. 1.000000: sys_enter: NR 1 (1)\n", ErrEmpty},
		"no number":      {"  x-99999999999999999999 [000] d..2. 1.000000: sys_enter: NR 1\n", ErrLine},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(c.text), processes, threads); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// The figures of whatever can be read are shares.
func FuzzRead(f *testing.F) {
	f.Add(scene)
	f.Add(strings.ReplaceAll(scene, "7.000", "0.000"))
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := Read(strings.NewReader(text), processes, threads)
		if err != nil {
			return
		}
		figures := trace.Figures()
		if share := figures.IdleShare(); math.IsNaN(share) || math.IsInf(share, 0) {
			t.Errorf("%v of the processors idle", share)
		}
		if err := trace.Draw(io.Discard, "", nil, trace.Begin, trace.End); err != nil {
			t.Error(err)
		}
	})
}

// What the load prints is its rate, or no figures of one load.
func TestRate(t *testing.T) {
	for said, want := range map[string]float64{
		`[{"quartet":{"ops_per_second":{"median":12.5}}}]`: 12.5, "[]": -1, "[{},{}]": -1, "no JSON": -1, "": -1,
	} {
		got, err := rate([]byte(said))
		isBad := want < 0
		if isBad != errors.Is(err, ErrLoad) {
			t.Errorf("%q: %v", said, err)
		}
		if err != nil && strings.Contains(err.Error(), "nil") {
			t.Errorf("%q: %v", said, err)
		}
		if !isBad && got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
	}
}
