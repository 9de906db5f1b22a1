package membership

import "slices"

// Rule F15 of replica/DESIGN.md: a member that was started again holds what its disk has, and
// nobody can tell whether that is all that it had. It may have delivered, and shown, what every
// other member holds, before anybody was told that it held this, too; and its disk may have been
// put back since.

// doubtful returns those of the survivors that were started again in the record's epoch and hold
// less than the others do: the cut is not to be lowered for them.
func (m *Machine) doubtful(survivors []*Replica) []*Replica {
	var doubted []*Replica
	isAgain := func(r *Replica) bool { return m.startedAgain(r) }

	// A process that the record names has lost nothing, and holds all that was delivered anywhere.
	named := slices.DeleteFunc(slices.Clone(survivors), isAgain)
	if len(named) > 0 {
		held := common(named)
		for _, r := range survivors {
			if isAgain(r) && r.lacks(held) {
				doubted = append(doubted, r)
			}
		}
		return doubted
	}

	// All were started again: of several that lack something, each may be right.
	for _, r := range survivors {
		others := slices.DeleteFunc(slices.Clone(survivors), func(o *Replica) bool { return o == r })
		if len(others) > 0 && r.lacks(common(others)) {
			doubted = append(doubted, r)
		}
	}
	if len(doubted) > 1 {
		return nil
	}
	return doubted
}

// startedAgain reports whether the process of a member is not the one that the record names.
func (m *Machine) startedAgain(r *Replica) bool {
	named := m.record.Members[m.record.Index(r.Node)].Life
	return named != 0 && r.state.Proof.Life != named
}

// common is how many DATA of each member all of the replicas hold. There is one at least.
func common(replicas []*Replica) []uint64 {
	held := slices.Clone(replicas[0].state.Contiguous)
	for _, r := range replicas[1:] {
		for i, n := range r.state.Contiguous {
			held[i] = min(held[i], n)
		}
	}
	return held
}

// lacks reports whether r holds less than held of a member's DATA.
func (r *Replica) lacks(held []uint64) bool {
	for i, n := range held {
		if r.state.Contiguous[i] < n {
			return true
		}
	}
	return false
}

// sure are the candidates without those that are in doubt.
func (c *candidates) sure() *candidates {
	sure := c
	for _, r := range c.doubtful {
		sure = sure.without(r)
	}
	return sure
}

// lacks reports whether a copy lacks what the survivors that are not in doubt hold: it is the
// copy of one that is.
func (c *candidates) lacks(copied *Replica) bool {
	sure := c.sure().survivors
	return len(c.doubtful) > 0 && len(sure) > 0 && copied.lacks(common(sure))
}

// holders are the candidates whose DATA make the cut. Those in doubt do not count where the others
// can go on without them afterwards: they find that they lack something, and are loaded.
func (m *Machine) holders(c *candidates) []*Replica {
	sure := c.sure()
	inDoubt := len(c.survivors) - len(sure.survivors)
	members := 0
	for _, r := range c.all() {
		if !m.leaves(r) {
			members++
		}
	}
	missing := min(m.mayMiss(len(m.configured(c))), members-1)
	if len(sure.survivors) == 0 || inDoubt > missing {
		return c.all()
	}
	return sure.all()
}
