package succession

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of [Machine.Lead].
var (
	ErrNotLeading = errors.New("this master does not lead")
	ErrHandsOver  = errors.New("this master hands over already")
	ErrUnknown    = errors.New("no master of that name stands by")
)

// Lead has this master, which leads, hand over to another one that stands by (rule M6). To hand
// over to itself is nothing to do. If the other one is not ready in time this one goes on.
func (m *Machine) Lead(name string) error {
	switch {
	case m.role == Leaving:
		return fmt.Errorf("%w, to %s", ErrHandsOver, m.next)
	case m.role != Leading:
		return ErrNotLeading
	case name == m.cfg.Name:
		return nil
	case !slices.Contains(m.candidates(), name):
		return fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	m.leave(name)
	return nil
}

// Stop has this master end: one that leads hands over first, to each that stands by in turn, and
// without any it ends at once.
func (m *Machine) Stop() {
	if m.stopping {
		return
	}
	m.stopping = true
	switch m.role {
	case Waiting:
		m.end()
	case Coming:
		m.acts = append(m.acts, Abandon)
		m.end()
	case Leading:
		m.leaveToAny()
	}
}

// Hurry has a master that stops wait for nobody.
func (m *Machine) Hurry() {
	m.Stop()
	if m.lingers {
		m.since = m.ticks - m.cfg.Handover
	}
	if m.role == Leaving && !m.releasing {
		m.release()
	}
}

func (m *Machine) end() {
	m.become(Gone)
	m.acts = append(m.acts, End)
}

// candidates are the masters that could lead next, by name.
func (m *Machine) candidates() (names []string) {
	for i := range m.peers {
		p := &m.peers[i]
		if p.beat.Role == Waiting && m.fresh(p) {
			names = append(names, p.beat.Name)
		}
	}
	return names
}

func (m *Machine) leave(next string) {
	tried := append(m.tried, next)
	m.role, m.since, m.next, m.tried = Leaving, m.ticks, next, tried
}

// leaveToAny hands over to the first that has not been tried, or ends without a next one.
func (m *Machine) leaveToAny() {
	for _, name := range m.candidates() {
		if !slices.Contains(m.tried, name) {
			m.leave(name)
			return
		}
	}
	m.role, m.since, m.next = Leaving, m.ticks, ""
	m.release()
}

// release is the point of no return: from now on this master's doors are closed.
func (m *Machine) release() {
	m.releasing = true
	m.acts = append(m.acts, Release)
}

// hearNext takes a beat of the master that is to lead next.
func (m *Machine) hearNext(b *Beat) {
	isReady := b.Role == Coming && b.Ready
	if isReady && !m.releasing {
		m.release()
	}
}

// tickLeaving tries another, or goes on, when the next one does not come.
func (m *Machine) tickLeaving() {
	isLate := m.ticks-m.since >= m.cfg.Handover
	if m.releasing || !isLate {
		return
	}
	if m.stopping {
		m.leaveToAny()
		return
	}
	m.become(Leading)
}

// Released tells that this master has answered what was left, and leads no more.
func (m *Machine) Released() {
	if m.role != Leaving {
		return
	}
	hasNext := m.next != ""
	switch {
	case m.stopping && hasNext: // its process stays until the next one serves
		m.become(Gone)
		m.lingers = true
	case m.stopping:
		m.end()
	default: // it was told to hand over, and not to end: it stands by
		m.become(Waiting)
		m.incarnation, m.silent = 0, m.ticks
	}
}

// linger ends this process once the next master serves: it may need this machine's server until
// then.
func (m *Machine) linger() {
	next := m.heardLeader()
	serves := next != nil && next.beat.Epoch > 0
	isLate := m.ticks-m.since >= m.cfg.Handover
	over := serves || isLate
	if m.lingers && over {
		m.lingers = false
		m.acts = append(m.acts, End)
	}
}

// Prepared tells that the doors are open: what clients send from now on is not lost.
func (m *Machine) Prepared() {
	if m.role != Coming {
		return
	}
	m.ready = true
	m.takeOver()
}

// takeOver begins to lead once this master is ready and the one before has ended (rule M6).
func (m *Machine) takeOver() {
	if m.ready && m.released {
		m.lead()
	}
}

// hearComing takes a beat while this master is to lead next.
func (m *Machine) hearComing(b *Beat) {
	isBefore := b.Name == m.from.Name && b.Life == m.from.Life
	isStillForUs := b.Role == Leaving && b.Next == m.cfg.Name
	switch {
	case isBefore && isStillForUs: // it is still answering what is left
		m.from = *b
	case isBefore && b.Role.leads():
		m.abandon() // it goes on, or another comes
	case isBefore: // it leads no more
		m.released = true
		m.takeOver()
	case b.Role.leads() && b.outranks(&m.from): // a third one was faster
		m.abandon()
	}
}

// tickComing takes over from a master that dies while it hands over, and gives up when this one is
// not ready for long.
func (m *Machine) tickComing() {
	before := m.find(m.from.Name)
	if before == nil || !m.fresh(before) {
		m.released = true
		m.takeOver()
	}
	if m.role == Coming && !m.ready && m.ticks-m.since >= 2*m.cfg.Handover {
		m.abandon()
	}
}

func (m *Machine) abandon() {
	m.acts = append(m.acts, Abandon)
	m.become(Waiting)
	m.silent = m.ticks
}

func (m *Machine) find(name string) *peer {
	for i := range m.peers {
		if m.peers[i].beat.Name == name {
			return &m.peers[i]
		}
	}
	return nil
}

// Peer is another master, as it has said itself.
type Peer struct {
	Beat
	Silent uint64 // ticks since its last beat
}

// Peers are the other masters that were heard in the last time, by name.
func (m *Machine) Peers() []Peer {
	list := make([]Peer, len(m.peers))
	for i, p := range m.peers {
		list[i] = Peer{Beat: p.beat, Silent: m.ticks - p.heard}
	}
	return list
}

// Leader is the name of the master that leads, as far as this one knows: its own, that of one that
// it hears, or that of one which another hears; "": none.
func (m *Machine) Leader() string {
	if m.role.leads() {
		return m.cfg.Name
	}
	if l := m.heardLeader(); l != nil {
		return l.beat.Name
	}
	for i := range m.peers {
		if p := &m.peers[i]; m.fresh(p) && p.beat.Hears != "" {
			return p.beat.Hears
		}
	}
	return ""
}

// Begin has a master lead at once, whoever else does, and never step back: its shell has asked by
// other ways, and ends when a replica or the record names a newer master.
func (m *Machine) Begin() {
	if m.role == Waiting {
		m.become(Leading)
		m.incarnation, m.unready, m.stubborn = 0, m.ticks, true
	}
}
