package replica

import (
	"fmt"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

// phase is the machine's condition in one word.
func (m *Machine) phase() message.Phase {
	switch {
	case m.cast != nil:
		return message.PhaseMember
	case m.load != nil && m.load.caught:
		return message.PhaseCaught
	case m.load != nil:
		return message.PhaseLearning
	case m.rest != nil:
		return message.PhaseWedged
	}
	return message.PhaseBoot
}

// hello is the boot acknowledgement, and what a replica says while it does not work.
func (m *Machine) hello(to lamport.Node, out *Output) {
	h := &message.Hello{
		Header: m.header(), PID: m.cfg.PID, Phase: m.phase(), Position: m.layers.Position(), Keys: uint64(m.layers.Keys()),
		LastRID: m.lastRID, Master: m.master.Incarnation, Nonce: m.nonce, Heard: m.heardOf(),
	}
	if m.load != nil {
		h.Whole, h.Committed = m.whole(), m.load.committed
	}
	h.Past = m.past()
	out.send(h, to)
}

// probed answers a master's heartbeat.
func (m *Machine) probed(p *message.Probe, out *Output) {
	m.heard(p.From, p.Incarnation)
	if p.Incarnation == m.master.Incarnation {
		m.nonce = max(m.nonce, p.Nonce)
		m.hearing.due = true
	}
	if m.cast == nil || p.Epoch != m.record.Epoch || p.Incarnation != m.record.Master || m.master.Incarnation != p.Incarnation {
		m.hello(p.From, out)
		return
	}
	m.probedAt = m.ticks
	m.marks(p.Marks)
	s := m.Stats()
	out.send(&message.Report{
		Header: m.header(), Nonce: p.Nonce, Position: s.Position, Watermark: s.Watermark, Safe: s.Safe,
		Keys: uint64(s.Keys), Pending: uint64(max(s.Pending, 0)), Tentative: uint64(s.Tentative), Queue: uint64(s.Queue),
		Own: uint64(s.Own), Heard: m.heardOf(),
	}, p.From)
}

// prepared is the newest PREPARE of this epoch.
type prepared struct {
	round    uint64
	high     uint64
	holder   lamport.Node
	from     lamport.Node
	owed     bool // it has not been answered
	fetching bool // it has, and the causal numbers up to high are not here yet
}

// prepare wedges the replica in its epoch, for good (rules F1, F2 and F7): from here on
// it acknowledges, accepts, stamps and delivers nothing in it, so that what it answers
// stays true. A learner goes on loading, from members that are wedged.
func (m *Machine) prepare(p *message.Prepare, out *Output) {
	m.heard(p.From, p.Incarnation)
	if p.Epoch != m.record.Epoch || p.Epoch == 0 {
		m.hello(p.From, out)
		return
	}
	if p.High != m.prepared.high || p.Holder != m.prepared.holder {
		m.causal.askedFor = 0 // the question goes to somebody else now
	}
	m.prepared = prepared{round: p.Round, high: p.High, holder: p.Holder, from: p.From, owed: true}
	switch {
	case m.load != nil:
		m.load.fresh = m.load.fresh || !m.load.final
		m.load.final = true
	case m.cast != nil && !m.cfg.Mutant.AcksAfterPrepare:
		m.wedge()
	}
}

func (m *Machine) wedge() {
	m.keepData()
	if m.cfg.Mutant.Abandon {
		m.abandoned = m.cast
	}
	m.rest = m.cast.Wedge()
	m.cast = nil
	m.turn.Changed = true // with what the others have told
}

// flushPrepared answers PREPARE: at once with what this replica holds, and again when it
// holds what it was asked to fetch.
func (m *Machine) flushPrepared(out *Output) {
	if m.entered {
		m.entered = false
		out.send(&message.Installed{Header: m.header(), Position: m.began, PID: m.cfg.PID, Keeps: m.cfg.Keeps, View: m.record.Nonce}, m.master.Node)
	}
	p := &m.prepared
	watermark := m.causal.watermark
	if m.cfg.Mutant.NoFill {
		watermark = max(watermark, p.high)
	}
	var contiguous []uint64
	switch {
	case !p.owed && !(p.fetching && watermark >= p.high):
		return
	case m.rest != nil:
		contiguous = m.rest.Contiguous
	case m.cast != nil: // a mutant
		contiguous = m.cast.Contiguous()
	default:
		return
	}
	p.owed, p.fetching = false, watermark < p.high
	out.send(&message.State{
		Header: m.header(), Round: p.round, Contiguous: contiguous, Watermark: watermark,
		Position: m.layers.Position(), LastRID: m.lastRID, Proof: m.proof(),
	}, p.from)
}

// install takes the record of an epoch, from whatever master.
func (m *Machine) install(r *message.Record, out *Output) {
	if m.aside != "" {
		return
	}
	m.heard(lamport.Master(1), r.Master)
	named := m.named(r)
	next := r.Epoch == m.record.Epoch+1
	switch {
	case m.forked(r) && m.worked():
		m.setAside(fmt.Sprintf("epoch %d of the cluster is another than the one in which this replica has worked; move its directory away to have it loaded anew", m.record.Epoch))
	case m.forked(r): // what it has installed came to nothing: the record was lost before anything was done by it
		m.outside(r)
	case r.Epoch == m.record.Epoch && r.Nonce != m.record.Nonce:
		m.refused++
	case r.Epoch == m.record.Epoch: // its acknowledgement was lost
		if m.cfg.Mutant.Abandon && m.rest != nil && m.load == nil {
			m.cast, m.rest = m.abandoned, nil
		}
		m.entered = m.entered || m.cast != nil
	case named != nil && !m.remembers(named):
		m.goBack(r, fmt.Sprintf("its data were put back to an older copy: epoch %d knows it by a process that has never used them", r.Epoch))
	case named != nil && m.load != nil && next && len(r.Cut) == 0: // an operator goes on with what it has
		m.begin(r)
	case named != nil && m.rest != nil && next: // a survivor, or a learner that is let in
		m.survive(r)
	case named != nil && m.cast != nil && next && m.cfg.Mutant.AcksAfterPrepare:
		m.wedge()
		m.survive(r)
	case named != nil && m.record.Epoch == 0 && (r.Epoch == 1 || m.cfg.Mutant.SameIncarnation): // the first view
		m.enter(r)
	default:
		m.outside(r)
	}
}

// survive ends an epoch as its record says (rule F5): it delivers up to the cut. What
// strong operations are beyond it are dropped: the master sends again what it still waits
// for. So are causal numbers above the high-water, which nobody can have read.
func (m *Machine) survive(r *message.Record) {
	cut := r.Cut
	if m.cfg.Mutant.FlushAll {
		cut = m.rest.Contiguous
	}
	if lacks := m.lacks(cut, r.High); lacks != "" {
		m.goBack(r, fmt.Sprintf("its data were put back to an older copy: %s", lacks))
		return
	}
	inside, err := m.rest.Cut(cut)
	if err != nil {
		m.setAside(fmt.Sprintf("epoch %d leaves out what this replica has delivered: %v", r.Epoch, err))
		return
	}
	if r.High < m.causal.safe {
		m.setAside(fmt.Sprintf("epoch %d leaves out causal writes above %d, and here they were read up to %d", r.Epoch, r.High, m.causal.safe))
		return
	}
	if m.load != nil { // the DATA of a copy are what they would have been for a member
		m.receive(m.rest.Queue)
	}
	for _, d := range inside {
		m.deliver(d)
	}
	if m.fault != "" {
		return
	}
	m.rest, m.load = nil, nil
	m.enter(r)
}

// lacks says what a record counts on that is not here, although the process that it names has
// said so, or "".
func (m *Machine) lacks(cut []uint64, high uint64) string {
	if m.causal.watermark < high && !m.cfg.Mutant.NoFill {
		return fmt.Sprintf("causal writes up to %d are needed, and held up to %d", high, m.causal.watermark)
	}
	for i, n := range cut {
		if held := m.rest.Contiguous; i < len(held) && n > held[i] {
			return fmt.Sprintf("%d broadcasts of %s are needed, and %d are held", n, m.rest.View.Members[i].Node, held[i])
		}
	}
	return ""
}

// begin makes a learner's state the cluster's: no member was left with all that it had
// acknowledged, and an operator has decided to go on with this one (a record without a
// cut). Its committed layer is a prefix of the order, and the order ends there.
func (m *Machine) begin(r *message.Record) {
	if !m.whole() || r.High != m.load.committed {
		m.stop(fmt.Sprintf("epoch %d begins with what this replica has, and that is not whole", r.Epoch))
		return
	}
	m.dropCausal()
	m.rest, m.load = nil, nil
	m.enter(r)
}

// enter begins the work in an epoch.
func (m *Machine) enter(r *message.Record) {
	m.dropStrong()
	m.record = *r
	m.clock.Restore(r.Start)
	m.cast = abcast.New(abcast.Config{
		Self: m.cfg.Self, Incarnation: m.cfg.Incarnation, View: r.View, Clock: &m.clock,
		Keep: m.cfg.Durable, Mutant: m.cfg.Mutant.Broadcast,
	})
	m.prepared = prepared{}
	m.layers.NewEpoch()
	m.served, m.began = true, m.layers.Position()
	m.back = ""
	m.told, m.applied.told = told{}, nil
	m.dropData()
	m.causal.askedFor = 0
	m.void(r.High)
	named := m.named(r)
	m.lives = m.lives.since(named.Life)
	if !m.isThis(named) { // it waits for the next epoch
		m.wedge()
		return
	}
	m.entered = true
	m.submitWeakAgain()
}

// outside is the end of membership, or the beginning of a life as a learner. A process
// that was a member goes on as another incarnation: nothing that it said as a member, or
// that was said to it, concerns it any more.
func (m *Machine) outside(r *message.Record) {
	if m.cast != nil {
		m.keepData()
	}
	configured := m.record.Epoch > 0 && m.record.Configures(m.cfg.Self)
	m.dismissed = configured && !r.Configures(m.cfg.Self)
	if i := r.Index(m.cfg.Self); m.served || i >= 0 && r.Members[i].Incarnation >= m.cfg.Incarnation {
		// Also one that the record names, but that has lost the copy by which it was let in:
		// what it copies now is another member's, and must not count as what it held itself.
		if i >= 0 {
			m.cfg.Incarnation = max(m.cfg.Incarnation, r.Members[i].Incarnation)
		}
		m.cfg.Incarnation++
		m.served = false
	}
	m.lives = lives{m.cfg.Life}
	m.dropStrong()
	m.cast, m.rest, m.prepared = nil, nil, prepared{}
	ended := m.record.Epoch > 0 && m.record.Epoch < r.Since || m.forked(r)
	m.record = *r
	m.dropData()
	m.beginLoad()
	if ended { // what it has may be of a history that an operator has let end
		m.layers.Clear()
		m.restartLoad()
	}
}

// dropStrong forgets the requests that wait for the order of an epoch that has ended.
func (m *Machine) dropStrong() {
	m.linearizable.forget()
	m.sequential.forget()
	m.pending = len(m.causal.waiting)
}
