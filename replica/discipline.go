package replica

import (
	"fmt"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/layers"
	"quartet/replica/listing"
)

// discipline is a consistency model at a replica. All models share one broadcast and one
// order; they differ in how much of that order this replica must have seen before it may
// answer. That is mayAnswer, the difference between them (who is asked at all, of wedged and
// removed replicas, says door.go):
//
//	model         a get may be answered when …                     and reads
//	linearizable  its turn in this replica's queue has come         the committed layer
//	              (f other members confirm the epoch meanwhile:
//	              master/fence.go)
//	sequential    its turn has come, and this replica has come as    the committed layer
//	              far as the session
//	causal        all that the session depends on is safe here       both layers
//	eventual      at once                                            both layers
//
// A set of models 1 and 2 is answered when it is delivered at its place in the order, one of
// model 3 when f+1 members hold its number, one of model 4 when this replica has applied it.
type discipline interface {
	// set takes a set on its way into the order; a causal one is on it already, from the master.
	set(r *message.Request)
	// mayAnswer is the condition under which this replica may answer the get r.
	mayAnswer(r *message.Request, s seen) bool
	// read answers the get r.
	read(r *message.Request) model.Answer
	// wait keeps a get that may not be answered yet. fenced: it came with a round, and has no
	// place in the order (model 1 only).
	wait(r *message.Request, fenced bool)
}

// seen is how much of the one order a replica has seen.
type seen struct {
	turn     bool   // all that stood in its queue before the get is delivered
	position uint64 // ordered operations delivered
	safe     uint64 // causal numbers up to this one may be read
}

// seen says how far this replica is. turn: it is asked for a get whose turn has come.
func (m *Machine) seen(turn bool) seen {
	return seen{turn: turn, position: m.layers.Position(), safe: m.causal.safe}
}

// disciplined is the table of the four, by the code of their model.
func (m *Machine) disciplined() [model.Eventual + 1]discipline {
	return [...]discipline{
		model.Linearizable: &m.linearizable,
		model.Sequential:   &m.sequential,
		model.Causal:       &m.causal,
		model.Eventual:     &m.eventual,
	}
}

// request takes a forwarded request to its discipline. Validity was checked at the
// master's door; a code that this version does not know is answered, not executed.
func (m *Machine) request(r *message.Request, fenced bool) {
	m.lastRID = max(m.lastRID, r.RID)
	m.pending++

	isWrite := m.writes(r)
	noRoom := m.full.refuses(r.Type)
	switch {
	case isWrite && noRoom != "":
		m.fail(r, model.Unavailable, noRoom)
		return
	// A master of a later build may know more than this replica.
	case !r.Model.Valid():
		m.fail(r, model.Malformed, "this replica does not know the consistency model for this request")
		return
	case !m.serves(r):
		m.fail(r, model.Malformed, "this replica does not know the request type")
		return
	}

	d := m.disciplines[r.Model]
	switch {
	case r.Type == model.Watch:
		m.watch(r)
	case isWrite:
		d.set(r)
	case listing.GoesOn(&r.Request): // the moment that it shows was fixed with its first page
		m.goOnList(r)
	case d.mayAnswer(r, m.seen(false)):
		m.serve(r)
	default:
		d.wait(r, fenced)
	}
}

// serve serves a request that does not write and may be answered now.
func (m *Machine) serve(r *message.Request) {
	switch r.Type {
	case model.Watch:
		m.beginWatch(r)
	case model.List:
		m.beginList(r)
	default:
		m.answer(m.disciplines[r.Model].read(r))
	}
}

// full is why writes are refused here for want of room; "": they are not.
type full struct{ sets, deletes string }

func (f *full) refuses(t model.Type) string {
	switch {
	case !t.Writes():
		return ""
	case t == model.Delete:
		return f.deletes
	default:
		return f.sets
	}
}

// serves reports whether this replica has requests like r in its model.
func (m *Machine) serves(r *message.Request) bool {
	switch r.Type {
	case model.Get, model.Watch:
		return true
	case model.List:
		return m.cfg.Forms != nil
	case model.Set, model.Delete, model.Add:
		return r.Model.Strong() || weakWrite(r)
	case model.Txn:
		return r.Model.Strong() && m.cfg.Forms != nil
	}
	return false
}

// answerAgain answers a write whose identity was seen before: with the first outcome, or,
// if the identity was used for a different request, with a conflict.
func (m *Machine) answerAgain(r *message.Request, first layers.Outcome) {
	if first.Digest != r.Digest {
		m.fail(r, model.Conflict, "the Nats-Msg-Id was used for a different request")
		return
	}

	m.answer(m.written(r, &first))
	if first.RID != r.RID {
		m.answers[len(m.answers)-1].FirstRID = first.RID
	}
}

// written is the answer to a write that came to an outcome. What is said of it follows from the
// request and the outcome alone, so that a repetition is told the same.
func (m *Machine) written(r *message.Request, o *layers.Outcome) model.Answer {
	a := model.Answer{RID: r.RID, Code: model.OK, Position: o.Position, Timestamp: o.Timestamp, Value: o.Result}
	if r.Model.Strong() {
		a.HasRevision, a.Revision = true, o.Position
	}
	if o.Code == model.Failed {
		a.Code, a.Revision, a.Reason = model.Failed, o.Revision, whyFailed(r, o.Revision)
		a.HasRevision = r.Type != model.Txn // the results have those of the keys
	}
	return a
}

// whyFailed says why a write could not be done where the key's value had a revision; 0: it had
// none.
func whyFailed(r *message.Request, revision uint64) string {
	switch {
	case r.Type == model.Txn:
		return stepFailed
	case r.HasIf && r.If == 0 && revision > 0:
		return fmt.Sprintf("key %s has a value, of revision %d, and was to have none; nothing was changed", r.Key, revision)
	case r.HasIf && r.If != revision && revision > 0:
		return fmt.Sprintf("key %s has revision %d, and was to have %d; nothing was changed", r.Key, revision, r.If)
	case r.HasIf && r.If != revision:
		return fmt.Sprintf("key %s has no value, and was to have revision %d; nothing was changed", r.Key, r.If)
	default: // an add
		return fmt.Sprintf("the value under key %s is no whole number of 64 bits, or the sum is none; nothing was changed", r.Key)
	}
}

// drop ends a request without an answer: nothing that could be said of its other sendings would
// be true. Its client is told by the master that the outcome is unknown, and sends it again.
func (m *Machine) drop() { m.pending-- }

// refuseTooOld refuses a set that may be a repetition of one that is forgotten.
func (m *Machine) refuseTooOld(r *message.Request) {
	m.fail(r, model.Gone, "sent for the first time so long ago that whether it took effect then is no longer known; "+
		"this sending was not executed: read the key")
}
