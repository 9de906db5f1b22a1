package master

import (
	"slices"

	"quartet/bus/message"
	"quartet/bus/model"
)

// fences is what the master has about fenced gets: linearizable gets that a replica reads
// without a place in the order (replica/linearizable.go says what it must hold then).
//
// A get's answer is let go once f members other than its replica have echoed the round of
// the FORWARD that brought it, or a later one, in the epoch in which it was forwarded. That
// is f + 1 members, its replica among them, that were not wedged after the get had
// arrived. A next view needs n - f members that are wedged for good, so there was none then,
// and all that had been answered by then the replica held.
type fences struct {
	round   uint64    // of the last turn that sent fenced gets; never used again by this process
	begun   bool      // this turn sends some
	turn    int       // index of the replica that is asked to confirm next, in turn
	askAt   uint64    // tick of 10 ms before which members are not asked again
	waiting []*flight // rounds rising; also flights that have landed since the last tick
	again   []*flight // scratch
}

// held is a replica's answer to a fenced get that others have not confirmed yet.
type held struct {
	flight *flight
	answer *message.Answer
}

// fenceTicks is how long, in ticks of 10 ms, an echo is given before all members are asked for
// it. They are then asked again every againTicks.
const fenceTicks = 2

// fenced reports whether a flight is a get, a transaction of gets alone or the first page of a
// list, that is read without a place in the order.
func (m *Machine) fenced(f *flight) bool {
	return f.request.Model == model.Linearizable && !f.writes && !m.cfg.OrderedGets && !goesOn(&f.request)
}

// fenceOff puts a get, which leaves for p in this turn, into the turn's round.
func (m *Machine) fenceOff(f *flight, p *peer) {
	s := &m.fences
	if !s.begun {
		s.begun = true
		s.round++
	}
	f.round, f.read = s.round, false
	p.confirms, p.reads = true, true
	s.waiting = append(s.waiting, f)
}

// fence ends a turn: it makes sure that f members without gets of this turn get its round.
// Members that get a FORWARD anyway come first, then the others in turn. Members with gets
// confirm the round too, but not before they have answered.
func (m *Machine) fence() {
	s := &m.fences
	if !s.begun {
		return
	}
	s.begun = false

	missing := m.members.Record().Faults - m.count(func(p *peer) bool { return p.confirms && !p.reads })
	ask := func(p *peer) {
		if missing > 0 && !p.confirms && p.works && !p.known.Suspected {
			p.confirms = true
			missing--
		}
	}
	late := func(p *peer) bool { return p.owes > 0 && m.ticks-p.owesSince >= fenceTicks } // it may stand still

	for _, p := range m.replicas {
		if m.hears(p) && !late(p) {
			ask(p)
		}
	}
	for _, silent := range []bool{false, true} {
		for n := len(m.replicas); n > 0 && missing > 0; n-- {
			s.turn++
			if p := m.replicas[s.turn%len(m.replicas)]; late(p) == silent {
				ask(p)
			}
		}
	}
}

// fenceAgain is for what the bus has lost, and for members that stand still: gets without
// an answer are sent to another replica, and rounds without enough echoes to all members.
func (m *Machine) fenceAgain() {
	s := &m.fences
	for _, p := range m.replicas {
		p.held = m.forget(p.held)
	}

	quiet := !m.members.Leads() || m.members.Changing() // then all is sent again with the next view
	kept, again := s.waiting[:0], s.again[:0]
	var overdue uint64 // the last overdue round
	for _, f := range s.waiting {
		waited := m.ticks - f.since
		if m.flights[f.request.RID] != f { // it has landed
			continue
		}
		if waited >= fenceTicks {
			overdue = max(overdue, f.round)
		}
		if !quiet && !f.read && waited >= max(m.cfg.AgainTicks, fenceTicks)<<f.again {
			again = append(again, f)
			continue
		}
		kept = append(kept, f)
	}

	clear(s.waiting[len(kept):])
	s.waiting = kept

	if overdue > 0 && !quiet && m.ticks >= s.askAt {
		s.askAt = m.ticks + againTicks
		for _, p := range m.replicas {
			behind := p.member && p.echo < overdue
			p.confirms = p.confirms || behind
		}
	}

	for _, f := range again {
		m.readAgain(f)
	}
	clear(again)
	s.again = again[:0]
}

// forget drops the answers to gets that have landed otherwise.
func (m *Machine) forget(answers []held) []held {
	kept := answers[:0]
	for _, h := range answers {
		if m.flights[h.flight.request.RID] == h.flight {
			kept = append(kept, h)
		}
	}
	clear(answers[len(kept):])
	return kept
}

// readAgain sends a get that has waited for long to another replica, or again to the replica that
// the client named. A later answer of the first replica is not taken. Each time the get waits
// twice as long: a replica that is only slow must not get ever more to do.
func (m *Machine) readAgain(f *flight) {
	fits := func(p *peer) bool { return p.serves() && p.node != f.replica }
	if f.wanted != 0 || m.count(fits) == 0 {
		fits = func(p *peer) bool { return p.node == f.replica && p.member }
	}

	f.again++
	if p := m.draw(uint32(f.request.RID), fits); p != nil {
		m.dispatch(f, p)
	} else {
		m.fences.waiting = append(m.fences.waiting, f)
	}
}

// unfence ends all rounds with their epoch: the gets are sent again.
func (m *Machine) unfence() {
	clear(m.fences.waiting)
	m.fences.waiting, m.fences.begun = m.fences.waiting[:0], false
	for _, p := range m.replicas {
		clear(p.held)
		p.held, p.echo, p.owes, p.confirms, p.reads = p.held[:0], 0, 0, false, false
	}
}

// current reports whether a message was sent by a member that works in the epoch that this
// master leads, as the process that the view names.
func (m *Machine) current(p *peer, h *message.Header) bool {
	return m.members.Leads() && h.Epoch == m.members.Record().Epoch && m.members.Member(p.known)
}

// echoed takes the round that a member confirms.
func (m *Machine) echoed(p *peer, a *message.Answers) {
	switch {
	case a.Round <= p.echo: // nothing new
	case a.Round > m.fences.round: // never sent
		m.refused++
	default:
		p.echo = a.Round
		if p.echo >= p.owes {
			p.owes = 0
		}
	}
}

// read takes an answer to a fenced get that was given in this epoch by the replica to which the
// get was sent last, and lets the answer go or holds it.
func (m *Machine) read(p *peer, f *flight, answer *message.Answer, out *Output) {
	switch {
	case f.replica != p.node || f.round == 0 || f.read: // not from the replica that has it now
	case m.confirmed(p, f.round):
		m.answer(p, f, answer, out)
	default:
		f.read = true

		// Rounds rise, though a get that was sent again may be answered early.
		i := len(p.held)
		for i > 0 && p.held[i-1].flight.round > f.round {
			i--
		}
		p.held = slices.Insert(p.held, i, held{flight: f, answer: answer})
	}
}

// confirmed reports whether f members other than p have echoed a round.
func (m *Machine) confirmed(p *peer, round uint64) bool {
	missing := m.members.Record().Faults
	for _, other := range m.replicas {
		if other != p && other.echo >= round {
			missing--
		}
	}
	return missing <= 0
}

// release lets the answers go that are confirmed by now.
func (m *Machine) release(out *Output) {
	for _, p := range m.replicas {
		if len(p.held) == 0 || !m.confirmed(p, p.held[0].flight.round) {
			continue
		}
		kept := p.held[:0]
		for _, h := range p.held {
			switch f := h.flight; {
			case m.flights[f.request.RID] != f: // it has landed
			case m.confirmed(p, f.round):
				m.answer(p, f, h.answer, out)
			default:
				kept = append(kept, h)
			}
		}
		clear(p.held[len(kept):])
		p.held = kept
	}
}
