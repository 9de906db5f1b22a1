package load

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"quartet/bus/model"
)

// window is the time that counts.
type window struct {
	from, to time.Time
	stopped  atomic.Bool
}

// over reports whether nothing more needs to be sent.
func (w *window) over(now time.Time) bool { return now.After(w.to) || w.stopped.Load() }

func (w *window) holds(t time.Time) bool { return !t.Before(w.from) && !t.After(w.to) }

// recorder keeps the result of some of the workers. Its lock is contended only where
// replies come in several goroutines.
type recorder struct {
	mu     sync.Mutex
	result Result
}

func newRecorder(open bool) *recorder {
	r := &recorder{result: Result{Latency: newHistogram()}}
	if open {
		r.result.Late = newHistogram()
	}
	return r
}

func (r *recorder) record(counts bool, latency time.Duration, outcome Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !counts {
		r.result.Outside[outcome]++
		return
	}
	r.result.Counts[outcome]++
	if outcome == OK || outcome == Missing {
		recordIn(r.result.Latency, latency)
	}
}

func (r *recorder) notSent() {
	r.mu.Lock()
	r.result.NotSent++
	r.mu.Unlock()
}

// worker chooses what is sent through one sender.
type worker struct {
	run      *run
	sender   Sender
	recorder *recorder

	mu   sync.Mutex
	rng  *rand.Rand
	zipf *rand.Zipf // nil: uniform
}

// next chooses the request that a lane sends.
func (w *worker) next(lane int) Op {
	r := w.run
	op := Op{Type: model.Set, Value: r.value, TTL: r.o.TTL, Lane: lane}

	w.mu.Lock()

	var key int
	if w.zipf != nil {
		key = int(w.zipf.Uint64())
	} else {
		key = w.rng.IntN(r.keys.n)
	}
	if r.o.Gets > 0 && w.rng.IntN(100) < r.o.Gets {
		op.Type, op.Value, op.TTL = model.Get, nil, 0
	}
	w.mu.Unlock()

	op.Key = r.keys.key(key)
	if r.o.DistinctValues && op.Type == model.Set {
		op.Value = r.o.distinct(r.value, r.values.Add(1))
	}
	return op
}

// lane is one of the requests that a closed loop has outstanding, always.
type lane struct {
	w     *worker
	n     int
	began time.Time
	done  func(Outcome)
}

// closed starts a closed loop.
func (r *run) closed() {
	r.group.Add(r.o.Concurrency)
	for i := range r.o.Concurrency {
		p := &lane{w: r.workers[i%len(r.workers)], n: i}
		if caller, ok := p.w.sender.(Caller); ok {
			go p.call(caller)
			continue
		}
		p.done = p.ended
		p.send(time.Now())
	}
}

// call makes one request after the other until the run is over.
func (p *lane) call(c Caller) {
	r := p.w.run
	defer r.group.Done()
	for now := time.Now(); !r.window.over(now); {
		began := now
		outcome := c.Call(p.w.next(p.n))
		now = time.Now()
		p.w.recorder.record(r.window.holds(now), now.Sub(began), outcome)
	}
}

// send sends the next request; a lane that cannot send, or need not any more, is given up.
func (p *lane) send(now time.Time) {
	r := p.w.run
	if r.window.over(now) {
		r.group.Done()
		return
	}
	p.began = now
	if err := p.w.sender.Send(p.w.next(p.n), p.done); err != nil {
		p.w.recorder.notSent()
		r.group.Done()
	}
}

// ended sends the next request at once. The connection's write buffer gathers what a
// train of replies releases; a goroutine that gathers it first was tried and won nothing.
func (p *lane) ended(outcome Outcome) {
	now := time.Now()
	p.w.recorder.record(p.w.run.window.holds(now), now.Sub(p.began), outcome)
	p.send(now)
}
