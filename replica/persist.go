package replica

import (
	"quartet/replica/abcast"
	"quartet/replica/durable"
	"quartet/replica/message"
)

// persist hands over what this turn changed. Nothing of it is done without a disk, where
// the shell and the simulation commit it before anything of the turn is sent. So an ACK,
// an answer and a STATE never say more than a disk holds, and there is no need to write
// down a wedge: whoever comes back with a disk comes back wedged.
func (m *Machine) persist(out *Output) {
	if !m.cfg.Durable {
		m.turn.Reset()
		return
	}
	m.keepData()
	if m.turn.Empty() {
		return
	}
	m.turn.Changed, m.turn.State = true, m.state()
	saved := m.turn
	m.turn = durable.Turn{}
	out.Turn = &saved
}

func (m *Machine) state() durable.State {
	s := durable.State{
		Incarnation: m.cfg.Incarnation, Record: m.record, Learning: m.load != nil, Clock: m.clock.Now(), LastRID: m.lastRID,
		Position: m.position, Entries: m.executed.number,
		Committed: m.causal.committed, Watermark: m.causal.watermark, Safe: m.causal.safe,
	}
	switch {
	case m.load != nil:
		s.Scratch, s.Place, s.Committed = !m.whole(), m.load.place, m.load.committed
		s.Watermark, s.Safe = s.Committed, s.Committed // a learner's causal log is not its own yet
	case m.cast != nil:
		s.Contiguous, s.Place = m.cast.Contiguous(), m.cast.Place()
	case m.rest != nil:
		s.Contiguous, s.Place = m.rest.Contiguous, m.rest.Place
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
	for _, h := range m.tentative.eventual() {
		m.keepWeak(h.request())
	}
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
	m.cfg.Incarnation, m.record = st.Incarnation, st.Record
	m.clock.Restore(st.Clock)
	m.lastRID, m.position = st.LastRID, st.Position
	m.executed.reset(st.Entries - uint64(len(s.Executed)))
	for i := range s.Executed {
		m.executed.add(imported(&s.Executed[i]))
	}
	c := &m.causal
	c.committed, c.marker, c.safe, c.watermark = st.Committed, st.Committed, st.Committed, st.Committed
	for i := range s.Weak {
		r := &s.Weak[i]
		if _, done := m.executed.lookup(r); !done {
			m.tentative.add(r, 0)
			m.tentative.version(r).kept = true
			m.tentative.accept(r)
		}
	}
	switch {
	case st.Record.Epoch == 0:
	case st.Learning:
		m.load = &load{scanned: !st.Scratch, place: st.Place, committed: st.Committed}
		if st.Scratch {
			m.restartLoad()
		}
	default:
		m.served = true
		m.rest = &abcast.Remains{View: st.Record.View, Contiguous: st.Contiguous, Queue: s.Data, Place: st.Place}
		m.rest.Sort()
		m.prepared.high = st.Watermark // what it holds comes in
		m.causalWrites(s.Writes)
		m.prepared.high = 0
		m.marks(message.Marks{Safe: st.Safe})
		m.receive(m.rest.Queue)
		m.turn.Reset()
	}
}
