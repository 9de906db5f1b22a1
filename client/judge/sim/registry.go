package sim

import (
	"math"

	"quartet/bus/message"
	"quartet/master/membership"
)

// registry is the store of the views' record: it is never wrong, but a command may take
// its time, and who gave it may not learn what came of it.
type registry struct {
	records  []message.Record // of epoch 1, 2, 3, …
	revision uint64
	lost     bool // what it shows is older than the newest, or nothing
	shown    int  // so many of records, if lost

	hasAccepted uint64 // with Options.Voting: a bit for each replica that has accepted something
}

// command is a command on its way to the registry, and its outcome on the way back.
type command struct {
	cmd        membership.Command
	life       int // of the master that gave it
	unanswered bool
	result     membership.Result
}

// ask puts a master's command on its way.
func (c *cluster) ask(i int, cmd *membership.Command) {
	d := &command{cmd: *cmd, life: c.nodes[i].life}
	at := c.now + 1 + c.rand.Int64N(2*c.net.delay)
	if c.unread.away && !c.healed {
		d.result = membership.Result{Number: cmd.Number, Fate: membership.Unknown}
		c.agenda.push(event{at: at + c.rand.Int64N(50*tickUnits), kind: results, node: i, cmd: d})
		return
	}
	if c.registryLoss > 0 && c.rand.Float64() < c.registryLoss {
		d.unanswered = true
		d.result = membership.Result{Number: cmd.Number, Fate: membership.Unknown}
		c.agenda.push(event{at: at + c.rand.Int64N(5*tickUnits), kind: results, node: i, cmd: d})
		if c.rand.IntN(3) == 0 {
			c.trace("%6d  %s: a command for the record is lost", c.now, c.nodes[i].id)
			return
		}
		at += c.rand.Int64N(8 * tickUnits) // it may be executed after its master was told that nobody knows
	}
	c.agenda.push(event{at: at, kind: commands, node: i, cmd: d})
}

// execute is where a command takes effect.
func (c *cluster) execute(i int, d *command) {
	g := &c.registry
	result := membership.Result{Number: d.cmd.Number, Revision: g.revision}

	switch {
	case d.cmd.Propose == nil:
		result.Fate = membership.Read
		n := len(g.records)
		if g.lost {
			n = g.shown
		}
		if n > 0 {
			last := g.records[n-1]
			result.Record = &last
		}
	case d.cmd.Revision != g.revision:
		result.Fate = membership.Lost
	case c.writtenBack(d.cmd.Propose):
		g.revision++
		g.lost = false
		result.Fate, result.Revision = membership.Won, g.revision
		c.trace("%6d  RECORD of epoch %d is back", c.now, d.cmd.Propose.Epoch)
	default:
		c.decided(d.cmd.Propose)
		result.Fate, result.Revision = membership.Won, g.revision
	}

	if !d.unanswered {
		d.result = result
		c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(2*c.net.delay), kind: results, node: i, cmd: d})
	}
}

// decided takes the record of the next epoch.
func (c *cluster) decided(r *message.Record) {
	g := &c.registry
	c.voidRecords(int(r.Epoch) - 1)
	g.revision++
	g.lost = false
	g.records = append(g.records, *r)
	c.views++
	c.trace("%6d  RECORD %s", c.now, describeRecord(r))
	c.watch.recorded(r)
	c.live.recorded(c)
	c.dismissed(r)
}

// writtenBack reports whether a record is one that was decided before. The later ones come to
// nothing then.
func (c *cluster) writtenBack(r *message.Record) bool {
	g := &c.registry
	if n := int(r.Epoch); n > len(g.records) || g.records[n-1].Nonce != r.Nonce {
		return false
	}
	c.voidRecords(int(r.Epoch))
	return true
}

// voidRecords forgets all records but the first n: that may only happen to those by which
// nothing was done, since not all of their members have installed them.
func (c *cluster) voidRecords(n int) {
	g := &c.registry
	if n > len(g.records) {
		c.fail("invariant", "a record of epoch %d is written, and the newest is of epoch %d", n+1, len(g.records))
		return
	}
	for i := len(g.records) - 1; i >= n; i-- {
		isForgotten := c.opts.Voting && c.opts.PowerCut && c.healed // by all disks
		if c.established(&g.records[i]) && !isForgotten {
			c.fail("invariant", "the record of epoch %d is given up, and all of its members have installed it", i+1)
		}
		c.watch.givenUp(&g.records[i])
	}
	g.records = g.records[:n]
}

// established reports whether all members of a record have installed it, or a later one.
func (c *cluster) established(r *message.Record) bool {
	for _, m := range r.Members {
		if n := c.nodes[int(m.Node)-1]; n.installed[r.Nonce] == 0 {
			return false
		}
	}
	return true
}

// loseRecord makes the store forget the newest records, or all of them.
func (c *cluster) loseRecord() {
	g := &c.registry
	if n := len(g.records); n > 0 {
		g.lost, g.shown = true, c.rand.IntN(n)
		g.revision += 100 // nothing that is under way may be written by chance
		c.trace("%6d  the store has lost all records but %d", c.now, g.shown)
	}
}

// record is the newest, or nil.
func (c *cluster) record() *message.Record {
	if n := len(c.registry.records); n > 0 {
		return &c.registry.records[n-1]
	}
	return nil
}

// levelOf is the level of the record of an epoch.
func (c *cluster) levelOf(epoch uint64) uint64 {
	if n := int(epoch); n > 0 && n <= len(c.registry.records) {
		return c.registry.records[n-1].Level
	}
	return message.Level
}

// dismissed notes who is taken out of the cluster. If its master could not reach it then
// what only it holds is lost with it; else it must hold nothing alone that was acknowledged.
func (c *cluster) dismissed(r *message.Record) {
	if len(c.registry.records) < 2 {
		return
	}

	before := &c.registry.records[len(c.registry.records)-2]
	for _, id := range r.Configured {
		if n := c.nodes[int(id)-1]; n.out[1] == math.MaxInt64 {
			n.out[1] = c.step
		}
	}

	for _, id := range before.Configured {
		n := c.nodes[int(id)-1]
		if r.Configures(id) {
			continue
		}

		n.out = [2]int64{c.step, math.MaxInt64}
		reachable := false
		if m := c.leader(); m != nil {
			for _, s := range m.Snapshot().Replicas {
				if s.Node == id && s.Serves {
					reachable = true
				}
			}

		}
		if n.dead {
			n.away = true
		}
		if n.dead || !reachable {
			n.lostAt = c.step
		}
	}
}
