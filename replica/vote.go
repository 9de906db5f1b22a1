package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
)

// Where the replicas decide the records of views (rules D1 to D9), each replica of the cluster has
// a vote on what follows the newest record: package acceptor.

// isSoundPoll reports whether what a POLL names can be records of epochs.
func isSoundPoll(p *message.Poll) bool {
	isBase := p.Base == nil || p.Base.Sound()
	isValue := p.Value == nil || p.Value.Sound()
	isBallot := p.Ballot.Round > 0 && p.Ballot.Round < lamport.Limit
	return isBase && isValue && isBallot
}

// poll takes part in a ballot on the record that is to follow.
func (m *Machine) poll(p *message.Poll, out *Output) {
	m.heard(p.From, p.Incarnation)
	mayVote := m.self.Reason() == "" && !m.self.Replaced()
	v, changed := m.acceptor.Poll(p, &m.self, mayVote)
	if changed {
		m.turn.Changed = true // the disk has it before the VOTE leaves
	}
	v.Header = m.header()
	out.send(v, p.From)
}

// learn takes note of a record that a master says is decided.
func (m *Machine) learn(r *message.Record) {
	if m.acceptor.Learn(r, &m.self) {
		m.turn.Changed = true
	}
}

// follow takes the record by which this replica goes on for the newest.
func (m *Machine) follow(r *message.Record) {
	if m.acceptor.Follow(r, &m.self) {
		m.turn.Changed = true
	}
}

// forgetVotes ends the vote of a process that may have lost what it has promised.
func (m *Machine) forgetVotes() {
	if m.acceptor.Forget() {
		m.turn.Changed = true
	}
}

// Votes is what this replica has promised and accepted of the records of views.
func (m *Machine) Votes() durable.Votes { return m.acceptor.Votes() }
