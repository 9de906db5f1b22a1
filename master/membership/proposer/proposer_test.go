package proposer

import (
	"flag"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

var schedules = flag.Uint64("schedules", 400, "how many random schedules of a group are run")

// Up to three masters at once, replicas that die and come back with their disks, messages that are
// lost, repeated and late: at most one record follows each one, and a read misses none.
func TestD4OneRecordFollows(t *testing.T) {
	decided := uint64(0)
	for seed := uint64(1); seed <= *schedules; seed++ {
		g := newGroup(t, seed, 1+int(seed%5), 1+int(seed%3))
		g.drop = float64(seed%4) / 10
		g.play(400, true)
		if newest := g.newest; newest > 0 {
			if r := g.settle(); r == nil || r.Epoch < newest {
				g.fail("seed %d: at the end epoch %d is read, and %d was decided", seed, epoch(r), newest)
			}
		}
		decided += g.newest
	}
	if decided < *schedules {
		t.Errorf("only %d records were decided in %d schedules", decided, *schedules)
	}
}

// Who has no disk comes back without a vote, and fewer than half do in a view: what was decided
// stays.
func TestD1WhoHasLostItsMemoryHasNoVote(t *testing.T) {
	for seed := uint64(1); seed <= *schedules; seed++ {
		g := newGroup(t, seed, 3+2*int(seed%2), 2)
		g.drop = float64(seed%3) / 10
		g.play(300, false)
		if newest := g.newest; newest > 0 {
			if r := g.settle(); r == nil || r.Epoch < newest {
				g.fail("seed %d: at the end epoch %d is read, and %d was decided", seed, epoch(r), newest)
			}
		}
	}
}

// play lets masters read and propose, and replicas and masters die.
func (g *group) play(steps int, hasDisks bool) {
	for range steps {
		for i, m := range g.masters {
			switch {
			case m.busy:
			case g.rnd.IntN(60) == 0: // it dies, and another begins
				g.masters[i] = g.master()
			default:
				proposes := g.rnd.IntN(3) > 0
				if m.known == nil {
					proposes = m.commands > 0 && g.rnd.IntN(3) == 0
				}
				g.command(m, proposes)
			}
		}
		if v := g.voters[g.rnd.IntN(len(g.voters))]; g.rnd.IntN(40) == 0 && g.mayRestart(v, hasDisks) {
			g.restart(v, hasDisks)
		}
		g.step()
	}
}

// mayRestart reports whether a replica may lose its memory: more than half of the members of the
// newest record, and of the record before as long as too few know the newest, still have theirs.
func (g *group) mayRestart(v *voter, hasDisks bool) bool {
	if hasDisks {
		return true
	}
	newest := g.decided[g.newest]
	if newest == nil {
		return false
	}
	know := 0
	for _, n := range newest.Configured {
		if o := g.voters[int(n)-1]; o != v && o.disk.Base.Epoch >= newest.Epoch {
			know++
		}
	}
	if !g.keep(newest, v) {
		return false
	}
	for _, r := range g.proposed { // it may be decided yet
		if r.Epoch == g.newest+1 && !g.keep(r, v) {
			return false
		}
	}
	before := g.decided[g.newest-1]
	isShown := before != nil && g.keep(before, v)
	return know > len(newest.Configured)/2 || isShown
}

func (g *group) keep(r *message.Record, without *voter) bool {
	n := 0
	for _, id := range r.Configured {
		v := g.voters[int(id)-1]
		isNext := v.disk.Base.Epoch == r.Epoch || v.disk.Base.Epoch+1 == r.Epoch
		staysOutside := !v.Named(r) && v.disk.Whole && isNext
		isVoter := v.Speaks(r) || staysOutside
		if v != without && isVoter {
			n++
		}
	}
	return n > len(r.Configured)/2
}

// quiet is a group in which nothing is lost, nor late.
func quiet(t *testing.T, replicas, masters int) *group {
	return newGroup(t, 1, replicas, masters)
}

// run delivers until a command has ended, for so many steps at the most.
func (g *group) run(m *master) {
	for range 3000 {
		if !m.busy {
			return
		}
		g.step()
	}
}

func (g *group) read(m *master) *message.Record {
	g.command(m, false)
	g.run(m)
	return m.known
}

// The first record takes all replicas of the cluster: while one is away none is decided, and what
// is read says so.
func TestD5TheFirstRecordTakesAll(t *testing.T) {
	g := quiet(t, 3, 1)
	m := g.masters[0]
	g.voters[2].dead = true
	if r := g.read(m); r != nil {
		t.Fatalf("epoch %d is read", r.Epoch)
	}
	g.command(m, true)
	g.run(m)
	if g.newest != 0 || m.known != nil {
		t.Fatalf("epoch %d is decided by two of three", g.newest)
	}
	g.voters[2].dead = false
	g.command(m, true)
	g.run(m)
	if g.newest != 1 {
		t.Error("all are there, and no record is decided")
	}
}

// What all have accepted for the first record, and not all the same, is decided nowhere: it is
// dropped, for it may name a process that has ended.
func TestD5OneOfSeveralFirstRecordsIsDropped(t *testing.T) {
	g := quiet(t, 3, 1)
	m := g.masters[0]
	g.voters[2].incarnation = 2
	own, other := g.next(m, nil), g.next(m, nil)
	other.Members[2].Incarnation = 1 // as it was before
	accept(g, g.voters[2], nil, own, message.Ballot{Round: 1, Master: 1})
	for _, v := range g.voters[:2] {
		accept(g, v, nil, other, message.Ballot{Round: 2, Master: 1})
	}
	for _, v := range g.voters {
		if v.disk.Accepted.Round == 0 {
			t.Fatalf("%s has accepted nothing", v.id)
		}
	}

	if r := g.read(m); m.busy || r != nil {
		t.Fatalf("read: %+v, ended %t", r, !m.busy)
	}
	g.command(m, true)
	g.run(m)
	if g.newest != 1 || m.known == nil {
		t.Error("all are there, and no record is decided")
	}
}

// Ballots of two masters are never the same, and are ordered.
func TestD2Ballots(t *testing.T) {
	list := []message.Ballot{{}, {Round: 1, Master: 3}, {Round: 1, Master: 4}, {Round: 2, Master: 1}}
	for i, a := range list {
		for k, b := range list {
			if a.Less(b) != (i < k) {
				t.Errorf("%v < %v: %t", a, b, a.Less(b))
			}
		}
	}
	a, b := New(Config{Number: 1}), New(Config{Number: 2})
	for range 3 {
		a.raise(b.ballot)
		if !b.ballot.Less(a.ballot) {
			t.Fatalf("%v is not above %v", a.ballot, b.ballot)
		}
		b.raise(a.ballot)
	}
}

// Whoever knows a newer record says so, member or not, and those who do not know it learn it.
func TestD7TheNewestRecordIsFound(t *testing.T) {
	g := quiet(t, 3, 2)
	first, second := g.masters[0], g.masters[1]
	g.read(first)
	for range 4 {
		g.command(first, true)
		g.run(first)
	}
	if g.newest != 4 {
		t.Fatalf("epoch %d is decided", g.newest)
	}

	// Only one knows the newest: those who have decided it do not know that they have.
	for _, v := range g.voters {
		v.knowing(g.decided[3])
	}
	g.voters[0].knowing(g.decided[4])
	if r := g.read(second); r == nil || r.Epoch != 4 {
		t.Fatalf("epoch %d is read, and 4 is decided", epoch(r))
	}
	for len(g.flying) > 0 {
		g.step()
	}
	for _, m := range g.decided[4].Members {
		if v := g.voters[int(m.Node)-1]; v.acceptor.Base().Epoch != 4 {
			t.Errorf("%s was not told", v.id)
		}
	}
}

// A value that was accepted is proposed again by whoever comes next, that of the highest ballot,
// and only then something else may follow.
func TestD4WhatWasAcceptedIsFinished(t *testing.T) {
	g := quiet(t, 5, 1)
	m := g.masters[0]
	g.read(m)
	g.command(m, true)
	g.run(m)
	base := g.decided[1]

	low, high := g.next(m, base), g.next(m, base)
	low.Members, high.Members = base.Members, base.Members
	accept(g, g.voters[0], base, low, message.Ballot{Round: 50, Master: 1})
	accept(g, g.voters[1], base, high, message.Ballot{Round: 51, Master: 1})
	for _, v := range g.voters[2:4] {
		v.dead = true
	}
	if r := g.read(m); r == nil || r.Nonce != high.Nonce {
		t.Fatalf("read: %+v, and one of nonce %d was accepted in the highest ballot", r, high.Nonce)
	}
}

func accept(g *group, v *voter, base, value *message.Record, b message.Ballot) {
	g.poll(v, &message.Poll{Attempt: 1, Ballot: b, Base: base, Value: value})
	g.flying = nil
}

// A proposal that another master has gone above may be decided all the same: nobody is told that it
// has lost.
func TestD4WhoIsOutbidDoesNotKnow(t *testing.T) {
	g := quiet(t, 3, 1)
	m := g.masters[0]
	g.read(m)
	g.command(m, true)
	g.run(m)
	g.read(m)
	base := g.decided[1]
	for _, v := range g.voters {
		g.poll(v, &message.Poll{Attempt: 1, Ballot: message.Ballot{Round: 90, Master: 9}, Base: base})
	}
	g.flying = nil

	fate := membership.Fate(0)
	g.command(m, true)
	for range 1000 {
		if !m.busy {
			break
		}
		g.step()
	}
	if known := m.known; known.Epoch != 1 || g.newest != 1 {
		t.Errorf("epoch %d is decided in a ballot below what was promised (fate %d)", g.newest, fate)
	}
	if r := g.read(m); r == nil || r.Epoch != 1 {
		t.Errorf("read: %+v", r)
	}
}

// Where an operator has decided so, whoever is there decides; without that nothing is.
func TestD8AnOperatorDecides(t *testing.T) {
	g := quiet(t, 3, 1)
	m := g.masters[0]
	g.read(m)
	g.command(m, true)
	g.run(m)
	base := g.decided[1]
	for i, v := range g.voters {
		v.dead = i > 0
	}
	if r := g.next(m, base); len(r.Voters()) != 3 {
		t.Errorf("the voters of all are %v", r.Voters())
	}

	next := g.next(m, base)
	next.Members = next.Members[:0]
	next.Members = append(next.Members, message.Member{Node: 1, Incarnation: 1, Life: 1})
	for _, force := range []bool{false, true} {
		m.commands++
		m.command = membership.Command{Number: m.commands, Propose: next, Revision: 1, Force: force}
		m.busy, m.since = true, g.newest
		if force {
			g.decided[2] = next // what one accepts is decided
		}
		var out Output
		m.proposer.Command(&m.command, &out)
		g.send(m, &out)
		g.run(m)
		if won := m.known.Epoch == 2; won != force {
			t.Errorf("force %t: won %t", force, won)
		}
	}

	// It goes on by itself from there: only the members vote on what follows.
	g.command(m, true)
	g.run(m)
	if m.known.Epoch != 3 {
		t.Errorf("epoch %d follows", m.known.Epoch)
	}

	late := g.master()
	late.proposer.Known([]lamport.Node{1})
	late.commands, late.command, late.busy = 1, membership.Command{Number: 1, Force: true}, true
	g.masters = []*master{late}
	var out Output
	late.proposer.Command(&late.command, &out)
	g.send(late, &out)
	g.run(late)
	if late.known == nil {
		t.Error("a read that an operator has decided shows nothing")
	}
}
