// Package acceptor is a replica's vote on the records of views, where the replicas themselves
// decide them (rules D1 to D9 of replica/DESIGN.md). It promises that a replica takes part in no
// ballot below one that it has promised, that it tells whoever promises less what it has accepted,
// and that it has one vote at a time: on the record that follows the newest one of which it knows
// that it is decided.
//
// The package is pure: no I/O, clock, goroutine, lock or chance. What a [Acceptor.Poll] has changed
// must be on disk before its VOTE leaves.
package acceptor

import (
	"quartet/bus/message"
	"quartet/replica/durable"
)

// Self is who the process is that votes.
type Self interface {
	// Named reports whether a record has a member of this process's name.
	Named(r *message.Record) bool
	// Speaks reports whether that is this process, or an earlier one with its disk.
	Speaks(r *message.Record) bool
}

// Acceptor is the votes of a replica. The zero value knows of no record.
type Acceptor struct{ votes durable.Votes }

// Restore makes the votes those of an earlier process with the same disk. known is the record that
// the replica has installed: a disk of an earlier version has no votes.
func (a *Acceptor) Restore(v durable.Votes, known *message.Record, self Self) {
	a.votes = v
	a.Learn(known, self)
}

// Votes is what the disk is to keep. Its records must not be changed.
func (a *Acceptor) Votes() durable.Votes { return a.votes }

// Base is the newest record of which this replica knows that it is decided; Epoch 0: of none.
func (a *Acceptor) Base() *message.Record { return &a.votes.Base }

// Learn takes note of a record that is decided, and reports whether that is news. With a newer one
// the vote is on what follows that: what was promised and accepted of it is settled.
func (a *Acceptor) Learn(r *message.Record, self Self) bool {
	base := &a.votes.Base
	isNewer := r.Epoch > base.Epoch && !contradicts(base, r)
	if !isNewer {
		return false
	}

	// Of a replica that no record between has named for a member nobody else has the vote.
	isNext := base.Epoch > 0 && r.Epoch == base.Epoch+1
	staysOutside := a.votes.Whole && isNext && !self.Named(r)
	a.votes = durable.Votes{Base: *r, Whole: self.Speaks(r) || staysOutside}
	return true
}

// Follow takes the record that the replica has installed for the newest that is decided: what it
// knew instead has come to nothing, as an operator has decided (rule D8). It reports whether that
// is news.
func (a *Acceptor) Follow(r *message.Record, self Self) bool {
	if a.Learn(r, self) {
		return true
	}
	if !contradicts(&a.votes.Base, r) {
		return false
	}
	a.votes = durable.Votes{Base: *r, Whole: self.Speaks(r)}
	return true
}

// Forget ends the vote of a replica that may have lost some of what it has promised. It has one
// again once a record names it for a member. It reports whether it had one.
func (a *Acceptor) Forget() bool {
	had := a.votes.Whole
	a.votes = durable.Votes{Base: a.votes.Base}
	return had
}

// contradicts reports whether two records are not of one history; no record contradicts none.
func contradicts(base, r *message.Record) bool { return base.Epoch > 0 && base.Branched(r) }

// Poll takes part in a ballot, where it may, and returns the VOTE, whose head is the caller's to
// fill, and whether anything has changed that must be on disk before that. mayVote says that
// nothing else keeps this process from voting; then it has a vote on what follows the newest
// record that it knows if it has all that it has promised of it, and on the first record if it
// knows of none (rule D1).
func (a *Acceptor) Poll(p *message.Poll, self Self, mayVote bool) (v *message.Vote, changed bool) {
	isOfThisHistory := p.Base == nil || !contradicts(&a.votes.Base, p.Base)
	if p.Base != nil && isOfThisHistory {
		changed = a.Learn(p.Base, self)
	}

	isWhole := a.votes.Whole || a.votes.Base.Epoch == 0
	counts := isOfThisHistory && mayVote && isWhole
	follows := a.follows(p)
	isMeant := p.Value == nil || p.Base != nil || self.Speaks(p.Value) // the first names who decides it
	isForced := p.Forced && follows && self.Speaks(p.Value)
	isBelow := p.Ballot.Less(a.votes.Promised)
	switch mayTakePart := counts || isForced; {
	case !mayTakePart || isBelow || !isMeant: // the VOTE says so

	case p.Value == nil:
		changed = changed || a.votes.Promised != p.Ballot
		a.votes.Promised = p.Ballot

	case follows:
		a.votes.Promised, a.votes.Accepted, a.votes.Value = p.Ballot, p.Ballot, *p.Value
		changed = true
	}
	return a.vote(p, counts), changed
}

// follows reports whether what a POLL proposes is to follow the newest record that is known here.
func (a *Acceptor) follows(p *message.Poll) bool {
	if p.Value == nil || p.Value.Epoch != a.votes.Base.Epoch+1 {
		return false
	}
	if p.Base == nil {
		return a.votes.Base.Epoch == 0
	}
	return p.Base.Epoch == a.votes.Base.Epoch && p.Base.Nonce == a.votes.Base.Nonce
}

func (a *Acceptor) vote(p *message.Poll, counts bool) *message.Vote {
	v := &message.Vote{Attempt: p.Attempt, Counts: counts, Promised: a.votes.Promised, Accepted: a.votes.Accepted}
	if a.votes.Base.Epoch > 0 {
		base := a.votes.Base
		v.Base = &base
	}
	if a.votes.Accepted.Round > 0 {
		value := a.votes.Value
		v.Value = &value
	}
	return v
}
