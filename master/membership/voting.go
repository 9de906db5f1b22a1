package membership

import (
	"strings"

	"quartet/bus/message"
	"quartet/bus/trouble"
)

// Where the replicas decide the records (rules D1 to D9), those that a record configures are asked
// for what follows it. So those of the record before are asked for the record itself until enough
// of them know that it is decided.

// isNeeded reports whether a replica that the record takes out of the cluster, and that ends when
// it hears of that, is still needed to show that the record is decided: so few of those that the
// record configures know it that others who are missing may be all of them (rule D6).
func (m *Machine) isNeeded(r *Replica) bool {
	if !m.cfg.Voting || m.record.Configures(r.Node) {
		return false
	}
	know := 0
	for _, n := range m.record.Voters() {
		if o := m.Replica(n); o != nil && m.knows(o) {
			know++
		}
	}
	return know <= len(m.record.Voters())/2
}

// knows reports whether a replica has said that it knows the record, or a later one of its history.
func (m *Machine) knows(r *Replica) bool {
	if m.Member(r) && r.installed {
		return true
	}
	known := r.record
	return known != nil && known.Epoch >= m.record.Epoch && !known.Branched(&m.record)
}

// whyMute says why the record cannot be read, or the next one be decided, or "": too few of those
// answer whose votes that takes.
func (m *Machine) whyMute() string {
	newest := &m.record
	if m.record.Epoch == 0 {
		newest = m.Held()
	}
	if !m.isMute || m.stage != reading || newest == nil {
		return ""
	}

	var missing []string
	voters := newest.Voters()
	for _, n := range voters {
		if !mayVote(m.Replica(n), newest) {
			missing = append(missing, n.String())
		}
	}
	need := len(voters)/2 + 1
	if len(voters)-len(missing) >= need { // another master is at work, or messages were lost
		return ""
	}
	return trouble.Undecided.Say(strings.Join(missing, ", "), need, len(voters))
}

// mayVote reports whether a replica may have a vote on what follows a record, as far as is known.
func mayVote(r *Replica, record *message.Record) bool {
	isThere := r != nil && r.Incarnation > 0 && !r.Lost && !r.Suspected && r.Back == ""
	if !isThere {
		return false
	}
	i := record.Index(r.Node)
	return i < 0 || r.Incarnation == record.Members[i].Incarnation
}
