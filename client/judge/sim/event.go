package sim

import (
	"quartet/bus/message"
)

// event is something that happens at a moment.
type event struct {
	at    int64
	kind  eventKind
	node  int // or session
	msg   message.Message
	sent  *sending
	reply *reply
	fault *fault
	cmd   *command
	pid   int

	watched *watched
	listing *listing
}

type eventKind uint8

const (
	arrives     eventKind = iota // a message reaches a node's inbox
	ticks                        // a node's clock ticks
	turns                        // a node takes its turn
	asks                         // a request reaches the master
	answers                      // a reply reaches a session
	goesOn                       // a session makes its next request
	givesUp                      // a session has waited for long enough
	faultBegins                  // and ends
	faultEnds
	heals
	commands // a command reaches the registry
	results  // its outcome reaches the master
	revives  // a process is started again
	noticed  // a supervisor sees that a process has ended
	watches  // a watcher looks whether its stream is silent
	listens  // an event reaches a watcher
	lists    // a lister asks for its next page
	pages    // a page, or a refusal, reaches a lister
	tidies   // an operator takes a disk away that does not belong to its replica
)

// agenda is a heap of events by time. It orders entries without pointers, which is what
// a run spends much of its time on; the events themselves stay where they are.
type agenda struct {
	heap  []due
	slots []event
	free  []int
	order uint64
}

type due struct {
	at    int64
	order uint64 // of events at one moment: as they were scheduled
	slot  int
}

func (d due) before(e due) bool {
	if d.at != e.at {
		return d.at < e.at
	}
	return d.order < e.order
}

func (a *agenda) push(e event) {
	slot := len(a.slots)
	if last := len(a.free) - 1; last >= 0 {
		slot = a.free[last]
		a.free = a.free[:last]
		a.slots[slot] = e
	} else {
		a.slots = append(a.slots, e)
	}
	a.order++
	a.heap = append(a.heap, due{at: e.at, order: a.order, slot: slot})
	for i := len(a.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.heap[i].before(a.heap[parent]) {
			break
		}
		a.heap[i], a.heap[parent] = a.heap[parent], a.heap[i]
		i = parent
	}
}

func (a *agenda) pop() event {
	slot := a.heap[0].slot
	e := a.slots[slot]
	a.slots[slot] = event{}
	a.free = append(a.free, slot)
	last := len(a.heap) - 1
	a.heap[0] = a.heap[last]
	a.heap = a.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if a.heap[child].before(a.heap[least]) {
				least = child
			}
		}
		if least == i {
			return e
		}
		a.heap[i], a.heap[least] = a.heap[least], a.heap[i]
		i = least
	}
}
