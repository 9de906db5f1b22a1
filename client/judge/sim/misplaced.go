package sim

import (
	"slices"

	"quartet/bus/message"
)

// otherCluster is the identity of a cluster that is not the one of the run.
const otherCluster = 99

// misplace ends a replica's process and puts a disk in place of its own that does not belong
// here: of another cluster, or of a copy of this one that has gone on elsewhere. It counts as
// lost, until an operator takes it away.
func (c *cluster) misplace(i int) bool {
	n, r := c.nodes[i], c.record()
	if n.misplaced || n.disk == nil || n.disk.state.Record.Epoch == 0 || r == nil || !c.mayLose(i) {
		return false
	}
	c.kill(i)
	n.lostAt, n.misplaced = c.step, true
	n.putBack.incarnation = max(n.putBack.incarnation, n.disk.state.Incarnation, n.replica.Incarnation())
	n.disk = n.disk.clone()
	known := &n.disk.state.Record
	epoch := known.Epoch + uint64(c.rand.IntN(5))
	if c.rand.IntN(2) == 0 {
		known.Cluster, known.Lineage = otherCluster, nil
		n.disk.state.Incarnation = max(1, n.disk.state.Incarnation+uint64(c.rand.IntN(3)*500)-500)
	} else { // the copy has gone its own way since the record before
		epoch = r.Epoch + 1 + uint64(c.rand.IntN(4))
		lineage := slices.Clone(known.Lineage)
		for e := uint64(len(lineage)) + 1; e < epoch; e++ {
			lineage = append(lineage, message.Ancestor{Epoch: e, Nonce: otherCluster + e})
		}
		known.Lineage = lineage
	}
	known.Epoch, known.Nonce, known.Master = epoch, otherCluster+epoch, known.Master+otherCluster
	c.trace("%6d  %s finds the disk of another: cluster %d, epoch %d", c.now, n.id, known.Cluster, known.Epoch)
	c.agenda.push(event{at: c.now + (5+c.rand.Int64N(30))*tickUnits, kind: tidies, node: i})
	return true
}

// takeAway is the operator, who takes a disk away that does not belong to its replica. It starts
// again without any.
func (c *cluster) takeAway(i int) {
	n := c.nodes[i]
	if !n.misplaced {
		return
	}
	c.trace("%6d  an operator takes the disk of another away from %s", c.now, n.id)
	if !n.dead {
		c.kill(i)
	}
	n.misplaced, n.disk = false, nil
	c.revive(i)
}
