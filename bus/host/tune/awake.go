package tune

import (
	"runtime"
	"sync/atomic"
)

// Awake keeps the Go runtime's monitor thread (sysmon) out of deep sleep while there is
// work. A node's turns are bursts of some 50 µs with nothing in between. In each pause all
// of the runtime's processors are idle, so the monitor goes to deep sleep; the next
// burst's first system call wakes it again by a futex, in the path of the request, and it
// then looks around every 20 µs until the burst is over. That was a quarter of a replica's
// processor time under load. One goroutine that is always within a system call, a sleep,
// keeps one processor (which is added for it) from being idle; the monitor then finds
// nothing to do for long, and backs off to a look every 10 ms. See sysmon and retake in
// Go's runtime/proc.go: a processor whose goroutine has not changed for 10 ms is taken
// from a system call, so a sleep is shorter.
//
// Where nothing is to be done it would cost about a percent of a processor, so the
// goroutine waits then, and the added processor is given back.
//
// A nil Awake does nothing. Everything but Close belongs to the loop's goroutine.
type Awake struct {
	procs  int // without the one that is added
	turns  int // with messages, since the last tick
	quiet  int // quiet ticks in a row
	busy   atomic.Bool
	wake   chan struct{} // capacity 1
	closed chan struct{}
}

// busyTurns is the number of turns that makes a tick of a loop a busy one: an idle cluster's
// heartbeats make fewer.
const busyTurns = 2

// quietTicks is the number of quiet ticks in a row, of 10 ms each, after which the goroutine
// sleeps.
const quietTicks = 20

func newAwake() *Awake {
	a := &Awake{procs: runtime.GOMAXPROCS(0), wake: make(chan struct{}, 1), closed: make(chan struct{})}
	go a.keep()
	return a
}

// Turn tells a of a turn of the loop: whether there were messages, and whether it was a tick's.
func (a *Awake) Turn(messages, tick bool) {
	if a == nil {
		return
	}
	if messages {
		a.turns++
	}
	if !tick {
		return
	}

	switch {
	case a.turns >= busyTurns:
		a.quiet = 0
		if !a.busy.Swap(true) {
			select {
			case a.wake <- struct{}{}:
			default:
			}
		}
	case a.quiet < quietTicks: // work may come back at once
		a.quiet++
	default:
		a.busy.Store(false)
	}
	a.turns = 0
}

// Close ends the goroutine.
func (a *Awake) Close() {
	if a != nil {
		close(a.closed)
	}
}

// keep is the goroutine: it sleeps and wakes while there is work, and waits while there is none.
func (a *Awake) keep() {
	for {
		select {
		case <-a.wake:
		case <-a.closed:
			return
		}

		runtime.GOMAXPROCS(a.procs + 1)
		for a.busy.Load() {
			sleep()
			runtime.Gosched() // another turn of this goroutine, for the monitor
		}
		runtime.GOMAXPROCS(a.procs)
	}
}
