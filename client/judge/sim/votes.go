package sim

import (
	"math/bits"
	"math/rand/v2"

	"quartet/bus/message"
	"quartet/replica/abcast"
	"quartet/replica/durable"
)

// ballotOf names a ballot on the record that follows another one.
type ballotOf struct {
	base   uint64 // its nonce; 0: the ballot is on the first record
	epoch  uint64
	ballot message.Ballot
}

// VotesFromSeed draws a run in which the replicas decide the records of views, with every fault.
func VotesFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	o.Voting = true
	return o
}

// VotesHarshFromSeed draws one in which two masters are at work most of the time, nodes are cut off
// and replicas die.
func VotesHarshFromSeed(seed uint64) Options {
	o := VotesFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x1b0e5))
	o.Replicas, o.Late, o.Stale = 3+r.IntN(3), 0, false
	o.Kinds, o.Faults = []FaultKind{SecondMaster, SecondMaster, MasterDies, MasterInTurn, Isolate, Crash, CrashInTurn, CutIn, CutOut}, 16
	o.Horizon = (100 + r.Int64N(100)) * tickUnits
	return o
}

// VotesThreeFromSeed draws one in which three masters are at work, die and are cut off.
func VotesThreeFromSeed(seed uint64) Options {
	o := VotesHarshFromSeed(seed)
	o.Masters = 3
	o.Kinds = append(o.Kinds, SecondMaster, SecondMaster, Pause)
	o.Faults = 24
	return o
}

// ContestedFromSeed draws one in which three masters are at work most of the time, whatever can
// happen to a node or a link does, and a third of all messages is lost.
func ContestedFromSeed(seed uint64) Options {
	o := VotesThreeFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0xc0417e57))
	o.Kinds = []FaultKind{
		SecondMaster, SecondMaster, SecondMaster, MasterDies, MasterInTurn, Isolate, Flap, CutOne, CutIn, CutOut, Pause, Slow, Crash, CrashInTurn,
	}
	o.Faults, o.Drop, o.Delay = 30, 0.3, 10+r.Int64N(3*tickUnits)
	o.Horizon = (100 + r.Int64N(100)) * tickUnits
	return o
}

// TakenOutFromSeed draws one in which a replica is taken out of the cluster meanwhile.
func TakenOutFromSeed(seed uint64) Options {
	o := ContestedFromSeed(seed)
	o.Replicas = 4 + int(seed%2)
	o.Kinds = append(o.Kinds, Leave, Leave)
	o.Drop = 0.2
	return o
}

// WordsFromSeed draws one in which masters are told that replicas do not answer any more, who do or
// do not.
func WordsFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	if seed%2 == 0 {
		o = VotesHarshFromSeed(seed)
	}
	o.Words = true
	return o
}

// VotesLeaveFromSeed draws one in which a replica is taken out of the cluster while masters die.
func VotesLeaveFromSeed(seed uint64) Options {
	o := VotesHarshFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x1ea5e))
	o.Replicas = 4 + r.IntN(2)
	o.Kinds = []FaultKind{Leave, Leave, MasterDies, MasterInTurn, SecondMaster, Crash, CrashInTurn, Isolate}
	return o
}

// VotesPutBackFromSeed draws one in which disks are put back to copies from before the newest
// record, and nobody is cut off: who is put back has lost its votes, and that counts as the loss
// of a replica.
func VotesPutBackFromSeed(seed uint64) Options {
	o := PutBackFromSeed(seed)
	o.Voting, o.PutBackFar = true, true
	o.Kinds = []FaultKind{Crash, CrashInTurn, Slow, MasterDies}
	o.Drop, o.Reorder = min(o.Drop, 0.05), min(o.Reorder, 0.1)
	return o
}

// VotesPowerFromSeed draws one that ends with a power cut, after which no replica has a vote any
// more: an operator decides.
func VotesPowerFromSeed(seed uint64) Options {
	o := VotesFromSeed(seed)
	o.Durable, o.PowerCut, o.Forever = true, true, false
	return o
}

// voted sees what a replica has accepted, once it is on its disk: a record is decided when so many
// have accepted it in one ballot, and then no other one ever is in its place.
func (c *cluster) voted(i int, sends []abcast.Send) {
	if !c.opts.Voting {
		return
	}
	for _, s := range sends {
		v, ok := s.Msg.(*message.Vote)
		if !ok || v.Value == nil {
			continue
		}
		key := ballotOf{ballot: v.Accepted}
		if v.Base != nil {
			key.base, key.epoch = v.Base.Nonce, v.Base.Epoch
		}
		c.registry.hasAccepted |= 1 << i
		before := c.votes[key]
		c.votes[key] = before | 1<<i
		if c.votes[key] != before && c.accepted(v, c.votes[key]) {
			c.chosen(v.Value)
		}
	}
	if r := c.nodes[i].replica.Record(); r.Epoch > uint64(len(c.registry.records)) {
		c.fail("invariant", "%s goes by a record of epoch %d, and %d are decided", c.nodes[i].id, r.Epoch, len(c.registry.records))
	}
}

// accepted reports whether those who have accepted suffice: all replicas of a cluster that begins,
// then more than half of those that the record before configures; or, where an operator has
// decided so, all whom the value names.
func (c *cluster) accepted(v *message.Vote, who uint64) bool {
	forced := c.opts.PowerCut && c.healed && bits.OnesCount64(who&maskOf(v.Value)) == len(v.Value.Members)
	if v.Base == nil {
		return forced || bits.OnesCount64(who) == len(v.Value.Configured)
	}
	count := 0
	for _, n := range v.Base.Voters() {
		count += int(who >> (n - 1) & 1)
	}
	return forced || count > len(v.Base.Voters())/2
}

// maskOf has a bit for each member of a record.
func maskOf(r *message.Record) (mask uint64) {
	for _, m := range r.Members {
		mask |= 1 << (m.Node - 1)
	}
	return mask
}

// chosen takes a record that the replicas have decided. That they decide it again, in a later
// ballot, changes nothing.
func (c *cluster) chosen(r *message.Record) {
	records := c.registry.records
	if n := int(r.Epoch); n <= len(records) {
		isAnother := records[n-1].Nonce != r.Nonce
		byOperator := c.opts.PowerCut && c.healed
		if isAnother && !byOperator {
			c.fail("invariant", "two records of epoch %d are decided: that of master %d, nonce %d, and that of master %d, nonce %d",
				r.Epoch, records[n-1].Master, records[n-1].Nonce, r.Master, r.Nonce)
		}
		if !isAnother || !byOperator {
			return
		}
	}
	c.decided(r)
}

// mayForget reports whether a replica may lose its memory before there is a first record: all
// others have theirs, and it has accepted nothing. (Where one has, and forgets it, a master may
// take the first record for decided that another one finds undecided. Nothing is done by it then,
// since not all of its members live; but the referee would say that two were decided.)
func (c *cluster) mayForget(i int) bool {
	if !c.opts.Voting || c.registry.hasAccepted>>i&1 == 1 {
		return false
	}
	for j, n := range c.nodes[:c.opts.Replicas-c.opts.Late] {
		if j != i && n.dead {
			return false
		}
	}
	return true
}

// mayLoseVote reports whether the records can be read and decided without what a replica has
// promised: those that the newest record configures decide the next one and, as long as too few
// of them know the newest, those of the record before show that it is decided.
func (c *cluster) mayLoseVote(i int) bool {
	records := c.registry.records
	if !c.opts.Voting {
		return true
	}
	newest := &records[len(records)-1]
	know := 0
	for _, n := range newest.Voters() {
		if int(n)-1 != i && c.nodes[int(n)-1].knows(newest) {
			know++
		}
	}
	switch {
	case !c.decides(newest, i):
		return false
	case know > len(newest.Voters())/2:
		return true
	case newest.Epoch == 1:
		return false
	}
	return c.decides(&records[len(records)-2], i)
}

// decides reports whether more than half of those that a record configures have, or will have
// again, a vote on what follows it, without replica i.
func (c *cluster) decides(r *message.Record, i int) bool {
	count := 0
	for _, id := range r.Voters() {
		if n := c.nodes[int(id)-1]; n != c.nodes[i] && !n.forever && !n.away && n.votesOn(r) {
			count++
		}
	}
	return count > len(r.Voters())/2
}

// votesOn reports whether a replica has a vote on what follows a record, or will once it knows it.
func (n *node) votesOn(r *message.Record) bool {
	if k := r.Index(n.id); k >= 0 {
		return n.holds(r.Members[k].Incarnation)
	}
	v := n.keptVotes()
	isNear := v.Base.Epoch == r.Epoch || v.Base.Epoch+1 == r.Epoch
	return v.Whole && isNear
}

// knows reports whether a replica knows that a record, or a later one, is decided, and does not
// forget it.
func (n *node) knows(r *message.Record) bool {
	return !n.forever && n.keptVotes().Base.Epoch >= r.Epoch
}

// keptVotes is what a replica has promised, and does not forget.
func (n *node) keptVotes() durable.Votes {
	switch {
	case n.disk != nil:
		return n.disk.state.Votes
	case n.dead:
		return durable.Votes{}
	}
	return n.replica.Votes()
}
