package replica

import (
	"math"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// How tombstones are collected (rules O40 to O44 of DESIGN.md). The first member proposes a
// horizon, a version, as an ordered operation. From its delivery on each member takes no weak
// write any more that is not above it, and orders its agreement once all causal writes up to it
// are committed. Where the last agreement is delivered, the tombstones up to the horizon are
// gone.

// Collecting says when the first member proposes that tombstones are collected. Zero fields have
// the values that are given here.
type Collecting struct {
	Most     int    // so many tombstones, if they are more than an eighth of the values, are collected: 10,000
	LagTicks uint64 // how old what is collected is, at the least, in ticks: 1,000, which is 10 s
	AgeTicks uint64 // … so long after the last time any number of tombstones is collected: 60,000, 10 minutes
}

func (c Collecting) filled() Collecting {
	if c.Most == 0 {
		c.Most = 10_000
	}
	if c.LagTicks == 0 {
		c.LagTicks = 1000
	}
	if c.AgeTicks == 0 {
		c.AgeTicks = 60_000
	}
	return c
}

// collecting is what a replica knows of collections in its epoch, beside the replicated state.
type collecting struct {
	heard uint64 // the greatest time of the epoch's master that came with its marks

	// For the first member: times of the master that it has heard, and when. A horizon is one
	// that is LagTicks old, so that hardly any write is still on its way that is not above it.
	older, newer heardAt

	isNumbered bool   // number is known
	number     uint64 // causal writes stamped up to the horizon have no greater number
	hasAgreed  bool   // to the present horizon

	held []heldWrite
}

// heldWrite is a weak write that is not above the horizon.
type heldWrite struct {
	request   *message.Request
	forwarded uint64 // its master's time
	tick      uint64 // when that was
}

// heardAt is a time of the master, and the tick at which it was heard.
type heardAt struct{ time, tick uint64 }

// collects reports whether tombstones may be collected in this epoch: every replica of the cluster
// is a member, so nobody can come back with a write that the others do not know.
func (m *Machine) collects() bool {
	r := &m.record
	if r.Level < message.LevelCollections {
		return false
	}
	for _, n := range r.Configured {
		if r.Index(n) < 0 {
			return false
		}
	}
	return true
}

// hears takes note of the time of a message of the epoch's master, whose marks were taken: causal
// numbers above them are stamped later.
func (m *Machine) hears(time uint64) { m.collecting.heard = max(m.collecting.heard, time) }

// proposeHorizon orders, as the first member, that tombstones are collected, when it is time.
func (m *Machine) proposeHorizon() {
	c := &m.collecting
	isFirst := m.record.Members[0].Node == m.cfg.Self
	if !isFirst || !m.collects() {
		return
	}

	lag := m.cfg.Collecting.LagTicks
	if m.ticks-c.newer.tick >= lag && c.heard > 0 {
		c.older, c.newer = c.newer, heardAt{time: c.heard, tick: m.ticks}
	}
	if c.older.time == 0 || !m.isTimeToCollect() {
		return
	}

	horizon := lamport.Version{Epoch: m.record.Epoch, Timestamp: lamport.Timestamp{Time: c.older.time, Node: math.MaxUint32}}
	if !m.layers.Floor().Less(horizon) {
		return
	}
	m.proposedAt = m.ticks
	m.cast.Submit(message.Operation{Op: message.OpHorizon, Request: message.Request{Version: horizon}}, false)
}

// isTimeToCollect reports whether there are so many tombstones, or any for so long, that they are
// to be collected.
func (m *Machine) isTimeToCollect() bool {
	n := m.layers.Tombstones()
	isBusy := m.layers.Collection().Horizon != (lamport.Version{}) || m.layers.Sweeps()
	since := m.ticks - m.proposedAt
	if n == 0 || isBusy || since < m.cfg.Collecting.LagTicks {
		return false
	}
	isMany := n >= m.cfg.Collecting.Most && n > m.layers.Keys()/8
	return isMany || since >= m.cfg.Collecting.AgeTicks
}

// deliverHorizon closes the door to weak writes that are not above the horizon.
func (m *Machine) deliverHorizon(op *message.Operation) {
	horizon := op.Request.Version
	isOfEpoch := horizon.Epoch == m.record.Epoch
	if !isOfEpoch || !m.collects() || !m.layers.Propose(horizon) {
		return
	}
	m.collecting.isNumbered, m.collecting.hasAgreed = false, false
	m.closeDoor(horizon)
}

// closeDoor makes the door refuse weak writes up to a version. It is on disk before anything leaves
// that says so.
func (m *Machine) closeDoor(to lamport.Version) {
	if m.shut.Less(to) {
		m.shut = to
	}
}

// agree orders this member's agreement to the horizon: its own weak writes that are not above stand
// before that in its DATA, no further one has come since, and the causal ones are committed.
func (m *Machine) agree() {
	c := &m.collecting
	horizon := m.layers.Collection().Horizon
	if horizon == (lamport.Version{}) || c.hasAgreed {
		return
	}

	if !c.isNumbered && c.heard >= horizon.Time {
		c.isNumbered, c.number = true, m.causal.marks.Last
	}
	if !c.isNumbered || m.causal.committed < c.number {
		return
	}
	c.hasAgreed = true
	m.cast.Submit(message.Operation{Op: message.OpAgree, Request: message.Request{Version: horizon}}, false)
}

// deliverAgree collects with the last agreement. What was held at the door is then answered.
func (m *Machine) deliverAgree(op *message.Operation, d *message.Data) {
	member := m.record.Index(d.From)
	if !m.collects() || !m.layers.Agree(op.Request.Version, member, len(m.record.Members)) {
		return
	}
	m.collectedAt = m.ticks + 1
	m.collections++

	held := m.collecting.held
	m.collecting.held = nil
	for _, h := range held {
		m.forwarded = h.forwarded + m.ticks - h.tick
		m.eventual.set(h.request)
	}
}

// sweep takes tombstones that are gone out of the store, a few in each tick.
func (m *Machine) sweep() {
	if m.layers.Sweep() {
		m.turn.Changed = true
	}
}

// stampAnew answers a weak write that is not above the floor, and that nobody has executed: it
// would lose against a tombstone that is gone, and its master gives it another stamp. The answer
// says which stamp it is about.
func (m *Machine) stampAnew(r *message.Request) {
	m.answer(model.Answer{
		RID: r.RID, Code: model.NotFound, Timestamp: r.Version.Time,
		Reason: "its stamp is older than tombstones that were collected; it was not executed",
	})
}

// heldMost bounds the weak writes that wait at the door.
const heldMost = 10_000

// holdAtDoor keeps a weak write that is not above the horizon until the collection has come about:
// then it is known whether it was executed elsewhere. If the epoch ends before, nothing is said of
// it, and its client sends it again.
func (m *Machine) holdAtDoor(r *message.Request) {
	if len(m.collecting.held) == heldMost {
		m.drop()
		return
	}
	m.collecting.held = append(m.collecting.held, heldWrite{request: r, forwarded: m.forwarded, tick: m.ticks})
}

// collected is how many ticks ago tombstones were collected, and 1; 0: never in this process.
func (m *Machine) collected() uint64 {
	if m.collectedAt == 0 {
		return 0
	}
	return m.ticks - m.collectedAt + 2
}
