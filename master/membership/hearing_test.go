package membership_test

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// split cuts the link from one replica to another.
func (o *one) split(from, to lamport.Node) {
	o.cut[membership.Pair{Deaf: to, Of: from}] = true
}

// answerPrepare has members say that they hold nothing.
func (o *one) answerPrepare(members ...lamport.Node) {
	for _, n := range members {
		o.state(n, 0, make([]uint64, len(o.Record().Members))...)
	}
}

// H2: whom a process does not hear lasts when it becomes another incarnation, as a replica that was
// left out does; of another process nothing is known yet.
func TestH2WhomAProcessDoesNotHear(t *testing.T) {
	for _, test := range []struct {
		name        string
		incarnation uint64
		pid         int
		life        uint64
		deaf        bool
	}{
		{"the same process, another incarnation", 8, 103, 5, true},
		{"the same process, which does not say which it is", 8, 103, 0, true},
		{"another process, without its memory", 8, 800, 6, false},
		{"another process with the same disk", 7, 800, 6, false},
		{"another process with the same pid, as in a container", 8, 103, 6, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := led(t, 3)
			o.hello(3, func(h *message.Hello) { h.PID, h.Past.Life = 103, 5 })
			o.split(1, 3)
			o.pass(suspect + quiet)
			cut := membership.Pair{Deaf: 3, Of: 1}
			if !slices.Contains(o.Apart(), cut) {
				t.Fatalf("apart: %v", o.Apart())
			}

			o.hello(3, func(h *message.Hello) { h.Incarnation, h.PID, h.Past.Life = test.incarnation, test.pid, test.life })
			if slices.Contains(o.Apart(), cut) != test.deaf {
				t.Errorf("it is known not to hear r1: %t", !test.deaf)
			}

			o.pass(suspect + quiet)
			if !slices.Contains(o.Apart(), cut) {
				t.Errorf("the link is cut still, and apart are %v", o.Apart())
			}
		})
	}
}

// H3: a link between two members is cut, one way or both. The master hears all of them.
func TestH3MembersThatDoNotHearEachOther(t *testing.T) {
	for _, test := range []struct {
		name     string
		replicas int
		cut      [][2]lamport.Node // from, to
		why      string            // of who is left out
		out      lamport.Node
		members  string
	}{
		{"both ways", 3, [][2]lamport.Node{{1, 2}, {2, 1}}, "r1 and r2 do not hear each other", 2, "r1/7 r3/7"},
		{"one way", 3, [][2]lamport.Node{{1, 2}}, "r2 does not hear r1", 2, "r1/7 r3/7"},
		{"the other way", 3, [][2]lamport.Node{{2, 1}}, "r1 does not hear r2", 2, "r1/7 r3/7"},
		{"the first and the last", 3, [][2]lamport.Node{{3, 1}}, "r1 does not hear r3", 3, "r1/7 r2/7"},
		{"one that two do not hear", 4, [][2]lamport.Node{{1, 2}, {1, 4}}, "r2 does not hear r1", 1, "r2/7 r3/7 r4/7"},
		{"two pairs of five", 5, [][2]lamport.Node{{1, 2}, {4, 5}}, "r2 does not hear r1", 2, "r1/7 r3/7 r4/7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := led(t, test.replicas)
			o.pass(quiet)
			for _, c := range test.cut {
				o.split(c[0], c[1])
			}

			waited := 0
			for ; !o.Changing() && waited < 2*suspect; waited++ {
				o.expectWhy("why", o.Why(), "")
				o.pass(1)
			}
			if waited < suspect-quiet || waited > suspect+quiet {
				t.Errorf("a change begins after %d ticks", waited)
			}

			all := o.Nodes()
			o.answerPrepare(all...)
			if r := o.proposed(); nodes(r) != test.members {
				t.Fatalf("proposed %s, want %s", nodes(r), test.members)
			}

			o.wins()
			o.installAll()
			o.expectWhy("why", o.Why(), "")
			o.expectWhy("left out", o.WhyNot(o.Replica(test.out)), test.why)
			if len(o.Apart()) == 0 {
				t.Error("nobody is apart")
			}
		})
	}
}

// H2: whoever does not answer the master is suspected, or not; the others are not blamed for
// what they do not hear of it, nor it for what it did not hear.
func TestH2APauseIsNoCut(t *testing.T) {
	o := led(t, 3)
	o.pass(quiet)
	for range 5 {
		o.silent[2] = true
		o.pass(suspect - quiet)
		o.silent[2] = false
		o.pass(quiet)
		if o.Changing() || len(o.Apart()) > 0 {
			t.Fatalf("changing %t, apart %v", o.Changing(), o.Apart())
		}
	}
}

// A link that comes and goes is as good as cut if it is cut for most of the time.
func TestH2ALinkThatComesAndGoes(t *testing.T) {
	for _, test := range []struct {
		cut, open int
		gone      bool
	}{{30, 10, true}, {20, 30, false}} {
		o := led(t, 3)
		for range 10 {
			o.split(1, 2)
			o.pass(test.cut)
			o.cut = map[membership.Pair]bool{}
			o.pass(test.open)
		}
		if o.Changing() != test.gone {
			t.Errorf("cut for %d ticks, then open for %d: a change: %t", test.cut, test.open, o.Changing())
		}
	}
}

// No view of those that hear each other can be formed: the one that stands stays, and what it
// cannot do is said. It works again when the link does.
func TestH3NobodyCanBeSpared(t *testing.T) {
	o := led(t, 2)
	o.split(1, 2)
	o.split(2, 1)
	o.pass(3 * suspect)
	if o.Changing() {
		t.Fatal("a change begins that can lead to nothing")
	}
	const why = "r1 and r2 do not hear each other, and without one of them no view of 2 of 2 replicas can be formed: " +
		"mend the network between them"
	o.expectWhy("why", o.Why(), why)
	o.expectWhy("split", o.Split(), why)
	o.cut = map[membership.Pair]bool{}
	o.pass(suspect + quiet)
	o.expectWhy("why", o.Why(), "")
}

// H4: a learner waits until it and every member have heard each other.
func TestH4ALearnerThatNotAllHear(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.answerPrepare(1, 2)
	o.wins()
	o.installAll()
	o.split(3, 2)
	o.caught(3, 8)
	o.pass(suspect)
	o.caught(3, 8)
	if o.Changing() {
		t.Fatal("it is let in, and r2 does not hear it")
	}
	o.cut = map[membership.Pair]bool{}
	o.pass(suspect)
	o.caught(3, 8)
	if !o.Changing() {
		t.Errorf("it is kept out: %s", o.WhyNot(o.Replica(3)))
	}
}

// H5: one that is held back is asked if there is no other way.
func TestH5OneThatIsHeldBackIsNeeded(t *testing.T) {
	o := led(t, 3)
	o.silent[3] = true
	o.pass(suspect + 1)
	o.answerPrepare(1, 2)
	o.wins()
	o.installAll()
	o.silent[3] = false
	o.caught(3, 8)
	o.split(1, 2)
	for range suspect + quiet {
		o.pass(1)
		o.hello(3, func(h *message.Hello) { h.Incarnation, h.Phase, h.PID = 8, message.PhaseCaught, 800 })
		if o.Changing() {
			break
		}
	}
	if !o.Changing() {
		t.Fatalf("r3 is not asked: %s", o.WhyNot(o.Replica(3)))
	}
	o.answerPrepare(1, 2)
	o.stateOf(3, 8, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r3/8" {
		t.Errorf("proposed %s", nodes(r))
	}
}

// The STATE of who is left out counts for nothing: not for the cut, and not for the causal
// high-water, which the others could not fetch.
func TestWhatOneHoldsWhoIsLeftOut(t *testing.T) {
	o := led(t, 3)
	o.split(2, 1)
	o.pass(2 * suspect)
	o.state(1, 4, 3, 3, 3)
	o.state(3, 4, 3, 3, 3)
	o.state(2, 9, 3, 5, 1)
	r := o.proposed()
	if nodes(r) != "r1/7 r3/7" || r.High != 4 || !slices.Equal(r.Cut, []uint64{3, 3, 3}) {
		t.Errorf("proposed %+v", r)
	}
}
