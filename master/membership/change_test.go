package membership_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

func TestTheFirstRecord(t *testing.T) {
	for _, test := range []struct{ replicas, missing, want int }{
		{1, -1, 0}, {2, -1, 0}, {3, -1, 1}, {4, -1, 1}, {5, -1, 2}, {9, -1, 4}, {3, 0, 0}, {3, 2, 2}, {3, 7, 2},
	} {
		t.Run(fmt.Sprintf("%d replicas, missing %d", test.replicas, test.missing), func(t *testing.T) {
			o := fresh(t, test.replicas, missing(test.missing))
			o.reads(nil, 0)
			for i := range test.replicas {
				if o.out.Command != nil {
					t.Fatalf("proposed with %d replicas", i)
				}
				o.hello(lamport.Replica(i+1), func(h *message.Hello) { h.Epoch = 0 })
			}
			r := o.proposed()
			if r.Faults != test.want || r.Missing != test.want || len(r.Members) != test.replicas || !r.Sound() ||
				o.out.Command.Revision != 0 {
				t.Errorf("proposed %+v at revision %d", r, o.out.Command.Revision)
			}
			o.wins()
			if !o.Leads() || o.out.Decided == nil || o.out.Decided.Epoch != 1 {
				t.Errorf("decided %+v", o.out.Decided)
			}
			if len(o.sent()) != test.replicas {
				t.Errorf("sent %v", o.sent())
			}
		})
	}
}

// F3: of whom the next view is formed, its cut, its high-water.
func TestTheNextRecord(t *testing.T) {
	type state struct {
		node      lamport.Node
		watermark uint64
		held      []uint64
	}
	for _, test := range []struct {
		name     string
		replicas int
		lost     []lamport.Node
		states   []state
		cut      []uint64
		high     uint64
		members  string
	}{
		{
			"all equal", 3, []lamport.Node{3}, []state{{1, 4, []uint64{5, 6, 7}}, {2, 4, []uint64{5, 6, 7}}},
			[]uint64{5, 6, 7}, 4, "r1/7 r2/7",
		},
		{"the least of each sender, a dead one too", 3, []lamport.Node{3},
			[]state{{1, 4, []uint64{9, 2, 7}}, {2, 4, []uint64{5, 6, 3}}}, []uint64{5, 2, 3}, 4, "r1/7 r2/7"},
		{"two of five dead", 5, []lamport.Node{1, 4},
			[]state{{2, 0, []uint64{3, 3, 3, 3, 3}}, {3, 0, []uint64{1, 3, 3, 3, 2}}, {5, 0, []uint64{3, 2, 3, 0, 3}}},
			[]uint64{1, 2, 3, 0, 2}, 0, "r2/7 r3/7 r5/7"},
		{"nobody dead", 2, nil, []state{{1, 0, []uint64{1, 0}}, {2, 0, []uint64{0, 1}}}, []uint64{0, 0}, 0, "r1/7 r2/7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := led(t, test.replicas)
			for _, n := range test.lost {
				o.silent[n] = true
				o.lost(n)
			}

			if test.lost == nil { // a member is back from its disk: wedged
				o.hello(1, func(h *message.Hello) { h.Phase, h.PID = message.PhaseWedged, 300 })
			}
			for i, s := range test.states {
				if o.out.Command != nil {
					t.Fatalf("proposed with %d answers", i)
				}
				o.state(s.node, s.watermark, s.held...)
			}

			r := o.proposed()
			if !slices.Equal(r.Cut, test.cut) || r.High != test.high || nodes(r) != test.members || r.Epoch != 5 || r.Master != self {
				t.Errorf("proposed %+v, want cut %v, high %d, members %s", r, test.cut, test.high, test.members)
			}
			if want := min(o.Record().Missing, len(r.Members)-1); r.Faults != want || len(r.Configured) != test.replicas {
				t.Errorf("f=%d of %d configured", r.Faults, len(r.Configured))
			}
		})
	}
}

// Before it decides, all hold the high-water: the most that any of them holds.
func TestF3FillBeforeTheDecision(t *testing.T) {
	o := led(t, 5)
	o.lost(5)

	first := o.attempt
	held := make([]uint64, 5)
	o.state(1, 4, held...)
	o.state(2, 9, held...)
	o.state(3, 9, held...)
	o.expectSent() // r4 is awaited: it may hold more
	o.state(4, 6, held...)
	o.expectSent("PREPARE r1 r4")
	p := o.out.Sends[0].Msg.(*message.Prepare)
	if p.Attempt != first+1 || p.High != 9 || p.Holder != 2 || o.out.Command != nil {
		t.Fatalf("PREPARE %+v", p)
	}
	o.state(1, 9, held...)
	if o.out.Command != nil {
		t.Fatal("proposed while r4 lacks numbers")
	}
	o.pass(repeated)
	o.expectSent("PREPARE r4")
	o.state(4, 7, held...) // half of it
	o.state(4, 6, held...) // an older STATE comes late: it takes nothing back
	if o.out.Command != nil {
		t.Fatal("proposed while r4 lacks numbers")
	}
	o.state(4, 9, held...)
	if r := o.proposed(); r.High != 9 || nodes(r) != "r1/7 r2/7 r3/7 r4/7" {
		t.Errorf("proposed %+v", r)
	}
}

// The one that holds the most dies before the others have fetched it: what nobody else
// holds was not safe, and the change goes on without it.
func TestTheHolderDies(t *testing.T) {
	o := led(t, 5)
	o.lost(5)
	first := o.attempt
	held := make([]uint64, 5)
	for i, w := range []uint64{4, 9, 6, 6} {
		o.state(lamport.Replica(i+1), w, held...)
	}
	o.lost(2)
	o.expectSent("PREPARE r1")
	if p := o.out.Sends[0].Msg.(*message.Prepare); p.Attempt != first+2 || p.High != 6 || p.Holder != 3 {
		t.Errorf("PREPARE %+v", p)
	}
	o.state(1, 6, held...)
	if r := o.proposed(); r.High != 6 || nodes(r) != "r1/7 r3/7 r4/7" {
		t.Errorf("proposed %+v", r)
	}
}

// So many are needed: |V|-f of the members, and N-f replicas with the joiners.
func TestF3HowManyAreNeeded(t *testing.T) {
	held := func(o *one) []uint64 { return make([]uint64, len(o.Record().Members)) }
	t.Run("one of three is not enough", func(t *testing.T) {
		o := led(t, 3)
		o.lost(3)
		o.lost(2)
		o.state(1, 0, held(o)...)
		o.waitsInVain(3 * suspect)
		o.expectWhy("short", o.Short(),
			"r2, r3 of the view's 3 members cannot be reached, and 2 of them are needed to go on without losing what "+
				"was acknowledged")

		// r3 is back without what it held.
		o.hello(3, func(h *message.Hello) { h.Incarnation, h.Phase, h.PID = 8, message.PhaseLearning, 301 })
		o.expectWhy("short", o.Short(),
			"r2, r3 of the view's 3 members cannot be reached, or have lost what they held, and 2 of them are needed to go "+
				"on without losing what was acknowledged")

		// r2 is back with its disk.
		o.hello(2, func(h *message.Hello) { h.Phase, h.PID = message.PhaseWedged, 300 })
		o.expectWhy("short", o.Short(), "")
		o.pass(repeated)
		o.state(2, 0, held(o)...)
		o.proposed()
	})
	t.Run("f=0: all", func(t *testing.T) {
		o := led(t, 3, missing(0))
		o.lost(3)
		o.state(1, 0, held(o)...)
		o.state(2, 0, held(o)...)
		o.waitsInVain(3 * suspect)
		o.expectWhy("why", o.Why(),
			"r3 of the view's 3 members cannot be reached, and 3 of them are needed to go on without losing what was "+
				"acknowledged")
	})

	t.Run("of a view of two of three, one is enough of the members, not of the replicas", func(t *testing.T) {
		o := led(t, 3)
		o.silent[3] = true
		o.lost(3)
		o.state(1, 0, held(o)...)
		o.state(2, 0, held(o)...)
		o.wins()
		o.installAll()
		if r := o.Record(); r.Faults != 1 || nodes(r) != "r1/7 r2/7" {
			t.Fatalf("record %+v", r)
		}

		o.lost(2)
		o.state(1, 0, held(o)...)
		o.pass(suspect)
		if o.out.Command != nil {
			t.Fatalf("proposed %+v", o.out.Command.Propose)
		}
		o.expectWhy("short", o.Short(), "only 1 of 3 replicas can be reached, and 2 are needed: r2, r3 cannot go on, or are not loaded yet")

		// r3 comes as a learner and becomes the copy of r1: with it there are two.
		o.silent[3] = false
		o.caught(3, 8)
		o.expectWhy("short", o.Short(), "")
		o.stateOf(3, 8, 0, held(o)...)
		if r := o.proposed(); nodes(r) != "r1/7 r3/8" {
			t.Errorf("proposed %+v", r)
		}
	})
}

// A member that answered STATE and then came back without its memory does not count: it
// said as another what it held.
func TestF6ANewIncarnationIsNoSurvivor(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 1, 1, 1)
	o.hello(1, func(h *message.Hello) { h.Incarnation, h.Epoch, h.PID = 8, 0, 201 })
	o.state(2, 0, 1, 1, 1)
	o.pass(suspect + repeated)
	if o.out.Command != nil {
		t.Fatalf("proposed %+v", o.out.Command.Propose)
	}
	late := &message.State{Header: o.head(1), Attempt: o.attempt, Contiguous: []uint64{1, 1, 1}}
	if o.Heard(late.Head()) {
		t.Error("the dead process is heard")
	}
	absent, present := o.AtRisk()
	if !slices.Equal(absent, []lamport.Node{1, 3}) || !slices.Equal(present, []lamport.Node{2}) {
		t.Errorf("at risk: absent %v, present %v", absent, present)
	}
}

// A new incarnation of a member is heard: the view must change, since the member is gone.
func TestF1ANewIncarnationBeginsAChange(t *testing.T) {
	o := led(t, 3)
	o.hello(2, func(h *message.Hello) { h.Incarnation, h.Epoch, h.PID = 8, 0, 202 })
	// It is told the record, to know that it is outside, and PREPARE, as everybody who may be in
	// the next.
	o.expectSent("INSTALL r2", "PREPARE r1 r2 r3")
	o.state(1, 0, 0, 0, 0)
	o.state(3, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r3/7" {
		t.Errorf("proposed %+v", r)
	}
}

// With its disk a replica comes back as who it was, wedged, and as another process. Its
// epoch must end, and it is in the next.
func TestBackWithItsDisk(t *testing.T) {
	o := led(t, 3)
	o.hello(2, func(h *message.Hello) { h.Phase = message.PhaseMember })
	o.turn(func() { o.Lost(2, 99) })
	o.expectSent() // that was an earlier process
	o.hello(2, func(h *message.Hello) { h.Phase, h.PID = message.PhaseWedged, 302 })
	o.expectSent("PREPARE r1 r2 r3")
	o.turn(func() { o.Lost(2, 102) }) // the news of the first process comes late
	o.state(1, 0, 0, 0, 0)
	o.state(3, 0, 0, 0, 0)
	if o.out.Command != nil {
		t.Fatal("proposed without r2, which is there")
	}
	o.state(2, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" {
		t.Errorf("proposed %+v", r)
	}
}

// A learner is waited for a little, if it says that it has caught up.
func TestALearnerIsWaitedForALittle(t *testing.T) {
	for _, test := range []struct {
		name  string
		phase message.Phase
		epoch uint64
		waits int
	}{
		{"caught up", message.PhaseCaught, 4, join}, {"loading", message.PhaseLearning, 4, 0},
		{"of an older epoch", message.PhaseCaught, 3, 0}, {"new", message.PhaseBoot, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := led(t, 3)
			o.lost(3)
			o.hello(3, func(h *message.Hello) { h.Incarnation, h.Phase, h.Epoch, h.PID = 8, test.phase, test.epoch, 300 })
			o.state(1, 0, 0, 0, 0)
			o.state(2, 0, 0, 0, 0)
			waited := 0
			for ; o.out.Command == nil && waited < 100; waited++ {
				o.pass(1)
			}
			if waited != test.waits {
				t.Errorf("waited %d ticks, want %d", waited, test.waits)
			}
			if r := o.proposed(); nodes(r) != "r1/7 r2/7" {
				t.Errorf("proposed %+v", r)
			}
		})
	}
}

// A learner alone does not make a view, and what it says of an epoch counts only with the
// members of which it is a copy.
func TestALearnerIsNoSurvivor(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.lost(2)
	o.caught(3, 8)
	o.caught(2, 8)
	o.stateOf(3, 8, 0, 0, 0, 0)
	o.stateOf(2, 8, 0, 0, 0, 0)
	o.state(1, 0, 0, 0, 0)
	o.pass(suspect)
	if o.out.Command != nil {
		t.Fatalf("proposed %+v: one of the three members is there", o.out.Command.Propose)
	}
	o.turn(o.Recover)
	if r := o.proposed(); nodes(r) != "r1/7 r2/8 r3/8" {
		t.Errorf("recovered with %+v", r)
	}
}

func TestRecover(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.lost(2)
	o.state(1, 6, 4, 2, 3)
	if o.out.Command != nil {
		t.Fatalf("proposed %+v", o.out.Command.Propose)
	}

	absent, present := o.AtRisk()
	if !slices.Equal(absent, []lamport.Node{2, 3}) || !slices.Equal(present, []lamport.Node{1}) {
		t.Errorf("at risk: absent %v, present %v", absent, present)
	}

	o.turn(o.Recover)
	r := o.proposed()
	if nodes(r) != "r1/7" || r.Faults != 0 || r.High != 6 || !slices.Equal(r.Cut, []uint64{4, 2, 3}) || len(r.Configured) != 3 {
		t.Errorf("proposed %+v", r)
	}
	o.wins()
	o.installAll()
	o.expectWhy("why", o.Why(), "")

	// It was for that change only.
	o.caught(2, 8)
	o.state(1, 6, 0)
	o.stateOf(2, 8, 6, 0)
	o.wins()
	o.installAll()
	o.lost(2)
	o.state(1, 6, 0, 0)
	o.pass(suspect)
	if o.out.Command != nil {
		t.Errorf("proposed %+v: nobody has asked to recover again", o.out.Command.Propose)
	}
}

func TestRemove(t *testing.T) {
	o := led(t, 3)
	if o.Remove(9, true) {
		t.Error("removed one that is not there")
	}

	o.turn(func() {
		if !o.Remove(2, true) {
			t.Error("not removed")
		}
	})
	o.expectSent("PREPARE r1 r2 r3") // what it holds counts: it is a survivor that leaves

	o.state(1, 3, 1, 5, 1)
	o.state(3, 3, 1, 5, 1)
	if o.out.Command != nil {
		t.Fatal("proposed without r2's answer")
	}
	o.state(2, 3, 1, 4, 1)
	r := o.proposed()
	if nodes(r) != "r1/7 r3/7" || !slices.Equal(r.Configured, []lamport.Node{1, 3}) || r.Missing != 0 ||
		!slices.Equal(r.Cut, []uint64{1, 4, 1}) {
		t.Errorf("proposed %+v", r)
	}

	o.wins()
	o.expectSent("INSTALL r1", "INSTALL r2", "INSTALL r3") // it hears that it is out
	o.installAll()
	o.expectWhy("why", o.Why(), "")
	if o.Remove(2, true) {
		t.Error("removed twice")
	}

	o.turn(func() { o.Remove(1, true) })
	o.state(1, 3, 0, 0)
	o.state(3, 3, 0, 0)
	o.wins()
	o.installAll()
	if o.Remove(3, true) {
		t.Error("the last one was removed")
	}
}

// A replica that nobody has configured joins by itself.
func TestANewcomer(t *testing.T) {
	o := led(t, 3)
	o.hello(9, func(h *message.Hello) { h.Epoch = 0 })
	o.expectSent("INSTALL r9")
	if in := o.out.Sends[0].Msg.(*message.Install); in.Record.Epoch != 4 {
		t.Errorf("INSTALL of epoch %d", in.Record.Epoch)
	}
	o.caught(9, 7)
	o.expectSent("PREPARE r1 r2 r3 r9")
	for _, n := range []lamport.Node{1, 2, 3, 9} {
		o.state(n, 0, 0, 0, 0)
	}
	r := o.proposed()
	if nodes(r) != "r1/7 r2/7 r3/7 r9/7" || !slices.Equal(r.Configured, []lamport.Node{1, 2, 3, 9}) || r.Missing != 1 || len(r.Cut) != 3 {
		t.Errorf("proposed %+v", r)
	}
	// One that goes before it has joined is forgotten.
	o.hello(8, func(h *message.Hello) { h.Epoch = 0 })
	o.silent[8] = true
	o.pass(suspect + 1)
	if o.Replica(8) != nil {
		t.Error("r8 is still known")
	}
}

// PREPARE is repeated for those who have not answered, INSTALL for those who have not
// acknowledged it; not in every turn.
func TestRepetition(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.pass(repeated - 1)
	o.expectSent()
	o.pass(1)
	o.expectSent("PREPARE r2")
	o.state(2, 0, 0, 0, 0)
	o.wins()
	o.expectSent("INSTALL r1", "INSTALL r2", "INSTALL r3")
	o.install(1)
	o.pass(repeated)
	o.expectSent("INSTALL r2")
	// One that has missed the record says an older epoch: it is told at once.
	o.hello(1, func(h *message.Hello) { h.Epoch, h.Phase = 4, message.PhaseWedged })
	o.expectSent("INSTALL r1")
}

// A STATE of another epoch or form says nothing.
func TestRefusedStates(t *testing.T) {
	for name, change := range map[string]func(*message.State){
		"of an older epoch":      func(s *message.State) { s.Epoch = 3 },
		"of a later epoch":       func(s *message.State) { s.Epoch = 5 },
		"of too few members":     func(s *message.State) { s.Contiguous = s.Contiguous[:2] },
		"of too many members":    func(s *message.State) { s.Contiguous = append(s.Contiguous, 1) },
		"a number beyond limits": func(s *message.State) { s.Watermark = lamport.Limit },
		"an id beyond limits":    func(s *message.State) { s.LastRID = lamport.Limit },
	} {
		t.Run(name, func(t *testing.T) {
			o := led(t, 3)
			o.lost(3)
			o.state(1, 0, 0, 0, 0)
			s := &message.State{Header: o.head(2), Attempt: o.attempt, Contiguous: []uint64{0, 0, 0}}
			change(s)
			o.turn(func() {
				if o.Heard(s.Head()) && o.State(s) {
					t.Error("accepted")
				}
			})
			if o.out.Command != nil {
				t.Errorf("proposed %+v", o.out.Command.Propose)
			}
		})
	}
}
