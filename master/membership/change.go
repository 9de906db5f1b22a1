package membership

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Advance ends a turn: it begins a change where one is needed, and takes a change that is under
// way as far as what is known allows.
func (m *Machine) Advance(out *Output) {
	m.tell(out)
	switch m.stage {
	case reading:
		if m.lost {
			m.rebuild(out)
			m.installAgain(out)
		}
		if m.stage == reading {
			m.read(out)
		}
	case booting:
		m.boot(out)
	case steady:
		if m.wanted() {
			m.begin()
			m.change(out)
			return
		}
		m.installAgain(out)
		m.restore(out)
		m.check(out)
	case changing:
		m.change(out)
	}
}

// boot proposes the first record once all replicas have said, obeying this master and since it has
// found that there is none, that they know of none either (rule F11): a record may have been
// written and lost since they said HELLO by themselves.
func (m *Machine) boot(out *Output) {
	r := message.Record{
		View: message.View{Epoch: 1}, Configured: slices.Clone(m.cfg.Replicas), Start: m.clock.Now() + 1,
	}
	outdated := false
	for _, n := range r.Configured {
		p := m.Replica(n)
		if p.Phase != message.PhaseBoot || p.Lost || p.Suspected {
			m.readAnew()
			return
		}
		outdated = outdated || !m.answeredSince(p, m.foundNonce)
		r.Members = append(r.Members, message.Member{Node: n, Incarnation: p.Incarnation, Life: p.Life})
	}

	if outdated {
		out.Probe = m.asks == m.foundNonce // else they have been asked
		m.readAnew()
		return
	}
	m.propose(r, out)
}

// readAnew lets a master that waits for the replicas of a cluster that seems to begin look again
// now and then: another master may have been quicker, and some of them may never come.
func (m *Machine) readAnew() {
	if m.ticks >= m.readAgain {
		m.stage = reading
	}
}

// wanted reports whether the view must change: a member is missing, another can be let
// in, or this master has not formed it.
func (m *Machine) wanted() bool {
	if !m.Leads() {
		return true
	}
	works := true
	for _, member := range m.record.Members {
		r := m.Replica(member.Node)
		if m.missing(r, member) {
			return true
		}
		works = works && r.installed
	}
	if !works {
		return false // INSTALL is on its way
	}
	for _, r := range m.replicas {
		if r.Removed && m.record.Configures(r.Node) {
			return true
		}
	}
	return m.improves()
}

// caught reports whether a replica outside the view is loaded, so that a change can let it in.
func (m *Machine) caught(r *Replica) bool {
	return !m.Member(r) && r.Phase == message.PhaseCaught && r.Epoch == m.record.Epoch && r.present()
}

// missing reports whether a member cannot go on in the record's epoch. One that says that
// it is wedged in it has come back with its disk, or another master has asked it.
func (m *Machine) missing(r *Replica, member message.Member) bool {
	switch {
	case r == nil || r.Lost || r.Suspected || r.Incarnation > member.Incarnation || r.Back != "":
		return true
	case r.Incarnation == 0: // not heard by this master yet, or not for so long that it was forgotten
		return m.ticks-r.heard > m.cfg.SuspectTicks
	}
	return r.Epoch == m.record.Epoch && r.Phase != message.PhaseMember && r.Phase != 0
}

// present reports whether a replica is there, and wanted.
func (r *Replica) present() bool {
	return r.Incarnation > 0 && !r.Lost && !r.Suspected && !r.Removed
}

// admissible reports whether a replica outside the view may be let in now. One that was left
// out, since it was silent or did not hear another one, waits for longer each time; but not if
// no view can be formed without it.
func (m *Machine) admissible(r *Replica) bool { return r.present() && m.ticks >= r.admitAfter }

// begin begins a change. A change is never given up (rule F7): a replica that has received PREPARE
// is wedged for good in its epoch.
func (m *Machine) begin() {
	m.forgetCheck()
	m.looked = m.ticks
	m.attempt++
	m.stage, m.began, m.first, m.high, m.holder, m.cut, m.sent, m.stay = changing, m.ticks, m.attempt, 0, 0, nil, false, false
	for _, r := range m.replicas {
		r.state = nil
	}
}

// change asks, and proposes the next record when the answers suffice.
func (m *Machine) change(out *Output) {
	c := m.candidates()
	if !m.sent || m.ticks-m.asked >= m.cfg.AgainTicks {
		m.prepare(out)
	}
	if _, present := m.AtRisk(); m.recover && len(present) == 0 && !c.awaited && !c.back {
		if base := m.Base(); base != nil {
			m.propose(m.beginning(base), out)
		} else { // none that knows the record
			m.lookAgain(out)
		}
		return
	}
	if m.waitsFor(c) {
		m.lookAgain(out)
		return
	}

	next := m.chosen(c)
	if next == nil && m.leaversLack(c) { // they stay in this record, and leave with a later one
		m.stay = true
		next = m.chosen(c)
	}
	if next == nil {
		m.lookAgain(out)
		return
	}

	if !m.fill(next, out) {
		m.lookAgain(out)
		return
	}
	m.propose(m.next(next), out)
}

// waitsFor reports whether a replica that is to be in the next view may answer soon. A replica
// that is kept out for a while is waited for only if enough others do not hear each other.
func (m *Machine) waitsFor(c *candidates) bool {
	lateOneIsNeeded := c.lateAwaited && m.together(c) == nil
	return c.awaited || lateOneIsNeeded
}

// chosen returns the candidates that are to form the next view; nil: they do not suffice. If not
// enough of them hear each other all of them are: what the next view must deliver then waits until
// they do, and all else goes on.
func (m *Machine) chosen(c *candidates) *candidates {
	if m.recover { // a replica that is left out now may hold what no other does
		if !m.suffice(c) {
			return nil
		}
		return c
	}
	if next := m.together(c); next != nil {
		return next
	}
	all := *c
	all.joiners = append(slices.Clone(c.joiners), c.late...)
	for _, next := range []*candidates{m.together(&all), c, &all} {
		if next != nil && m.suffice(next) {
			return next
		}
	}
	return nil
}

// lookAgain reads the record now and then while no next one can be proposed: what an
// earlier master had proposed may be written after this one has read, name others, and
// suffice with them.
func (m *Machine) lookAgain(out *Output) {
	due := m.lookUp || m.ticks-m.looked >= lookTicks
	if m.waits || !due {
		return
	}
	m.looked, m.lookUp = m.ticks, false
	m.read(out)
}

// candidates are the replicas of which the next view may be formed.
type candidates struct {
	survivors []*Replica // S: members that have said what they hold, also a member that is to leave
	joiners   []*Replica // learners that have become the copy of a member
	awaited   bool       // somebody else may answer soon
	back      bool       // the survivors hold less than they had told: an operator goes on with them

	late        []*Replica // joiners that are kept out for a while
	lateAwaited bool       // and another one of them may answer soon
}

func (c *candidates) all() []*Replica { return append(slices.Clone(c.survivors), c.joiners...) }

func (m *Machine) candidates() *candidates {
	c := &candidates{}
	var back []*Replica
	waited := m.ticks - m.began
	for _, member := range m.record.Members {
		switch r := m.Replica(member.Node); {
		case r == nil || r.Lost || r.Incarnation > member.Incarnation: // what it held is gone
		case r.Back != "": // it holds less than it has acknowledged
			if r.state != nil && !r.Suspected {
				back = append(back, r)
			}
		case r.Suspected: // it is not waited for
		case r.Incarnation == 0:
			c.awaited = c.awaited || waited < m.cfg.SuspectTicks
		case r.state == nil:
			c.awaited = true // until it answers or is suspected
		default:
			c.survivors = append(c.survivors, r)
		}
	}

	for _, r := range m.replicas {
		switch {
		case m.Member(r) || !r.present() || r.Epoch != m.record.Epoch: // it cannot join
		case r.state != nil && !m.complete(r): // the copy of a member that has gone back
		case r.state != nil && m.admissible(r):
			c.joiners = append(c.joiners, r)
		case r.state != nil:
			c.late = append(c.late, r)
		case !m.caught(r) || waited >= m.cfg.JoinTicks: // it joins a later view
		case m.admissible(r):
			c.awaited = true
		case m.ticks >= r.lateAfter:
			c.lateAwaited = true
		}
	}

	if m.recover && len(c.survivors) == 0 && !c.awaited {
		c.survivors, c.back = back, len(back) > 0
	}
	return c
}

// suffice is the condition of rule F3: so many of the members that one of them holds
// whatever was acknowledged, and so many replicas together that the next view may lose
// as many again.
func (m *Machine) suffice(c *candidates) bool {
	if m.recover {
		return len(c.survivors) > 0
	}
	staying := len(c.joiners)
	for _, r := range c.survivors {
		if !m.leaves(r) {
			staying++
		}
	}
	holders := staying - len(c.joiners)
	if len(c.survivors) == len(m.record.Members) { // then all members know of the next record, also those that leave
		holders = len(c.survivors)
	}
	configured := m.configured(c)
	return holders >= len(m.record.Members)-m.record.Faults && staying > 0 &&
		staying >= len(configured)-m.mayMiss(len(configured))
}

// leaversLack reports whether the candidates would suffice but for the replicas that are to leave:
// these count for F3 only if all members have answered.
func (m *Machine) leaversLack(c *candidates) bool {
	if m.stay || m.suffice(c) {
		return false
	}
	staying, leaving := len(c.joiners), 0
	for _, r := range c.survivors {
		if m.leaves(r) {
			leaving++
		} else {
			staying++
		}
	}
	configured := len(m.configured(c))
	enoughAnswer := len(c.survivors) >= len(m.record.Members)-m.record.Faults
	enoughStay := staying > 0 && staying >= configured-m.mayMiss(configured)
	return leaving > 0 && enoughAnswer && enoughStay
}

// configured are the replicas of the next record.
func (m *Machine) configured(c *candidates) []lamport.Node {
	var list []lamport.Node
	for _, n := range m.record.Configured {
		if r := m.Replica(n); r == nil || !m.leaves(r) {
			list = append(list, n)
		}
	}
	for _, r := range c.joiners {
		if !slices.Contains(list, r.Node) {
			list = append(list, r.Node)
		}
	}
	slices.Sort(list)
	return list
}

// mayMiss is how many of n replicas may be missing.
func (m *Machine) mayMiss(n int) int {
	if m.cfg.Missing < 0 {
		return n - (n/2 + 1)
	}
	return min(m.cfg.Missing, n-1)
}

// prepare asks the members and the replicas that load (rule F1), also those that have answered an
// earlier attempt if they lack what they are to hold.
func (m *Machine) prepare(out *Output) {
	m.asked, m.sent = m.ticks, true
	var to []lamport.Node
	for _, r := range m.replicas {
		unheard := r.Incarnation == 0 && m.record.Index(r.Node) >= 0 // a member of which nothing is known yet
		asked := m.Member(r) || unheard || r.present()
		answered := r.state != nil && r.state.Watermark >= m.high && !r.state.Lacks(m.cut)
		if r.Lost || answered || !asked {
			continue
		}
		to = append(to, r.Node)
	}
	if len(to) > 0 {
		out.send(&message.Prepare{
			Header: m.header(), Attempt: m.attempt, High: m.high, Holder: m.holder, Cut: m.cut,
		}, to...)
	}
}

// fill makes all candidates hold the causal high-water, the most that any of them holds, and the
// cut, and reports whether they do (rules F3 and F15). Whatever was safe in this epoch is not above
// the high-water, and whatever was delivered is inside the cut.
func (m *Machine) fill(c *candidates, out *Output) bool {
	var high uint64
	var holder lamport.Node
	all, cut := c.all(), m.cutOf(c)
	for _, r := range all {
		if r.state.Watermark > high {
			high, holder = r.state.Watermark, r.Node
		}
	}

	lacksNumbers := slices.ContainsFunc(all, func(r *Replica) bool { return r.state.Watermark < high })
	lacksData := slices.ContainsFunc(all, func(r *Replica) bool { return r.state.Lacks(cut) })
	if !lacksNumbers && !lacksData {
		m.high = high
		return true
	}
	if !lacksData {
		cut = nil
	}
	if high != m.high || holder != m.holder || !slices.Equal(cut, m.cut) {
		m.attempt++
		m.high, m.holder, m.cut = high, holder, cut
		m.prepare(out)
	}
	return false
}

// cutOf is how many DATA of each member are delivered in the epoch that ends, if these candidates
// end it (rules F3 and F15). A process that the record names holds all that was delivered anywhere.
// One that was started again since holds what its disk has, which may have been put back, and a
// copy what such a one may have had: they do not lower the cut, and are brought what they lack.
func (m *Machine) cutOf(c *candidates) []uint64 {
	named := slices.DeleteFunc(slices.Clone(c.survivors), m.startedAgain)
	switch {
	case c.back: // what others have delivered is not here to be brought
		return combined(held(c.all()), minOf)
	case len(named) > 0:
		return combined(held(named), minOf)
	}
	return combined(held(c.survivors), maxOf) // one of the disks at the least is whole
}

// startedAgain reports whether the process of a member is not the one that the record names.
func (m *Machine) startedAgain(r *Replica) bool {
	named := m.record.Members[m.record.Index(r.Node)].Life
	return named != 0 && r.state.Proof.Life != named
}

// held is how many DATA of each member each of the replicas holds.
func held(replicas []*Replica) [][]uint64 {
	var list [][]uint64
	for _, r := range replicas {
		list = append(list, r.state.Contiguous)
	}
	return list
}

func minOf(a, b uint64) uint64 { return min(a, b) }
func maxOf(a, b uint64) uint64 { return max(a, b) }

// combined takes vectors of one length together, place by place. There is one at least.
func combined(vectors [][]uint64, two func(a, b uint64) uint64) []uint64 {
	all := slices.Clone(vectors[0])
	for _, v := range vectors[1:] {
		for i, n := range v {
			all[i] = two(all[i], n)
		}
	}
	return all
}

// next is the record of the next epoch.
func (m *Machine) next(c *candidates) message.Record {
	configured := m.configured(c)
	r := message.Record{
		View: message.View{Epoch: m.record.Epoch + 1}, Configured: configured,
		Cut: m.cutOf(c), High: m.high, Start: m.clock.Now() + 1, Since: m.record.Since,
	}
	for _, p := range c.all() {
		if !m.leaves(p) {
			r.Members = append(r.Members, message.Member{Node: p.Node, Incarnation: p.Incarnation, Life: p.state.Proof.Life})
		}
	}
	slices.SortFunc(r.Members, func(a, b message.Member) int { return int(a.Node) - int(b.Node) })
	if c.back { // others have delivered what these do not hold
		r.Since = r.Epoch
	}
	return r
}

// Base is the learner that has come furthest of those whose state is a prefix of the
// order: what is left to go on with when no member is left with all that it had
// acknowledged. nil: there is none.
func (m *Machine) Base() *Replica {
	var base *Replica
	for _, r := range m.replicas {
		learned := !m.Member(r) && r.Whole && r.Epoch == m.record.Epoch && !r.Lost && !r.Suspected
		if learned && r.further(base) {
			base = r
		}
	}
	return base
}

// beginning is a record that makes a learner's state the cluster's: it has no cut.
func (m *Machine) beginning(base *Replica) message.Record {
	return message.Record{
		View: message.View{
			Epoch:   m.record.Epoch + 1,
			Members: []message.Member{{Node: base.Node, Incarnation: base.Incarnation, Life: base.Life}},
		},
		Configured: m.configured(&candidates{joiners: []*Replica{base}}), High: base.Committed,
		Start: m.clock.Now() + 1, Since: m.record.Epoch + 1,
	}
}

// installAgain repeats the record of the epoch that this master leads for members that have not
// acknowledged it.
func (m *Machine) installAgain(out *Output) {
	if !m.Leads() || m.ticks-m.told < m.cfg.AgainTicks {
		return
	}
	m.told = m.ticks
	for _, r := range m.replicas {
		if m.Member(r) && !r.installed && !r.Lost {
			m.install(r, out)
		}
	}
}
