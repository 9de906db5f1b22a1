package load_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"quartet/client/measure/load"
)

// caller answers each call after a millisecond, and notes how many wait at once.
type caller struct {
	mu                       sync.Mutex
	calls, outstanding, most int
	called                   func(n int)
}

func (c *caller) Call(load.Op) load.Outcome {
	c.mu.Lock()
	c.calls++
	c.outstanding++
	c.most = max(c.most, c.outstanding)
	n := c.calls
	c.mu.Unlock()
	if c.called != nil {
		c.called(n)
	}
	<-time.After(time.Millisecond) // the call takes so long, which is what is measured
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outstanding--
	return load.OK
}

func (c *caller) Send(load.Op, func(load.Outcome)) error { return errors.New("is called, not sent to") }

func TestCallersAreAClosedLoop(t *testing.T) {
	var c caller
	o := small()
	result, err := load.Run(t.Context(), o, []load.Sender{&c})
	if err != nil || c.outstanding != 0 || c.most != o.Concurrency {
		t.Errorf("%d outstanding at the end, %d at most, want 0 and %d; %v", c.outstanding, c.most, o.Concurrency, err)
	}
	if result.Answers() != uint64(c.calls) || result.Ops() == 0 || result.Ops() >= result.Answers() || result.Failed() > 0 {
		t.Errorf("%d of %d calls counted, %d in the window", result.Answers(), c.calls, result.Ops())
	}
	if least := result.Latency.Min(); least < 900 {
		t.Errorf("a latency of %d µs of a call that takes 1,000", least)
	}

	ctx, cancel := context.WithCancel(t.Context())
	stopped := caller{called: func(n int) {
		if n == 100 {
			cancel()
		}
	}}
	o.Duration = time.Hour
	if _, err := load.Run(ctx, o, []load.Sender{&stopped}); !errors.Is(err, context.Canceled) || stopped.outstanding != 0 {
		t.Errorf("%v, %d outstanding", err, stopped.outstanding)
	}
}

func TestRatiosAreOfRounds(t *testing.T) {
	results := func(ops ...uint64) []load.Result {
		var all []load.Result
		for _, n := range ops {
			all = append(all, load.Result{Window: time.Second, Counts: [4]uint64{load.OK: n}})
		}
		return all
	}
	// The medians' ratio would be 1.
	if got, want := load.Ratios(results(10, 20, 30), results(20, 10, 60)), (load.Spread{Median: 0.5, Min: 0.5, Max: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := load.Ratios(results(10, 20), results(0, 10)), (load.Spread{Median: 2, Min: 2, Max: 2}); got != want {
		t.Errorf("a round without an answer of theirs: %+v, want %+v", got, want)
	}
}

func TestCPUPerAnswer(t *testing.T) {
	round := func(cpu time.Duration, inside, outside uint64) load.Result {
		return load.Result{
			CPU: []time.Duration{cpu}, Counts: [4]uint64{load.OK: inside, load.Failed: 7},
			Outside: [4]uint64{load.Missing: outside},
		}
	}
	if us, known := load.CPUPerAnswer([]load.Result{round(time.Second, 900, 100), round(2*time.Second, 400, 600)}, 0); !known ||
		us != 1500 {
		t.Errorf("%v µs, known: %v; want 1500", us, known)
	}
	for name, results := range map[string][]load.Result{
		"a round not known": {round(1, 1, 1), round(-1, 1, 1)}, "no answers": {round(1, 0, 0)}, "no rounds": nil,
		"not asked for": {{Counts: [4]uint64{1}}},
	} {
		if us, known := load.CPUPerAnswer(results, 0); known {
			t.Errorf("%s: %v µs", name, us)
		}
	}
}

// What the system says of this process, which has work to do, and of one that is not there.
func TestProcessorTimeOfARun(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		if load.Local(os.Getpid(), os.Args[0]) {
			t.Error("a process is known where there is no /proc")
		}
		return
	}
	spinning := caller{called: func(int) {
		for began := time.Now(); time.Since(began) < 5*time.Millisecond; {
		}
	}}
	o := small()
	o.Processes = []load.Process{{Name: "self", PID: os.Getpid()}, {Name: "none", PID: 1 << 30}}
	result, err := load.Run(t.Context(), o, []load.Sender{&spinning})
	if err != nil || len(result.CPU) != 2 || result.CPU[0] < 10*time.Millisecond || result.CPU[0] > time.Minute || result.CPU[1] >= 0 {
		t.Errorf("%v, %v", result.CPU, err)
	}
	if !load.Local(os.Getpid(), os.Args[0]) || load.Local(os.Getpid(), "no such argument") || load.Local(1<<30, "") || load.Local(0, "") {
		t.Error("a process of this machine is taken for another")
	}
}
