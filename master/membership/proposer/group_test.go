package proposer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
	"quartet/replica/acceptor"
	"quartet/replica/durable"
)

// group is real acceptors, real proposers, and a network between them that loses, repeats and
// delays. It is the referee: of the records that follow one record at most one is decided, a read
// shows all that was decided before it began, and who hears Won or Lost hears the truth.
type group struct {
	t        *testing.T
	rnd      *rand.Rand
	voters   []*voter
	masters  []*master
	flying   []envelope
	drop     float64
	accepted map[string]uint64          // base and ballot → who has accepted
	decided  map[uint64]*message.Record // by epoch
	newest   uint64                     // epoch
	proposed []*message.Record
	log      []string
}

// voter is a replica, as far as it votes.
type voter struct {
	id          lamport.Node
	incarnation uint64
	acceptor    acceptor.Acceptor
	disk        durable.Votes
	dead        bool
}

type master struct {
	number   uint64
	proposer *Proposer
	commands uint64
	command  membership.Command
	busy     bool
	since    uint64          // the newest epoch that was decided when the command began
	known    *message.Record // that it has read
	proposed uint64
}

type envelope struct {
	to    lamport.Node
	polls *message.Poll
	vote  *message.Vote
}

func newGroup(t *testing.T, seed uint64, replicas, masters int) *group {
	g := &group{
		t: t, rnd: rand.New(rand.NewPCG(seed, 3)), accepted: map[string]uint64{}, decided: map[uint64]*message.Record{},
	}
	for i := range replicas {
		g.voters = append(g.voters, &voter{id: lamport.Replica(i + 1), incarnation: 1})
	}
	for range masters {
		g.masters = append(g.masters, g.master())
	}
	return g
}

func (g *group) ids() []lamport.Node {
	var ids []lamport.Node
	for _, v := range g.voters {
		ids = append(ids, v.id)
	}
	return ids
}

// master begins a process of a master.
func (g *group) master() *master {
	number := g.rnd.Uint64()
	return &master{number: number, proposer: New(Config{Number: number, Replicas: g.ids(), AgainTicks: 3, PatienceTicks: 20})}
}

func (g *group) say(format string, args ...any) { g.log = append(g.log, fmt.Sprintf(format, args...)) }

func (g *group) fail(format string, args ...any) {
	g.t.Helper()
	for _, line := range g.log[max(0, len(g.log)-60):] {
		g.t.Log(line)
	}
	g.t.Fatalf(format, args...)
}

// next is a record that may follow another one: of any of the replicas, as they are now.
func (g *group) next(m *master, before *message.Record) *message.Record {
	m.proposed++
	r := &message.Record{
		View: message.View{Epoch: 1}, Configured: g.ids(), Master: 1, Nonce: m.number + m.proposed, Cluster: 7,
	}
	if before != nil {
		r.Epoch = before.Epoch + 1
		r.Lineage = append(slices.Clone(before.Lineage), message.Ancestor{Epoch: before.Epoch, Nonce: before.Nonce})
	}
	least := len(g.voters)/2 + 1
	leave := g.rnd.IntN(len(g.voters) - least + 1)
	for i, v := range g.voters {
		isOut := before != nil && leave > 0 && g.rnd.IntN(len(g.voters)-i) < leave
		if isOut {
			leave--
			continue
		}
		r.Members = append(r.Members, message.Member{Node: v.id, Incarnation: v.incarnation, Life: 1})
	}
	g.proposed = append(g.proposed, r)
	return r
}

// send puts what a proposer says on its way.
func (g *group) send(m *master, out *Output) {
	for _, s := range out.Sends {
		for _, to := range s.To {
			poll := s.Poll
			g.put(envelope{to: to, polls: &poll})
		}
	}
	if out.Result != nil {
		g.ended(m, out.Result)
	}
}

func (g *group) put(e envelope) {
	for copies := 1 + g.rnd.IntN(2)*g.rnd.IntN(2); copies > 0; copies-- {
		if g.rnd.Float64() >= g.drop {
			g.flying = append(g.flying, e)
		}
	}
}

// command has a master read, or propose what follows what it has read.
func (g *group) command(m *master, propose bool) {
	m.commands++
	m.command = membership.Command{Number: m.commands}
	if propose {
		m.command.Propose, m.command.Revision = g.next(m, m.known), 0
		if m.known != nil {
			m.command.Revision = m.known.Epoch
		}
	}
	m.busy, m.since = true, g.newest
	m.proposer.Known(g.ids())
	var out Output
	m.proposer.Command(&m.command, &out)
	g.send(m, &out)
}

// ended judges how a command has ended.
func (g *group) ended(m *master, r *membership.Result) {
	if r.Number != m.commands || !m.busy {
		g.fail("the outcome of command %d, and %d is the newest", r.Number, m.commands)
	}
	m.busy = false
	proposed := m.command.Propose
	switch r.Fate {
	case membership.Read:
		switch {
		case r.Record == nil && m.since > 1: // the first may be missed: no other one is decided
			g.fail("a read shows no record, and epoch %d was decided before it began", m.since)
		case r.Record != nil && r.Record.Epoch < m.since:
			g.fail("a read shows epoch %d, and %d was decided before it began", r.Record.Epoch, m.since)
		case r.Record != nil && !same(g.decided[r.Record.Epoch], r.Record):
			g.fail("a read shows a record of epoch %d that was not decided", r.Record.Epoch)
		}
		m.known = r.Record
	case membership.Won:
		if !same(g.decided[proposed.Epoch], proposed) {
			g.fail("a master has won with a record of epoch %d that was not decided", proposed.Epoch)
		}
		m.known = proposed
	case membership.Lost:
		if same(g.decided[proposed.Epoch], proposed) {
			g.fail("a master has lost with a record of epoch %d that was decided", proposed.Epoch)
		}
	}
}

// step delivers a message, or lets time pass.
func (g *group) step() {
	if len(g.flying) == 0 || g.rnd.IntN(20) == 0 {
		for _, m := range g.masters {
			var out Output
			m.proposer.Tick(&out)
			g.send(m, &out)
		}
		return
	}
	i := g.rnd.IntN(min(len(g.flying), 12))
	e := g.flying[i]
	g.flying = slices.Delete(g.flying, i, i+1)
	if e.vote != nil {
		for _, m := range g.masters { // all have one address
			var out Output
			m.proposer.Vote(e.vote, &out)
			g.send(m, &out)
		}
		return
	}
	g.poll(g.voters[int(e.to)-1], e.polls)
}

// poll has a replica vote.
func (g *group) poll(v *voter, p *message.Poll) {
	if v.dead {
		return
	}
	vote, _ := v.acceptor.Poll(p, v, true)
	vote.From = v.id
	v.disk = v.acceptor.Votes()
	g.say("%s: %v value %t on %d → base %d counts %t promised %v accepted %v", v.id, p.Ballot, p.Value != nil, epoch(p.Base),
		epoch(vote.Base), vote.Counts, vote.Promised, vote.Accepted)
	g.count(v, vote)
	g.put(envelope{vote: vote})
}

// Named and Speaks implement [acceptor.Self].
func (v *voter) Named(r *message.Record) bool { return r.Index(v.id) >= 0 }

func (v *voter) Speaks(r *message.Record) bool {
	i := r.Index(v.id)
	return i >= 0 && r.Members[i].Incarnation == v.incarnation
}

func epoch(r *message.Record) uint64 {
	if r == nil {
		return 0
	}
	return r.Epoch
}

// count sees what a replica has accepted.
func (g *group) count(v *voter, vote *message.Vote) {
	if vote.Value == nil {
		return
	}
	key := fmt.Sprint(epoch(vote.Base), vote.Accepted)
	g.accepted[key] |= 1 << v.id
	need, count := len(g.voters), 0
	if vote.Base != nil {
		need = len(vote.Base.Voters())/2 + 1
	}
	for _, n := range g.ids() {
		isVoter := vote.Base == nil || slices.Contains(vote.Base.Voters(), n)
		if isVoter && g.accepted[key]>>n&1 == 1 {
			count++
		}
	}
	if count < need {
		return
	}

	r := vote.Value
	switch before := g.decided[r.Epoch]; {
	case before == nil:
		g.decided[r.Epoch], g.newest = r, max(g.newest, r.Epoch)
		g.say("DECIDED epoch %d, nonce %d", r.Epoch, r.Nonce)
	case !same(before, r):
		g.fail("two records of epoch %d are decided", r.Epoch)
	}
}

// restart ends a replica's process and starts it again: with its disk, or, without one, as a new
// incarnation that has no memory.
func (g *group) restart(v *voter, hasDisk bool) {
	v.acceptor, v.dead = acceptor.Acceptor{}, false
	if hasDisk {
		v.acceptor.Restore(v.disk, &v.disk.Base, v)
	} else {
		v.incarnation++
		v.disk = durable.Votes{}
	}
}

// settle lets the network lose nothing any more, and returns what a master of the end reads; nil:
// it cannot.
func (g *group) settle() *message.Record {
	g.drop, g.flying = 0, nil
	m := g.master()
	g.masters = []*master{m}
	for range 20 {
		g.command(m, false)
		for range 2000 {
			if !m.busy {
				break
			}
			g.step()
		}
		if m.known != nil {
			return m.known
		}
	}
	return nil
}

// knowing is a replica that knows that a record is decided, and has a vote on what follows it.
func (v *voter) knowing(r *message.Record) {
	v.acceptor.Restore(durable.Votes{Base: *r, Whole: true}, r, v)
	v.disk = v.acceptor.Votes()
}
