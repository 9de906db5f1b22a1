package sim

import (
	"math/rand/v2"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/trouble"
	"quartet/master"
	"quartet/replica/abcast"
)

// PutBackNearFromSeed draws a run in which disks are put back to copies of a moment before: a
// replica has delivered alone what it does not have any more, and perhaps only a master was told.
func PutBackNearFromSeed(seed uint64) Options {
	o := PutBackFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x0ea12))
	o.PutBacks, o.PutBackNear, o.Faults = 6, true, r.IntN(4)
	o.Ops = r.IntN(2) == 0
	o.Requests, o.Keys, o.Horizon = 20, 1+r.IntN(2), 150*tickUnits
	o.Mixes = []int{strongOnly, r.IntN(len(mixes)), r.IntN(len(mixes))}
	return o
}

// PutBackUnwitnessedFromSeed draws one in which the others may die before that is recognised:
// nobody may remember then what the replica had told, and what is ordered must stay all the same.
func PutBackUnwitnessedFromSeed(seed uint64) Options {
	o := PutBackNearFromSeed(seed)
	o.Unwitnessed, o.Mixes, o.Faults = true, []int{strongOnly}, 4
	o.Kinds = []FaultKind{Crash, CrashAll, CrashInTurn, MasterDies, CutIn, Isolate}
	return o
}

// PutBackAndLostFromSeed draws one in which the store loses records, too, while masters die: who
// has gone back may have known of a later record, so an operator is asked (rule F11).
func PutBackAndLostFromSeed(seed uint64) Options {
	o := PutBackNearFromSeed(seed)
	o.LostRecords, o.Operator = 4, true
	o.Kinds, o.Faults = append(o.Kinds, MasterDies, SecondMaster, Crash), 6
	return o
}

// mostCopies is how many copies of a disk are kept.
const mostCopies = 12

// putBack is what was taken from a replica whose disk was put back.
type putBack struct {
	incarnation uint64 // it and those before it do not have any more what they have told
	epoch       uint64 // of the record that stood then
}

// copy makes a copy of the disk as it is now, in place of one of the others.
func (n *node) copy(at int) {
	if n.disk.state.Incarnation == 0 {
		return
	}
	if len(n.copies) < mostCopies {
		n.copies = append(n.copies, n.disk.clone())
		return
	}
	n.copies[at] = n.disk.clone()
}

// commit makes a turn of a node durable, and copies its disk now and then.
func (c *cluster) commit(n *node) {
	if c.opts.PutBackNear {
		n.copyTurn()
	}
	n.disk.commit(c.out.Turn, n.store)
	if c.opts.PutBack && !c.opts.PutBackNear && c.rand.IntN(15) == 0 {
		n.copy(c.rand.IntN(mostCopies))
	}
	if c.opts.PowerCut && c.rand.IntN(20) == 0 {
		n.disk.synced = n.disk.clone()
	}
}

// turnsKept is how many copies are kept where they are of the last turns.
const turnsKept = 6

// copyTurn keeps a copy of the disk as it is before a turn's commit, and forgets the oldest.
func (n *node) copyTurn() {
	if n.disk.state.Incarnation == 0 {
		return
	}
	n.copies = append(n.copies, n.disk.clone())
	n.copies = n.copies[max(0, len(n.copies)-turnsKept):]
}

// ahead sees whether a replica has delivered something in this turn before all others, and its
// disk is to be put back for that. It returns what still leaves: all, or nothing but what masters
// are told.
func (c *cluster) ahead(i int, sends []abcast.Send) []abcast.Send {
	n := c.nodes[i]
	works := n.ending == lives && n.replica.Installed()
	if c.due == nil || !n.first || !works || c.unrecognised() {
		return sends
	}
	c.due, n.putBackDue = nil, true
	if c.rand.IntN(4) == 0 {
		return sends
	}
	toMasters := func(s abcast.Send) bool { return slices.Contains(s.To, lamport.Master(1)) }
	return slices.DeleteFunc(slices.Clone(sends), func(s abcast.Send) bool { return !toMasters(s) })
}

// putBackNow ends a replica's process at the end of a turn, and puts its disk back, if that is
// due and may be. It reports whether it did.
func (c *cluster) putBackNow(i int) bool {
	n := c.nodes[i]
	due := n.putBackDue
	n.putBackDue = false
	if !due || !c.putDiskBack(i) {
		return false
	}
	c.agenda.push(event{at: c.now + tickUnits + c.rand.Int64N(20*tickUnits), kind: revives, node: i})
	return true
}

// unrecognised reports whether a disk was put back in the present epoch. Until the next one
// nobody else dies: what the others were told in the last moments is in their memory only, and
// DESIGN.md says what cannot be seen without it.
func (c *cluster) unrecognised() bool {
	r := c.record()
	if c.opts.Unwitnessed {
		return false
	}
	for _, n := range c.nodes {
		if n.putBack.epoch > 0 && r != nil && n.putBack.epoch >= r.Epoch {
			return true
		}
	}
	return false
}

// putDiskBack ends a replica's process and puts its disk back to an older copy. It counts as
// lost: not more than the cluster is made for may be missing.
func (c *cluster) putDiskBack(i int) bool {
	n, r := c.nodes[i], c.record()
	if c.opts.PutBackFar && r != nil {
		n.copies = slices.DeleteFunc(n.copies, func(d *disk) bool { return d.state.Record.Epoch == r.Epoch })
	}
	if c.opts.PutBackNear && r != nil {
		n.copies = slices.DeleteFunc(n.copies, func(d *disk) bool {
			return d.state.Record.Epoch != r.Epoch || d.state.Incarnation != n.disk.state.Incarnation
		})
	}
	if len(n.copies) == 0 || r == nil || !c.mayLose(i) || !c.othersRemember(i) {
		return false
	}
	c.kill(i)
	n.lostAt = c.step
	n.putBack = putBack{incarnation: max(n.disk.state.Incarnation, n.replica.Incarnation()), epoch: r.Epoch}
	copies := n.copies
	if before := slices.IndexFunc(copies, func(d *disk) bool { return d.state.Record.Epoch+1 == r.Epoch }); before >= 0 &&
		c.rand.IntN(2) == 0 {
		copies = copies[before:] // of the view before: the record names a life of which it may know
	}
	n.disk = copies[c.rand.IntN(len(copies))].clone()
	c.trace("%6d  the disk of %s is put back to epoch %d, position %d", c.now, n.id, n.disk.state.Record.Epoch, n.disk.state.Position)
	return true
}

// othersRemember reports whether all other members live and have installed the newest record:
// so they have in memory what they were told.
func (c *cluster) othersRemember(i int) bool {
	r := c.record()
	for _, m := range r.Members {
		n := c.nodes[int(m.Node)-1]
		if n == c.nodes[i] {
			continue
		}
		if n.dead || n.replica.Record().Epoch != r.Epoch || n.replica.Incarnation() != m.Incarnation || !n.replica.Installed() {
			return false
		}
	}
	return true
}

// operate is the operator, who sees that a cluster does not come back by itself, and lets it go on
// with what is left: after a power cut whatever it says, and else where it says that a record is
// lost and who may know of a later one (rule F11).
func (c *cluster) operate(m *master.Machine) {
	isLate := c.healed && c.now > c.healedAt+50*tickUnits
	if !isLate || m.Ready() {
		return
	}
	isUnsure := c.opts.Operator && trouble.Of(m.Snapshot().Why) == trouble.RecordUnsure
	if c.opts.PowerCut || isUnsure {
		c.trace("%6d  the operator goes on", c.now)
		m.Recover()
	}
}
