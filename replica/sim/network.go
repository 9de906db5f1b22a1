package sim

import (
	"quartet/replica/abcast"
	"quartet/replica/lamport"
	"quartet/replica/message"
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
		for _, to := range s.To {
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
	switch {
	case n.IsReplica() && int(n) <= c.opts.Replicas:
		return int(n) - 1
	case n == lamport.Master(1):
		return c.opts.Replicas
	}
	return -1
}

// fault is something that happens to a node for a while.
type fault struct {
	kind     FaultKind
	node, to int
	length   int64
	begun    bool
}

// planFaults draws what happens when.
func (c *cluster) planFaults() {
	for range c.opts.Faults {
		if len(c.opts.Kinds) == 0 {
			return
		}
		f := &fault{
			kind: c.opts.Kinds[c.rand.IntN(len(c.opts.Kinds))], node: c.rand.IntN(len(c.nodes)), to: c.rand.IntN(len(c.nodes)),
			length: tickUnits + c.rand.Int64N(20*tickUnits),
		}
		if f.kind == Restart {
			f.node = c.opts.Replicas
		}
		c.agenda.push(event{at: c.rand.Int64N(c.opts.Horizon), kind: faultBegins, fault: f})
	}
}

func (c *cluster) beginFault(f *fault) {
	if c.healed {
		return
	}
	n := c.nodes[f.node]
	c.trace("%6d  %s: %s for %d", c.now, n.id, f.kind, f.length)
	f.begun = true
	switch f.kind {
	case Slow:
		n.slow += 2 * tickUnits
	case Pause:
		n.paused++
	case Restart:
		c.restartMaster()
		return
	default:
		c.cut(f, 1)
	}
	c.agenda.push(event{at: c.now + f.length, kind: faultEnds, fault: f})
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

func (c *cluster) cut(f *fault, by int) {
	for other := range c.nodes {
		if other == f.node || f.kind == CutOne && other != f.to {
			continue
		}
		if f.kind != CutIn {
			c.net.cuts[f.node][other] += by
		}
		if f.kind == CutIn || f.kind == Isolate {
			c.net.cuts[other][f.node] += by
		}
	}
}

// heal ends all faults; a restart that has not happened yet never does.
func (c *cluster) heal() {
	if c.healed {
		return
	}
	c.trace("%6d  everything heals", c.now)
	c.healed, c.healedAt = true, c.now
	c.net.heal()
	c.clientDrop = 0
	for i, n := range c.nodes {
		n.slow, n.paused = 0, 0
		c.schedule(i)
	}
}
