package watching

import (
	"quartet/bus/message"
	"quartet/bus/model"
)

// watch is a stream of events to one watcher. It is live (told of each change as it comes), or it
// is behind: it has changes from next on to be told, and a scan before those.
type watch struct {
	id     uint64
	stream string // its name
	to     *message.Watcher
	prefix string
	weak   bool // models 3 and 4
	causal bool // model 3
	feed   *feed
	began  uint64 // position

	scan     *scan // what is there is being told; nil: it has been, or was not asked for
	next     uint64
	caught   bool
	caughtAt uint64 // index at which it has caught up
	live     bool
	blocked  bool // it is to acknowledge first
	over     bool

	history  message.History // that it was told last
	sequence uint64
	sent     uint64 // bytes
	acked    uint64 // … that are acknowledged
	asked    uint64 // bytes sent when an acknowledgement was last asked for
	marks    []mark // rising
	missed   uint64 // changes from counted on that wait
	counted  uint64 // index

	beatAt uint64 // tick
	said   uint64 // index: it was told that it has all before that
}

// mark is how many bytes were sent with an event that is to be acknowledged.
type mark struct{ sequence, sent uint64 }

// fits reports whether an event of so many bytes may be sent before anything more is acknowledged.
func (at *watch) fits(size int) bool {
	ahead := at.sent - at.acked
	return ahead == 0 || ahead+uint64(size) <= Window
}

// note counts an event that leaves, gives it its sequence, and reports whether it is to be
// acknowledged: the first, heartbeats, and one in each 64 KiB.
func (at *watch) note(e *model.Event) bool {
	at.sequence++
	e.Sequence = at.sequence
	if e.Kind != model.EventHeartbeat {
		at.sent += uint64(e.Size())
	}

	isSign := at.sequence == 1 || e.Kind == model.EventHeartbeat || e.Kind == model.EventCaughtUp
	if !isSign && at.sent-at.asked < FlowBytes {
		return false
	}
	at.asked = at.sent
	if len(at.marks) == mostMarks {
		at.marks = append(at.marks[:0], at.marks[1:]...)
	}
	at.marks = append(at.marks, mark{at.sequence, at.sent})
	return true
}

// acknowledge takes the watcher's word for all up to a sequence.
func (at *watch) acknowledge(sequence uint64) {
	n := 0
	for n < len(at.marks) && at.marks[n].sequence <= sequence {
		at.acked = max(at.acked, at.marks[n].sent)
		n++
	}
	at.marks = append(at.marks[:0], at.marks[n:]...)
}

// event is a change as the watch is told of it.
func (at *watch) event(c *message.Change) model.Event {
	e := model.Event{Kind: c.Kind.Event(), Key: c.Key, Revision: c.Revision, Expires: c.Expires}
	if c.Kind == message.ChangeSet {
		e.Value = c.Value
	}
	if at.weak {
		e.Version = c.Version
	}
	if at.causal {
		e.Timestamp = c.Number
	}
	return e
}

// value is what was there, as the watch is told of it.
func (at *watch) value(c *message.Change) model.Event {
	e := at.event(c)
	e.Kind, e.Initial = model.EventValue, true
	return e
}
