package replica

import (
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// eventual: the accepting replica applies a set to its tentative layer, answers, and
// broadcasts it; the others apply it on receipt. When the total order delivers it, it is
// committed if its version is greater than the committed one, and leaves the tentative
// layer. So at rest the tentative layer is empty and all replicas are equal by the same
// order that serves the strong models, and a weak write never makes a strong read travel
// back in time.

type eventual struct{ machine *Machine }

// set applies, answers, broadcasts. A set with an identity that was executed, or is on its
// way, is not broadcast again.
func (e *eventual) set(r *message.Request) {
	m := e.machine
	if first, ok := m.layers.Executed(r); ok {
		m.answerAgain(r, first)
		return
	}
	if first, ok := m.layers.Received(r); ok {
		m.answerAgain(r, first)
		return
	}
	if m.layers.TooOld(r, m.forwarded) {
		m.refuseTooOld(r)
		return
	}
	if m.layers.Late(r, r.Came, m.forwarded) {
		m.drop()
		return
	}

	// A set that is not above the floor was executed nowhere, for else the table would know it.
	// Whether one that is not above the horizon was, is known once that is the floor (rule O42).
	switch {
	case !m.layers.Floor().Less(r.Version):
		m.stampAnew(r)
		return
	case !m.shut.Less(r.Version):
		m.holdAtDoor(r)
		return
	}

	r.First, r.Came = 0, 0 // nobody asks any more
	if waiting, _ := m.layers.Tentative(); waiting >= tentativeMost {
		m.fail(r, model.Unavailable, "too many weak writes wait for a member that does not answer")
		return
	}
	m.layers.Accept(r)
	if m.cast != nil { // else it is submitted when the next view is installed
		m.cast.Submit(message.Operation{Op: message.OpWeak, Request: *r}, false)
	}
	m.answer(model.Answer{RID: r.RID, Code: model.OK})
}

// tentativeMost bounds the weak writes that wait for their delivery, which a member that
// is gone holds up: beyond it eventual sets are refused.
const tentativeMost = 500_000

// mayAnswer is always so: a get is answered at once.
func (e *eventual) mayAnswer(*message.Request, seen) bool { return true }

func (e *eventual) read(r *message.Request) model.Answer { return e.machine.readWeak(r) }

// wait is never asked for: an eventual get may always be answered.
func (e *eventual) wait(r *message.Request, _ bool) { e.machine.answer(e.read(r)) }

// submitWeakAgain submits, in a new epoch, the eventual writes that are still tentative:
// what was beyond the cut, and what was accepted while this replica was wedged or
// outside. Whoever holds one does so; a second submission finds the first in the table of
// executed requests, or a version that is not smaller (rule F5).
func (m *Machine) submitWeakAgain() {
	m.layers.EachEventual(func(r *message.Request) {
		m.cast.Submit(message.Operation{Op: message.OpWeak, Request: *r}, true)
	})
}

// readWeak answers a get of models 3 and 4 from both layers. A causal session that finds no value
// may depend on the delete, and is told its number, too. What is not committed has no revision yet.
func (m *Machine) readWeak(r *message.Request) model.Answer {
	rec, committed := m.layers.Newest(r.Key)
	a := model.Answer{RID: r.RID, Code: model.OK}
	if r.Model == model.Causal {
		a.Timestamp = rec.Number
	}
	if rec.Kind != store.KindValue {
		a.Code, a.Reason = model.NotFound, notFound(r.Key)
		return a
	}
	a.Value, a.Expires = rec.Value, rec.Expires
	if committed {
		a.HasRevision, a.Revision = true, rec.Revision
	}
	return a
}

// weakWrite reports whether models 3 and 4 have writes like r: those that need no place in the
// order.
func weakWrite(r *message.Request) bool {
	switch r.Type {
	case model.Set, model.Delete:
		return !r.HasIf
	}
	return false
}
