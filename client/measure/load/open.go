package load

import (
	"math/rand/v2"
	"runtime"
	"time"
)

// slot is one of the requests that an open loop may have outstanding.
type slot struct {
	w    *worker
	n    int
	due  time.Time
	free chan<- *slot
	done func(Outcome)
}

// open runs an open loop and returns once all requests are sent that were due.
func (r *run) open(start time.Time) {
	// Never blocks: it has room for every slot.
	free := make(chan *slot, r.o.Concurrency)
	for i := range r.o.Concurrency {
		s := &slot{w: r.workers[i%len(r.workers)], n: i, free: free}
		s.done = s.ended
		free <- s
	}

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// The thread is ours and ends with this goroutine, its timers as fine as we set them.
		runtime.LockOSThread()
		fineTimers()
		r.dispatch(start, free)
	}()
	<-sent
}

// dispatch sends each request when it is due. A request that finds no slot free is counted, not
// kept: it would only be sent into a system that has not answered earlier ones.
func (r *run) dispatch(start time.Time, free chan *slot) {
	next := r.schedule(start)
	for due := next(); !due.After(r.window.to); due = next() {
		if !r.await(due) {
			return
		}
		select {
		case s := <-free:
			r.group.Add(1)
			s.send(due)
		default:
			rec := r.recorders[0]
			rec.mu.Lock()
			rec.result.Beyond++
			rec.mu.Unlock()
		}
	}
}

// schedule returns a function that returns when the next request is due.
func (r *run) schedule(start time.Time) func() time.Time {
	rng := rand.New(rand.NewPCG(r.o.Seed, ^uint64(0)))
	at := 0.0 // in requests of an even distance, so that no error adds up
	return func() time.Time {
		if r.o.Spacing == Fixed {
			at++
		} else {
			at += rng.ExpFloat64()
		}
		return start.Add(time.Duration(at / r.o.Rate * float64(time.Second)))
	}
}

// longestNap bounds how long it takes to notice that the run is to stop.
const longestNap = 20 * time.Millisecond

// await waits until due; it returns false if the run is to stop.
func (r *run) await(due time.Time) bool {
	for !r.window.stopped.Load() {
		left := time.Until(due)
		if left <= 0 {
			return true
		}
		nap(min(left, longestNap))
	}
	return false
}

func (s *slot) send(due time.Time) {
	r := s.w.run
	s.due = due
	if r.window.holds(due) {
		rec := s.w.recorder
		rec.mu.Lock()
		recordIn(rec.result.Late, time.Since(due))
		rec.mu.Unlock()
	}

	op := s.w.next(s.n)
	op.Due = due
	if err := s.w.sender.Send(op, s.done); err != nil {
		s.w.recorder.notSent()
		s.free <- s
		r.group.Done()
	}
}

func (s *slot) ended(outcome Outcome) {
	r := s.w.run
	s.w.recorder.record(r.window.holds(s.due), time.Since(s.due), outcome)
	s.free <- s
	r.group.Done()
}
