package membership_test

import (
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/trouble"
	"quartet/master/membership"
)

// voting is for a cluster whose replicas decide the records.
func voting(c *membership.Config) { c.Voting = true }

// installs reports whether a replica was sent a record.
func (o *one) installs(n lamport.Node) bool {
	for _, line := range o.sent() {
		if strings.HasPrefix(line, "INSTALL ") && strings.Contains(line+" ", " "+n.String()+" ") {
			return true
		}
	}
	return false
}

// Who is taken out ends when it hears of that. It hears of it once more than half of those that
// the record configures know the record, and not before: until then it is needed to show that
// there is one.
func TestD6WhoIsTakenOutIsToldLate(t *testing.T) {
	for _, isVoting := range []bool{true, false} {
		o := led(t, 4, func(c *membership.Config) { c.Voting = isVoting })
		o.turn(func() { o.Remove(4, true) })
		for n := range lamport.Node(4) {
			o.state(n+1, 0, 0, 0, 0, 0)
		}
		o.wins()
		if r := o.Record(); r.Configures(4) || r.Epoch != 5 {
			t.Fatalf("r4 is to leave, and the record is %+v", r)
		}
		if told := o.installs(4); told == isVoting {
			t.Errorf("voting %t: at once it is told: %t", isVoting, told)
		}
		if !isVoting {
			continue
		}

		says := func(h *message.Hello) { h.Epoch, h.Phase = 4, message.PhaseWedged }
		for _, know := range []int{0, 1, 2} {
			if know > 0 {
				o.install(lamport.Replica(know))
			}
			o.helloIn(4, says)
			if told := o.installs(4); told != (know == 2) {
				t.Errorf("%d of three know the record, and r4 is told: %t", know, told)
			}
		}
	}
}

// Where too few can vote the reason says who is missing, and an operator may decide.
func TestD8TooFewVotes(t *testing.T) {
	o := fresh(t, 3, voting)
	o.hello(1, func(h *message.Hello) {
		h.Epoch, h.Phase, h.Past.Record = 6, message.PhaseWedged, recordOf(6, 3, self-1)
	})
	if c := o.out.Command; c != nil {
		t.Fatalf("two commands: %+v", c)
	}
	o.awaitUnknown()
	if held, lost := o.LostRecord(); !lost || held == nil || held.Epoch != 6 {
		t.Errorf("the record that is held: %+v, %t", held, lost)
	}
	o.expectWhy("two cannot vote", o.Why(), trouble.Undecided.Say("r2, r3", 2, 3))
	if absent, present := o.AtRisk(); len(absent) != 2 || len(present) != 1 {
		t.Errorf("absent %v, present %v", absent, present)
	}

	o.turn(o.Recover)
	o.awaitCommand()
	if c := o.out.Command; !c.Force || c.Propose != nil {
		t.Fatalf("an operator has decided, and the command is %+v", c)
	}
	o.reads(recordOf(6, 3, self-1), 6)
	o.helloIn(1, func(h *message.Hello) { h.Epoch, h.Phase = 6, message.PhaseWedged })
	o.waitsInVain(3 * suspect) // until the others are suspected
	o.state(1, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7" || !o.out.Command.Force {
		t.Errorf("proposed %+v, force %t", r, o.out.Command.Force)
	}
}

// awaitUnknown ends the first command without an outcome.
func (o *one) awaitUnknown() {
	o.t.Helper()
	o.turn(func() {
		o.Result(membership.Result{Number: 1, Fate: membership.Unknown}, &o.out)
	})
}

// A master that has not been told the record goes on above another incarnation although it is
// obeyed: whoever was started anew obeys whoever asks first.
func TestF12AMasterWithoutTheRecordGoesOnAbove(t *testing.T) {
	for _, isVoting := range []bool{true, false} {
		o := fresh(t, 3, func(c *membership.Config) { c.Voting = isVoting })
		o.hello(1, func(h *message.Hello) { h.Epoch, h.Phase, h.Master = 6, message.PhaseWedged, self })
		o.turn(func() {
			o.Result(membership.Result{Number: 1, Fate: membership.Read, Record: recordOf(6, 3, self+100), Revision: 6}, &o.out)
		})
		if o.Superseded() == isVoting {
			t.Errorf("voting %t: it ends: %t", isVoting, o.Superseded())
		}
		if isVoting && o.Incarnation() <= self+100 {
			t.Errorf("it goes on as %d", o.Incarnation())
		}
	}
}

// Masters that go on above each other, in whatever order, never have one incarnation: two that do
// would both be obeyed (seed 2995 of the simulation's ContestedFromSeed).
func TestF12MastersThatGoOnAboveEachOther(t *testing.T) {
	masterOf := func(draw uint64) *one {
		return fresh(t, 3, voting, func(c *membership.Config) { c.Draw = draw })
	}
	hears := func(o *one, incarnation uint64) uint64 {
		o.hello(1, func(h *message.Hello) { h.Epoch, h.Phase, h.Master = 6, message.PhaseWedged, incarnation })
		return o.Incarnation()
	}
	first, second, third := masterOf(30<<20), masterOf(10<<20), masterOf(35<<20)

	const above = self + 1000
	low := hears(second, above)
	high := hears(third, above)
	both := hears(second, high)
	a := hears(third, hears(first, low))
	if b := hears(first, both); a == b {
		t.Errorf("two masters are of incarnation %d", a)
	}
}
