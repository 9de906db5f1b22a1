package membership_test

import (
	"strings"
	"testing"

	"quartet/bus/message"
)

// says is a turn in which a member says what it holds, and what others have told it.
func (o *one) says(r *message.State) bool {
	ok := false
	o.turn(func() { ok = o.Heard(r.Head()) && o.State(r) })
	return ok
}

func (o *one) stateWith(n int, told [][]uint64, contiguous ...uint64) *message.State {
	node := o.Record().Members[n-1].Node
	return &message.State{Header: o.head(node), Attempt: o.attempt, Contiguous: contiguous, Proof: message.Proof{Told: told}}
}

// asked is a membership in which r3's process has come back, and all are asked.
func asked(t *testing.T) *one {
	o := led(t, 3)
	o.hello(3, func(h *message.Hello) { h.Phase, h.PID = message.PhaseWedged, 999 })
	return o
}

var none = [][]uint64{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}

// A member whose STATE holds less than it had told another one is no survivor, and its fellows
// are: whatever was delivered stays inside the cut.
func TestF9WhoHoldsLessThanItToldIsLeftOut(t *testing.T) {
	o := asked(t)
	o.says(o.stateWith(1, [][]uint64{{4, 0, 0}, {4, 0, 0}, {4, 0, 0}}, 4, 0, 0))
	o.says(o.stateWith(2, none, 4, 0, 0))
	o.says(o.stateWith(3, none, 2, 0, 0))
	r := o.proposed()
	if nodes(r) != "r1/7 r2/7" || r.Cut[0] != 4 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
	if why := o.WhyNot(o.Replica(3)); !strings.Contains(why, "it had told r1 of 4 broadcasts of r1, and holds 2") {
		t.Errorf("why not r3: %q", why)
	}
}

// One that holds all that it has told is a survivor, however little that is.
func TestF9WhoHoldsWhatItToldSurvives(t *testing.T) {
	o := asked(t)
	o.says(o.stateWith(1, [][]uint64{{4, 0, 0}, {3, 0, 0}, {2, 0, 0}}, 4, 0, 0))
	o.says(o.stateWith(2, none, 3, 0, 0))
	o.says(o.stateWith(3, none, 2, 0, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" || r.Cut[0] != 2 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}

// Causal numbers are told to the master, which remembers.
func TestF9WhoHoldsFewerCausalNumbersThanItTold(t *testing.T) {
	o := asked(t)
	o.Counted(3, 9)
	for n := 1; n <= 3; n++ {
		s := o.stateWith(n, none, 0, 0, 0)
		s.Watermark = 9
		if n == 3 {
			s.Watermark = 8
		}
		o.says(s)
	}
	if r := o.proposed(); nodes(r) != "r1/7 r2/7" || r.High != 9 {
		t.Errorf("members %s, high-water %d", nodes(r), r.High)
	}
}

// Where one has gone back and another is away, too few are left, and that is said; an operator
// may go on with whoever is whole.
func TestGoneBackAndTooFew(t *testing.T) {
	o := asked(t)
	o.lost(2)
	o.says(o.stateWith(1, [][]uint64{{4, 0, 0}, {4, 0, 0}, {4, 0, 0}}, 4, 0, 0))
	o.says(o.stateWith(3, none, 2, 0, 0))
	o.waitsInVain(10)
	if absent, present := o.AtRisk(); len(absent) != 2 || len(present) != 1 || present[0] != 1 {
		t.Errorf("absent %v, present %v", absent, present)
	}
	o.Recover()
	o.pass(1)
	if r := o.proposed(); nodes(r) != "r1/7" || r.Cut[0] != 4 || r.Since != 0 {
		t.Errorf("proposed %+v", r)
	}
}

// If nobody is left but members that have gone back an operator may go on with them: what
// others hold of earlier epochs is of a history that has ended then.
func TestOnlyGoneBackAreLeft(t *testing.T) {
	o := asked(t)
	o.lost(2)
	o.says(o.stateWith(1, [][]uint64{{4, 0, 0}, {4, 0, 0}, {4, 0, 0}}, 4, 0, 0))
	o.says(o.stateWith(3, none, 2, 0, 0))
	o.lost(1)
	o.waitsInVain(10)
	o.Recover()
	o.pass(1)
	if r := o.proposed(); nodes(r) != "r3/7" || r.Since != 5 {
		t.Errorf("proposed %+v", r)
	}
}

// The copy of a member that has gone back is not let in.
func TestF9TheCopyOfWhoHasGoneBack(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.says(o.stateWith(1, none, 0, 0, 0))
	o.says(o.stateWith(2, none, 0, 0, 0))
	o.wins()
	o.installAll()
	o.caught(3, 8)
	told := [][]uint64{{4, 0}, {4, 0}}
	o.says(o.stateWith(1, told, 4, 0))
	s := &message.State{Header: o.head(3), Attempt: o.attempt, Contiguous: []uint64{2, 0}}
	s.Incarnation = 8
	o.says(s)
	o.says(o.stateWith(2, told, 4, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r2/7" {
		t.Errorf("proposed %s", nodes(r))
	}
}

// A process of an older incarnation is told to go on above the newest that is known, and one
// that a later process has replaced to end.
func TestProcessesOfOneReplica(t *testing.T) {
	o := led(t, 3)
	say := func(incarnation, life, nonce uint64) *message.Outdated {
		h := &message.Hello{
			Header: o.head(3), PID: int(life), Phase: message.PhaseBoot, Master: self, Nonce: nonce,
			Past: message.Past{Life: life},
		}
		h.Incarnation, h.Epoch = incarnation, 0

		refused := false
		o.turn(func() {
			if refused = o.Refuses(h, &o.out); !refused && o.Heard(h.Head()) {
				o.Hello(h, &o.out)
			}
		})

		for _, s := range o.out.Sends {
			if m, ok := s.Msg.(*message.Outdated); ok && refused {
				return m
			}
		}
		return nil
	}

	if m := say(7, 100, 0); m != nil || o.Replica(3).Life != 100 {
		t.Fatalf("the first process: %+v", m)
	}
	if m := say(5, 101, 0); m == nil || m.Newest != 7 || m.Life != 101 || m.Replaced {
		t.Fatalf("one whose clock was set back: %+v", m)
	}
	if m := say(8, 101, 0); m != nil || o.Replica(3).Life != 101 {
		t.Fatalf("it goes on above: %+v", m)
	}

	for _, incarnation := range []uint64{7, 9} {
		if m := say(incarnation, 100, 0); m == nil || !m.Replaced || m.Life != 100 {
			t.Errorf("the one before, as %d: %+v", incarnation, m)
		}
	}
	// Two with copies of one disk: what a dead one sent late counts for nothing, and one that
	// answers a heartbeat is the later one.
	if m := say(8, 102, 0); m != nil || o.Replica(3).Life != 101 {
		t.Errorf("a late word: %+v, life %d", m, o.Replica(3).Life)
	}
	o.Asked(1000)
	if m := say(8, 102, 1000); m != nil || o.Replica(3).Life != 102 {
		t.Errorf("a living one: %+v, life %d", m, o.Replica(3).Life)
	}
	// A dead one may have answered a heartbeat that its successor was not sent.
	if m := say(8, 103, 1000); m != nil || o.Replica(3).Life != 102 {
		t.Errorf("what a dead one has answered: %+v, life %d", m, o.Replica(3).Life)
	}
	if m := say(8, 103, 1001); m != nil || o.Replica(3).Life != 103 {
		t.Errorf("one that answers a later heartbeat: %+v, life %d", m, o.Replica(3).Life)
	}
}

// A master that starts may hear a replica's present process first, and then what the one before had
// answered before it died: the present one is not told to end (seed 424 of the simulation's harsher
// runs).
func TestF10ALateAnswerOfADeadProcess(t *testing.T) {
	o := fresh(t, 3)
	known := recordOf(4, 3, self-1)
	o.reads(known, 3)
	o.Asked(1000)
	o.knows(3, known, 7, 102) // it has heard no heartbeat yet
	o.nonce = 998
	o.knows(3, known, 7, 101) // answers 999
	if refused := o.knows(3, known, 7, 102); refused || o.Replica(3).Life != 102 {
		t.Errorf("the present process is refused: %v; life %d speaks", refused, o.Replica(3).Life)
	}
}
