package sim

import "slices"

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

// unrecognised reports whether a disk was put back in the present epoch. Until the next one
// nobody else dies: what the others were told in the last moments is in their memory only, and
// DESIGN.md says what cannot be seen without it.
func (c *cluster) unrecognised() bool {
	r := c.record()
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
