package membership

import (
	"fmt"

	"quartet/bus/lamport"
)

// compare finds members that have gone back (rule F9): their STATE holds less than they once told
// another member, which remembers it, or this master. What a member tells is on its disk before,
// so a member that has lost nothing never goes back.
func (m *Machine) compare() {
	for j, member := range m.record.Members {
		r := m.Replica(member.Node)
		if r == nil || r.state == nil || !m.Member(r) || r.Back != "" {
			continue
		}
		if r.state.Watermark < r.counted {
			r.Back = fmt.Sprintf("its data were put back to an older copy: it had told the master of causal writes "+
				"up to %d, and holds them up to %d", r.counted, r.state.Watermark)
		}
		for _, other := range m.record.Members {
			if r.Back == "" && other.Node != member.Node {
				r.Back = m.contradicted(j, r, other.Node)
			}
		}
	}
}

// contradicted says what r, the member with index j, had told other and does not hold any
// more, or "".
func (m *Machine) contradicted(j int, r *Replica, other lamport.Node) string {
	o := m.Replica(other)
	if o == nil || o.state == nil || !m.Member(o) || len(o.state.Proof.Told) != len(m.record.Members) {
		return ""
	}
	for k, told := range o.state.Proof.Told[j] {
		if k < len(r.state.Contiguous) && r.state.Contiguous[k] < told {
			return fmt.Sprintf("its data were put back to an older copy: it had told %s of %d broadcasts of %s, and holds %d",
				other, told, m.record.Members[k].Node, r.state.Contiguous[k])
		}
	}
	return ""
}

// complete reports whether a copy holds all that its donor's fellows may have delivered: what
// every member had told one of them. The copy of a member that has gone back does not.
func (m *Machine) complete(copied *Replica) bool {
	for _, member := range m.record.Members {
		r := m.Replica(member.Node)
		if r == nil || r.state == nil || !m.Member(r) || len(r.state.Proof.Told) != len(m.record.Members) {
			continue
		}
		for k, held := range copied.state.Contiguous {
			delivered := r.state.Contiguous[k]
			for _, told := range r.state.Proof.Told {
				if k < len(told) {
					delivered = min(delivered, told[k])
				}
			}
			if held < delivered {
				return false
			}
		}
	}
	return true
}

// GoneBack returns, of the members that hold less than they had told, the one that has come
// furthest: what is left to go on with when there is no other member, nor a learner. nil: there is
// none.
func (m *Machine) GoneBack() *Replica {
	var best *Replica
	for _, member := range m.record.Members {
		r := m.Replica(member.Node)
		if r == nil || r.Back == "" {
			continue
		}
		reachable := m.Member(r) && !r.Lost && !r.Suspected
		if reachable && r.further(best) {
			best = r
		}
	}
	return best
}

// Counted takes how far a member has told this master that it holds causal numbers.
func (m *Machine) Counted(n lamport.Node, watermark uint64) {
	if r := m.Replica(n); r != nil {
		r.counted = max(r.counted, watermark)
	}
}
