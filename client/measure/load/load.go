// Package load is a measured load. A closed loop keeps a fixed number of requests outstanding; an
// open loop sends at a given rate, whatever becomes of the requests before. It promises how long
// each request took and how it ended; the latency of an open loop counts from the moment when a
// request was due, so that a stall is not hidden by the generator's waiting for it. Replies are
// taken, and a closed loop's next requests sent, in the connections' own goroutines, so that no
// goroutine per request takes part in what is measured; only a [Caller], which is what most
// programs are, has one.
//
// A [Bucket] of NATS JetStream can be driven in two ways: as its users do, by the
// official Go API, and through the very same loop and transport as a cluster, which
// compares the stores and not their clients. [Compare] runs any of them in turn.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"quartet/bus/model"
)

// Op is one request of the load. Its strings and bytes are shared and never written to.
type Op struct {
	Type  model.Type
	Key   string
	Value []byte        // of a set
	TTL   time.Duration // of a set's value; 0: it has no end
	// Lane says which of the outstanding requests it is, 0 to Concurrency-1. One lane has one
	// request at a time, except that the requests of a [Fill] all have lane 0.
	Lane int
	// Due is when an open loop's request was due; the zero time in a closed loop.
	Due time.Time
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

// Caller is a sender whose requests are calls that wait, each in a goroutine of its own. Call's
// requests end after the timeout that the caller was made with, at the latest.
type Caller interface {
	Sender
	Call(op Op) Outcome
}

// FillError says how many keys a [Fill] could not set, and how those sets ended.
type FillError struct {
	Refused, Unknown uint64 // definitely without effect; of unknown outcome
	Keys             int    // that were to be set
}

// Error says it in one line.
func (e *FillError) Error() string {
	return fmt.Sprintf("load: fill: %d of %d keys could not be set (%d refused, %d of unknown outcome)",
		e.Refused+e.Unknown, e.Keys, e.Refused, e.Unknown)
}

// Fill sets every key once so that gets find a value, up to 256 at a time (fewer if values are
// large). Where any set does not succeed the error is a [*FillError]. Distinct values are numbered
// from 1, as in a run: the two need a series each.
func Fill(ctx context.Context, o Options, s Sender) error {
	if err := o.Check(); err != nil {
		return err
	}

	// Outstanding requests have to stay far below what a server keeps for a slow consumer.
	window := min(256, max(8, (4<<20)/(o.KeySize+o.ValueSize)))
	free := make(chan struct{}, window)
	for range window {
		free <- struct{}{}
	}

	var bad, unknown, good atomic.Uint64
	began := time.Now()
	defer report(o.Progress, func() Progress {
		return Progress{
			Phase: Filling, Elapsed: time.Since(began), Share: float64(good.Load()) / float64(o.Keys),
			Answers: good.Load(), Failed: bad.Load() + unknown.Load(),
		}
	})()

	acquire := func() error {
		select {
		case <-free:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}

	keys, value := o.keyspace(), o.value()
	for i := range o.Keys {
		if err := acquire(); err != nil {
			return err
		}
		if o.DistinctValues {
			value = o.distinct(value, uint64(i)+1)
		}
		err := s.Send(Op{Type: model.Set, Key: keys.key(i), Value: value, TTL: o.TTL}, func(outcome Outcome) {
			switch outcome {
			case OK:
				good.Add(1)
			case Unknown:
				unknown.Add(1)
			default:
				bad.Add(1)
			}
			free <- struct{}{}
		})
		if err != nil {
			return fmt.Errorf("load: fill: %w", err)
		}
	}

	// All of the window is free once every set has ended.
	for range window {
		if err := acquire(); err != nil {
			return err
		}
	}

	if refused, unsure := bad.Load(), unknown.Load(); refused+unsure > 0 {
		return &FillError{Refused: refused, Unknown: unsure, Keys: o.Keys}
	}
	return nil
}

// run is what the parts of one run share.
type run struct {
	o         Options
	window    window
	keys      keyspace
	value     []byte
	group     sync.WaitGroup // a lane in use counts one
	workers   []*worker
	recorders []*recorder
	values    atomic.Uint64 // how many distinct values were used
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

	r := newRun(o, senders)
	before := cpuTimes(o.Processes)
	start := time.Now()
	r.window.from, r.window.to = start.Add(o.Warmup), start.Add(o.Warmup+o.Duration)
	if o.Opens != nil {
		o.Opens(r.window.from, r.window.to)
	}

	stop := context.AfterFunc(ctx, func() { r.window.stopped.Store(true) })
	defer stop()
	finish := report(o.Progress, func() Progress { return r.progress(start) })

	if o.Rate > 0 {
		r.open(start)
	} else {
		r.closed()
	}
	r.group.Wait()
	finish()

	total := r.total()
	total.Window = o.Duration
	// An open loop with nothing more due ends before its time is over, and that counts.
	if o.Rate == 0 || ctx.Err() != nil {
		total.Window = min(o.Duration, max(0, time.Since(r.window.from)))
	}
	total.CPU = cpuUsed(before, cpuTimes(o.Processes))
	return total, context.Cause(ctx)
}

// maxRecorders bounds the memory of a run: a histogram takes about 150 KB, and a lock
// shared by several connections costs less than a histogram for each.
const maxRecorders = 8

func newRun(o Options, senders []Sender) *run {
	r := &run{o: o, keys: o.keyspace(), value: o.value()}
	for range min(len(senders), maxRecorders) {
		r.recorders = append(r.recorders, newRecorder(o.Rate > 0))
	}
	for i, sender := range senders {
		w := &worker{
			run: r, sender: sender, recorder: r.recorders[i%len(r.recorders)],
			rng: rand.New(rand.NewPCG(o.Seed, uint64(i))),
		}
		if o.KeyChoice == Zipf {
			w.zipf = rand.NewZipf(w.rng, o.Skew, 1, uint64(o.Keys-1))
		}
		r.workers = append(r.workers, w)
	}
	return r
}

// total adds up what the recorders hold.
func (r *run) total() Result {
	total := newRecorder(r.o.Rate > 0).result
	for _, rec := range r.recorders {
		rec.mu.Lock()
		total.add(&rec.result)
		rec.mu.Unlock()
	}
	return total
}

// progress returns how far the run is.
func (r *run) progress(start time.Time) Progress {
	now := time.Now()
	p := Progress{Phase: Measuring, Elapsed: now.Sub(start)}
	switch {
	case r.window.over(now):
		p.Phase = Ending
	case now.Before(r.window.from):
		p.Phase = WarmingUp
	}

	p.Share = min(1, p.Elapsed.Seconds()/(r.o.Warmup+r.o.Duration).Seconds())
	for _, rec := range r.recorders {
		rec.mu.Lock()
		p.Answers += rec.result.Answers()
		p.Failed += rec.result.Failed()
		p.Unknown += rec.result.Unknown()
		p.Beyond += rec.result.Beyond
		rec.mu.Unlock()
	}
	return p
}

// reportEvery is how often a progress is told of.
const reportEvery = 250 * time.Millisecond

// report tells to what now returns, every reportEvery, until the function that it returns is
// called, which tells the end.
func report(to func(Progress), now func() Progress) (finish func()) {
	if to == nil {
		return func() {}
	}
	var reporter sync.WaitGroup
	end := make(chan struct{})
	reporter.Go(func() {
		ticker := time.NewTicker(reportEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				to(now())
			case <-end:
				to(now())
				return
			}
		}
	})

	return func() {
		close(end)
		reporter.Wait()
	}
}
