package sim

import (
	"quartet/replica/message"
)

// event is something that happens at a moment.
type event struct {
	at    int64
	order uint64 // of events at one moment: as they were scheduled
	kind  eventKind
	node  int // or session
	msg   message.Message
	sent  *sending
	reply *outcome
	fault *fault
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
)

// agenda is a heap of events by time.
type agenda struct {
	events []event
	order  uint64
}

func (a *agenda) less(i, j int) bool {
	if a.events[i].at != a.events[j].at {
		return a.events[i].at < a.events[j].at
	}
	return a.events[i].order < a.events[j].order
}

func (a *agenda) push(e event) {
	a.order++
	e.order = a.order
	a.events = append(a.events, e)
	for i := len(a.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.less(i, parent) {
			break
		}
		a.events[i], a.events[parent] = a.events[parent], a.events[i]
		i = parent
	}
}

func (a *agenda) pop() event {
	top := a.events[0]
	last := len(a.events) - 1
	a.events[0] = a.events[last]
	a.events[last] = event{}
	a.events = a.events[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if a.less(child, least) {
				least = child
			}
		}
		if least == i {
			return top
		}
		a.events[i], a.events[least] = a.events[least], a.events[i]
		i = least
	}
}
