package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/durable"
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
	if first, ok := m.executed.lookup(r); ok {
		m.answerAgain(r, first)
		return
	}
	if held := m.tentative.find(r); held != nil {
		m.answerAgain(r, outcome{rid: held.rid, digest: held.digest})
		return
	}
	if m.executed.tooOld(r, m.forwarded) {
		m.refuseTooOld(r)
		return
	}
	if m.tentative.len() >= tentativeMost {
		m.fail(r, model.Unavailable, "too many weak writes wait for a member that does not answer")
		return
	}
	m.holdNew(r, 0)
	m.tentative.accept(r)
	m.keepWeak(r)
	if m.cast != nil { // else it is submitted when the next view is installed
		m.cast.Submit(message.Operation{Op: message.OpWeak, Request: *r}, false)
	}
	m.answer(message.Answer{RID: r.RID, Code: model.OK})
}

// tentativeMost bounds the weak writes that wait for their delivery, which a member that
// is gone holds up: beyond it eventual sets are refused.
const tentativeMost = 500_000

// mayAnswer: at once.
func (e *eventual) mayAnswer(*message.Request, seen) bool { return true }

func (e *eventual) read(r *message.Request) message.Answer { return e.machine.readWeak(r) }

// wait is never asked for: an eventual get may always be answered.
func (e *eventual) wait(r *message.Request, _ bool) { e.machine.answer(e.read(r)) }

// hold applies a weak write (causal if number is not 0) to the tentative layer, unless
// its request was executed already.
func (m *Machine) hold(r *message.Request, number uint64) {
	if _, ok := m.executed.lookup(r); ok {
		return
	}
	m.holdNew(r, number)
}

func (m *Machine) holdNew(r *message.Request, number uint64) {
	if m.cfg.Mutant.MergeWeak {
		m.commitWeak(r, number)
		return
	}
	m.tentative.add(r, number)
}

// deliverWeak commits a weak write at its place, where nothing greater stands. Of two
// writes with one identity the first that is delivered counts, and both leave the
// tentative layer.
func (m *Machine) deliverWeak(r *message.Request, number uint64) {
	m.forgetWeak(r)
	if _, again := m.executed.lookup(r); again {
		return
	}
	m.commitWeak(r, number)
	m.execute(r, outcome{timestamp: number})
}

// keepWeak notes a tentative write that no DATA on this replica's disk holds.
func (m *Machine) keepWeak(r *message.Request) {
	if !m.cfg.Durable {
		return
	}
	if h := m.tentative.version(r); h != nil && !h.kept {
		h.kept = true
		m.turn.Weak = append(m.turn.Weak, r)
	}
}

// forgetWeak drops every version of r's identity from the tentative layer.
func (m *Machine) forgetWeak(r *message.Request) {
	m.tentative.remove(r, func(h *held) {
		if h.kept {
			m.turn.WeakGone = append(m.turn.WeakGone, durable.WeakID{RID: h.rid, Version: h.version})
		}
	})
}

// submitWeakAgain submits, in a new epoch, the eventual writes that are still tentative:
// what was beyond the cut, and what was accepted while this replica was wedged or
// outside. Whoever holds one does so; a second submission finds the first in the table of
// executed requests, or a version that is not smaller (rule F5).
func (m *Machine) submitWeakAgain() {
	for _, h := range m.tentative.eventual() {
		if h.key == "" {
			continue // another version of an identity that left just now
		}
		r := h.request()
		if _, done := m.executed.lookup(r); done {
			m.forgetWeak(r)
			continue
		}
		m.keepWeak(r)
		if !m.cfg.Mutant.DropWeak && !(m.cfg.Mutant.DropOthersWeak && !h.accepted) {
			m.cast.Submit(message.Operation{Op: message.OpWeak, Request: *r}, true)
		}
	}
}

func (m *Machine) commitWeak(r *message.Request, number uint64) {
	if old, ok := m.store.Get(r.Key); ok && !old.Version.Less(r.Version) {
		return
	}
	m.store.Put(r.Key, store.Record{
		Kind: store.KindValue, Value: r.Value, Version: r.Version, Number: number, RID: r.RID,
	})
}

// newest returns the greater version of the two layers, and its causal number.
func (m *Machine) newest(key string) (value []byte, number uint64, ok bool) {
	var version lamport.Version
	if rec, found := m.store.Get(key); found {
		value, number, version, ok = rec.Value, rec.Number, rec.Version, true
	}
	if h := m.tentative.newest(key); h != nil && version.Less(h.version) {
		value, number, ok = h.value, h.number, true
	}
	return value, number, ok
}

// readWeak answers a get of models 3 and 4 from both layers.
func (m *Machine) readWeak(r *message.Request) message.Answer {
	value, number, ok := m.newest(r.Key)
	if !ok {
		return message.Answer{RID: r.RID, Code: model.NotFound, Reason: notFound(r.Key)}
	}
	a := message.Answer{RID: r.RID, Code: model.OK, Value: value}
	if r.Model == model.Causal {
		a.Timestamp = number
	}
	return a
}
