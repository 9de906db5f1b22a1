package proposer

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// same reports whether two records are one; none is none.
func same(a, b *message.Record) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Epoch == b.Epoch && a.Nonce == b.Nonce
}

// voters are the replicas that decide what follows a record, or, where there is none, all replicas
// of the cluster that begins (rule D1).
func (p *Proposer) voters(base *message.Record) []lamport.Node {
	if base == nil {
		return p.cfg.Replicas
	}
	return base.Voters()
}

func members(r *message.Record) []lamport.Node {
	list := make([]lamport.Node, len(r.Members))
	for i := range r.Members {
		list[i] = r.Members[i].Node
	}
	return list
}

// quorum is how many of the voters have to promise, and how many to accept, what follows a record:
// more than half. The first record takes all: a replica without a disk may have lost what it has
// said, and come back as if it had said nothing (rule D5).
func (p *Proposer) quorum(base *message.Record) int {
	n := len(p.voters(base))
	if base == nil {
		return n
	}
	return n/2 + 1
}

// newest is the newest record that the votes show to be decided. While none is known for sure, and
// they name records of more than one history, as where a replica was started with the disk of
// another cluster, it is that of the history that most of them name.
func (p *Proposer) newest() *message.Record {
	best, most := p.base, p.support(p.base)
	for _, v := range p.votes {
		if v.Base == nil {
			continue
		}
		n := p.support(v.Base)
		isOther := best != nil && best.Branched(v.Base)
		isWeaker := p.isSure || n <= most
		switch {
		case best == nil:
			best, most = v.Base, n
		case isOther && isWeaker: // of another history
		case isOther, v.Base.Epoch > best.Epoch:
			best, most = v.Base, n
		}
	}
	return best
}

// support is how many votes name a record of the history of r.
func (p *Proposer) support(r *message.Record) int {
	if r == nil {
		return 0
	}
	n := 0
	for _, v := range p.votes {
		if v.Base != nil && !v.Base.Branched(r) {
			n++
		}
	}
	return n
}

// follow takes another record for the newest, and reports whether it has.
func (p *Proposer) follow(r *message.Record) bool {
	if same(p.base, r) {
		return false
	}
	p.base, p.isHeld = r, false
	return true
}

// silent are those who were asked and have not answered.
func (p *Proposer) silent() []lamport.Node {
	return slices.DeleteFunc(p.audience(), func(n lamport.Node) bool {
		return slices.ContainsFunc(p.votes, func(v *message.Vote) bool {
			isAnswer := same(v.Base, p.base) || p.isElsewhere(v.Base)
			return v.From == n && isAnswer
		})
	})
}

// isElsewhere reports whether what a replica knows is of another history than the base: asking
// again changes nothing.
func (p *Proposer) isElsewhere(r *message.Record) bool {
	return r != nil && p.base != nil && r.Branched(p.base)
}

// audience are those who are asked now, rising: for promises all who are known, since one of them
// may know a newer record; for a value those who are to accept it.
func (p *Proposer) audience() []lamport.Node {
	var list []lamport.Node
	switch {
	case p.stage == asking:
		list = append(slices.Clone(p.known), p.voters(p.base)...)
	case p.isForced:
		list = members(p.value)
	default:
		list = slices.Clone(p.voters(p.base))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
