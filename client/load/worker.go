package load

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"quartet/replica/model"
)

// window is the time that counts.
type window struct {
	from, to time.Time
	stopped  atomic.Bool
}

// over reports whether nothing more needs to be sent.
func (w *window) over(now time.Time) bool { return now.After(w.to) || w.stopped.Load() }

// worker keeps its places in the loop busy through one sender. Its lock is contended
// only where a sender calls done from more than one goroutine.
type worker struct {
	sender Sender
	window *window
	group  *sync.WaitGroup // one for each place
	gets   int
	keys   []string
	value  []byte

	mu     sync.Mutex
	rng    *rand.Rand
	result Result
}

// place is one of the requests that are outstanding.
type place struct {
	w     *worker
	began time.Time
	done  func(Outcome)
}

func (w *worker) start() {
	p := &place{w: w}
	if caller, ok := w.sender.(Caller); ok {
		go p.call(caller)
		return
	}
	p.done = p.ended
	p.send(time.Now())
}

// call makes one request after the other.
func (p *place) call(c Caller) {
	defer p.w.group.Done()
	for now := time.Now(); !p.w.window.over(now); {
		began := now
		outcome := c.Call(p.w.next())
		now = time.Now()
		p.w.record(began, now, outcome)
	}
}

// send sends the next request; a place that cannot, or need not any more, is given up.
func (p *place) send(now time.Time) {
	w := p.w
	if w.window.over(now) {
		w.group.Done()
		return
	}
	p.began = now
	if err := w.sender.Send(w.next(), p.done); err != nil {
		w.mu.Lock()
		w.result.NotSent++
		w.mu.Unlock()
		w.group.Done()
	}
}

// ended sends the next request at once. The connection's write buffer gathers what a
// train of replies releases; a goroutine that gathers it first was tried and won nothing.
func (p *place) ended(outcome Outcome) {
	now := time.Now()
	p.w.record(p.began, now, outcome)
	p.send(now)
}

func (w *worker) next() Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	op := Op{Type: model.Set, Key: w.keys[w.rng.IntN(len(w.keys))], Value: w.value}
	if w.gets > 0 && w.rng.IntN(100) < w.gets {
		op.Type, op.Value = model.Get, nil
	}
	return op
}

// record counts a request by when it ended: whatever ends in the window was served in it.
func (w *worker) record(began, now time.Time, outcome Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Before(w.window.from) || now.After(w.window.to) {
		w.result.Outside[outcome]++
		return
	}
	w.result.Counts[outcome]++
	if outcome == OK || outcome == Missing {
		us := min(max(now.Sub(began).Microseconds(), lowest), highest)
		_ = w.result.Latency.RecordValue(us) // within its range
	}
}

func (w *worker) addTo(total *Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range total.Counts {
		total.Counts[i] += w.result.Counts[i]
		total.Outside[i] += w.result.Outside[i]
	}
	total.NotSent += w.result.NotSent
	total.Latency.Merge(w.result.Latency)
}
