package replica_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica"
	"quartet/replica/durable"
)

func onDisk(c *replica.Config) { c.Durable = true }

// shelf is a disk: it applies turns as package durable says, and gives back what is saved.
type shelf struct {
	state    durable.State
	data     map[durable.DataID]*message.Data
	writes   map[uint64]message.CausalWrite
	weak     map[durable.WeakID]message.Request
	executed []message.Executed
}

func newShelf() *shelf {
	return &shelf{
		data: map[durable.DataID]*message.Data{}, writes: map[uint64]message.CausalWrite{},
		weak: map[durable.WeakID]message.Request{},
	}
}

func (d *shelf) keep(turn *durable.Turn) {
	if turn == nil {
		return
	}

	if turn.Changed {
		d.state = turn.State
	}
	if turn.DropData {
		clear(d.data)
	}
	if turn.Void {
		maps.DeleteFunc(d.writes, func(n uint64, _ message.CausalWrite) bool { return n > turn.VoidAbove })
	}

	for _, m := range turn.Data {
		d.data[durable.DataID{From: m.From, Seq: m.Seq}] = m
	}
	for _, id := range turn.Delivered {
		delete(d.data, id)
	}

	for _, w := range turn.Writes {
		d.writes[w.Number] = *w
	}
	maps.DeleteFunc(d.writes, func(n uint64, _ message.CausalWrite) bool { return n <= d.state.Committed })

	for _, r := range turn.Weak {
		d.weak[durable.WeakID{RID: r.RID, Version: r.Version}] = *r
	}
	for _, id := range turn.WeakGone {
		delete(d.weak, id)
	}

	if len(turn.Executed) > 0 && d.state.Entries == uint64(len(turn.Executed)) {
		d.executed = nil // a learner has begun anew
	}
	d.executed = append(d.executed, turn.Executed...)
}

func (d *shelf) saved() *durable.Saved {
	s := &durable.Saved{State: d.state, Executed: slices.Clone(d.executed)}
	for _, m := range d.data {
		s.Data = append(s.Data, m)
	}
	for n := d.state.Committed + 1; n <= d.state.Watermark; n++ {
		s.Writes = append(s.Writes, d.writes[n])
	}
	for _, r := range d.weak {
		s.Weak = append(s.Weak, r)
	}
	return s
}

// turnOf tells what a turn leaves on disk.
func turnOf(turn *durable.Turn) string {
	if turn == nil {
		return "nothing"
	}

	var s string
	st := &turn.State
	if turn.DropData {
		s += "drop "
	}
	if turn.Void {
		s += fmt.Sprintf("void>%d ", turn.VoidAbove)
	}

	for _, d := range turn.Data {
		s += fmt.Sprintf("data %v.%d ", d.From, d.Seq)
	}
	for _, id := range turn.Delivered {
		s += fmt.Sprintf("delivered %v.%d ", id.From, id.Seq)
	}

	for _, w := range turn.Writes {
		s += fmt.Sprintf("write %d ", w.Number)
	}

	for _, r := range turn.Weak {
		s += fmt.Sprintf("weak #%d ", r.RID)
	}
	for _, id := range turn.WeakGone {
		s += fmt.Sprintf("gone #%d ", id.RID)
	}

	for _, x := range turn.Executed {
		s += fmt.Sprintf("executed #%d ", x.RID)
	}

	s += fmt.Sprintf("e%d i%d at %d held %v causal %d/%d/%d entries %d rid %d", st.Record.Epoch, st.Incarnation, st.Position, st.Contiguous,
		st.Committed, st.Safe, st.Watermark, st.Entries, st.LastRID)
	if st.Learning {
		s += " learning"
	}
	if st.Scratch {
		s += " scratch"
	}

	return s
}

func (o *one) expectTurn(want string) {
	o.t.Helper()
	if got := turnOf(o.out.Turn); got != want {
		o.t.Errorf("on disk: %s\nwant:    %s", got, want)
	}
	if o.out.Turn != nil {
		if o.out.Turn.State.Clock < o.Stats().Clock {
			o.t.Errorf("clock %d on disk, %d told", o.out.Turn.State.Clock, o.Stats().Clock)
		}
		o.disk.keep(o.out.Turn)
	}
}

// What must be on disk before anything of a turn leaves, step by step.
func TestTurns(t *testing.T) {
	o := fresh(t, 10, onDisk)
	o.pass(1)
	o.expectSent("HELLO m1")
	o.expectTurn("e0 i7 at 0 held [] causal 0/0/0 entries 0 rid 0") // who it is
	o.pass(1)
	o.expectTurn("nothing")
	o.install(recordOf(1, 3))
	o.expectTurn("drop void>0 e1 i7 at 0 held [0 0 0] causal 0/0/0 entries 0 rid 0")

	o.step(strong(o.peer(2), 1, request(1, "linearizable set a 1")), weak(o.peer(3), 2, request(9, "eventual set z beyond-a-gap")))
	o.expectSent("ACK r2, GAP r3") // it acknowledges r2's
	o.expectTurn("data r2.1 e1 i7 at 0 held [0 1 0] causal 0/0/0 entries 0 rid 1")
	o.ask(request(2, "linearizable set b 1"))
	o.expectTurn("data r1.1 e1 i7 at 0 held [1 1 0] causal 0/0/0 entries 0 rid 2")
	o.ask(request(3, "linearizable get b"))
	o.expectTurn("data r1.2 e1 i7 at 0 held [2 1 0] causal 0/0/0 entries 0 rid 3")
	o.agree(1, 1)
	o.expectTurn("nothing")
	o.ask(request(4, "eventual get b"))
	o.expectTurn("nothing")

	// An eventual set is on disk before it is answered, also if its DATA is kept for later.
	o.expect(o.ask(request(5, "eventual set e 1")), "#5 200")
	o.expectTurn("weak #5 e1 i7 at 0 held [2 1 0] causal 0/0/0 entries 0 rid 5")
	o.pass(1)
	o.expectTurn("data r1.3 e1 i7 at 0 held [3 1 0] causal 0/0/0 entries 0 rid 5")
	o.agree(3, 1)
	o.expectTurn("nothing")

	// Causal writes, from the watermark on: what is beyond a gap is not acknowledged.
	o.step(&message.Forward{
		Header: o.master(), Marks: message.Marks{Last: 3, Safe: 1},
		Writes: []message.CausalWrite{causal(11, "causal set c 1")},
	})
	o.expectTurn("nothing")
	o.step(&message.Forward{
		Header: o.master(), Marks: message.Marks{Last: 13, Safe: 1},
		Writes: []message.CausalWrite{numbered(1, 21), numbered(2, 22), numbered(4, 24)},
	})
	o.expectTurn("write 1 write 2 e1 i7 at 0 held [3 1 0] causal 0/1/2 entries 0 rid 24")
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 13, Safe: 1, Held: 1}})
	o.expectTurn("data r1.4 e1 i7 at 0 held [4 1 0] causal 0/1/2 entries 0 rid 24")
	o.agree(4, 1)
	o.expectTurn("nothing")

	// A wedge is not written down, for whoever comes back with a disk comes back wedged; but
	// what was delivered is, and what the others had told by then.
	o.step(strong(o.peer(2), 2, request(6, "linearizable set a 6")), weak(o.peer(2), 3, request(7, "eventual set w 1")))
	o.expectTurn("data r2.2 data r2.3 e1 i7 at 0 held [4 3 0] causal 0/1/2 entries 0 rid 24")
	o.wedge()
	o.expectTurn("delivered r2.1 delivered r1.1 delivered r1.2 delivered r1.3 delivered r1.4 gone #5 executed #1 " +
		"executed #2 executed #5 executed #21 e1 i7 at 5 held [4 3 0] causal 1/1/2 entries 4 rid 24")
	o.ask(request(8, "eventual set v 1"))
	o.expectTurn("weak #8 e1 i7 at 5 held [4 3 0] causal 1/1/2 entries 4 rid 24")
	r := o.next(4, 2, 0)
	r.High = 1
	o.install(r)
	o.expectTurn("drop void>1 data r1.1 weak #7 executed #6 e2 i7 at 6 held [1 0 0] causal 1/1/1 entries 5 rid 24")
}

func numbered(number, rid uint64) message.CausalWrite {
	return message.CausalWrite{Number: number, Request: request(rid, fmt.Sprintf("causal set n%d 1", number))}
}

// back starts a process with what this one has on its disk, with another incarnation to
// give that it must not use.
func (o *one) back() *one {
	saved := o.disk.saved()
	b := fresh(o.t, 10, func(c *replica.Config) {
		c.Self, c.Incarnation, c.Store, c.Saved, c.Durable = o.node, 99, o.store, saved, true
	})
	b.store, b.disk, b.record, b.clock = o.store, o.disk, o.record, o.clock
	return b
}

// A process that comes back with its disk is wedged in the epoch in which it was stopped.
// It has lost nothing that it had acknowledged, answered or sent.
func TestBackWithTheDisk(t *testing.T) {
	o := fresh(t, 10, onDisk)
	do := func(f func()) { f(); o.disk.keep(o.out.Turn) }
	do(func() { o.install(recordOf(1, 3)) })
	do(func() { o.ask(identified(request(1, "linearizable set a 1"), "x", 5)) })
	do(func() { o.agree(1, 0) })
	for range 20 { // what was delivered goes to disk
		do(func() { o.pass(1) })
	}
	do(func() {
		o.step(strong(o.peer(2), 1, request(2, "linearizable set b 1")), weak(o.peer(2), 2, request(3, "eventual set w 1")))
	})
	do(func() {
		o.step(&message.Forward{
			Header: o.master(), Marks: message.Marks{Last: 3, Safe: 2},
			Writes: []message.CausalWrite{numbered(1, 21), numbered(2, 22), numbered(3, 23)},
		})
	})
	do(func() {
		o.ask(request(4, "eventual set v 1"), request(5, "linearizable set c 1"), request(6, "linearizable get a"))
	})
	before := o.Stats()

	b := o.back()
	after := b.Stats()
	if after.Phase != message.PhaseWedged || after.Epoch != 1 || b.Incarnation() != 7 || after.Position != 1 ||
		after.Watermark != 3 || after.Safe != 2 ||
		after.Queue != before.Queue || after.Tentative != before.Tentative || after.Pending != 0 || after.Clock < o.disk.state.Clock {
		t.Fatalf("before %+v\nafter  %+v", before, after)
	}
	b.pass(1)
	if h := taken[*message.Hello](b); len(h) != 1 || h[0].Phase != message.PhaseWedged || h[0].Epoch != 1 ||
		h[0].LastRID != 23 || h[0].Incarnation != 7 || h[0].Position != 1 {
		t.Errorf("HELLO %+v", h)
	}
	b.expectTurn("e1 i7 at 1 held [2 2 0] causal 0/2/3 entries 1 rid 23")
	b.step(&message.Probe{Header: b.master()})
	answers := b.ask(request(10, "causal get n2"), request(11, "causal get n3"), request(12, "eventual get v"),
		request(13, "eventual get w"), request(14, "linearizable get a"))
	b.expect(answers, "#10 200 1 number 2", "#11 404", "#12 200 1", "#13 200 1")
	s := b.wedge()
	if !slices.Equal(s.Contiguous, []uint64{2, 2, 0}) || s.Watermark != 3 {
		t.Errorf("STATE %+v", s)
	}
	r := b.next(2, 1, 0)
	r.High = 3
	b.install(r)
	b.disk.keep(b.out.Turn)
	b.expect(b.answers(), "#5 200 at 4") // who took the get is gone; its place is not
	if got := b.layer(); len(got) != 4 {
		t.Errorf("it holds %q", got)
	}
	d := taken[*message.Data](b)
	if len(d) != 1 || len(d[0].Ops) != 2 || d[0].Ops[0].Request.RID != 3 || d[0].Ops[1].Op != message.OpCommit || d[0].Ops[1].Number != 3 {
		t.Errorf("submitted again: %+v", d)
	}
	b.ask(identified(request(30, "linearizable set a 1"), "x", 5))
	b.agree(2, 0)
	b.expect(b.answers(), "#30 200 at 1 first #1")
}

// All processes are killed at once, in the middle of everything, and start again with their
// disks: an ordinary change of views, and nothing that was answered is lost.
func TestAllComeBackWithTheirDisks(t *testing.T) {
	g := newGroup(t, 3, 10, onDisk)
	g.ask(1, identified(request(1, "linearizable set a 1"), "x", 5), request(2, "eventual set e 1"))
	var lost int
	g.lose = func(lamport.Node, message.Message) bool { lost++; return lost%2 == 0 }
	for _, n := range []lamport.Node{1, 2, 3} {
		g.send(n, &message.Forward{
			Header: g.header(), Marks: message.Marks{Last: 2},
			Writes: []message.CausalWrite{numbered(1, 21), numbered(2, 22)}[:n/2+1],
		})
		g.send(n, &message.Forward{Header: g.header(), Requests: []message.Request{
			request(10+uint64(n), fmt.Sprintf("linearizable set l%d 1", n)), request(20+10*uint64(n), fmt.Sprintf("eventual set v%d 1", n)),
		}})
	}
	g.lose = nil

	answered := g.answers()
	for i, o := range g.nodes {
		g.nodes[i] = o.back()
	}
	g.flying = nil
	g.change(1, 2, 3)
	g.pass(5)
	g.equal(1, 2, 3)
	if s := g.node(1).Stats(); s.Safe != 2 {
		t.Errorf("%+v", s)
	}

	for _, a := range answered {
		if a.Code == 200 && a.RID > 2 && !strings.Contains(fmt.Sprint(g.node(2).layer()), fmt.Sprintf("#%d", a.RID)) {
			t.Errorf("#%d was answered and is lost: %q", a.RID, g.node(2).layer())
		}
	}
	g.expect(g.ask(3, identified(request(40, "linearizable set a 1"), "x", 5)), "#40 200 at 1 first #1")
}

// A learner that is killed goes on where it was once it has all keys, and begins anew if it
// had not.
func TestALearnerComesBack(t *testing.T) {
	for _, test := range []struct {
		name    string
		scanned bool
	}{{"in the middle of the keys", false}, {"with all keys", true}} {
		t.Run(test.name, func(t *testing.T) {
			o := fresh(t, 10, onDisk)
			o.install(without(recordOf(2, 3), 1))
			o.disk.keep(o.out.Turn)
			o.step(&message.Chunk{
				Header: o.peer(2), Nonce: taken[*message.Pull](o)[0].Nonce, Position: 9, First: 4, Last: 5, Cursor: "m",
				Scanned: test.scanned, LastRID: 8,
				Place:   lamport.Timestamp{Time: 3, Node: 2},
				Entries: []message.Executed{{RID: 1, Position: 7, Key: "a"}, {RID: 2, Position: 8, Key: "b"}},
				Records: []message.KeyRecord{{Key: "a", Kind: 1, Value: []byte("1"), RID: 1}},
				Changes: message.Changes{Since: 9, To: 9},
			})

			scratch := " scratch"
			if test.scanned {
				scratch = ""
			}

			o.expectTurn("executed #1 executed #2 e2 i7 at 9 held [] causal 0/0/0 entries 5 rid 8 learning" + scratch)

			b := o.back()
			if s := b.Stats(); s.Phase != message.PhaseLearning || b.Incarnation() != 7 || s.Epoch != 2 {
				t.Fatalf("%+v, incarnation %d", s, b.Incarnation())
			}

			b.pass(20)
			p := taken[*message.Pull](b)
			if len(p) == 0 {
				t.Fatalf("sent %s", b.sent())
			}
			if first := p[0]; first.Scanned != test.scanned || first.Cursor != "" || test.scanned != (first.Entry == 5) {
				t.Errorf("PULL %+v", first)
			}
		})
	}
}
