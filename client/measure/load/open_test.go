package load_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
	"quartet/client/measure/load"
)

// connect returns a client of the responder, for the test.
func connect(t *testing.T, r *responder.Responder) *client.Client {
	t.Helper()
	c, err := client.Connect(t.Context(), r.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func open(rate float64) load.Options {
	o := small()
	o.Rate, o.Concurrency, o.Warmup, o.Duration = rate, 1000, 50*time.Millisecond, 250*time.Millisecond
	return o
}

// The rate is kept over a real server, by callbacks and by calls, evenly and at random.
func TestOpenLoopKeepsItsRate(t *testing.T) {
	c := connect(t, responder.Start(t, nil))
	for name, sender := range map[string]load.Sender{
		"callbacks": load.Quartet{Client: c, Consistency: client.Eventual},
		"calls":     load.QuartetCaller{Quartet: load.Quartet{Client: c, Consistency: client.Linearizable}},
	} {
		for _, spacing := range []load.Spacing{load.Fixed, load.Poisson} {
			o := open(2000)
			o.Spacing = spacing
			result, err := load.Run(t.Context(), o, []load.Sender{sender})
			if err != nil || result.Failed()+result.Unknown()+result.Beyond > 0 {
				t.Fatalf("%s, %s: %+v, %v", name, spacing, result.Counts, err)
			}
			// 500 are due; at random with a deviation of 22.
			due, slack := 500.0, map[load.Spacing]float64{load.Fixed: 1, load.Poisson: 120}[spacing]
			if got := float64(result.Ops()); math.Abs(got-due) > slack ||
				uint64(result.Latency.TotalCount()) != result.Ops() ||
				uint64(result.Late.TotalCount()) != result.Ops() {
				t.Errorf("%s, %s: %v requests, %d latencies, %d sent", name, spacing, got, result.Latency.TotalCount(),
					result.Late.TotalCount())
			}
			if result.Window != o.Duration {
				t.Errorf("%s, %s: a window of %s", name, spacing, result.Window)
			}
			if total := float64(result.Answers()); math.Abs(total-600) > slack*1.2 {
				t.Errorf("%s, %s: %v requests with the warm-up, want about 600", name, spacing, total)
			}
		}
	}
}

// A system that stands still is seen in the latency of every request that was due
// meanwhile. A closed loop sees it once for each lane.
func TestOpenLoopShowsAStall(t *testing.T) {
	const stall = 150 * time.Millisecond
	var once sync.Once
	stalling := func(call responder.Call) responder.Action {
		if call.N > 100 {
			once.Do(func() { <-time.After(stall) }) // which is what is measured
		}
		return responder.Action{}
	}

	run := func(o load.Options) load.Result {
		t.Helper()
		once = sync.Once{}
		c := connect(t, responder.Start(t, stalling))
		result, err := load.Run(t.Context(), o, []load.Sender{load.Quartet{Client: c, Consistency: client.Eventual}})
		if err != nil || result.Failed()+result.Unknown()+result.Beyond > 0 {
			t.Fatalf("%+v, %v", result.Counts, err)
		}
		return result
	}

	slow := func(result load.Result) (n int64) {
		for _, bar := range result.Latency.Distribution() {
			if bar.From > (stall / 3).Microseconds() {
				n += bar.Count
			}
		}
		return n
	}

	o := open(2000)
	o.Spacing, o.Warmup = load.Fixed, 0
	result := run(o)
	// 300 are due while it stands still, and 200 of them wait for more than a third of it.
	if n, most := slow(result), result.Latency.Max(); n < 150 || most < (stall*9/10).Microseconds() {
		t.Errorf("open: a stall of %s in %s is in the latency of %d requests, of which one took %d µs", stall, o.Duration, n, most)
	}

	o.Rate, o.Concurrency = 0, 4
	if n := slow(run(o)); n > 100 { // those that were outstanding
		t.Errorf("closed: the stall is in the latency of %d requests, want 4: the comparison says nothing", n)
	}
}

// held answers nothing until it is let go.
type held struct {
	mu   sync.Mutex
	done []func(load.Outcome)
}

func (h *held) Send(_ load.Op, done func(load.Outcome)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, done)
	return nil
}

func (h *held) letGo() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, done := range h.done {
		done(load.OK)
	}
	return len(h.done)
}

func TestOpenLoopIsBoundedAndSaysSo(t *testing.T) {
	o := open(4000)
	o.Spacing, o.Concurrency, o.Warmup, o.Duration = load.Fixed, 10, 0, 100*time.Millisecond
	var h held
	var sent int
	var told []load.Progress
	o.Progress = func(p load.Progress) {
		if told = append(told, p); p.Phase == load.Ending && sent == 0 {
			sent = h.letGo()
		}
	}
	result, err := load.Run(t.Context(), o, []load.Sender{&h})
	if err != nil || sent != 10 || result.Ops() != 10 || result.Beyond != 390 {
		t.Errorf("%d sent, %d answers, %d beyond the bound: want 10, 10 and 390; %v", sent, result.Ops(), result.Beyond, err)
	}
	// They were due in the window, so they count, though they ended after it.
	if least := result.Latency.Min(); least < 90_000 {
		t.Errorf("a latency of %d µs", least)
	}
	if last := told[len(told)-1]; last.Answers != 10 || last.Beyond != 390 || last.Share != 1 {
		t.Errorf("the last that was told: %+v", last)
	}
}

func TestOpenLoopStopsAndFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := instant{outcome: func(n int) (load.Outcome, error) {
		if n == 100 {
			cancel()
		}
		return load.OK, nil
	}}
	o := open(10_000)
	o.Duration = time.Hour
	result, err := load.Run(ctx, o, []load.Sender{&s})
	if !errors.Is(err, context.Canceled) || s.outstanding != 0 || result.Answers() != uint64(len(s.ops)) {
		t.Errorf("%v, %d outstanding, %d answers of %d", err, s.outstanding, result.Answers(), len(s.ops))
	}
	broken := instant{outcome: func(n int) (load.Outcome, error) {
		if n%2 == 0 {
			return load.OK, errors.New("not sent")
		}
		return load.OK, nil
	}}
	o = open(2000)
	o.Spacing, o.Warmup, o.Concurrency = load.Fixed, 0, 100
	result, err = load.Run(t.Context(), o, []load.Sender{&broken})
	if err != nil || result.NotSent != 250 || result.Ops() != 250 || result.Failed() != 250 {
		t.Errorf("%d not sent, %d answers, want 250 each; %v", result.NotSent, result.Ops(), err)
	}
}

// Key n is used in proportion to (1+n)^-skew.
func TestZipfsShape(t *testing.T) {
	o := small()
	o.Keys, o.KeyChoice, o.Skew, o.Gets = 1000, load.Zipf, 1.2, 0
	o.Concurrency, o.Rate = 1000, 1_000_000
	o.Warmup, o.Duration = 0, 50*time.Millisecond

	uses := map[string]int{}
	var mu sync.Mutex
	count := sendFunc(func(op load.Op, done func(load.Outcome)) error {
		mu.Lock()
		uses[op.Key]++
		mu.Unlock()
		done(load.OK)
		return nil
	})

	result, err := load.Run(t.Context(), o, []load.Sender{count})
	if err != nil || result.Ops() < 20_000 {
		t.Fatalf("%d requests, %v", result.Ops(), err)
	}
	sum := 0.0
	for n := range o.Keys {
		sum += math.Pow(float64(1+n), -o.Skew)
	}

	for _, n := range []int{0, 1, 4, 19} {
		want := math.Pow(float64(1+n), -o.Skew) / sum
		got := float64(uses["k"+strings.Repeat("0", 13)+string([]byte{byte('0' + n/10), byte('0' + n%10)})]) / float64(result.Ops())
		if got < want*0.8 || got > want*1.2 {
			t.Errorf("key %d is used by %.4f of the requests, want %.4f", n, got, want)
		}
	}

	mu.Lock()
	defer mu.Unlock()
	for key := range uses {
		if len(key) != o.KeySize {
			t.Fatalf("key %q", key)
		}
	}
}

type sendFunc func(load.Op, func(load.Outcome)) error

func (f sendFunc) Send(op load.Op, done func(load.Outcome)) error { return f(op, done) }

// What a recorder of histories needs: each request whole, sets told apart by value, and
// one request at a time in each lane.
func TestObserver(t *testing.T) {
	c := connect(t, responder.Start(t, nil))
	var mu sync.Mutex
	var all []load.Observation
	observe := func(o load.Observation) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, o)
	}

	q := load.Quartet{Client: c, Consistency: client.Linearizable, Observe: observe}
	o := small()
	o.DistinctValues, o.Keys, o.Warmup, o.Duration = true, 3, 0, 50*time.Millisecond

	var answers uint64
	for i, s := range []load.Sender{q, load.QuartetCaller{Quartet: q}} {
		o.Seed = uint64(i)
		result, err := load.Run(t.Context(), o, []load.Sender{s})
		if err != nil {
			t.Fatal(err)
		}
		answers += result.Answers()
	}

	if answers == 0 || uint64(len(all)) != answers {
		t.Fatalf("%d observed of %d", len(all), answers)
	}

	written, free := map[string]bool{}, map[int]time.Time{}
	for _, seen := range all {
		if seen.Op.Type == model.Set && seen.Outcome == load.OK {
			if value := string(seen.Op.Value); written[value] || len(value) != o.ValueSize {
				t.Fatalf("two sets of %q", value)
			} else {
				written[value] = true
			}

		}
		if seen.Ended.Before(seen.Began) || seen.Began.Before(free[seen.Op.Lane]) || seen.Op.Lane < 0 || seen.Op.Lane >= o.Concurrency {
			t.Fatalf("lane %d has two requests at once", seen.Op.Lane)
		}
		free[seen.Op.Lane] = seen.Ended
		answered := seen.Outcome == load.OK || seen.Outcome == load.Missing
		if !answered || seen.Result.RID == 0 {
			t.Fatalf("%+v", seen)
		}
	}

	for _, seen := range all {
		if seen.Op.Type == model.Get && seen.Result.Found && !written[string(seen.Result.Value)] {
			t.Fatalf("read %q, which nobody has written", seen.Result.Value)
		}
	}
}

func TestMoreOptions(t *testing.T) {
	for name, change := range map[string]func(*load.Options){
		"negative rate": func(o *load.Options) { o.Rate = -1 },
		"no rate":       func(o *load.Options) { o.Rate = math.NaN() },
		"endless rate":  func(o *load.Options) { o.Rate = math.Inf(1) },
		"flat zipf":     func(o *load.Options) { o.KeyChoice, o.Skew = load.Zipf, 1 },
		"no skew":       func(o *load.Options) { o.KeyChoice, o.Skew = load.Zipf, math.NaN() },
		"short values":  func(o *load.Options) { o.DistinctValues, o.ValueSize = true, 15 },
	} {
		o := small()
		change(&o)
		if _, err := load.Run(t.Context(), o, []load.Sender{&instant{}}); !errors.Is(err, load.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}

	for _, name := range []string{"uniform", "zipf"} {
		if d, err := load.ParseDistribution(strings.ToUpper(name)); err != nil || d.String() != name {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for _, name := range []string{"poisson", "fixed"} {
		if s, err := load.ParseSpacing(strings.ToUpper(name)); err != nil || s.String() != name {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}

	if _, err := load.ParseDistribution("normal"); err == nil {
		t.Error("a distribution that is not known")
	}
	if _, err := load.ParseSpacing(""); err == nil {
		t.Error("a spacing that is not known")
	}
}
