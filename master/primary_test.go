package master_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
)

// A number is safe when f+1 members hold it, and held when all do.
func TestSafeAndHeld(t *testing.T) {
	for _, test := range []struct {
		faults     int
		watermarks []uint64
		safe, held uint64
	}{
		{0, []uint64{4}, 4, 4},
		{0, []uint64{4, 2}, 4, 2}, // f=0: whoever holds it will be there
		{1, []uint64{4, 2, 0}, 2, 0},
		{1, []uint64{0, 0, 4}, 0, 0},
		{1, []uint64{3, 4, 3}, 3, 3},
		{2, []uint64{5, 5, 5, 0, 0}, 5, 0},
		{2, []uint64{5, 5, 4, 3, 2}, 4, 2},
		{3, []uint64{1, 2, 3, 4, 5, 5, 5}, 4, 1},
		{4, []uint64{5, 5, 5, 5, 1, 1, 1, 1, 1}, 1, 1},
		{4, []uint64{5, 4, 5, 4, 5, 1, 2, 3, 0}, 4, 0},
	} {
		t.Run(fmt.Sprintf("f=%d %v", test.faults, test.watermarks), func(t *testing.T) {
			o := ready(t, configured(len(test.watermarks), test.faults))
			for range 5 {
				o.ask(in("causal set a 1"))
			}
			var safe []uint64
			for i, w := range test.watermarks {
				o.holds(lamport.Replica(i+1), w)
				for _, r := range o.out.Replies {
					if r.Code != model.OK || r.Timestamp != r.Token {
						t.Errorf("reply %+v", r)
					}
					safe = append(safe, r.Timestamp)
				}
			}
			marks := o.Snapshot().Marks
			if marks != (message.Marks{Last: 5, Safe: test.safe, Held: test.held}) {
				t.Errorf("marks %+v, want safe %d, held %d", marks, test.safe, test.held)
			}
			if uint64(len(safe)) != test.safe || !slices.IsSorted(safe) {
				t.Errorf("answered %v", safe)
			}
		})
	}
}

func TestAClaimOfANumberThatWasNotGivenIsRefused(t *testing.T) {
	o := ready(t, configured(1, 0))
	o.ask(in("causal set a 1"))
	before := o.Refused()
	o.holds(1, 2)
	o.expect()
	if o.Refused() != before+1 || o.Snapshot().Marks.Safe != 0 {
		t.Errorf("%d refused, marks %+v", o.Refused()-before, o.Snapshot().Marks)
	}
}

// A member whose process ended and came back empty holds nothing; the others go on.
func TestAMemberThatIsGoneHoldsNothing(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(in("causal set a 1"))
	o.holds(3, 1)
	o.turn(func() { o.Lost(3) })
	o.step(o.hello(3, 8))
	o.ask(in("causal set b 1"))
	o.holds(1, 2)
	o.expect() // r3 held number 1 and is gone: one member is not f+1
	o.holds(2, 2)
	o.expect("1 #1 200 number 1", "2 #2 200 number 2")
	if marks := o.Snapshot().Marks; marks.Held != 0 {
		t.Errorf("marks %+v: not every member holds any", marks)
	}
	if o.Ready() {
		t.Error("ready, though r3 is not in the view")
	}
}

func TestCausalSetsNeedEnoughReplicas(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.turn(func() { o.Lost(3) })
	o.ask(in("causal set a 1"), in("linearizable set a 1"), in("linearizable get a"), in("sequential set a 1"))
	o.expect("2 #2 503", "3 #3 503", "4 #4 503")
	o.turn(func() { o.Lost(2) })
	o.ask(in("causal set a 1"), at(1, in("sequential get a")), at(1, in("causal get a")), at(1, in("eventual set a 1")))
	o.expect("5 #5 503", "6 #6 503")
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #7", "r1 #8"}) {
		t.Errorf("forwarded %v", got)
	}
}

// The primary keeps a write until all hold it, and fills gaps from there.
func TestThePrimaryFillsGaps(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(in("causal set a 1"), in("causal set a 2"), in("causal set a 3"))
	gap := func() []message.CausalWrite {
		o.step(&message.Gap{Header: o.from(3), Causal: true, First: 1, Last: 3})
		if f := taken[*message.Fill](o); len(f) > 0 {
			return f[0].Writes
		}
		return nil
	}
	if got := gap(); len(got) != 3 || got[0].Number != 1 {
		t.Errorf("filled with %+v", got)
	}
	for n := range 3 {
		o.holds(lamport.Replica(n+1), 2)
	}
	if got := gap(); len(got) != 1 || got[0].Number != 3 {
		t.Errorf("filled with %+v, want number 3 alone", got)
	}
	before := o.Refused()
	o.step(&message.Gap{Header: o.from(3), First: 1, Last: 3})
	if o.Refused() != before+1 || len(o.out.Sends) != 0 {
		t.Error("a master has no DATA, and was asked for some")
	}
}

func TestTheReplicaAskedFor(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(9, in("eventual get a")), at(2, in("eventual get a")), at(9, in("causal set a 1")))
	o.expect("1 #1 400")
	if got := o.forwarded(); !slices.Equal(got, []string{"r2 #2"}) {
		t.Errorf("forwarded %v", got)
	}
	o.pass(suspect + probe) // r1 and r3 answer nothing
	for range suspect/probe + 1 {
		o.step(&message.Report{Header: o.from(2)})
		o.pass(probe)
	}
	o.ask(at(1, in("eventual get a")), at(2, in("eventual get a")))
	if len(o.out.Replies) != 1 || o.out.Replies[0].Code != model.Unavailable {
		t.Errorf("a suspected replica was asked for: %+v", o.out.Replies)
	}
	o.step(&message.Report{Header: o.from(1)}) // it is heard again: trusted at the next heartbeat
	o.pass(probe)
	o.ask(at(1, in("eventual get a")))
	o.expect()
}

// Requests for any replica are spread evenly by the caller's numbers, over those that serve.
func TestDrawIsFair(t *testing.T) {
	o := ready(t, configured(5, 2))
	o.turn(func() { o.Lost(4) })
	counts := map[lamport.Node]int{}
	for i := range uint32(4000) {
		request := in("eventual get a")
		request.Draw = i * 2654435761 // spread over the range, the upper half included
		o.ask(request)
		for _, s := range o.out.Sends {
			if f, ok := s.Msg.(*message.Forward); ok {
				counts[s.To[0]]++
				o.answer(s.To[0], f.Requests[0].RID, model.NotFound)
			}
		}
	}
	for _, n := range []lamport.Node{1, 2, 3, 5} {
		if counts[n] < 900 || counts[n] > 1100 {
			t.Errorf("%v serves %d of 4000: %v", n, counts[n], counts)
		}
	}
	if counts[4] != 0 {
		t.Errorf("r4 is lost and serves %d", counts[4])
	}
}

// A batch goes to a replica that is free; while all are busy it gathers.
func TestABatchGathersWhileAllAreBusy(t *testing.T) {
	o := ready(t, configured(2, 0))
	o.ask(in("eventual get a"))
	o.ask(in("eventual get a"))
	o.ask(in("eventual get a"))
	o.ask(in("eventual get a"))
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v to a busy replica", got)
	}
	o.answer(2, 1, model.NotFound) // whoever answers is free
	if got := o.forwarded(); !slices.Equal(got, []string{"r2 #3", "r2 #4"}) {
		t.Errorf("forwarded %v", got)
	}
}

// A request that was answered Unknown while it waited for a free replica does not leave.
func TestWhatWasAnsweredDoesNotLeave(t *testing.T) {
	o := ready(t, configured(1, 0))
	o.ask(id("x", in("eventual set a 1")))
	o.turn(func() { o.Lost(1) })
	o.ask(id("x", in("eventual set a 1")))
	o.pass(timeout)
	o.expect("1 #1 504", "2 #1 504 repeated")
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v", got)
	}
}

func TestAdoption(t *testing.T) {
	cfg := configured(3, 1)
	cfg.Incarnation, cfg.NextRID, cfg.Clock = 5, 100, 1000
	o := started(t, cfg)
	view := message.View{Epoch: 4, Faults: 1, Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 7}, {Node: 3, Incarnation: 6}}}
	hello := func(n lamport.Node, watermark, safe, clock uint64) *message.Hello {
		h := o.hello(n, 7)
		h.Clock = clock
		if n == 3 {
			return h // started anew: it has no view, and is not its former self
		}
		h.Epoch, h.View, h.Watermark, h.Safe, h.LastRID = 4, view, watermark, safe, 500
		return h
	}
	stale := hello(1, 2, 2, 10)
	stale.Master = 4 // said to the master before this one
	o.step(stale, hello(2, 9, 7, 3*lamport.MaxJump), hello(3, 0, 0, 10))
	if len(taken[*message.Install](o)) != 0 {
		t.Fatal("a view was formed on a HELLO that another master was told")
	}
	o.step(hello(1, 12, 8, 10))
	installs := taken[*message.Install](o)
	if len(installs) != 2 {
		t.Fatalf("%d INSTALL, want one for each survivor", len(installs))
	}
	in0 := installs[0]
	if in0.View.Epoch != 4 || in0.Marks.Last != 12 || in0.Marks.Safe != 8 || in0.Clock <= 3*lamport.MaxJump {
		t.Errorf("INSTALL %+v", in0)
	}
	installed := func(n lamport.Node) *message.Installed {
		h := o.from(n)
		h.Epoch = 4
		return &message.Installed{Header: h}
	}
	o.step(installed(1), installed(2))
	o.ask(in("causal set a 1"))
	f := taken[*message.Forward](o)
	if len(f) != 2 || f[0].Writes[0].Number != 13 || f[0].Writes[0].Request.RID != 501 || f[0].Writes[0].Request.Version.Time <= 3*lamport.MaxJump {
		t.Errorf("FORWARD %+v", f)
	}
	if f[0].Writes[0].Request.Version.Epoch != 4 {
		t.Errorf("version %v", f[0].Writes[0].Request.Version)
	}
}

// A HELLO that cannot be true forms no view.
func TestUnsoundHello(t *testing.T) {
	for name, change := range map[string]func(*message.Hello){
		"more faults than members": func(h *message.Hello) {
			h.View = message.View{Epoch: 1, Faults: 1, Members: []message.Member{{Node: 1}}}
		},
		"no members":       func(h *message.Hello) { h.View = message.View{Epoch: 9} },
		"an older process": func(h *message.Hello) { h.Incarnation = 6 },
		"no such replica":  func(h *message.Hello) { h.From = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			o := started(t, configured(2, 0))
			o.step(o.hello(1, 7))
			before, bad := o.Refused(), o.hello(1, 7)
			change(bad)
			o.step(bad)
			if o.Refused() != before+1 || len(o.out.Sends) != 0 {
				t.Errorf("%d refused, sends %v", o.Refused()-before, o.out.Sends)
			}
		})
	}
}

func TestMessagesOfOthersAreRefused(t *testing.T) {
	for name, change := range map[string]func(*message.Header){
		"another epoch": func(h *message.Header) { h.Epoch = 2 }, "an older process": func(h *message.Header) { h.Incarnation = 6 },
		"a newer process": func(h *message.Header) { h.Incarnation = 8 }, "no such replica": func(h *message.Header) { h.From = 9 },
		"a master": func(h *message.Header) { h.From = lamport.Master(2) }, "a jump": func(h *message.Header) { h.Clock = 3 * lamport.MaxJump },
	} {
		t.Run(name, func(t *testing.T) {
			o := ready(t, configured(3, 1))
			o.ask(at(1, in("linearizable set a 1")))
			before, h := o.Refused(), o.from(1)
			change(&h)
			o.step(&message.Answers{Header: h, Answers: []message.Answer{{RID: 1, Code: model.OK}}})
			o.expect()
			if o.Refused() != before+1 || o.Now() > 1<<20 {
				t.Errorf("%d refused, clock %d", o.Refused()-before, o.Now())
			}
		})
	}
}

// A master that takes over a cluster with many causal numbers begins at once: it does not
// walk through the numbers of its predecessors.
func TestAdoptionAfterManyNumbers(t *testing.T) {
	const many = 1 << 40
	o := started(t, configured(3, 1))
	view := message.View{Epoch: 1, Faults: 1, Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 7}, {Node: 3, Incarnation: 7}}}
	for n := range 3 {
		h := o.hello(lamport.Replica(n+1), 7)
		h.Epoch, h.View, h.Watermark = 1, view, many
		o.step(h)
	}
	for n := range 3 {
		o.step(&message.Installed{Header: o.from(lamport.Replica(n + 1))})
	}
	o.ask(in("causal set a 1"))
	o.holds(1, many+1)
	o.holds(2, many+1)
	o.expect(fmt.Sprintf("1 #1 200 number %d", many+1))
	o.holds(3, many+1)
	if marks := o.Snapshot().Marks; marks != (message.Marks{Last: many + 1, Safe: many + 1, Held: many + 1}) {
		t.Errorf("marks %+v", marks)
	}
}
