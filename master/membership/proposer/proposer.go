// Package proposer is a master's part where the replicas themselves decide the records of views
// (rules D1 to D9 of replica/DESIGN.md). It promises what membership asks of a store: a read shows
// every record that was decided before it began, and of the records that are proposed to follow one
// record at most one is ever decided.
//
//	proposer.go  commands, and what ends them
//	ballot.go    from promises to a decided record
//	base.go      which record is the newest, and who votes on what follows it
//
// [Proposer] is pure: it takes commands, VOTEs and ticks, and appends to an [Output]. Times are
// ticks of 10 ms.
package proposer

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// Config is what a proposer is born with.
type Config struct {
	Number   uint64         // random: no other process of a master has it
	Replicas []lamport.Node // of a cluster that begins: they decide the first record

	AgainTicks    uint64 // a POLL that is not answered is repeated after it
	PatienceTicks uint64 // a command that comes to nothing is given up after it
}

// Output collects what a turn sends, and how a command ended. The caller resets it.
type Output struct {
	Sends  []Send
	Result *membership.Result
}

// Send is a POLL, whose head is the caller's to fill, and to whom it goes.
type Send struct {
	To   []lamport.Node
	Poll message.Poll
}

type stage uint8

const (
	idle     stage = iota
	asking         // for promises
	deciding       // for a value to be accepted
)

// Proposer executes the commands of a membership, one at a time.
type Proposer struct {
	cfg   Config
	ticks uint64
	known []lamport.Node // replicas, whether they vote or not: they may know a newer record

	base   *message.Record // the newest of which is known, or believed, that it is decided; nil: of none
	isSure bool            // it is known: nothing counts that is not of its history
	ballot message.Ballot  // Round 0: none yet
	isUsed bool            // a value was proposed in it
	isHeld bool            // so many have promised it that it can decide what follows base, and nobody had accepted anything

	stage   stage
	command membership.Command
	began   uint64 // tick: the command
	asked   uint64 // tick: the last POLL
	attempt uint64 // of the POLLs that count now: all masters have one address, so each counts on from its number
	votes   []*message.Vote

	value    *message.Record // that is to be accepted
	isForced bool            // by whoever it names
}

// New returns a proposer without a command.
func New(cfg Config) *Proposer { return &Proposer{cfg: cfg, attempt: cfg.Number} }

// Base is the newest record of which is known that it is decided; nil: of none.
func (p *Proposer) Base() *message.Record {
	if !p.isSure {
		return nil
	}
	return p.base
}

// Known says which replicas there are.
func (p *Proposer) Known(nodes []lamport.Node) { p.known = nodes }

// Command begins a command. One that is under way is given up: nobody waits for it.
func (p *Proposer) Command(c *membership.Command, out *Output) {
	p.command, p.began = *c, p.ticks
	switch {
	case c.Propose == nil: // it reads
		p.ask(out)
	case p.isDecided(c.Propose): // it is written back, and has never been lost
		p.end(membership.Result{Fate: membership.Won, Revision: c.Propose.Epoch}, out)
	case p.isHeld && c.Revision == p.revision(): // a majority has promised already
		p.decide(c.Propose, out)
	default: // first the promises, and what they tell of newer records
		p.ask(out)
	}
}

// isDecided reports whether a record is the newest that was decided.
func (p *Proposer) isDecided(r *message.Record) bool { return p.isSure && same(p.base, r) }

// revision is that of the newest record: its epoch.
func (p *Proposer) revision() uint64 {
	if p.base == nil {
		return 0
	}
	return p.base.Epoch
}

// end tells what became of the command.
func (p *Proposer) end(r membership.Result, out *Output) {
	r.Number = p.command.Number
	p.stage, p.value, p.votes, p.isForced = idle, nil, nil, false
	out.Result = &r
}

// Tick counts time: a POLL is repeated, a command that comes to nothing is given up.
func (p *Proposer) Tick(out *Output) {
	p.ticks++
	switch {
	case p.stage == idle:
	case p.ticks-p.began >= p.cfg.PatienceTicks:
		p.giveUp(out)
	case p.ticks-p.asked >= p.cfg.AgainTicks:
		p.poll(p.silent(), out)
	}
}

// giveUp ends a command to which too few have answered. Where an operator has decided so, it goes
// on with those who have.
func (p *Proposer) giveUp(out *Output) {
	isRead := p.command.Propose == nil
	isNext := p.command.Revision == p.revision()
	hasValue := func(v *message.Vote) bool { return v.Value != nil }
	nobodyKnowsOne := p.base == nil && len(p.votes) > 0 && !slices.ContainsFunc(p.votes, hasValue)
	switch {
	// An operator has decided to go on with the newest that those know who have answered.
	case p.command.Force && isRead && p.base != nil:
		p.isSure = true
		p.shown(out)

	// What an operator has follow it its own members alone accept, in a higher ballot.
	case p.command.Force && !isRead && isNext && !p.isForced:
		p.began, p.isForced = p.ticks, true
		p.raise(p.ballot)
		p.decide(p.command.Propose, out)

	// There is none, as it seems. Should there be one, no other first one can be decided (rule D5).
	case p.stage == asking && isRead && nobodyKnowsOne:
		p.shown(out)

	default:
		p.end(membership.Result{Fate: membership.Unknown}, out)
	}
}

// shown ends a read with the newest record.
func (p *Proposer) shown(out *Output) {
	r := membership.Result{Fate: membership.Read, Revision: p.revision()}
	if p.base != nil {
		base := *p.base
		r.Record = &base
	}
	p.end(r, out)
}

// Vote takes a VOTE. One that answers an earlier POLL says nothing of now.
func (p *Proposer) Vote(v *message.Vote, out *Output) {
	if p.stage == idle || v.Attempt != p.attempt {
		return
	}
	i, found := slices.BinarySearchFunc(p.votes, v.From, func(w *message.Vote, n lamport.Node) int { return int(w.From) - int(n) })
	if found {
		p.votes[i] = v
	} else {
		p.votes = slices.Insert(p.votes, i, v)
	}

	if p.stage == asking {
		p.promised(out)
	} else {
		p.accepted(out)
	}
}
