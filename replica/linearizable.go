package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/abcast"
	"quartet/replica/store"
)

// linearizable: a set is answered at its own place in the total order, between its
// arrival and its answer. If a was answered before b arrived then every member had
// witnessed a's time when a was delivered (condition A), so whoever stamps b stamps it
// later.
//
// A fenced get is read here, behind all that this replica holds: whatever was answered in
// this epoch before the get began, every member held (condition B). It is the master that
// makes sure that no later epoch had begun by then: it keeps the answer until f other
// members have echoed the round of the FORWARD that brought the get. DESIGN.md,
// "Linearizable gets", has the argument.
//
// An ordered get, one that came without a round, is an ordered operation.
type linearizable struct {
	machine *Machine

	round uint64 // the highest that a FORWARD has brought in this epoch
	owed  bool   // its echo is to leave in this turn, whatever else there is to say

	reads   []*message.Request   // ordered gets taken in this turn
	ordered [][]*message.Request // on their way, one batch an own OpReads, oldest first
}

// set submits the set, which is answered when it is delivered.
func (l *linearizable) set(r *message.Request) {
	m := l.machine
	m.cast.Submit(message.Operation{Op: message.OpStrong, Request: *r}, true)
}

// mayAnswer reports whether the turn of the get has come: all that this replica held when the
// get arrived is then delivered. The master makes sure that no later epoch had begun by then.
func (l *linearizable) mayAnswer(_ *message.Request, s seen) bool { return s.turn }

func (l *linearizable) read(r *message.Request) model.Answer {
	return l.machine.readCommitted(r, l.machine.layers.Position())
}

// wait gives a fenced get a turn in the queue, as a sequential get has it. An ordered get joins
// the other ordered gets of this turn: they share one place in the order.
func (l *linearizable) wait(r *message.Request, fenced bool) {
	if fenced {
		l.machine.sequential.wait(r, fenced)
		return
	}
	l.reads = append(l.reads, r)
}

// forget drops what waits for the order of an epoch that has ended.
func (l *linearizable) forget() { *l = linearizable{machine: l.machine} }

// confirm takes note of the round of a FORWARD of the master of this epoch. If the FORWARD
// carries gets, the echo goes along with their answers. If it carries none, another replica's
// gets wait for the echo, which is then owed at once.
func (m *Machine) confirm(f *message.Forward) {
	l := &m.linearizable
	l.round = max(l.round, f.Round)
	if !l.owed {
		l.owed = f.Round > 0 && !m.brings(f.Requests)
	}
}

// brings reports whether there is a linearizable get among requests, or a transaction of gets. (A
// list may take several turns, and the echo is not to wait for it.)
func (m *Machine) brings(requests []message.Request) bool {
	for i := range requests {
		r := &requests[i]
		isGet := r.Type != model.List && !m.writes(r)
		if r.Model == model.Linearizable && isGet {
			return true
		}
	}
	return false
}

// echo is the round that this replica confirms: that it works, unwedged, in its epoch.
func (m *Machine) echo() uint64 {
	if m.cast == nil {
		return 0
	}
	return m.linearizable.round
}

// flushReads submits the place of the gets of this turn.
func (m *Machine) flushReads() {
	l := &m.linearizable
	for len(l.reads) > 0 {
		n := min(len(l.reads), readsMost)
		op := message.Operation{Op: message.OpReads, Reads: make([]uint64, n)}
		for i, r := range l.reads[:n] {
			op.Reads[i] = r.RID
		}
		l.ordered = append(l.ordered, l.reads[:n:n])
		l.reads = l.reads[n:]
		m.cast.Submit(op, true)
	}
	l.reads = nil
}

// readsMost bounds the gets that share one place in the order, so that their rIDs fit a header.
const readsMost = 1024

// deliverReads answers the gets whose place has come. Own OpReads are delivered in the
// order of their submission, so the batch is the oldest.
func (m *Machine) deliverReads(op *message.Operation) {
	l := &m.linearizable
	if len(l.ordered) == 0 {
		return // taken before this process was restarted with its disk: the master asks again
	}
	batch := l.ordered[0]
	l.ordered = l.ordered[1:]

	// The gets of a batch have consecutive positions that end at the present one.
	before := m.layers.Position() - op.Count()
	for i, r := range batch {
		if r.Type == model.Watch || r.Type == model.List { // it begins at the end of the batch
			m.serve(r)
			continue
		}
		m.answer(m.readCommitted(r, before+uint64(i)+1))
	}
}

// deliverStrong executes a linearizable or sequential set at its place. Rule S5: the
// identity is looked up here, in the common order, where every member finds the same.
func (m *Machine) deliverStrong(r *message.Request, d *message.Data, own bool) {
	version := lamport.Version{Epoch: m.record.Epoch, Timestamp: abcast.PlaceOf(d)}
	first, again := m.layers.Executed(r)
	if again {
		m.layers.Again(r, version, &first)
		if own {
			m.answerAgain(r, first)
		}
		return
	}
	if m.layers.TooOld(r, m.layers.Tick()) {
		if own {
			m.refuseTooOld(r)
		}
		return
	}
	if m.layers.Late(r, d.Time, m.layers.Tick()) {
		if own {
			m.drop()
		}
		return
	}

	outcome := m.layers.CommitStrong(r, version, m.revision())
	if own {
		m.answer(m.written(r, &outcome))
	}
}

// Committed returns what stands at a key of the committed layer, for the simulation.
func (m *Machine) Committed(key string) (store.Record, bool) { return m.layers.Committed(key) }

// readCommitted answers a get of models 1 and 2 from the committed layer.
func (m *Machine) readCommitted(r *message.Request, position uint64) model.Answer {
	if t, reads := m.readsOnly(r); reads {
		return m.readTransaction(r, t, position)
	}
	rec, _ := m.layers.Committed(r.Key)
	if rec.Kind != store.KindValue {
		return model.Answer{RID: r.RID, Code: model.NotFound, Reason: notFound(r.Key), Position: position}
	}
	return model.Answer{
		RID: r.RID, Code: model.OK, Value: rec.Value, Position: position,
		HasRevision: true, Revision: rec.Revision, Expires: rec.Expires,
	}
}

func notFound(key string) string { return "no value under key " + key }
