package membership_test

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

func TestF1Suspicion(t *testing.T) {
	o := led(t, 3)
	o.hello(3, func(h *message.Hello) { h.Phase = message.PhaseMember })
	o.silent[3] = true
	o.pass(suspect)
	if o.Changing() || o.Replica(3).Suspected {
		t.Fatalf("suspected after %d ticks", suspect)
	}
	o.expectWhy("why not", o.WhyNot(o.Replica(3)), "")
	o.pass(1)
	if !o.Changing() || !o.Replica(3).Suspected {
		t.Fatalf("not suspected after %d ticks", suspect+1)
	}
	o.expectSent("PREPARE r1 r2 r3") // it may hear it all the same
	o.expectWhy("why not", o.WhyNot(o.Replica(3)), "it does not answer")
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r2/7" {
		t.Errorf("proposed %+v", r)
	}
}

// One that is known not to answer, by other signs than its silence, is waited for by no change; if
// it answers all the same it counts.
func TestM8WhoseProcessHasEnded(t *testing.T) {
	o := led(t, 3)
	o.Silent(3)
	o.turn(func() {})
	o.expectSent("PREPARE r1 r2 r3")
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r2/7" {
		t.Errorf("proposed %+v", r)
	}

	o = fresh(t, 3) // a master that begins, and has heard nobody
	o.Silent(1)
	o.reads(recordOf(3, 3, self-1), 7)
	o.state(2, 0, 0, 0, 0)
	if o.out.Command != nil {
		t.Fatal("r3 was not waited for")
	}
	o.state(3, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r2/7 r3/7" {
		t.Errorf("proposed %+v", r)
	}

	o = fresh(t, 3)
	o.Silent(1) // it was not true
	o.reads(recordOf(3, 3, self-1), 7)
	for r := range lamport.Node(3) {
		o.state(r+1, 0, 0, 0, 0)
	}
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" {
		t.Errorf("proposed %+v", r)
	}
}

// One that is suspected answers in time: it stays.
func TestF7AFalseSuspicion(t *testing.T) {
	o := led(t, 3)
	o.silent[3] = true
	o.pass(suspect + 1)
	o.state(1, 0, 0, 0, 0)
	o.state(3, 0, 0, 0, 0)
	if o.out.Command != nil {
		t.Fatal("r2 is not suspected, and was not waited for")
	}
	o.state(2, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" {
		t.Errorf("proposed %+v", r)
	}
	if r := o.proposed(); r.Epoch != 5 { // F7: a PREPARE is never abandoned
		t.Errorf("epoch %d", r.Epoch)
	}
}

// One that was removed for its silence waits before it is let in again, for longer each
// time; after it has been a member for long enough it begins anew.
func TestHysteresis(t *testing.T) {
	o := led(t, 3)
	incarnation := uint64(7)
	flap := func() (waited int) {
		t.Helper()
		o.silent[3] = true
		o.pass(suspect + 1)
		o.state(1, 0, make([]uint64, 3)...)
		o.state(2, 0, make([]uint64, 3)...)
		o.wins()
		o.installAll()

		o.silent[3] = false
		incarnation++
		o.caught(3, incarnation)
		o.expectWhy("why not", o.WhyNot(o.Replica(3)), "it was silent and is kept out for a while")

		for !o.Changing() {
			o.pass(1)
			if waited++; waited > 40*readmit {
				t.Fatal("it is never let in again")
			}
		}

		held := make([]uint64, len(o.Record().Members))
		o.state(1, 0, held...)
		o.state(2, 0, held...)
		o.stateOf(3, incarnation, 0, held...)
		o.wins()
		o.installAll()
		return waited
	}

	for i, want := range []int{1, 2, 4, 8, 16, 32, 32} {
		if got := flap(); got < want*readmit-2*suspect || got > want*readmit {
			t.Errorf("the %d. time it waits %d ticks, want about %d", i+1, got, want*readmit)
		}
	}

	o.pass(61 * suspect)
	if got := flap(); got > readmit {
		t.Errorf("after a long time as a member it waits %d ticks", got)
	}
}

// One whose process is known to have ended was not silent: it is let in at once.
func TestOneThatDiedIsLetInAtOnce(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.wins()
	o.installAll()
	o.caught(3, 8)
	if !o.Changing() {
		t.Errorf("it is kept out: %s", o.WhyNot(o.Replica(3)))
	}
}
