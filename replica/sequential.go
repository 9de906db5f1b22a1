package replica

import (
	"fmt"

	"quartet/bus/message"
	"quartet/bus/model"
)

// sequential: a set is ordered like a linearizable one. A get takes a turn in this
// replica's holdback queue behind all that stands there, is not broadcast, and is
// answered from the committed layer when its turn comes: possibly stale, never out of
// the one order. A session that moves to another replica brings the highest position
// it has seen, and its request waits there until this replica has come as far.
type sequential struct {
	machine *Machine

	gets    []*message.Request   // taken in this turn, fenced ones of model 1 too
	turns   [][]*message.Request // in the queue, one batch a turn, oldest first
	waiting []waiting            // for their minimum position
	refused refusals             // sets
}

// waiting is a request that this replica may not serve yet.
type waiting struct {
	request *message.Request
	until   uint64 // tick
}

// set submits the set once this replica has delivered what the session has seen. (Its place
// would be behind that in any case: whatever was delivered anywhere, this replica's clock has
// passed. The wait is what makes a minimum that the cluster never reached a refusal rather
// than a silent success.)
func (s *sequential) set(r *message.Request) {
	m := s.machine
	switch {
	case s.refused.has(r.RID): // a copy of it was: that is a promise
		m.tooEarly(r)
	case m.layers.Position() >= r.Min:
		m.linearizable.set(r)
	default: // until this replica has come as far, or the wait is over
		s.hold(r)
	}
}

// mayAnswer reports whether the turn of the get has come, and this replica has come as far as its
// session.
func (s *sequential) mayAnswer(r *message.Request, seen seen) bool {
	return seen.turn && seen.position >= r.Min
}

func (s *sequential) read(r *message.Request) model.Answer {
	return s.machine.readCommitted(r, s.machine.layers.Position())
}

// wait gives the get a turn in the queue, behind all that this replica holds.
func (s *sequential) wait(r *message.Request, _ bool) { s.gets = append(s.gets, r) }

// hold keeps a request until this replica has come as far as its session.
func (s *sequential) hold(r *message.Request) {
	s.waiting = append(s.waiting, waiting{request: r, until: s.machine.ticks + s.machine.cfg.WaitTicks})
}

// forget drops what waits for the order of an epoch that has ended.
func (s *sequential) forget() { s.gets, s.turns, s.waiting = nil, nil, nil }

// queueSequential gives the gets of this turn their place behind the sets of this turn.
func (m *Machine) queueSequential() {
	s := &m.sequential
	if len(s.gets) == 0 {
		return
	}
	s.turns = append(s.turns, s.gets)
	s.gets = nil
	m.cast.Wait()
}

// serveTurn answers the gets whose turn has come.
func (m *Machine) serveTurn() {
	s := &m.sequential
	batch := s.turns[0]
	s.turns = s.turns[1:]
	for _, r := range batch {
		switch d := m.disciplines[r.Model]; {
		case !d.mayAnswer(r, m.seen(true)):
			s.hold(r)
		default:
			m.serve(r)
		}
	}
}

// serveWaiting serves what has waited for its position, and refuses what has waited
// for too long.
func (m *Machine) serveWaiting() {
	s := &m.sequential
	if len(s.waiting) == 0 {
		return
	}
	kept := s.waiting[:0]
	for _, w := range s.waiting {
		r := w.request
		d := m.disciplines[r.Model]
		switch {
		case r.Type == model.Watch:
			if m.watchWaits(w) {
				kept = append(kept, w)
			}
		case !m.writes(r) && d.mayAnswer(r, m.seen(true)): // it has had its turn
			m.serve(r)
		case m.writes(r) && m.layers.Position() >= r.Min: // it takes its place in the order now
			d.set(r)
		case m.ticks >= w.until: // another replica may have come further
			m.tooEarly(r)
		default:
			kept = append(kept, w)
		}
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

// waits reports whether anybody waits here for what others have sent to be delivered.
func (s *sequential) waits() bool { return len(s.turns) > 0 || len(s.waiting) > 0 }

// tooEarly refuses a request whose minimum this replica has not reached. "Not executed"
// is a promise, so every other copy of a refused set, earlier or later, is refused too.
func (m *Machine) tooEarly(r *message.Request) {
	if m.writes(r) {
		m.sequential.refused.add(r.RID)
	}
	position := m.layers.Position()
	m.answer(model.Answer{
		RID: r.RID, Code: model.TooEarly, Position: position,
		Reason: fmt.Sprintf("replica %s has applied %d ordered operations, the request asks for a minimum position of %d; ask again later",
			m.cfg.Self, position, r.Min),
	})
}

// refusals are the rIDs of the last sets that were refused. A second copy may come
// because the bus repeated the FORWARD, or the master did for the client's retry. The
// master believes a refusal only because of this memory; a copy that is late by more
// than refusalsMost further refusals is no longer known.
type refusals struct {
	rids  map[uint64]bool
	order []uint64 // ring, oldest at next once it is full
	next  int
}

const refusalsMost = 1 << 14

func (f *refusals) has(rid uint64) bool { return f.rids[rid] }

func (f *refusals) add(rid uint64) {
	switch {
	case f.rids[rid]:
		return
	case f.rids == nil:
		f.rids = map[uint64]bool{}
	}
	f.rids[rid] = true
	if len(f.order) < refusalsMost {
		f.order = append(f.order, rid)
		return
	}
	delete(f.rids, f.order[f.next])
	f.order[f.next] = rid
	f.next = (f.next + 1) % refusalsMost
}
