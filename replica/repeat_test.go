package replica_test

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// A record that is told again brings no clock: a jump is refused as in any other message.
func TestInstallAgainDoesNotJump(t *testing.T) {
	o := alone(t, 3, 10)
	in := o.installs(o.record)
	in.Clock = 3 * lamport.MaxJump
	o.step(in)
	if c := o.Stats().Clock; c >= lamport.MaxJump {
		t.Errorf("clock %d", c)
	}
}

// What was read must not be void: who has read it does not follow, and says so.
func TestAHighWaterBelowWhatIsSafe(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{
		Header: o.master(), Marks: message.Marks{Last: 2, Safe: 2},
		Writes: []message.CausalWrite{causal(1, "causal set a 1"), causal(2, "causal set a 2")},
	})
	o.wedge()
	r := o.next(0, 0, 0)
	r.High = 1
	o.install(r)
	if want := "epoch 2 leaves out causal writes above 1, and here they were read up to 2"; o.Reason() != want ||
		o.Fault() != "" || o.Stats().Phase != message.PhaseWedged {
		t.Errorf("reason %q, fault %q, %+v", o.Reason(), o.Fault(), o.Stats())
	}
}

// PREPARE names a holder: it is asked at once, also if somebody else was asked before.
func TestPrepareAsksTheHolderAtOnce(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 2}})
	o.expectSent("GAP m1")
	o.step(&message.Prepare{Header: o.master(), Attempt: 2, High: 2, Holder: 3})
	o.expectSent("GAP r3, STATE m1")
}
