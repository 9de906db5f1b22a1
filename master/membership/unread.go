package membership

import "quartet/bus/message"

// What needs no view must need no record (rule W1 of replica/DESIGN.md): a master that takes
// over running replicas, and cannot read or write the record yet, knows from their HELLO who
// of them is at work. Gets of model 3 and requests of model 4 need no more.

// NewestEpoch is the newest that this master knows of, from the record or from a replica of its
// history. The record that it has read may be an older one: the store has lost the newest, or
// another master has just written it.
func (m *Machine) NewestEpoch() uint64 {
	newest := m.record.Epoch
	for _, r := range m.replicas {
		isElsewhere := r.record != nil && m.ofAnother(r.record)
		if !isElsewhere {
			newest = max(newest, r.Epoch)
		}
	}
	return newest
}

// AtWork reports whether a replica that has not worked under this master has told it, in
// answer to a heartbeat, that it is a member in the newest epoch. One that is wedged when it
// is first heard may have come back with less than it had shown.
func (m *Machine) AtWork(r *Replica) bool {
	answers := m.answeredSince(r, 0) && r.present() && r.Back == ""
	return answers && r.Phase == message.PhaseMember && r.Epoch > 0 && m.newest(r)
}

// Record is the newest record that a replica knows, as it said; nil: it has said nothing of one.
func (r *Replica) Record() *message.Record { return r.record }

// newest reports whether a replica knows of no older epoch than the others.
func (m *Machine) newest(r *Replica) bool { return r.Epoch == m.NewestEpoch() }

// MayServe reports whether a replica that is, or was, at work goes on with requests that need no
// view: a member of the record or, while this master has read none, or an older one, a replica that
// knows the newest epoch.
func (m *Machine) MayServe(r *Replica) bool {
	if m.Leads() || m.record.Epoch == m.NewestEpoch() {
		return m.Member(r) && r.Epoch <= m.record.Epoch
	}
	return m.newest(r)
}
