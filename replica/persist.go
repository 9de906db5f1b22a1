package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
	"quartet/replica/durable"
	"quartet/replica/view"
)

// persist hands over what this turn changed; without a disk it does nothing. The shell and the
// simulation commit the turn before anything of it is sent. So an ACK and a STATE never say more
// than a disk holds, nor an answer more than the disks of all members. A wedge is not written
// down: a process that comes back with its disk comes back wedged.
func (m *Machine) persist(out *Output) {
	if !m.cfg.Durable {
		m.turn.Reset()
		return
	}

	m.keepData()
	t := &m.turn
	due := t.Changed || t.DropData || m.learner.Loads() || m.ticks-m.applied.at >= appliedTicks ||
		len(t.Executed) >= appliedEntries || m.layers.Unsaved() >= appliedBytes
	mayWait := !due && !t.Urgent()
	if t.Empty() || mayWait {
		return
	}

	if due && m.cast != nil {
		m.stored = m.cast.Told()
	}
	state := m.state()
	if due {
		m.applied = applied{
			at: m.ticks, changes: state.Changes, position: state.Position, place: state.Place, entries: state.Entries, order: state.Order,
			committed: state.Committed, collected: state.Collected,
		}
		m.layers.Saved()
	}

	// What the disk does not hold yet, the state must not claim.
	state.Position, state.Place, state.Committed = m.applied.position, m.applied.place, m.applied.committed
	state.Entries, state.Order, state.Changes = m.applied.entries, m.applied.order, m.applied.changes
	state.Collected = m.applied.collected

	var saved durable.Turn
	if due {
		saved, m.turn = *t, durable.Turn{}
	} else {
		saved = t.Split()
	}
	saved.Changed, saved.State = true, state
	out.Turn = &saved
}

// What was delivered is handed over a few times a second, or when it is much: sets of one
// key are one write then, and most batches hold DATA only.
const (
	appliedTicks   = 20 // of 10 ms
	appliedEntries = 4000
	appliedBytes   = 4 << 20
)

// applied is how far the disk has come with what was delivered.
type applied struct {
	at        uint64 // tick
	position  uint64
	place     lamport.Timestamp
	entries   uint64
	order     message.OrderTime
	committed uint64
	changes   durable.Span
	collected message.Collection
}

// Settle hands over, at a clean stop, what the disk is still to learn. Nothing is sent.
func (m *Machine) Settle(out *Output) {
	out.Turn = nil
	if m.fault == "" {
		m.turn.Changed = true
		m.persist(out)
	}
}

func (m *Machine) state() durable.State {
	past := m.self.Past()
	s := durable.State{
		Node: m.cfg.Self, Incarnation: past.Incarnation, Lives: past.Lives, Aside: past.Aside, Back: past.Back,
		Record: m.record, Learning: m.learner.Loads(), Clock: m.clock.Now(), LastRID: m.lastRID,
		Position: m.layers.Position(), Entries: m.layers.Entries(), Order: m.layers.Order(),
		Changes:   durable.Span{Since: m.layers.Changes().Since(), To: m.layers.Position()},
		Collected: m.layers.Collection(), Shut: m.shut,
		Committed: m.causal.committed, Watermark: m.causal.watermark, Safe: m.causal.safe, Votes: m.acceptor.Votes(),
	}
	switch {
	case m.learner.Loads():
		s.Scratch, s.Place, s.Committed = !m.learner.Whole(), m.learner.Place(), m.learner.Committed()
		s.Changes.To = m.learner.Changed()
		if m.learner.Copied() { // it has said so: a record may count on it
			s.Contiguous = m.rest.Contiguous
		} else {
			s.Watermark, s.Safe = s.Committed, s.Committed // its causal log is not its own yet
		}
	case m.cast != nil:
		s.Contiguous, s.Place, s.Told = m.contiguous(), m.place(), m.stored
	case m.rest != nil:
		s.Contiguous, s.Place, s.Told = m.contiguous(), m.place(), m.rest.Told
	}
	return s
}

// keepData notes the DATA that this turn received or sent.
func (m *Machine) keepData() {
	if m.cfg.Durable && m.cast != nil {
		m.turn.Data = append(m.turn.Data, m.cast.Kept()...)
	}
}

// dropData forgets the DATA of an epoch that has ended, and keeps what weak writes only
// they held.
func (m *Machine) dropData() {
	if !m.cfg.Durable {
		return
	}
	m.turn.DropData, m.turn.Data, m.turn.Delivered = true, nil, nil
	m.layers.KeepEventual()
}

// voidKept forgets causal writes above a number.
func (m *Machine) voidKept(above uint64) {
	t := &m.turn
	if !m.cfg.Durable {
		return
	}
	if t.Void {
		t.VoidAbove = min(above, t.VoidAbove)
	} else {
		t.Void, t.VoidAbove = true, above
	}
	kept := t.Writes[:0]
	for _, w := range t.Writes {
		if w.Number <= above {
			kept = append(kept, w)
		}
	}
	t.Writes = kept
}

// restore makes the machine what its disk says: wedged in the epoch in which it was
// stopped, or a learner.
func (m *Machine) restore(s *durable.Saved) {
	st := &s.State
	m.record = st.Record
	m.self.Restore(view.Past{
		Incarnation: st.Incarnation, Lives: st.Lives, Back: st.Back, Aside: st.Aside,
		Served: st.Record.Epoch > 0 && !st.Learning,
	})
	m.acceptor.Restore(st.Votes, &m.record, &m.self)
	m.clock.Restore(st.Clock)
	m.lastRID = st.LastRID

	m.layers.Restore(s)
	m.applied = applied{
		position: st.Position, place: st.Place, entries: st.Entries, order: m.layers.Order(), committed: st.Committed,
		changes:   durable.Span{Since: m.layers.Changes().Since(), To: max(st.Changes.To, st.Position)},
		collected: st.Collected,
	}
	m.shut = st.Shut
	c := &m.causal
	c.committed, c.marker, c.safe, c.watermark = st.Committed, st.Committed, st.Committed, st.Committed

	switch {
	case st.Record.Epoch == 0: // it was in no view yet
	case st.Learning: // it goes on with the load from where it was
		copied := len(st.Contiguous) > 0
		m.learner.Restore(st.Record.View, view.Saved{
			Scratch: st.Scratch, Copied: copied, Place: st.Place, Committed: st.Committed,
			Changed: max(st.Changes.To, st.Position),
		})
		if copied {
			m.restoreRest(s)
		}
	default: // it was a member: now it is wedged in the epoch in which it was
		m.restoreRest(s)
	}
}

// restoreRest makes what a disk holds of an epoch what the wedged member, or the copy of
// one, holds.
func (m *Machine) restoreRest(s *durable.Saved) {
	st := &s.State
	m.rest = &abcast.Remains{View: st.Record.View, Contiguous: st.Contiguous, Queue: s.Data, Place: st.Place, Told: st.Told}
	m.rest.Sort()
	m.prepared.high = st.Watermark // what it holds comes in
	m.causalWrites(s.Writes)
	m.prepared.high = 0
	m.marks(message.Marks{Safe: st.Safe})
	m.receive(m.rest.Queue)
	m.turn.Reset()
}
