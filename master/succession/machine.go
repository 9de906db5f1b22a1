package succession

import (
	"cmp"
	"slices"
)

// Act is what the shell is to do.
type Act uint8

// The acts. Each is handed out once.
const (
	Take     Act = iota + 1 // begin to lead; then say [Machine.Led], or [Machine.Failed]
	Prepare                 // open the doors, and let wait what comes in; then say [Machine.Prepared]
	Abandon                 // close the doors that Prepare has opened
	Release                 // close the doors, answer what is left, cease to lead; then say [Machine.Released]
	StepBack                // another leads: cease to lead at once, and answer nothing any more
	End                     // the process may end
)

// Config is what a machine is born with. Times are in ticks of 10 ms.
type Config struct {
	Name     string
	Life     uint64
	Suspect  uint64 // silence after which the one that leads counts as gone
	Beat     uint64 // between two beats
	Stagger  uint64 // by which a master waits longer for each other that comes before it by name
	Handover uint64 // for the next one to be ready, before another is tried
	Unable   uint64 // a master that leads and forms no view for so long may be replaced
}

// mostPeers bounds what is kept of others.
const mostPeers = 64

// calm is after how many suspicion times without a change a master is as patient as at first.
const calm = 60

// start is the first tick: nothing of before can be below zero.
const start = 1 << 40

// mostPatience bounds how often the patience doubles.
const mostPatience = 5

// peer is another master.
type peer struct {
	beat  Beat
	heard uint64 // tick of its last beat
}

// Machine is one master's part. It belongs to one goroutine.
type Machine struct {
	cfg   Config
	ticks uint64
	peers []peer // by name
	acts  []Act

	role        Role
	incarnation uint64
	silent      uint64 // while waiting: since when nobody in reach has led
	since       uint64 // of the role
	deposed     int    // how often in a row it had to step back, or could not begin
	calmSince   uint64 // since when nothing has changed

	epoch    uint64 // while leading: of the view that stands; 0: none does
	unready  uint64 // while leading: since when none does; 0: one does
	lingers  bool   // it has handed over, and ends when the next one serves
	stopping bool
	stubborn bool   // it leads until its process ends
	said     uint64 // tick of the last beat
	number   uint64 // of it
	saidThat Beat

	next      string // while leaving
	tried     []string
	releasing bool
	from      Beat // while coming: the beat of the one before
	ready     bool // while coming
	released  bool // while coming: the one before has ended
}

// New returns a master that stands by.
func New(c Config) *Machine {
	return &Machine{cfg: c, role: Waiting, ticks: start, since: start, silent: start, calmSince: start}
}

// Role is what this master does.
func (m *Machine) Role() Role { return m.role }

// Acts hands out what is to be done, in order.
func (m *Machine) Acts() []Act {
	acts := m.acts
	m.acts = nil
	return acts
}

// Beat is what this master says of itself now, and whether it is time to say it: a beat is due,
// or it says another thing than the last.
func (m *Machine) Beat() (b Beat, due bool) {
	b = m.self()
	due = b != m.saidThat || m.ticks >= m.said+m.cfg.Beat
	if due {
		m.said, m.saidThat = m.ticks, b
		m.number++
	}
	b.Number = m.number
	return b, due
}

func (m *Machine) self() Beat {
	b := Beat{Name: m.cfg.Name, Life: m.cfg.Life, Role: m.role, Next: m.next, Ready: m.ready}
	if m.role.leads() {
		b.Incarnation, b.Epoch = m.incarnation, m.epoch
		b.Unable = m.unready > 0 && m.ticks-m.unready >= m.cfg.Unable
	}
	if l := m.heardLeader(); l != nil {
		b.Hears = l.beat.Name
	}
	return b
}

// Hear takes another master's beat.
func (m *Machine) Hear(b Beat) {
	isOwn := b.Name == m.cfg.Name && b.Life == m.cfg.Life
	if isOwn || b.Name == "" || b.Role.String() == "" {
		return
	}
	if old := m.find(b.Name); old != nil && old.beat.Life == b.Life && b.Number < old.beat.Number {
		return
	}
	m.note(b)

	switch m.role {
	case Waiting:
		isForUs := b.Role == Leaving && b.Next == m.cfg.Name
		if isForUs && !m.stopping {
			m.become(Coming)
			m.from, m.ready, m.released = b, false, false
			m.acts = append(m.acts, Prepare)
		}
	case Coming:
		m.hearComing(&b)
	case Leading, Leaving:
		self := m.self()
		isToBeReplaced := b.Unable && m.incarnation == 0 // by this one, which begins (rule M7)
		switch {
		case m.stubborn, isToBeReplaced:
		case b.Role.leads() && b.outranks(&self): // rule M4
			m.acts = append(m.acts, StepBack)
			m.stepBack()
		case m.role == Leaving && b.Name == m.next:
			m.hearNext(&b)
		}
	}
}

// note keeps a beat. A process of the same name that came before is no more.
func (m *Machine) note(b Beat) {
	at, found := slices.BinarySearchFunc(m.peers, b.Name, func(p peer, name string) int {
		return cmp.Compare(p.beat.Name, name)
	})
	var was Beat
	if found {
		was = m.peers[at].beat
	}
	led := was.Role.leads()
	switch {
	case found:
		m.peers[at] = peer{beat: b, heard: m.ticks}
	case len(m.peers) < mostPeers:
		m.peers = slices.Insert(m.peers, at, peer{beat: b, heard: m.ticks})
	default:
		return
	}

	isNoMore := b.Role == Gone || was.Life != b.Life
	hasEnded := led && isNoMore
	switch {
	case b.Role.leads() && !b.Unable:
		m.silent = m.ticks
	case hasEnded: // it said so: nobody has to wait until its silence shows it
		m.silent = m.ticks - m.cfg.Suspect
	}
}

// Ended tells that the process of another master has ended, although it has not said so (rule M8).
// One of that name that is another process by now goes on. It reports whether that is news.
func (m *Machine) Ended(name string, life uint64) bool {
	p := m.find(name)
	if p == nil || p.beat.Life != life || p.beat.Role == Gone {
		return false
	}
	m.Hear(Beat{Name: name, Life: life, Number: p.beat.Number, Role: Gone})
	return true
}

// fresh reports whether a peer was heard lately.
func (m *Machine) fresh(p *peer) bool { return m.ticks-p.heard < m.cfg.Suspect }

// heardLeader is the master that leads, and is able to, as it has said itself lately; nil: none.
func (m *Machine) heardLeader() *peer {
	var first *peer
	for i := range m.peers {
		p := &m.peers[i]
		leads := p.beat.Role.leads() && !p.beat.Unable && m.fresh(p)
		isBetter := first == nil || p.beat.outranks(&first.beat)
		if leads && isBetter {
			first = p
		}
	}
	return first
}

// hearsay reports whether a master in reach hears one lead that this one does not, or is to lead
// next itself (rule M2).
func (m *Machine) hearsay() bool {
	return slices.ContainsFunc(m.peers, func(p peer) bool {
		isWitness := p.beat.Role == Waiting && p.beat.Hears != "" && p.beat.Hears != m.cfg.Name
		counts := isWitness || p.beat.Role == Coming
		return counts && m.fresh(&p)
	})
}

// rank is how many masters that stand by come before this one (rule M3).
func (m *Machine) rank() (n uint64) {
	for i := range m.peers {
		p := &m.peers[i]
		if p.beat.Role == Waiting && m.fresh(p) && p.beat.Name < m.cfg.Name {
			n++
		}
	}
	return n
}

// patience is how long this master waits while nobody leads.
func (m *Machine) patience() uint64 {
	return m.cfg.Suspect<<min(m.deposed, mostPatience) + m.rank()*m.cfg.Stagger
}

// Tick tells that 10 ms have passed.
func (m *Machine) Tick() {
	m.ticks++
	m.forget()
	if m.deposed > 0 && m.ticks-m.calmSince >= calm*m.cfg.Suspect {
		m.deposed = 0
	}

	switch m.role {
	case Waiting:
		m.wait()
	case Coming:
		m.tickComing()
	case Leaving:
		m.tickLeaving()
	case Gone:
		m.linger()
	}
}

// forget drops peers that have been silent for long.
func (m *Machine) forget() {
	m.peers = slices.DeleteFunc(m.peers, func(p peer) bool {
		silent := m.ticks - p.heard
		ended := p.beat.Role == Gone && silent >= m.cfg.Suspect
		return ended || silent >= calm*m.cfg.Suspect
	})
}

// wait takes over when nobody has led for long enough (rules M1 to M3).
func (m *Machine) wait() {
	isQuiet := m.heardLeader() == nil && !m.hearsay()
	if isQuiet && !m.stopping && m.ticks-m.silent >= m.patience() {
		m.lead()
	}
}

// lead begins to lead.
func (m *Machine) lead() {
	m.become(Leading)
	m.incarnation, m.epoch, m.unready = 0, 0, m.ticks
	m.acts = append(m.acts, Take)
}

func (m *Machine) become(r Role) {
	m.role, m.since, m.calmSince = r, m.ticks, m.ticks
	m.next, m.tried, m.releasing = "", nil, false
	m.ready, m.released = false, false
}

// stepBack has this master stand by again, and be more patient than before (rule M5).
func (m *Machine) stepBack() {
	m.deposed++
	m.become(Waiting)
	m.incarnation, m.silent = 0, m.ticks
	if m.stopping {
		m.end()
	}
}

// Led tells that this master leads under an incarnation, which may rise, and the epoch of the view
// that stands; 0: none does.
func (m *Machine) Led(incarnation, epoch uint64) {
	if !m.role.leads() {
		return
	}
	m.incarnation, m.epoch = incarnation, epoch
	switch {
	case epoch > 0:
		m.unready = 0
	case m.unready == 0:
		m.unready = m.ticks
	}
}

// Superseded tells that a replica, or the record, has named a newer master: the shell has ceased to
// lead.
func (m *Machine) Superseded() {
	if m.role.leads() {
		m.stepBack()
	}
}

// Failed tells that what Take or Prepare began could not be: the shell leads no more. Another one
// is to try before this one does again; nobody has been disturbed, so the patience does not grow.
func (m *Machine) Failed() {
	if m.role.leads() || m.role == Coming {
		patience := max(m.deposed, 1)
		m.stepBack()
		m.deposed = patience
	}
}
