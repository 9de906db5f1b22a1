package membership_test

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// An operator lets the cluster go on; a member is there, and only has not answered yet.
func TestRecoverWaitsForMembersThatAreThere(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.wins()
	o.installAll()
	o.hello(3, func(h *message.Hello) {
		h.Incarnation, h.Phase, h.PID, h.Whole = 8, message.PhaseLearning, 300, true
	})
	o.lost(2)
	o.turn(o.Recover)
	if o.out.Command != nil {
		t.Fatalf("r1 is a member and alive, and this is proposed: %+v", o.out.Command.Propose)
	}
	o.state(1, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7" {
		t.Errorf("proposed %+v", r)
	}
}

// A recover that was asked for while nothing was wrong is not kept for a later crash.
func TestRecoverIsNotKept(t *testing.T) {
	o := led(t, 3)
	o.turn(o.Recover)
	o.pass(1)
	o.lost(3)
	o.lost(2)
	o.state(1, 0, 0, 0, 0)
	if o.out.Command != nil {
		t.Errorf("proposed %+v: nobody has asked for that", o.out.Command.Propose)
	}
}

// A master that has just started has heard a learner, and no member yet.
func TestRecoverWaitsForMembersThatWereNotHeardYet(t *testing.T) {
	o := fresh(t, 3)
	o.reads(recordOf(6, 2, self-1), 40)
	o.hello(3, func(h *message.Hello) {
		h.Incarnation, h.Phase, h.PID, h.Whole = 8, message.PhaseLearning, 300, true
	})
	o.turn(o.Recover)
	if o.out.Command != nil {
		t.Errorf("proposed %+v in the moment in which it starts", o.out.Command.Propose)
	}
}

// No member is left with what it had acknowledged: the learner that has come furthest
// begins a new history, and only when an operator says so.
func TestRecoverWithoutAMember(t *testing.T) {
	o := led(t, 3)
	for _, n := range []lamport.Node{1, 2, 3} {
		o.lost(n)
	}
	learner := func(n lamport.Node, position uint64, whole bool) {
		o.hello(n, func(h *message.Hello) {
			h.Incarnation, h.Phase, h.PID, h.Whole, h.Position, h.Committed = 8, message.PhaseLearning, 300, whole, position, 4
		})
	}
	learner(1, 10, true)
	learner(2, 30, false) // some of its keys may be ahead of the others
	learner(3, 20, true)
	if o.out.Command != nil {
		t.Fatalf("proposed %+v, and nobody has asked for it", o.out.Command.Propose)
	}
	o.turn(o.Recover)
	r := o.proposed()
	if nodes(r) != "r3/8" || len(r.Cut) != 0 || r.High != 4 || r.Since != r.Epoch || len(r.Configured) != 3 {
		t.Errorf("proposed %+v", r)
	}
}
