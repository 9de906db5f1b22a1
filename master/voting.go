package master

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
	"quartet/master/membership/proposer"
)

// Where the replicas decide the records of views (rules D1 to D9), what membership asks of a store
// is asked of them, by package proposer.

func (m *Machine) beginVoting() {
	if !m.cfg.Voting {
		return
	}
	m.proposer = proposer.New(proposer.Config{
		Number: m.cfg.Nonce, Replicas: m.cfg.Replicas, AgainTicks: againTicks,
		PatienceTicks: max(m.cfg.SuspectTicks, 2*againTicks),
	})
}

// command takes a command to where the record is: to a store, which is the caller's, or to the
// replicas.
func (m *Machine) command(c *membership.Command, out *Output) {
	if m.proposer == nil {
		out.Command = c
		return
	}
	var p proposer.Output
	m.proposer.Known(m.members.Nodes())
	m.proposer.Command(c, &p)
	m.propose(&p, out)
}

func (m *Machine) vote(v *message.Vote, out *Output) {
	if m.proposer == nil || !isSoundVote(v) {
		m.refused++
		return
	}
	var p proposer.Output
	m.proposer.Vote(v, &p)
	m.propose(&p, out)
}

// isSoundVote reports whether a VOTE can be one.
func isSoundVote(v *message.Vote) bool {
	isBase := v.Base == nil || v.Base.Sound()
	isValue := v.Value == nil || v.Value.Sound()
	return isBase && isValue && max(v.Promised.Round, v.Accepted.Round) < lamport.Limit
}

func (m *Machine) tickVoting(out *Output) {
	if m.proposer == nil {
		return
	}
	var p proposer.Output
	m.proposer.Tick(&p)
	m.propose(&p, out)
}

// propose sends what the proposer asks, and hands on how a command has ended.
func (m *Machine) propose(p *proposer.Output, out *Output) {
	for i := range p.Sends {
		s := &p.Sends[i]
		s.Poll.Header = m.header()
		out.send(&s.Poll, s.To...)
	}
	if p.Result == nil {
		return
	}
	before := *m.members.Record()
	m.Result(*p.Result, out)
	if now := m.members.Record(); now.Epoch != before.Epoch || now.Nonce != before.Nonce {
		record := *now
		out.Learned = &record
	}
}
