package replica

import (
	"quartet/replica/message"
	"quartet/replica/model"
)

// executed is the table of executed requests (rule S5): identity → first outcome, for
// the last sets of the total order. It is part of the replicated state: filled and
// trimmed at delivery only, so at one position it is the same on every replica.
//
// Every set is looked up here several times on every replica, so the outcomes stand in
// a ring, in the order of delivery, and two small maps lead into it: most sets carry no
// id of their client's, and a map from numbers to numbers is the cheapest there is.
type executed struct {
	byRID  map[uint64]uint32 // of sets without a client's id
	byID   map[string]uint32
	ring   []done // oldest at next once it is full
	next   int
	window int
	number uint64 // of the newest entry, counted over the whole order
}

// done is an entry of the ring.
type done struct {
	id  string // "": the identity is outcome.rid
	key string // a learner needs its record again
	outcome
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
	// Made in its full size: growing on the way would stop the replica for milliseconds.
	return executed{
		byRID: make(map[uint64]uint32, window), byID: map[string]uint32{},
		ring: make([]done, 0, window), window: window,
	}
}

func (e *executed) lookup(r *message.Request) (outcome, bool) {
	var at uint32
	var ok bool
	if r.Identity != "" {
		at, ok = e.byID[r.Identity]
	} else {
		at, ok = e.byRID[r.RID]
	}
	if !ok {
		return outcome{}, false
	}
	return e.ring[at].outcome, true
}

// add remembers a first outcome; the oldest leaves when the table is full.
func (e *executed) add(d done) {
	at := len(e.ring)
	if at < e.window {
		e.ring = append(e.ring, done{})
	} else {
		at = e.next
		e.forget(at)
		e.next = (e.next + 1) % e.window
	}
	e.number++
	e.ring[at] = d
	if d.id != "" {
		e.byID[d.id] = uint32(at)
	} else {
		e.byRID[d.rid] = uint32(at)
	}
}

// oldest is the number of the oldest entry; number+1 if there is none.
func (e *executed) oldest() uint64 { return e.number - uint64(len(e.ring)) + 1 }

// entry returns the entry with a number from oldest to e.number.
func (e *executed) entry(number uint64) *done {
	return &e.ring[(e.next+int(number-e.oldest()))%len(e.ring)]
}

// reset empties the table; the next entry gets the number after this one.
func (e *executed) reset(number uint64) {
	*e = newExecuted(e.window)
	e.number = number
}

func (e *executed) forget(at int) {
	old := &e.ring[at]
	switch {
	case old.id != "":
		if e.byID[old.id] == uint32(at) {
			delete(e.byID, old.id)
		}
	case e.byRID[old.rid] == uint32(at):
		delete(e.byRID, old.rid)
	}
}

// execute remembers a set that took effect at its place.
func (m *Machine) execute(r *message.Request, o outcome) {
	o.rid, o.digest = r.RID, r.Digest
	m.executed.add(done{id: r.Identity, key: r.Key, outcome: o})
	if m.cfg.Durable {
		m.applied.bytes += len(r.Value)
		m.turn.Executed = append(m.turn.Executed, exported(m.executed.entry(m.executed.number)))
	}
}

// exported is an entry as messages and disks carry it.
func exported(d *done) message.Executed {
	return message.Executed{Identity: d.id, RID: d.rid, Digest: d.digest, Position: d.position, Timestamp: d.timestamp, Key: d.key}
}

func imported(x *message.Executed) done {
	return done{id: x.Identity, key: x.Key, outcome: outcome{rid: x.RID, digest: x.Digest, position: x.Position, timestamp: x.Timestamp}}
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
