// Package load promises a measured load: a closed loop that keeps a fixed number of
// requests outstanding and records how long each took and how it ended. Replies are
// taken, and the next requests sent, in the connections' own goroutines, so that no
// goroutine per request takes part in what is measured; only a [Caller] has one.
//
// A [Bucket] of NATS JetStream can be driven in two ways: as its users do, by the
// official Go API, and through the very same loop and transport as a cluster, which
// compares the stores and not their clients. [Compare] runs any of them in turn.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"quartet/replica/model"
)

// ErrOptions is wrapped by errors about impossible [Options].
var ErrOptions = errors.New("load: impossible options")

// What the histogram can hold: 1 µs to 1 minute, with three significant digits.
const (
	lowest  = 1
	highest = int64(time.Minute / time.Microsecond)
	digits  = 3
)

// Op is one request of the load. Its strings and bytes are shared and never written to.
type Op struct {
	Type  model.Type
	Key   string
	Value []byte // of a set
}

// Outcome is how a request ended.
type Outcome uint8

// The outcomes. A get of a missing key is an answer.
const (
	OK Outcome = iota
	Missing
	Failed  // definitely without effect
	Unknown // no reply, or a reply that does not know
)

// Sender sends one request without waiting. done is called once, from a goroutine that
// must not be blocked, unless Send returns an error: then nothing was sent.
type Sender interface {
	Send(op Op, done func(Outcome)) error
}

// Caller is a sender whose requests are driven by calls that wait, in one goroutine for
// each that is outstanding. Call's requests end after the timeout that the caller was
// made with, at the latest.
type Caller interface {
	Sender
	Call(op Op) Outcome
}

// Options describe a load.
type Options struct {
	Concurrency int           // requests outstanding, over all senders: 1 to 65,536
	Warmup      time.Duration // before anything counts
	Duration    time.Duration // that counts
	Gets        int           // percentage of gets, 0 to 100
	Keys        int           // how many keys are used, each equally often: 1 to 10,000,000
	KeySize     int           // bytes, enough for the number of the key
	ValueSize   int           // bytes
	Seed        uint64        // of the choice of keys and of gets

	// Processes are those whose processor time is measured, where there is a /proc.
	Processes []Process
}

// Check refuses impossible options.
func (o *Options) Check() error {
	switch {
	case o.Concurrency < 1 || o.Concurrency > 65536:
		return fmt.Errorf("%w: concurrency %d (want 1 to 65536)", ErrOptions, o.Concurrency)
	case o.Duration <= 0 || o.Warmup < 0:
		return fmt.Errorf("%w: a duration that is not positive", ErrOptions)
	case o.Gets < 0 || o.Gets > 100:
		return fmt.Errorf("%w: %d %% of gets", ErrOptions, o.Gets)
	case o.Keys < 1 || o.Keys > 10_000_000:
		return fmt.Errorf("%w: %d keys (want 1 to 10000000)", ErrOptions, o.Keys)
	case o.KeySize > model.MaxKey || o.KeySize < len(fmt.Sprint("k", o.Keys-1)):
		return fmt.Errorf("%w: keys of %d bytes (want %d to %d for %d keys)", ErrOptions, o.KeySize, len(fmt.Sprint("k", o.Keys-1)), model.MaxKey, o.Keys)
	case o.ValueSize < 0 || o.KeySize+o.ValueSize > model.MaxKeyValue:
		return fmt.Errorf("%w: values of %d bytes (key and value: at most %d)", ErrOptions, o.ValueSize, model.MaxKeyValue)
	}
	return nil
}

// Result is what a run measured.
type Result struct {
	Window  time.Duration // in which the counted requests ended
	Counts  [4]uint64     // by Outcome, in the window
	Outside [4]uint64     // by Outcome, before and after it
	NotSent uint64        // requests that could not be sent; each ended its place in the loop
	Latency *hdrhistogram.Histogram

	// CPU is what each of [Options.Processes] used, user and system, over the whole run;
	// negative where that is not known. The system counts in steps of 10 ms.
	CPU []time.Duration
}

// Ops returns how many answers came in the window.
func (r *Result) Ops() uint64 { return r.Counts[OK] + r.Counts[Missing] }

// Answers returns how many answers came, at any time of the run: what [Result.CPU] was
// used for.
func (r *Result) Answers() uint64 { return r.Ops() + r.Outside[OK] + r.Outside[Missing] }

// Rate returns the answers per second.
func (r *Result) Rate() float64 {
	if r.Window <= 0 {
		return 0
	}
	return float64(r.Ops()) / r.Window.Seconds()
}

// Failed returns how many requests failed, at any time of the run.
func (r *Result) Failed() uint64 { return r.Counts[Failed] + r.Outside[Failed] + r.NotSent }

// Unknown returns how many ended without a known outcome, at any time of the run.
func (r *Result) Unknown() uint64 { return r.Counts[Unknown] + r.Outside[Unknown] }

// Keys returns the names of the load's keys. They are letters and digits.
func (o *Options) keys() []string {
	keys := make([]string, o.Keys)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%0*d", o.KeySize-1, i)
	}
	return keys
}

func (o *Options) value() []byte {
	value := make([]byte, o.ValueSize)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	return value
}

// Fill sets every key once, 64 at a time, so that gets find something. Any set that
// does not succeed is an error.
func Fill(ctx context.Context, o Options, s Sender) error {
	if err := o.Check(); err != nil {
		return err
	}
	const window = 64
	free := make(chan struct{}, window)
	for range window {
		free <- struct{}{}
	}
	var bad atomic.Int64
	value := o.value()
	take := func() error {
		select {
		case <-free:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, key := range o.keys() {
		if err := take(); err != nil {
			return err
		}
		err := s.Send(Op{model.Set, key, value}, func(outcome Outcome) {
			if outcome != OK {
				bad.Add(1)
			}
			free <- struct{}{}
		})
		if err != nil {
			return fmt.Errorf("load: fill: %w", err)
		}
	}
	for range window {
		if err := take(); err != nil {
			return err
		}
	}
	if n := bad.Load(); n > 0 {
		return fmt.Errorf("load: fill: %d of %d keys could not be set", n, o.Keys)
	}
	return nil
}

// Run puts the load on the senders, which share its concurrency evenly, and returns once
// every request has ended. When ctx ends it stops early with what it has; the error then
// is ctx's cause.
func Run(ctx context.Context, o Options, senders []Sender) (Result, error) {
	if err := o.Check(); err != nil {
		return Result{}, err
	}
	if len(senders) == 0 || len(senders) > o.Concurrency {
		return Result{}, fmt.Errorf("%w: %d senders for %d requests at once", ErrOptions, len(senders), o.Concurrency)
	}
	keys, value := o.keys(), o.value()
	before := cpuTimes(o.Processes)
	start := time.Now()
	w := window{from: start.Add(o.Warmup), to: start.Add(o.Warmup + o.Duration)}
	stop := context.AfterFunc(ctx, func() { w.stopped.Store(true) })
	defer stop()
	workers := make([]*worker, len(senders))
	var group sync.WaitGroup
	group.Add(o.Concurrency)
	for i, sender := range senders {
		workers[i] = &worker{
			sender: sender, window: &w, group: &group, gets: o.Gets, keys: keys, value: value,
			rng:    rand.New(rand.NewPCG(o.Seed, uint64(i))),
			result: Result{Latency: hdrhistogram.New(lowest, highest, digits)},
		}
	}
	for i := range o.Concurrency {
		workers[i%len(workers)].start()
	}
	group.Wait()
	total := Result{Window: min(o.Duration, max(0, time.Since(w.from))), Latency: hdrhistogram.New(lowest, highest, digits)}
	total.CPU = cpuUsed(before, cpuTimes(o.Processes))
	for _, worker := range workers {
		worker.addTo(&total)
	}
	return total, context.Cause(ctx)
}
