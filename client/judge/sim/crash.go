package sim

import (
	"math"
	"slices"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/replica"
	"quartet/replica/dedup"
	"quartet/replica/store"
)

// ending is how a process ends within its turn.
type ending uint8

const (
	lives         ending = iota
	beforePersist        // nothing of the turn is on disk
	beforeSend           // the turn is on disk, and nothing of it has left
	halfSent             // some of its messages have left
)

// windowSize is that of the tables of executed requests: so small that learners find it
// trimmed now and then.
const windowSize = 400

// window is how many of the last sets replicas remember, whatever their age.
func (c *cluster) window() int {
	if c.opts.Window > 0 {
		return c.opts.Window
	}
	return windowSize
}

// asksEventual reports whether there are eventual sets. A master that has forgotten one
// stamps it again, and who has not received the first then shows the second for a moment:
// of 100,000 sets in between, the table of a master outside of tests, none is on its way.
func (c *cluster) asksEventual() bool {
	for i := range c.opts.Sessions {
		if slices.Contains(mixes[c.opts.Mixes[i%len(c.opts.Mixes)]], model.Eventual) {
			return true
		}
	}
	return false
}

// bear starts a replica's process: with its disk, if it has one.
func (c *cluster) bear(i int) {
	n := c.nodes[i]
	n.born++
	cfg := replica.Config{
		Self: n.id, Incarnation: uint64(n.born) * 1000, Life: uint64(i+1)<<32 | uint64(n.born),
		PID: 1000*i + n.born, WaitTicks: 5, HelloTicks: 5, Forms: codec.Forms{},
		Limits: dedup.Limits{Window: c.window(), KeepTicks: uint64(c.opts.Keep)},
		Delivered: func(at lamport.Version, from, to uint64, d *message.Data, op *message.Operation) {
			c.delivered(i, at, from, to, d, op)
		},
		ChunkBytes: c.opts.ChunkBytes, Publish: c.opts.Watchers > 0,
		Collecting: replica.Collecting{Most: 1, LagTicks: uint64(c.opts.Lag)},
	}
	if c.opts.Lag == 0 {
		cfg.Collecting.Most = math.MaxInt
	}
	if c.opts.Listers > 0 {
		cfg.ListLooks = 2
		cfg.Listed = func(r *message.Request, what func(string) store.Record) { c.listed(n.id, r, what) }
	}

	if c.opts.ClockSetBack && n.disk == nil {
		cfg.Incarnation = uint64(1000 - n.born)
	}
	if c.opts.SameIncarnation {
		cfg.Incarnation = 1000
	}

	if c.opts.Durable {
		if n.disk == nil {
			n.disk = newDisk(c.window())
		}
		cfg.Saved, cfg.Durable = n.disk.saved(), true
		n.store = n.disk.store()
	} else {
		n.store = &recording{Memory: newMemory()}
	}

	cfg.Store = n.store
	n.replica = replica.New(cfg)
	n.dead, n.ending, n.pid = false, lives, cfg.PID
	c.watch.born(i)
}

// kill ends a process. What is in its inbox is gone.
func (c *cluster) kill(i int) {
	n := c.nodes[i]
	c.trace("%6d  %s dies", c.now, n.id)
	n.dead, n.inbox, n.requests, n.tick, n.ending = true, nil, nil, false, lives
	n.life++
	if i >= c.opts.Replicas {
		n.master = nil
		if c.healed { // somebody starts one again if none is left
			c.agenda.push(event{at: c.now + tickUnits, kind: revives, node: c.opts.Replicas})
		}
		return
	}
	c.crashes++
	n.deaths = append(n.deaths, c.step)
	if !c.opts.Durable {
		n.lostAt = c.step
	}
	if c.rand.IntN(2) == 0 { // the master's supervisor sees it, sooner or later; or only the silence tells
		c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(3*tickUnits), kind: noticed, node: i, pid: n.pid})
	}
}

// revive starts a process again.
func (c *cluster) revive(i int) {
	n := c.nodes[i]
	lives := func(n *node) bool { return !n.dead }
	isAnotherThere := slices.ContainsFunc(c.nodes[c.opts.Replicas+1:], lives)
	if !n.dead || n.forever || n.away {
		return
	}
	// At rest one master is enough: the first one stays away while another is there.
	if c.healed && i == c.opts.Replicas && isAnotherThere {
		return
	}

	c.trace("%6d  %s starts again", c.now, n.id)
	n.dead = false
	if i >= c.opts.Replicas {
		c.startMaster(i)
	} else {
		c.bear(i)
	}
	c.schedule(i)
}

// startMaster starts a master's process, with what it would have reserved: ids and Lamport
// times above all that it has told. One on another machine begins far above.
func (c *cluster) startMaster(i int) {
	n := c.nodes[i]
	c.masters++
	cfg := master.Config{
		Self: lamport.Master(1), Incarnation: uint64(c.masters) << 20, Draw: drawOf(c.masters),
		Missing: -1, Cluster: 7, Nonce: uint64(c.masters) << 32, NextRID: n.nextRID + 100, Clock: n.clock + 1000,
		TimeoutTicks: uint64(c.timeout()), ProbeTicks: 2, SuspectTicks: 7, ReadmitTicks: 4, JoinTicks: 8,
		AgainTicks: 3, CheckTicks: 10, OrderedGets: c.opts.OrderedGets, MaxInFlight: 1000,
		Limits: dedup.Limits{Window: 1000, KeepTicks: uint64(c.opts.Keep)}, Voting: c.opts.Voting,
	}
	if c.opts.Window > 0 && !c.asksEventual() {
		cfg.Window = c.opts.Window
	}
	if c.opts.ClockSetBack { // any number, but none twice
		cfg.Incarnation = uint64(1000-c.masters*7%1000)<<20 + uint64(c.masters)
	}
	cfg.Older = c.now < c.opts.Upgrade
	for r := range c.opts.Replicas - c.opts.Late {
		cfg.Replicas = append(cfg.Replicas, lamport.Replica(r+1))
	}
	n.dead, n.master = false, master.New(cfg)
}

// drawOf is the number that the n-th master draws, below 2^26 (splitmix64). Masters that go on
// above others add up distances as large, and the sums must differ, as those of random numbers do:
// no two masters get one incarnation (rule F12). A master that is started later is above all of
// them after 64 more: a number is the time at which it is drawn, and time passes.
func drawOf(n int) uint64 {
	z := uint64(n) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) >> 38
}

// mayLose reports whether a replica may lose its memory, or its disk, now without that
// more is missing than the cluster is made for.
func (c *cluster) mayLose(i int) bool {
	r := c.record()
	if r == nil {
		return c.mayForget(i)
	}
	good := 0
	member := false
	for _, m := range r.Members {
		n := c.nodes[int(m.Node)-1]
		intact := n.holds(m.Incarnation)
		if n == c.nodes[i] {
			member = intact
			continue
		}
		if intact {
			good++
		}
	}
	missing := r.Missing
	if n := len(r.Configured) - 1; c.left { // one is about to leave, and fewer may be missing then
		missing = min(missing, n-(n/2+1))
	}

	othersSuffice := !member || good >= len(r.Members)-r.Faults
	return othersSuffice && c.notWhole(i)+1 <= missing && c.mayLoseVote(i)
}

// notWhole counts the replicas beside i that are not, or not yet again, members with all
// that a member has: a proposal that is under way may count on them. So it may on a joiner
// from when it has answered PREPARE: one that dies then is missing in the view that lets
// it in.
func (c *cluster) notWhole(i int) int {
	r := c.record()
	count := 0
	for j, n := range c.nodes[:c.opts.Replicas] {
		if j != i && n.misses(r) {
			count++
		}
	}
	return count
}

// misses reports whether a member of the record lacks something that it had as a member, or a
// joiner something that it had when it answered PREPARE.
func (n *node) misses(r *message.Record) bool {
	if !r.Configures(n.id) {
		return n.stated.lost(n, r.Epoch)
	}
	k := r.Index(n.id)
	return n.forever || k < 0 || !n.holds(r.Members[k].Incarnation)
}

// stated is what a replica has answered PREPARE as.
type stated struct {
	epoch        uint64
	incarnations []uint64
}

func (s *stated) add(epoch, incarnation uint64) {
	if epoch > s.epoch {
		*s = stated{epoch: epoch}
	}
	if epoch == s.epoch && !slices.Contains(s.incarnations, incarnation) {
		s.incarnations = append(s.incarnations, incarnation)
	}
}

// lost reports whether n does not have any more what it said that it had.
func (s *stated) lost(n *node, epoch uint64) bool {
	return s.epoch == epoch && slices.ContainsFunc(s.incarnations, func(incarnation uint64) bool { return !n.holds(incarnation) })
}

// holds reports whether a replica still has what its process incarnation has received:
// it lives as that one, or its disk is that one's.
func (n *node) holds(incarnation uint64) bool {
	if incarnation <= n.putBack.incarnation {
		return false
	}
	if n.disk != nil && n.disk.state.Incarnation == incarnation {
		return true
	}
	return !n.dead && n.replica.Incarnation() == incarnation
}

// lose takes a replica's process and what it has.
func (c *cluster) lose(i int) bool {
	if !c.mayLose(i) {
		return false
	}
	c.kill(i)
	c.nodes[i].disk, c.nodes[i].lostAt = nil, c.step
	return true
}

// powerCut ends all processes. Each disk has lost an end of what was written to it, and
// its replica is not who it was.
func (c *cluster) powerCut() {
	for i, n := range c.nodes {
		if !n.dead {
			c.kill(i)
		}
		if n.disk == nil || n.disk.synced == nil {
			continue
		}
		n.disk = n.disk.synced
		n.born++
		n.disk.reborn(uint64(n.born) * 1000)
	}
	for _, s := range c.sessions { // what they had seen may be gone
		s.position, s.read = 0, 0
		clear(s.wrote)
	}
	for _, w := range c.watchers {
		w.least = 0
	}
	c.told, c.published = 0, nil
	c.cutAt = c.step
	c.watch.off = true
	c.watch.log, c.watch.prints = nil, nil
}
