package replica

import (
	"quartet/replica/message"
	"quartet/replica/model"
)

// executed is the table of executed requests (rule S5): identity → first outcome, for
// the last sets of the total order. It is part of the replicated state: filled and
// trimmed at delivery only, so at one position it is the same on every replica.
type executed struct {
	outcomes map[identity]outcome
	order    []identity // ring, oldest at next once it is full
	next     int
}

// outcome is how a set ended the first time.
type outcome struct {
	rid       uint64
	digest    uint64
	position  uint64 // strong sets
	timestamp uint64 // causal sets
}

// defaultWindow is what the public contract promises for Nats-Msg-Id.
const defaultWindow = 100_000

func newExecuted(window int) executed {
	if window <= 0 {
		window = defaultWindow
	}
	return executed{outcomes: map[identity]outcome{}, order: make([]identity, 0, window)}
}

func (e *executed) lookup(r *message.Request) (outcome, bool) {
	o, ok := e.outcomes[identityOf(r)]
	return o, ok
}

// add remembers a first outcome; the oldest leaves when the table is full.
func (e *executed) add(r *message.Request, o outcome) {
	id := identityOf(r)
	if len(e.order) < cap(e.order) {
		e.order = append(e.order, id)
	} else {
		delete(e.outcomes, e.order[e.next])
		e.order[e.next] = id
		e.next = (e.next + 1) % len(e.order)
	}
	e.outcomes[id] = o
}

// answerAgain answers a set whose identity was seen before: with the first outcome, or,
// if the identity was used for a different request, with a conflict.
func (m *Machine) answerAgain(r *message.Request, first outcome) {
	if first.digest != r.Digest {
		m.fail(r, model.Conflict, "the Nats-Msg-Id was used for a different request")
		return
	}
	a := message.Answer{RID: r.RID, Code: model.OK, Position: first.position, Timestamp: first.timestamp}
	if first.rid != r.RID {
		a.FirstRID = first.rid
	}
	m.answer(a)
}
