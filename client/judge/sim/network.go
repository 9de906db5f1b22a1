package sim

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

// network is what stands between the nodes.
type network struct {
	drop, duplicate, reorder float64
	delay                    int64
	cuts                     [][]int   // by from and to: how many faults cut it now
	last                     [][]int64 // when the latest message of the pair arrives
}

func newNetwork(o *Options, nodes int) network {
	n := network{drop: o.Drop, duplicate: o.Duplicate, reorder: o.Reorder, delay: o.Delay}
	for range nodes {
		n.cuts = append(n.cuts, make([]int, nodes))
		n.last = append(n.last, make([]int64, nodes))
	}
	return n
}

// heal makes the network lose, duplicate and reorder nothing from now on.
func (n *network) heal() {
	n.drop, n.duplicate, n.reorder, n.delay = 0, 0, 0, 10
	for _, cuts := range n.cuts {
		clear(cuts)
	}
}

// send puts messages on their way.
func (c *cluster) send(from int, sends []abcast.Send) {
	for _, s := range sends {
		if h := s.Msg.Head(); s.Msg.Kind() == message.KindState {
			c.nodes[from].stated.add(h.Epoch, h.Incarnation)
		}
		for _, to := range s.To {
			if to == lamport.Master(1) { // all masters listen to one subject
				for master := c.opts.Replicas; master < len(c.nodes); master++ {
					c.sendOne(from, master, s.Msg)
				}
				continue
			}
			c.sendOne(from, c.index(to), s.Msg)
		}
	}
}

func (c *cluster) sendOne(from, to int, msg message.Message) {
	n := &c.net
	c.messages++
	if to < 0 {
		c.fail("invariant", "%s sends %s to a node that does not exist", c.nodes[from].id, describe(msg))
		return
	}
	if c.opts.Wire != nil {
		decoded, err := c.opts.Wire(msg)
		if err != nil {
			c.fail("wire", "%s: %v", describe(msg), err)
			return
		}
		msg = decoded
	}
	switch {
	case n.cuts[from][to] > 0:
		c.trace("    %s -x %s %s (cut)", c.nodes[from].id, c.nodes[to].id, describe(msg))
		return
	case n.drop > 0 && c.rand.Float64() < n.drop:
		c.trace("    %s -x %s %s (lost)", c.nodes[from].id, c.nodes[to].id, describe(msg))
		return
	}
	c.arrive(from, to, msg)
	if n.duplicate > 0 && c.rand.Float64() < n.duplicate {
		c.arrive(from, to, msg)
	}
}

// arrive draws when a message arrives: behind those of its pair, unless it is reordered.
func (c *cluster) arrive(from, to int, msg message.Message) {
	n := &c.net
	at := c.now + 1 + c.rand.Int64N(n.delay)
	switch {
	case n.reorder > 0 && c.rand.Float64() < n.reorder:
		at += c.rand.Int64N(8 * n.delay)
	case at < n.last[from][to]:
		at = n.last[from][to]
	default:
		n.last[from][to] = at
	}
	c.agenda.push(event{at: at, kind: arrives, node: to, msg: msg})
}

// index returns the place of a node among the cluster's, or -1.
func (c *cluster) index(n lamport.Node) int {
	if n.IsReplica() && int(n) <= c.opts.Replicas {
		return int(n) - 1
	}
	return -1
}

// fault is something that happens to a node for a while.
type fault struct {
	kind     FaultKind
	node, to int
	apart    []bool // by node: those of a stale master's side
	length   int64
	begun    bool
}

// planFaults draws what happens when.
func (c *cluster) planFaults() {
	if c.opts.Stale {
		c.agenda.push(event{at: c.rand.Int64N(max(c.opts.Horizon*2/3, 1)), kind: faultBegins, fault: &fault{kind: Stale}})
	}

	if c.opts.Upgrade > 0 {
		c.agenda.push(event{at: c.opts.Upgrade, kind: faultBegins, fault: &fault{kind: CrashAll}})
	}

	for range c.opts.LostRecords {
		c.agenda.push(event{at: c.rand.Int64N(c.opts.Horizon), kind: faultBegins, fault: &fault{kind: LoseRecord}})
	}

	for range c.opts.PutBacks {
		c.agenda.push(event{at: c.rand.Int64N(c.opts.Horizon), kind: faultBegins, fault: &fault{
			kind: PutBack, node: c.rand.IntN(c.opts.Replicas), length: tickUnits + c.rand.Int64N(20*tickUnits),
		}})
	}
	for range c.opts.Misplaced {
		c.agenda.push(event{at: c.rand.Int64N(c.opts.Horizon), kind: faultBegins, fault: &fault{
			kind: Misplace, node: c.rand.IntN(c.opts.Replicas), length: c.rand.Int64N(3 * tickUnits),
		}})
	}

	for range c.opts.Faults {
		if len(c.opts.Kinds) == 0 {
			return
		}
		f := &fault{
			kind: c.opts.Kinds[c.rand.IntN(len(c.opts.Kinds))], node: c.rand.IntN(len(c.nodes)), to: c.rand.IntN(len(c.nodes)),
			length: tickUnits + c.rand.Int64N(20*tickUnits),
		}

		switch f.kind {
		case Crash, CrashInTurn, Lose, Leave:
			f.node = c.rand.IntN(c.opts.Replicas)
		case MasterDies, MasterInTurn:
			f.node = c.opts.Replicas + c.rand.IntN(c.opts.masters())
		}

		c.agenda.push(event{at: c.rand.Int64N(c.opts.Horizon), kind: faultBegins, fault: f})
	}
}

func (c *cluster) beginFault(f *fault) {
	if c.healed {
		return
	}
	if f.kind == LoseRecord {
		c.loseRecord()
		return
	}
	if f.kind == StoreAway {
		c.unread.goes(c)
		return
	}
	if f.kind == Flap {
		c.flap(f)
		return
	}
	if f.kind == Stale && f.apart == nil {
		c.part(f)
		return
	}

	n := c.nodes[f.node]
	c.trace("%6d  %s: %s for %d", c.now, n.id, f.kind, f.length)
	f.begun = true
	if f.kind.kills() {
		c.strike(f)
		return
	}

	switch f.kind {
	case Slow:
		n.slow += 2 * tickUnits
	case Pause:
		n.paused++
	default:
		c.cut(f, 1)
	}

	c.agenda.push(event{at: c.now + f.length, kind: faultEnds, fault: f})
}

// flap cuts a node off for a few ticks, again and again.
func (c *cluster) flap(f *fault) {
	short := func() int64 { return tickUnits/2 + c.rand.Int64N(3*tickUnits) }
	for at := c.now; at < c.now+f.length; {
		cut := short()
		c.agenda.push(event{at: at, kind: faultBegins, fault: &fault{kind: Isolate, node: f.node, length: cut}})
		at += cut + short()
	}
}

func (c *cluster) endFault(f *fault) {
	if c.healed || !f.begun {
		return
	}
	n := c.nodes[f.node]
	c.trace("%6d  %s: no longer %s", c.now, n.id, f.kind)
	switch f.kind {
	case Slow:
		n.slow -= 2 * tickUnits
	case Pause:
		n.paused--
		c.schedule(f.node)
	default:
		c.cut(f, -1)
	}
}

// part draws the sides: the leading master with so many replicas that the others can go on,
// and the rest with another master. The first one stands still until the others may have gone
// on, and wakes before the cut between them ends. In half of the cases the cut comes so late
// that all replicas have heard the other master.
func (c *cluster) part(f *fault) {
	first, r := c.opts.Replicas, c.record()
	if r == nil || r.Faults == 0 || c.leader() == nil {
		return
	}
	f.node = first
	for c.nodes[f.node].master != c.leader() {
		f.node++
	}
	other := first
	if f.node == first {
		other++
	}
	f.apart = make([]bool, len(c.nodes))
	f.apart[f.node] = true
	for range 1 + c.rand.IntN(r.Faults) {
		f.apart[int(r.Members[c.rand.IntN(len(r.Members))].Node)-1] = true
	}
	length := (10 + c.rand.Int64N(15)) * tickUnits
	f.length = length + (4+c.rand.Int64N(10))*tickUnits
	after := c.rand.Int64N(2) * c.rand.Int64N(5*tickUnits)
	c.nodes[f.node].paused++
	c.agenda.push(event{at: c.now + length, kind: faultEnds, fault: &fault{kind: Pause, node: f.node, begun: true}})
	c.agenda.push(event{at: c.now + after, kind: faultBegins, fault: f})
	c.revive(other)
}

func (c *cluster) cut(f *fault, by int) {
	if f.kind == Stale {
		for a := range c.nodes {
			for b := range c.nodes {
				if f.apart[a] != f.apart[b] {
					c.net.cuts[a][b] += by
				}
			}
		}
		return
	}
	for other := range c.nodes {
		spared := f.kind == CutOne && other != f.to
		if other == f.node || spared {
			continue
		}
		if f.kind != CutIn {
			c.net.cuts[f.node][other] += by
			c.live.cut(c, f.node, other)
		}
		if f.kind == CutIn || f.kind == Isolate {
			c.net.cuts[other][f.node] += by
			c.live.cut(c, other, f.node)
		}
	}
}

// strike ends processes. Each comes back after the fault's length.
func (c *cluster) strike(f *fault) {
	n := c.nodes[f.node]
	back := func(i int) { c.agenda.push(event{at: c.now + 1 + f.length, kind: revives, node: i}) }

	switch f.kind {
	case SecondMaster:
		for i := c.opts.Replicas; i < len(c.nodes); i++ {
			if c.nodes[i].dead {
				c.revive(i)
				return
			}
		}
	case Join:
		for i := range c.opts.Replicas {
			if n := c.nodes[i]; n.away && n.born == 0 && c.record() != nil {
				n.away = false
				c.revive(i)
			}
		}
	case Leave: // only one, and only where enough stay
		if r := c.record(); r != nil && r.Missing > 0 && len(r.Configured) > 3 && r.Configures(n.id) && !c.left && c.notWhole(-1) == 0 {
			c.left, c.leaving = true, n.id
			c.trace("%6d  %s is to leave", c.now, n.id)
		}
	case CrashAll:
		if !c.opts.Durable || c.unrecognised() {
			return
		}
		for i := range c.nodes {
			if !c.nodes[i].dead {
				c.kill(i)
			}
			if i <= c.opts.Replicas {
				c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(5*tickUnits), kind: revives, node: i})
			}
		}
	case MasterDies, MasterInTurn:
		if n.dead {
			return
		}
		if f.kind == MasterInTurn {
			n.ending = halfSent
		} else {
			c.kill(f.node)
		}
		back(f.node)
	default:
		c.strikeReplica(f, n, back)
	}
}

func (c *cluster) strikeReplica(f *fault, n *node, back func(int)) {
	switch {
	case n.dead || n.ending != lives || c.unrecognised():
		return
	case f.kind == PutBack && c.opts.PutBackNear:
		c.due = f
		return
	case f.kind == PutBack:
		if !c.putDiskBack(f.node) {
			return
		}
	case f.kind == Misplace:
		if !c.misplace(f.node) {
			return
		}
	case f.kind == Lose || !c.opts.Durable:
		if !c.lose(f.node) {
			return
		}
	case f.kind == CrashInTurn:
		n.ending = beforePersist + ending(c.rand.IntN(3))
	default:
		c.kill(f.node)
	}
	back(f.node)
}

// dieForever kills a minority that does not come back.
func (c *cluster) dieForever() {
	if c.record() == nil || c.left {
		return
	}
	faults := c.record().Missing
	for i := range c.opts.Replicas {
		n := c.nodes[i]
		if faults == 0 || n.forever || n.away || !c.record().Configures(n.id) {
			continue
		}
		if !c.mayLose(i) {
			continue
		}
		if !n.dead && c.rand.IntN(2) == 0 {
			c.kill(i)
		}
		n.forever, n.lostAt = true, c.step
		faults--
		if !n.dead {
			n.deaf = true // it lives, says what it says by itself, and hears nothing
			continue
		}
		n.disk = nil
	}
}

// heal ends all faults. The dead come back, but for those that are dead for ever.
func (c *cluster) heal() {
	if c.healed {
		return
	}
	switch {
	case c.opts.PowerCut:
		c.powerCut()
	case c.opts.Forever:
		c.dieForever()
	}

	c.trace("%6d  everything heals", c.now)
	c.healed, c.healedAt = true, c.now
	for _, s := range c.sessions {
		if s.steady {
			s.left = 0
		}
	}

	c.net.heal()
	c.clientDrop, c.registryLoss = 0, 0
	for i, n := range c.nodes {
		for from := range c.nodes {
			if n.deaf && from != i {
				c.net.cuts[from][i]++
			}
		}
	}

	for i, n := range c.nodes {
		c.takeAway(i)
		n.slow, n.paused, n.ending = 0, 0, lives
		if n.dead && i <= c.opts.Replicas {
			c.revive(i)
		}
		c.schedule(i)
	}
}
