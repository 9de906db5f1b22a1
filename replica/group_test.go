package replica_test

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica"
	"quartet/replica/abcast"
)

// group is some real replicas in one thread; the test is the master, and decides what is
// lost.
type group struct {
	t        *testing.T
	nodes    []*one // rising
	flying   []underWay
	toMaster []message.Message
	lose     func(to lamport.Node, msg message.Message) bool // nil: nothing
	record   message.Record
	attempt  uint64
}

type underWay struct {
	to  lamport.Node
	msg message.Message
}

// newGroup is so many members in epoch 1, window sets in their tables.
func newGroup(t *testing.T, members, window int, options ...func(*replica.Config)) *group {
	t.Helper()
	g := &group{t: t, record: recordOf(1, members)}
	for _, m := range g.record.Members {
		g.start(m.Node, 7, window, options...)
	}
	g.install(g.record)
	return g
}

// start starts a process that holds nothing, in the place of the one under its name.
func (g *group) start(n lamport.Node, incarnation uint64, window int, options ...func(*replica.Config)) *one {
	named := func(c *replica.Config) { c.Self, c.Incarnation = n, incarnation }
	o := fresh(g.t, window, append(slices.Clone(options), named)...)
	if at := g.index(n); at >= 0 {
		g.nodes[at] = o
	} else {
		g.nodes = append(g.nodes, o)
	}
	return o
}

func (g *group) index(n lamport.Node) int {
	return slices.IndexFunc(g.nodes, func(o *one) bool { return o.node == n })
}

func (g *group) node(n lamport.Node) *one { return g.nodes[g.index(n)] }

func (g *group) take(sends []abcast.Send) {
	for _, s := range sends {
		for _, to := range s.To {
			switch {
			case to.IsMaster():
				g.toMaster = append(g.toMaster, s.Msg)
			case g.lose == nil || !g.lose(to, s.Msg):
				g.flying = append(g.flying, underWay{to: to, msg: s.Msg})
			}
		}
	}
}

// run takes turns, one message each, until nothing is in flight.
func (g *group) run() {
	for len(g.flying) > 0 {
		f := g.flying[0]
		g.flying = g.flying[1:]
		if at := g.index(f.to); at >= 0 {
			o := g.nodes[at]
			o.step(f.msg)
			o.disk.keep(o.out.Turn)
			g.take(o.out.Sends)
			if o.Fault() != "" {
				g.t.Fatalf("%v: %s", f.to, o.Fault())
			}
		}
	}
}

// pass is n ticks of everybody.
func (g *group) pass(n int) {
	for range n {
		for _, o := range g.nodes {
			o.pass(1)
			o.disk.keep(o.out.Turn)
			g.take(o.out.Sends)
		}
		g.run()
	}
}

func (g *group) header() message.Header {
	clock := uint64(0)
	for _, o := range g.nodes {
		clock = max(clock, o.Stats().Clock)
	}
	return message.Header{From: m1, Incarnation: 1, Epoch: g.record.Epoch, Clock: clock + 1}
}

// send is a message of the master to a replica, and what comes of it.
func (g *group) send(n lamport.Node, msg message.Message) {
	g.flying = append(g.flying, underWay{to: n, msg: msg})
	g.run()
}

// install tells a record to everybody.
func (g *group) install(r message.Record) {
	g.record = r
	for _, o := range g.nodes {
		o.record = r
		g.send(o.node, &message.Install{Header: g.header(), Record: r})
	}
}

// ask forwards requests and returns what is answered once all is quiet.
func (g *group) ask(n lamport.Node, requests ...message.Request) []message.Answer {
	g.toMaster = nil
	g.send(n, &message.Forward{Header: g.header(), Requests: requests})
	g.pass(2)
	return g.answers()
}

func (g *group) answers() []message.Answer {
	var all []message.Answer
	for _, msg := range g.toMaster {
		if a, ok := msg.(*message.Answers); ok {
			all = append(all, a.Answers...)
		}
	}
	return all
}

// prepare asks these to wedge and returns their answers once they are all there.
func (g *group) prepare(high uint64, holder lamport.Node, nodes ...lamport.Node) []*message.State {
	g.t.Helper()
	g.toMaster = nil
	g.attempt++
	for _, n := range nodes {
		g.send(n, &message.Prepare{Header: g.header(), Attempt: g.attempt, High: high, Holder: holder})
	}
	var states []*message.State
	for range 200 {
		states = states[:0]
		for _, n := range nodes {
			var last *message.State
			for _, msg := range g.toMaster {
				if s, ok := msg.(*message.State); ok && s.From == n && s.Watermark >= high {
					last = s
				}
			}
			if last != nil {
				states = append(states, last)
			}
		}
		if len(states) == len(nodes) {
			return states
		}
		g.pass(1)
	}
	g.t.Fatalf("only %d of %v answer PREPARE", len(states), nodes)
	return nil
}

// change ends the epoch with these for members of the next: as the master does it.
func (g *group) change(nodes ...lamport.Node) {
	g.t.Helper()
	states := g.prepare(0, 0, nodes...)
	most := slices.MaxFunc(states, func(a, b *message.State) int { return int(a.Watermark) - int(b.Watermark) })
	if high := most.Watermark; high > 0 {
		states = g.prepare(high, most.From, nodes...)
	}
	r := g.record
	r.Epoch++
	r.Nonce++
	r.High, r.Cut, r.Members = most.Watermark, slices.Clone(states[0].Contiguous), nil
	for _, s := range states {
		r.Start = max(r.Start, s.Clock+1)
		for i, n := range s.Contiguous {
			r.Cut[i] = min(r.Cut[i], n)
		}
		r.Members = append(r.Members, message.Member{Node: s.From, Incarnation: s.Incarnation})
	}
	slices.SortFunc(r.Members, func(a, b message.Member) int { return int(a.Node) - int(b.Node) })
	r.Faults = min(r.Missing, len(r.Members)-1)
	g.install(r)
	g.pass(3)
}

// remove ends the epoch without a node whose process has ended.
func (g *group) remove(n lamport.Node) {
	g.t.Helper()
	g.nodes = slices.Delete(g.nodes, g.index(n), g.index(n)+1)
	var rest []lamport.Node
	for _, m := range g.record.Members {
		if m.Node != n {
			rest = append(rest, m.Node)
		}
	}
	g.change(rest...)
}

// equal checks that all members stand at one position, hold one committed layer and
// nothing that is not committed.
func (g *group) equal(nodes ...lamport.Node) {
	g.t.Helper()
	first := g.node(nodes[0])
	for _, n := range nodes {
		o := g.node(n)
		a, b := first.Stats(), o.Stats()
		if b.Phase != message.PhaseMember || a.Position != b.Position || b.Tentative != 0 || b.Queue != 0 ||
			a.Watermark != b.Watermark || a.Safe != b.Safe {
			g.t.Errorf("%v: %+v; %v: %+v", first.node, a, n, b)
		}
		if a, b := first.layer(), o.layer(); !slices.Equal(a, b) {
			g.t.Errorf("%v holds\n%q\n%v holds\n%q", first.node, a, n, b)
		}
	}
}
