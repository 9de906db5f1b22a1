package membership_test

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

const checkTicks = 20

func checks(c *membership.Config) { c.CheckTicks = checkTicks }

// check lets time pass until the record is read although all is well.
func (o *one) check() {
	o.t.Helper()
	o.awaitCommand()
	if c := o.out.Command; !c.Check || c.Propose != nil || o.Changing() {
		o.t.Fatalf("a check is %+v (changing: %t)", c, o.Changing())
	}
}

// While all is well the store is tried now and then, and a failure changes nothing but what
// the shell knows.
func TestTheRecordIsChecked(t *testing.T) {
	o := led(t, 3, checks)
	same := *o.Record()
	o.check()
	o.reads(&same, 9)
	if o.out.Command != nil || o.Why() != "" {
		t.Errorf("after a check: %+v, %q", o.out.Command, o.Why())
	}
	o.check()
	o.result(membership.Unknown, nil, 0)
	if o.out.Command != nil || o.Why() != "" || !o.Leads() {
		t.Errorf("after a check that failed: %+v, %q", o.out.Command, o.Why())
	}
}

// reports is the answer of a working member to a heartbeat.
func (o *one) reports(n lamport.Node, heartbeat uint64) {
	r := message.Report{Header: o.head(n), Nonce: heartbeat, Heard: o.heardBy(n)}
	o.turn(func() {
		if o.Heard(&r.Header) {
			o.Reported(&r)
		}
	})
}

// A record that the store has lost, or of which it has an older copy, is written again by the
// master that leads the epoch once more than f of the members have answered a heartbeat that was
// sent since.
func TestF11ALostRecordIsWrittenAgain(t *testing.T) {
	for name, found := range map[string]func(*one){
		"lost":  func(o *one) { o.reads(nil, 0) },
		"older": func(o *one) { o.reads(recordOf(3, 3, self-1), 2) },
	} {
		t.Run(name, func(t *testing.T) {
			o := led(t, 3, checks)
			o.check()
			o.Asked(1000)
			found(o)
			o.reports(1, 1001)
			o.reports(2, 1000) // it was sent before
			if o.out.Command != nil {
				t.Fatalf("written back with one answer: %+v", o.out.Command)
			}
			o.reports(2, 1001)

			r := o.proposed()
			if r.Epoch != 4 || r.Nonce != o.Record().Nonce || o.Changing() {
				t.Errorf("written anew: %+v (changing: %t)", r, o.Changing())
			}
			revision := o.out.Command.Revision + 1
			o.result(membership.Won, nil, revision)
			if o.Why() != "" || o.out.Decided != nil {
				t.Errorf("afterwards: %q, decided %+v", o.Why(), o.out.Decided)
			}
			o.lost(3)
			o.state(1, 0, 0, 0, 0)
			o.state(2, 0, 0, 0, 0)
			if o.proposed(); o.out.Command.Revision != revision {
				t.Errorf("the next record is proposed on revision %d, want %d", o.out.Command.Revision, revision)
			}
		})
	}
}

// A change of the view does not wait for a check.
func TestAChangeDoesNotWaitForACheck(t *testing.T) {
	o := led(t, 3, checks)
	o.check()
	late := o.out.Command.Number
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	r := o.proposed()
	number := o.out.Command.Number
	o.turn(func() {
		o.Result(membership.Result{Number: late, Fate: membership.Read, Revision: 0}, &o.out)
	})
	if o.out.Command != nil {
		t.Errorf("the late outcome of a check makes %+v", o.out.Command)
	}
	o.turn(func() {
		o.Result(membership.Result{Number: number, Fate: membership.Won, Revision: 99}, &o.out)
	})
	if o.out.Decided == nil || o.out.Decided.Nonce != r.Nonce {
		t.Errorf("decided %+v", o.out.Decided)
	}
}
