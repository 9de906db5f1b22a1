package membership

import (
	"slices"

	"quartet/bus/message"
)

// Command is for the store of the record: to read it, through its leader, or to write it
// by compare-and-set on a revision.
type Command struct {
	Number   uint64
	Propose  *message.Record // nil: read
	Revision uint64          // 0: there must be none
	Check    bool            // a read while all is well: find out, too, whether a write would succeed
	Force    bool            // an operator lets the replicas that are there decide, if too few are (rule D8)
}

// Fate is what became of a command.
type Fate uint8

// The fates. Unknown: it may or may not have been written, or not have been read.
const (
	Read Fate = iota + 1
	Won
	Lost
	Unknown
)

// Result is the answer to a command.
type Result struct {
	Number   uint64
	Fate     Fate
	Record   *message.Record // Read: what stands there; nil: nothing
	Damaged  bool            // Read: there was a record, and it cannot be read
	Revision uint64          // Read and Won
}

// readTicks is how long the machine waits before it reads again what it could not read.
const readTicks = 5

// bootTicks is how long a master waits for all replicas of a cluster that seems to begin
// before it looks again whether there is a record.
const bootTicks = 50

// lookTicks is how often the record is read again while a change makes no progress.
const lookTicks = 50

// read asks for the record.
func (m *Machine) read(out *Output) {
	if m.waits || m.ticks < m.readAt {
		return
	}
	m.command++
	m.waits, m.knownWhenRead = true, m.known()
	out.Command = &Command{Number: m.command, Force: m.recover}
}

// propose asks to write the record of the next epoch.
func (m *Machine) propose(r message.Record, out *Output) {
	if m.waits {
		return
	}
	m.proposed++
	r.Master, r.Nonce, r.Missing = m.cfg.Incarnation, m.cfg.Nonce+m.proposed, m.mayMiss(len(r.Configured))
	r.Faults = min(r.Missing, len(r.Members)-1)
	if r.Level = message.Level; m.cfg.Older {
		r.Level = 0
	}
	r.Cluster, r.Lineage = m.record.Cluster, m.lineage()
	if r.Cluster == 0 { // a cluster that begins, or one of an older build
		r.Cluster = m.cfg.Cluster
	}
	m.proposal, m.stage = &r, deciding
	m.command++
	m.waits = true
	out.Command = &Command{Number: m.command, Propose: &r, Revision: m.revision, Force: m.recover}
}

// check reads the record now and then while its view works: a store that fails, or that has
// lost the record, is to be known, and mended, before the next fault needs it.
func (m *Machine) check(out *Output) {
	overdue := m.cfg.CheckTicks > 0 && m.ticks-m.checkedAt >= m.cfg.CheckTicks
	due := m.lookUp || overdue
	if !due || m.waits {
		return
	}
	m.checkedAt, m.lookUp = m.ticks, false
	m.command++
	m.waits, m.checking = true, true
	out.Command = &Command{Number: m.command, Check: true}
}

// checked takes the outcome of a check, or of writing the record anew after one. What the
// store has lost, or has an older copy of, is to be written again. What stands there of the same
// epoch, or a later one, was decided by another master after this one's was lost, and counts.
func (m *Machine) checked(r Result, out *Output) {
	m.checking = false
	switch {
	case r.Fate == Won:
		m.revision, m.restores = r.Revision, false
	case r.Fate != Read: // the next check looks again
	case r.Record != nil && r.Record.Epoch == m.record.Epoch && r.Record.Nonce == m.record.Nonce:
		m.revision, m.restores = r.Revision, false
	case r.Record != nil && m.supersedes(r.Record): // another master has decided it
		m.adopt(r.Record, r.Revision, out)
	default: // it is lost, or an older copy was put back
		if !m.restores || r.Revision != m.lostRevision {
			m.foundNonce = m.asks
		}
		m.restores, m.lostRevision = true, r.Revision
	}
}

// restore writes the record of this master's epoch back that a check has found lost, once so many
// replicas have answered a heartbeat that was sent after it that no other master can have decided
// a later one (rule F11): this one may have been superseded, and not know it.
func (m *Machine) restore(out *Output) {
	if !m.restores || m.waits || !m.stillLeads(&m.record, m.unheardOf(&m.record)) {
		return
	}
	record := m.record
	m.restores = false
	m.command++
	m.waits, m.checking = true, true
	out.Command = &Command{Number: m.command, Propose: &record, Revision: m.lostRevision}
}

// tellLater takes note that a replica obeys this master and holds an older record than the one that
// this master has read, or another of the same epoch. Which one counts the store says, and it is
// asked after the replica has spoken (rule F4): what this master has read may have been lost since,
// and another record been decided in its place, with the help of this very replica.
func (m *Machine) tellLater(r *Replica) {
	if r.obeys && !r.toTell {
		r.toTell, r.askedAfter = true, m.LookUp()
	}
}

// tell tells those replicas the record for which the store has shown it since they spoke.
func (m *Machine) tell(out *Output) {
	isLost := m.lost || m.restores
	if m.record.Epoch == 0 || isLost {
		return
	}
	for _, r := range m.replicas {
		if r.toTell && m.seen > r.askedAfter {
			m.install(r, out)
			r.toTell = false
		}
	}
}

// forgetCheck lets a change ask the store at once: whatever comes of an outstanding check is
// passed over.
func (m *Machine) forgetCheck() {
	if m.checking {
		m.waits, m.checking = false, false
	}
}

// lineage is that of the next record: the newest record's own, and it.
func (m *Machine) lineage() []message.Ancestor {
	if m.record.Epoch == 0 {
		return nil
	}
	self := message.Ancestor{Epoch: m.record.Epoch, Nonce: m.record.Nonce, High: m.record.High, Position: m.position}
	lineage := append(slices.Clone(m.record.Lineage), self)
	return lineage[max(0, len(lineage)-message.MaxLineage):]
}

// Result takes the outcome of a command. Whatever is not certain is read: the record
// itself says what was decided, and by whom.
func (m *Machine) Result(r Result, out *Output) {
	if !m.waits || r.Number != m.command || m.stage == stopped {
		return
	}

	m.waits = false
	m.isMute = m.cfg.Voting && r.Fate == Unknown
	if r.Fate == Read || r.Fate == Won {
		m.seen = r.Number
	}

	if m.checking {
		m.checked(r, out)
		return
	}

	isWrittenBack := m.proposal != nil && m.proposal.Epoch == m.record.Epoch && m.proposal.Nonce == m.record.Nonce
	switch {
	case r.Fate == Won && isWrittenBack: // the change goes on
		m.revision, m.proposal, m.lost = r.Revision, nil, false
		m.begin()
	case r.Fate == Won && m.proposal != nil:
		m.adopt(m.proposal, r.Revision, out)
	case r.Fate != Read:
		m.stage, m.lost = reading, false
		m.readAt = m.ticks + 1
		if r.Fate == Unknown {
			m.readAt = m.ticks + readTicks
		}
	case r.Record == nil && m.thereWasOne(r):
		m.lose(r.Revision)
	case r.Record != nil && m.older(r.Record):
		m.lose(r.Revision)
	case r.Record == nil:
		m.readAgain, m.revision, m.foundNonce = m.ticks+bootTicks, r.Revision, m.asks
		m.stage = booting // if a proposal is still under way, the next is one of the same kind
	case r.Record.Epoch > m.record.Epoch, r.Record.Nonce != m.record.Nonce: // later, or this one's was lost before it was told
		m.adopt(r.Record, r.Revision, out)
	case r.Revision != m.revision: // it was lost, and is back: whoever was asked may have let another go on meanwhile
		m.lost, m.revision = false, r.Revision
		m.begin()
	default: // nothing was written: the change goes on with what is known now
		m.lost = false
		m.stage = changing
	}
}

// thereWasOne reports whether a record must have existed where r found none.
func (m *Machine) thereWasOne(r Result) bool {
	return r.Damaged || len(m.known()) > 0
}

// supersedes reports whether a record that stands in the store ends the epoch of the record that
// is known: a later one, another one of the same epoch, or that of a newer master.
func (m *Machine) supersedes(r *message.Record) bool {
	return r.Epoch >= m.record.Epoch || r.Master > m.cfg.Incarnation
}

// adopt takes a record for the truth. One that another master has proposed is only where
// the next change begins: a master leads no epoch but its own.
func (m *Machine) adopt(r *message.Record, revision uint64, out *Output) {
	if r.Master > m.cfg.Incarnation {
		m.newer(r.Master)
	}
	if m.stage == stopped {
		return
	}

	m.holdBack(r)
	m.lost, m.established, m.restores = false, false, false
	m.record, m.revision, m.proposal, m.position = *r, revision, nil, message.Unknown
	m.forgetForeign()
	for _, n := range r.Configured {
		if m.Replica(n) == nil {
			m.newcomer(n)
		}
	}

	for _, p := range m.replicas {
		p.installed, p.toTell, p.state, p.counted = false, false, nil, 0
		if m.Member(p) {
			p.Back = ""
		}
		leaves := p.Removed && !r.Configures(p.Node)
		p.Left = p.Left || leaves
		p.Removed = false // a replica that has stayed is taken out when it has drained
		if m.Leads() {    // else it is told once it is known to need it
			m.install(p, out)
		}
	}

	m.told = m.ticks
	if !m.Leads() {
		m.begin()
		return
	}
	m.stage, m.recover = steady, false
	out.Decided = &m.record
}

// holdBack keeps replicas out for a while that are removed for their silence, or because they do
// not hear another replica, or for which a change has waited in vain: a replica that comes and
// goes would cost the others a change of views each time.
func (m *Machine) holdBack(next *message.Record) {
	for _, member := range m.record.Members {
		r := m.Replica(member.Node)
		if r == nil || next.Index(member.Node) >= 0 || r.Incarnation != member.Incarnation || r.Lost {
			continue
		}
		apart := m.apartFrom(r, next)
		switch {
		case apart != "":
			m.keepOut(r, apart+" for a while, and it is kept out for as long")
		case r.Suspected && !r.ended:
			m.keepOut(r, "it was silent and is kept out for a while")
		}
	}
	for _, r := range m.replicas {
		if next.Index(r.Node) >= 0 || !m.caught(r) {
			continue
		}
		r.lateAfter = m.ticks + 2*m.cfg.ReadmitTicks
		if m.admissible(r) {
			m.keepOut(r, "a change of views has waited for it in vain, and it is kept out for a while")
		}
	}
}

// mostDoubled is how often the time for which a replica is kept out is doubled.
const mostDoubled = 5

// keepOut lets a replica into no view for a while, for twice as long each time in a row. why
// is a sentence.
func (m *Machine) keepOut(r *Replica, why string) {
	r.admitAfter, r.why = m.ticks+m.cfg.ReadmitTicks<<min(r.flaps, mostDoubled), why
	r.flaps++
}
