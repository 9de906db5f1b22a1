package proposer

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// ask asks all for the promise of a ballot. Whoever knows a newer record says so, and promises it
// of what follows that one.
func (p *Proposer) ask(out *Output) {
	if p.ballot.Round == 0 || p.isUsed { // in a ballot nobody proposes two values
		p.raise(p.ballot)
	}
	p.stage, p.isHeld, p.value, p.isForced = asking, false, nil, false
	p.begin(out)
}

// decide asks the voters to accept a value in the ballot.
func (p *Proposer) decide(value *message.Record, out *Output) {
	p.stage, p.isHeld, p.isUsed, p.value = deciding, false, true, value
	p.begin(out)
}

// begin sends the first POLLs of a stage. Only VOTEs that answer these count: of what has happened
// before a read began nothing may be missing in it.
func (p *Proposer) begin(out *Output) {
	p.attempt++
	p.votes = nil
	p.poll(p.audience(), out)
}

func (p *Proposer) poll(to []lamport.Node, out *Output) {
	p.asked = p.ticks
	if len(to) == 0 {
		return
	}
	out.Sends = append(out.Sends, Send{To: to, Poll: message.Poll{
		Attempt: p.attempt, Ballot: p.ballot, Base: p.base, Value: p.value, Forced: p.isForced,
	}})
}

// raise makes the ballot one that is above another, and was never used.
func (p *Proposer) raise(above message.Ballot) {
	p.ballot = message.Ballot{Round: max(above.Round, p.ballot.Round) + 1, Master: p.cfg.Number}
	p.isUsed = false
}

// outbid returns a higher ballot that a voter has promised, if one has.
func (p *Proposer) outbid() (message.Ballot, bool) {
	for _, v := range p.votes {
		if same(v.Base, p.base) && p.ballot.Less(v.Promised) {
			return v.Promised, true
		}
	}
	return message.Ballot{}, false
}

// promised looks what the promises have come to (rule D4).
func (p *Proposer) promised(out *Output) {
	if p.follow(p.newest()) { // those who do not know it are told
		p.poll(p.silent(), out)
	}
	if higher, is := p.outbid(); is {
		p.raise(higher)
		p.ask(out)
		return
	}

	var counted []*message.Vote
	for _, v := range p.votes {
		isVoter := slices.Contains(p.voters(p.base), v.From)
		if isVoter && v.Counts && same(v.Base, p.base) && v.Promised == p.ballot {
			counted = append(counted, v)
		}
	}
	if len(counted) < p.quorum(p.base) {
		return
	}
	p.isSure = p.base != nil

	if value := p.begun(counted); value != nil {
		p.decide(value, out)
		return
	}
	p.isHeld = true
	switch next := p.command.Propose; {
	case next == nil: // it was a read
		p.shown(out)
	case p.command.Revision != p.revision(): // another master's record came first
		p.end(membership.Result{Fate: membership.Lost}, out)
	default:
		p.decide(next, out)
	}
}

// begun is a record that may be decided already, and is to be proposed again; nil: none can be.
// The first takes all replicas, so what only some have accepted, and others nothing or another one,
// is not decided, and never will be: it may name processes that have ended (rule D5).
func (p *Proposer) begun(votes []*message.Vote) *message.Record {
	hasAnother := func(v *message.Vote) bool { return !same(v.Value, votes[0].Value) }
	if p.base == nil && slices.ContainsFunc(votes, hasAnother) {
		return nil
	}
	return highest(votes)
}

// highest is what was accepted in the highest ballot of those that the votes tell of; nil: nothing
// was. It may be decided already, and if anything is, it is this.
func highest(votes []*message.Vote) *message.Record {
	var best *message.Vote
	for _, v := range votes {
		if v.Value == nil {
			continue
		}
		if best == nil || best.Accepted.Less(v.Accepted) {
			best = v
		}
	}
	if best == nil {
		return nil
	}
	return best.Value
}

// accepted looks whether the value is decided.
func (p *Proposer) accepted(out *Output) {
	count := 0
	for _, v := range p.votes {
		isVoter := slices.Contains(p.audience(), v.From)
		if isVoter && same(v.Base, p.base) && v.Accepted == p.ballot {
			count++
		}
	}
	enough := p.quorum(p.base)
	if p.isForced {
		enough = len(p.value.Members)
	}

	switch newest := p.newest(); {
	case count >= enough, same(newest, p.value):
		p.decided(out)
	case !same(newest, p.base) && newest.Epoch > p.value.Epoch: // it is decided, or another one is
		p.follow(newest)
		p.otherwise(membership.Unknown, out)
	case !same(newest, p.base): // another one is
		p.follow(newest)
		p.otherwise(membership.Lost, out)
	default:
		p.contended(out)
	}
}

// contended looks whether another master has gone above the ballot. The value may be decided all
// the same, so who has proposed it is to read.
func (p *Proposer) contended(out *Output) {
	higher, is := p.outbid()
	switch {
	case !is:
	case p.isForced: // an operator has decided: it goes above the other one
		p.raise(higher)
		p.decide(p.value, out)
	default:
		p.raise(higher)
		p.otherwise(membership.Unknown, out)
	}
}

// decided takes note that the value is decided, and goes on with the command.
func (p *Proposer) decided(out *Output) {
	value := *p.value
	isOwn := same(p.command.Propose, &value)
	p.follow(&value)
	p.isSure = true
	if isOwn {
		p.end(membership.Result{Fate: membership.Won, Revision: value.Epoch}, out)
		return
	}
	p.otherwise(membership.Lost, out)
}

// otherwise goes on where the value that was to be accepted was not, or was another's: a read reads
// on, and of a proposal fate is what became.
func (p *Proposer) otherwise(fate membership.Fate, out *Output) {
	if p.command.Propose == nil {
		p.ask(out)
		return
	}
	p.end(membership.Result{Fate: fate}, out)
}
