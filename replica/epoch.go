package replica

import (
	"fmt"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
	"quartet/replica/view"
)

// epoch is where a replica stands in the epoch that it knows: it works in it (cast is set), or
// is wedged in it (rest), or is outside of it (neither). It goes from the first to the second
// and never back. The next epoch begins with nothing of this one but what it is given.
type epoch struct {
	record message.Record // that decides it; Epoch 0: none is known
	cast   *abcast.Broadcast
	rest   *abcast.Remains // also a learner's that is the copy of a wedged member

	began     uint64     // the position with which its work began
	publishes bool       // this process, the first member's, is to publish what is delivered in it
	entered   bool       // INSTALLED is to be sent
	told      uint64     // the watermark that the master was told last, so that only news is sent
	stored    [][]uint64 // what the others had told, as far as the disk has it; only while it works
	prepared  prepared   // the PREPARE that rest answers

	ends map[string]uint64 // key → revision: what this replica has proposed to end, and is not delivered

	collecting collecting
}

// prepared is the newest PREPARE of an epoch.
type prepared struct {
	attempt  uint64
	high     uint64
	holder   lamport.Node
	cut      []uint64 // by index: so many DATA of each member are to be held; empty: what is here
	from     lamport.Node
	owed     bool // it has not been answered
	fetching bool // it has, and what is to be held is not here yet
	fetch    fetch
}

// place is that of the last DATA which was delivered in the epoch; zero: none was.
func (e *epoch) place() lamport.Timestamp {
	switch {
	case e.cast != nil:
		return e.cast.Place()
	case e.rest != nil:
		return e.rest.Place
	}
	return lamport.Timestamp{}
}

// contiguous is how many DATA of each member are held without a gap; nil: it is outside.
func (e *epoch) contiguous() []uint64 {
	switch {
	case e.cast != nil:
		return e.cast.Contiguous()
	case e.rest != nil:
		return e.rest.Contiguous
	}
	return nil
}

// queued is how many DATA were received and are not delivered.
func (e *epoch) queued() int {
	switch {
	case e.cast != nil:
		return e.cast.Queued()
	case e.rest != nil:
		return len(e.rest.Queue)
	}
	return 0
}

// phase is the machine's condition in one word.
func (m *Machine) phase() message.Phase {
	switch {
	case m.cast != nil:
		return message.PhaseMember
	case m.learner.Caught():
		return message.PhaseCaught
	case m.learner.Loads():
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
		LastRID: m.lastRID, Master: m.master.Incarnation, Nonce: m.nonce, Heard: m.neighbours.Heard(m.ticks),
	}
	if m.learner.Loads() {
		h.Whole, h.Committed = m.learner.Whole(), m.learner.Committed()
	}
	h.Past = m.past()
	out.send(h, to)
}

// probed answers a master's heartbeat.
func (m *Machine) probed(p *message.Probe, out *Output) {
	m.heard(p.From, p.Incarnation)
	if p.Incarnation == m.master.Incarnation {
		m.nonce = max(m.nonce, p.Nonce)
		m.neighbours.Heartbeat()
	}
	if m.cast == nil || p.Epoch != m.record.Epoch || p.Incarnation != m.record.Master || m.master.Incarnation != p.Incarnation {
		m.hello(p.From, out)
		return
	}
	m.probedAt = m.ticks
	m.marks(p.Marks)
	m.hears(p.Clock)
	s := m.Stats()
	out.send(&message.Report{
		Header: m.header(), Nonce: p.Nonce, Position: s.Position, Watermark: s.Watermark, Safe: s.Safe,
		Keys: uint64(s.Keys), Pending: uint64(max(s.Pending, 0)), Tentative: uint64(s.Tentative), Queue: uint64(s.Queue),
		Own: uint64(s.Own), Heard: m.neighbours.Heard(m.ticks),
		Tombstones: uint64(s.Tombstones), Collected: s.Collected,
	}, p.From)
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
	m.prepared = prepared{
		attempt: p.Attempt, high: p.High, holder: p.Holder, from: p.From, owed: true, fetch: m.prepared.fetch,
	}
	if len(p.Cut) == len(m.record.Members) {
		m.prepared.cut = p.Cut
	}
	switch {
	case m.learner.Loads():
		m.learner.Prepare()
	case m.cast != nil:
		m.wedge()
	}
}

func (m *Machine) wedge() {
	m.keepData()
	m.rest = m.cast.Wedge()
	m.cast = nil
	m.turn.Changed = true // with what the others have told
}

// flushPrepared answers PREPARE: at once with what this replica holds, and again when it
// holds what it was asked to fetch.
func (m *Machine) flushPrepared(out *Output) {
	if m.entered {
		m.entered = false
		out.send(&message.Installed{
			Header: m.header(), Position: m.began, PID: m.cfg.PID, Keeps: m.cfg.Keeps, View: m.record.Nonce,
		}, m.master.Node)
	}
	p := &m.prepared
	watermark := m.causal.watermark
	var contiguous []uint64
	isHere := watermark >= p.high && m.lacking() < 0
	isNews := p.fetching && isHere
	switch {
	case !p.owed && !isNews: // it was answered, and what was asked for has not come
		return
	case m.rest != nil:
		contiguous = m.rest.Contiguous
	default: // neither a wedged member nor the copy of one: it has nothing to count by
		return
	}
	p.owed, p.fetching = false, !isHere
	out.send(&message.State{
		Header: m.header(), Attempt: p.attempt, Contiguous: contiguous, Watermark: watermark,
		Position: m.layers.Position(), LastRID: m.lastRID, Proof: m.proof(),
	}, p.from)
}

// install takes the record of an epoch, from whatever master.
func (m *Machine) install(r *message.Record, out *Output) {
	if m.record.Epoch > 0 && m.record.Foreign(r) {
		m.misplaced(r)
		return
	}
	if m.self.Aside() {
		return
	}
	m.heard(lamport.Master(1), r.Master)
	m.learn(r)

	step, why := m.self.Decide(r, view.Standing{
		Record: &m.record, Works: m.cast != nil, Wedged: m.rest != nil, Loads: m.learner.Loads(), Worked: m.worked(),
	})
	switch step {
	case view.Refuse:
		m.refused++
	case view.Acknowledge:
		m.entered = m.entered || m.cast != nil
	case view.Enter:
		m.enter(r)
	case view.Survive:
		m.survive(r)
	case view.Begin:
		m.begin(r)
	case view.Leave:
		m.outside(r)
	case view.GoBack:
		m.goBack(r, why)
	case view.SetAside:
		m.setAside(why)
	}
}

// worked reports whether this replica has delivered something in the epoch that it knows: then
// every member had installed its record.
func (m *Machine) worked() bool {
	return !m.learner.Loads() && m.place() != lamport.Timestamp{}
}

// misplaced takes note that the directory of this replica belongs to another cluster (rule F14):
// the process is to end, and leaves the data as they are, for they may be all that the other
// cluster has. A member at work has heard from its own master, and goes on.
func (m *Machine) misplaced(r *message.Record) {
	if m.cast != nil {
		m.refused++
		return
	}
	m.self.Misplace(&m.record, r)
}

// goBack makes a replica whose data are older than what it has told a learner.
func (m *Machine) goBack(r *message.Record, why string) {
	m.self.GoBack(why)
	m.outside(r)
	m.forgetVotes()
}

// setAside keeps what this replica has, for an operator to look at.
func (m *Machine) setAside(why string) {
	m.self.SetAside(why)
	m.turn.Changed = true
}

// survive ends an epoch as its record says (rule F5): it delivers up to the cut. What
// strong operations are beyond it are dropped: the master sends again what it still waits
// for. So are causal numbers above the high-water, which nobody can have read.
func (m *Machine) survive(r *message.Record) {
	if lacks := m.lacks(r.Cut, r.High); lacks != "" {
		m.goBack(r, fmt.Sprintf("its data were put back to an older copy: %s", lacks))
		return
	}
	inside, err := m.rest.Cut(r.Cut)
	if err != nil {
		m.setAside(fmt.Sprintf("epoch %d leaves out what this replica has delivered: %v", r.Epoch, err))
		return
	}
	if r.High < m.causal.safe {
		m.setAside(fmt.Sprintf("epoch %d leaves out causal writes above %d, and here they were read up to %d",
			r.Epoch, r.High, m.causal.safe))
		return
	}
	if m.learner.Loads() { // the DATA of a copy are what they would have been for a member
		m.receive(m.rest.Queue)
	}
	for _, d := range inside {
		m.deliver(d)
	}
	if m.fault != "" {
		return
	}
	m.learner.End()
	m.enter(r)
}

// lacks says what a record counts on that is not here, although the process that it names has
// said so, or "".
func (m *Machine) lacks(cut []uint64, high uint64) string {
	if m.causal.watermark < high {
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
	if !m.learner.Whole() || r.High != m.learner.Committed() {
		m.stop(fmt.Sprintf("epoch %d begins with what this replica has, and that is not whole", r.Epoch))
		return
	}
	m.dropCausal()
	m.learner.End()
	m.enter(r)
}

// enter begins the work in an epoch.
func (m *Machine) enter(r *message.Record) {
	m.publish() // what the cut has brought is the earlier epoch's
	m.dropStrong()
	m.clock.Restore(r.Start)
	m.epoch = epoch{
		record: *r,
		cast: abcast.New(abcast.Config{
			Self: m.cfg.Self, Incarnation: m.self.Incarnation(), View: r.View, Clock: &m.clock, Keep: m.cfg.Durable,
		}),
		began: m.layers.Position(),

		publishes: m.isFirst(r),
	}
	m.follow(r)
	m.layers.NewEpoch()
	m.shut = m.layers.Floor() // a horizon of an epoch that has ended comes to nothing
	m.dropData()
	m.causal.askedFor = 0
	m.void(r.High)
	if !m.self.Enter(r) { // an earlier process with this disk is meant: it waits for the next epoch
		m.wedge()
		return
	}
	m.entered = true
	m.submitWeakAgain()
}

// outside is the end of membership, or the beginning of a life as a learner.
func (m *Machine) outside(r *message.Record) {
	if m.cast != nil {
		m.keepData()
	}
	m.publish()
	m.self.Leave(&m.record, r)
	m.endWatches(fmt.Sprintf("replica %s has left the view: go on at another one", m.cfg.Self))
	m.dropStrong()

	// What it has may be of a history that an operator has let end.
	isEarlier := m.record.Epoch > 0 && m.record.Epoch < r.Since
	ended := isEarlier || view.Forked(&m.record, r)
	m.epoch = epoch{record: *r}
	m.follow(r)
	m.dropData()
	m.learner.Begin(r.View, m.causal.committed)
	if ended {
		m.layers.Clear()
		m.learner.Restart()
	}
}

// dropStrong forgets the requests that wait for the order of an epoch that has ended.
func (m *Machine) dropStrong() {
	m.linearizable.forget()
	m.sequential.forget()
	m.lists.Drop(needsItsEpoch)
	m.pending = len(m.causal.waiting) + m.lists.Jobs()
}

// past is what HELLO says of where this replica comes from.
func (m *Machine) past() message.Past {
	p := message.Past{Life: m.self.Life(), Reason: m.self.Reason()}
	if m.record.Epoch > 0 {
		r := m.record
		p.Record = &r
	}
	return p
}

// proof is what STATE says beside what it holds.
func (m *Machine) proof() message.Proof {
	p := message.Proof{Life: m.self.Life(), View: m.record.Nonce, Safe: m.causal.safe}
	if m.rest != nil && !m.learner.Loads() {
		p.Told = m.rest.Told
	}
	return p
}

// outdated is told by a master that knows a later process of this replica.
func (m *Machine) outdated(o *message.Outdated, _ *Output) {
	switch m.self.Outdated(o, m.record.Epoch, m.learner.Loads()) {
	case view.NotRenamed:
	case view.Implausible:
		m.refused++
	case view.Deposed:
		record := m.record
		m.outside(&record)
		m.forgetVotes()
	case view.Renamed: // another process is known, but none that a record names: its votes are whole
		m.turn.Changed = true
	}
}

// beat ends a turn: it notes whom the turn sends something to, and, if a heartbeat has come,
// sends a BEAT to the other neighbours.
func (m *Machine) beat(out *Output) {
	for _, s := range out.Sends {
		m.neighbours.Told(s.To)
	}
	if to := m.neighbours.Beat(&m.record, m.ticks); len(to) > 0 {
		out.send(&message.Beat{Header: m.header()}, to...)
	}
}
