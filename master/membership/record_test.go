package membership_test

import (
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// changed is a membership that has just proposed the record of epoch 5, without r3.
func changed(t *testing.T) *one {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.proposed()
	return o
}

// The outcome of the compare-and-set is known before anything is done in the new epoch.
func TestWon(t *testing.T) {
	o := changed(t)
	revision := o.out.Command.Revision
	proposal := o.proposed()
	if o.Record().Epoch != 4 || len(o.sent()) != 0 || !o.Changing() {
		t.Errorf("before the outcome: epoch %d, sent %v", o.Record().Epoch, o.sent())
	}
	o.result(membership.Won, nil, revision+3)
	if o.out.Decided == nil || o.out.Decided.Nonce != proposal.Nonce || o.Changing() {
		t.Errorf("decided %+v", o.out.Decided)
	}
	o.expectSent("INSTALL r1", "INSTALL r2", "INSTALL r3")
	// The next is proposed on the revision that this one got.
	o.installAll()
	o.caught(3, 8)
	o.state(1, 0, 0, 0)
	o.state(2, 0, 0, 0)
	o.stateOf(3, 8, 0, 0, 0)
	if r := o.proposed(); o.out.Command.Revision != revision+3 || r.Epoch != 6 || r.Nonce == proposal.Nonce {
		t.Errorf("proposed %+v on revision %d", r, o.out.Command.Revision)
	}
}

// Lost, or unknown: the record is read, and says what was decided. Unknown waits a little,
// since the write may still be on its way.
func TestTheFateIsRead(t *testing.T) {
	for _, outcome := range []struct {
		what  membership.Fate
		waits int
	}{{membership.Lost, 1}, {membership.Unknown, 5}} {
		read := func(t *testing.T) (*one, message.Record) {
			o := changed(t)
			proposal := *o.proposed()
			o.result(outcome.what, nil, 0)
			if len(o.sent()) != 0 || o.Record().Epoch != 4 {
				t.Errorf("epoch %d, sent %v", o.Record().Epoch, o.sent())
			}

			waited := 0
			for ; o.out.Command == nil && waited < 20; waited++ {
				o.pass(1)
			}
			if o.out.Command == nil || o.out.Command.Propose != nil || waited != outcome.waits {
				t.Fatalf("after %d ticks: %+v, want a read", waited, o.out.Command)
			}
			return o, proposal
		}

		name := map[membership.Fate]string{membership.Lost: "lost: ", membership.Unknown: "unknown: "}[outcome.what]
		t.Run(name+"it was written", func(t *testing.T) {
			o, proposal := read(t)
			o.reads(&proposal, 12)
			if !o.Leads() || o.Changing() || o.out.Decided == nil || o.Record().Epoch != 5 {
				t.Errorf("decided %+v, epoch %d", o.out.Decided, o.Record().Epoch)
			}
		})
		t.Run(name+"it was not", func(t *testing.T) {
			o, proposal := read(t)
			stands := *o.Record()
			o.reads(&stands, 8)
			again := o.proposed() // with what is known still
			if again.Epoch != 5 || again.Nonce == proposal.Nonce || o.out.Command.Revision != 8 || nodes(again) != "r1/7 r2/7" {
				t.Errorf("proposed %+v on revision %d", again, o.out.Command.Revision)
			}
		})
		t.Run(name+"it was not, and the record was lost and is back", func(t *testing.T) {
			o, _ := read(t)
			stands := *o.Record()
			o.reads(&stands, 9)
			o.expectSent("PREPARE r1 r2") // another master may have asked them since
			o.state(1, 0, 0, 0, 0)
			o.state(2, 0, 0, 0, 0)
			if again := o.proposed(); again.Epoch != 5 || o.out.Command.Revision != 9 {
				t.Errorf("proposed %+v on revision %d", again, o.out.Command.Revision)
			}
		})
		t.Run(name+"a master that started earlier wrote another", func(t *testing.T) {
			o, _ := read(t)
			other := recordOf(5, 3, self-1)
			o.reads(other, 9)
			if o.Leads() || o.out.Decided != nil || o.Record().Nonce != other.Nonce {
				t.Errorf("leads %t, decided %+v", o.Leads(), o.out.Decided)
			}
			// It leads no epoch but its own, and ends that one. It tells the record to whoever
			// shows that it does not know it, once the store has shown it since.
			o.expectSent("PREPARE r1 r2")
			if p := o.out.Sends[0].Msg.(*message.Prepare); p.Epoch != 5 || p.Incarnation != self {
				t.Errorf("PREPARE %+v", p)
			}
			o.hello(1, func(h *message.Hello) { h.Epoch, h.Phase = 4, message.PhaseWedged })
			o.expectSent()
			o.reads(other, 9)
			o.expectSent("INSTALL r1")
		})
		t.Run(name+"a newer master wrote another", func(t *testing.T) {
			o, _ := read(t)
			o.reads(recordOf(5, 3, self+1), 9)
			o.stopped()
		})
	}
}

// What an earlier master had proposed is written after this one has read: it is found
// while nothing can be proposed, and can be gone on with. (Seed 1945990: r1 to r3 were the
// view's, and two had died; the record that was written late had let one of them in again.)
func TestARecordIsWrittenLate(t *testing.T) {
	o := fresh(t, 3)
	o.reads(recordOf(3, 3, self-2), 7)
	late := recordOf(4, 3, self-1)
	late.Members[1].Incarnation = 8 // r2, which had died and was loaded
	o.hello(1, func(h *message.Hello) { h.Phase = message.PhaseWedged })
	o.hello(2, func(h *message.Hello) { h.Phase, h.Incarnation, h.PID = message.PhaseCaught, 8, 800 })
	o.state(1, 0, 0, 0, 0)
	o.stateOf(2, 8, 0, 0, 0, 0)
	o.awaitCommand()
	if o.out.Command.Propose != nil {
		t.Fatalf("proposed %+v with one of three members", o.out.Command.Propose)
	}
	o.reads(late, 8)
	if o.Record().Nonce != late.Nonce || !o.Changing() {
		t.Fatalf("epoch %d, changing %t", o.Record().Epoch, o.Changing())
	}
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.pass(suspect)
	if r := o.proposed(); r.Epoch != 5 || nodes(r) != "r1/7 r2/8" {
		t.Errorf("proposed %+v", r)
	}
}

// stopped checks that a newer master was found: nothing is said or asked any more.
func (o *one) stopped() {
	o.t.Helper()
	if !o.Superseded() || o.Leads() || o.out.Decided != nil || o.out.Command != nil || len(o.sent()) != 0 {
		o.t.Errorf("superseded %t, leads %t, sent %v", o.Superseded(), o.Leads(), o.sent())
	}
	o.pass(3 * suspect)
	o.hello(1, func(h *message.Hello) { h.Epoch, h.Phase = 1, message.PhaseWedged })
	if o.out.Command != nil || len(o.sent()) != 0 {
		o.t.Errorf("it goes on: command %+v, sent %v", o.out.Command, o.sent())
	}
	o.expectWhy("why", o.Why(), "there is a newer master")
}

// The outcome of an earlier command, or one that comes twice, says nothing.
func TestALateFate(t *testing.T) {
	o := changed(t)
	number := o.out.Command.Number
	for _, r := range []membership.Result{
		{Number: number - 1, Fate: membership.Won, Revision: 1}, {Number: number + 1, Fate: membership.Won, Revision: 1},
		{Number: number - 1, Fate: membership.Read, Record: recordOf(9, 3, self+1), Revision: 40},
	} {
		o.turn(func() { o.Result(r, &o.out) })
		if o.Record().Epoch != 4 || o.out.Command != nil || o.Superseded() {
			t.Errorf("%+v: epoch %d, command %+v", r, o.Record().Epoch, o.out.Command)
		}
	}
	won := membership.Result{Number: number, Fate: membership.Won, Revision: 9}
	o.turn(func() { o.Result(won, &o.out) })
	if o.Record().Epoch != 5 {
		t.Fatalf("epoch %d", o.Record().Epoch)
	}
	won.Fate = membership.Lost
	o.turn(func() { o.Result(won, &o.out) })
	if o.Record().Epoch != 5 || o.out.Command != nil || o.Changing() {
		t.Errorf("it came twice: epoch %d, command %+v", o.Record().Epoch, o.out.Command)
	}
}

// One command at a time.
func TestOneCommandAtATime(t *testing.T) {
	o := changed(t)
	o.pass(3 * suspect)
	if o.out.Command != nil {
		t.Errorf("another command while one is under way: %+v", o.out.Command)
	}
}

// A master that starts ends the epoch that it finds, whoever formed it: the members of the
// old one's view are asked to wedge, and the record is written above it.
func TestAMasterThatStarts(t *testing.T) {
	o := fresh(t, 3)
	o.reads(recordOf(6, 3, self-1), 40)
	if o.Leads() || !o.Changing() {
		t.Error("it leads an epoch that it has not formed")
	}
	o.expectSent("PREPARE r1 r2 r3")
	o.state(1, 2, 1, 1, 1)
	o.state(2, 2, 1, 1, 1)
	if o.out.Command != nil {
		t.Fatal("r3 was not waited for")
	}
	o.awaitCommand()
	if r := o.proposed(); r.Epoch != 7 || r.Master != self || nodes(r) != "r1/7 r2/7" || o.out.Command.Revision != 40 {
		t.Errorf("proposed %+v on revision %d", r, o.out.Command.Revision)
	}
}

// The replicas that a master is configured with are those of the record, once there is one.
func TestTheRecordSaysWhoIsConfigured(t *testing.T) {
	o := fresh(t, 1)
	o.reads(recordOf(6, 3, self-1), 40)
	o.expectSent("PREPARE r1 r2 r3")
	for _, n := range []lamport.Node{1, 2, 3} {
		o.state(n, 0, 1, 1, 1)
	}
	if r := o.proposed(); len(r.Configured) != 3 || len(r.Members) != 3 {
		t.Errorf("proposed %+v", r)
	}
}

// A replica that has heard a newer master says so.
func TestF12SupersededByWord(t *testing.T) {
	o := led(t, 3)
	o.hello(1, func(h *message.Hello) { h.Phase, h.Master = message.PhaseWedged, self+1 })
	o.stopped()
}

// A replica is ahead: another master has decided. The record is read.
func TestAReplicaIsAhead(t *testing.T) {
	o := led(t, 3)
	o.hello(1, func(h *message.Hello) { h.Phase, h.Epoch = message.PhaseWedged, 5 })
	if c := o.out.Command; c == nil || c.Propose != nil {
		t.Fatalf("command %+v, want a read", c)
	}
	o.reads(recordOf(5, 3, self-1), 9)
	if o.Record().Epoch != 5 || o.Leads() {
		t.Errorf("epoch %d, leads %t", o.Record().Epoch, o.Leads())
	}
}

// The first record: another master may write it in the same moment.
func TestTheFirstRecordIsLost(t *testing.T) {
	o := fresh(t, 2)
	o.reads(nil, 0)
	o.hello(1, func(h *message.Hello) { h.Epoch = 0 })
	o.hello(2, func(h *message.Hello) { h.Epoch = 0 })
	o.proposed()
	o.result(membership.Lost, nil, 0)
	o.pass(1)
	o.reads(recordOf(1, 2, self-1), 3)
	if o.Leads() || o.Record().Master != self-1 {
		t.Errorf("leads %t, record %+v", o.Leads(), o.Record())
	}
	o.state(1, 0, 0, 0)
	o.state(2, 0, 0, 0)
	if r := o.proposed(); r.Epoch != 2 || o.out.Command.Revision != 3 {
		t.Errorf("proposed %+v on revision %d", r, o.out.Command.Revision)
	}
}

// A record that the store has lost before anybody was told of it, and in place of which another
// master has written one of the same epoch: what stands there counts.
func TestAnotherRecordOfTheSameEpoch(t *testing.T) {
	o := changed(t)
	o.result(membership.Lost, nil, 0)
	o.awaitCommand()
	stands := recordOf(4, 3, self-1)
	o.reads(stands, 50)
	if o.Record().Nonce != stands.Nonce || o.Leads() || !o.Changing() {
		t.Errorf("record %+v, leads %t, changing %t", o.Record(), o.Leads(), o.Changing())
	}
}

// A record that has vanished is never replaced by a first one: the replicas worked by it.
func TestF11TheRecordIsGone(t *testing.T) {
	t.Run("a master that starts", func(t *testing.T) {
		o := fresh(t, 2)
		o.reads(nil, 0)
		for _, n := range []lamport.Node{1, 2} {
			o.hello(n, func(h *message.Hello) { h.Epoch, h.Phase = 7, message.PhaseWedged })
		}

		for range 3 { // it looks again and again
			o.awaitCommand()
			if o.out.Command.Propose != nil {
				t.Fatalf("proposed %+v", o.out.Command.Propose)
			}
			o.reads(nil, 0)
			o.hello(1, func(h *message.Hello) { h.Epoch, h.Phase = 7, message.PhaseWedged })
		}

		o.expectWhy("why", o.Why(), "the record of the views is being read")
		o.awaitCommand()
		o.reads(recordOf(7, 2, self-1), 1) // it was restored
		if o.Record().Epoch != 7 {
			t.Errorf("epoch %d", o.Record().Epoch)
		}
	})
	t.Run("under a master", func(t *testing.T) {
		o := changed(t)
		o.result(membership.Unknown, nil, 0)
		for range 3 {
			o.awaitCommand()
			o.reads(nil, 0)
			idle := o.Leads() && !o.Changing()
			if o.Record().Epoch != 4 || idle {
				t.Errorf("epoch %d, leads %t", o.Record().Epoch, o.Leads())
			}
		}
	})
}

func TestWhy(t *testing.T) {
	o := fresh(t, 3)
	o.expectWhy("reading", o.Why(), "the record of the views is being read")
	o.reads(nil, 0)
	o.hello(2, func(h *message.Hello) { h.Epoch = 0 })
	o.expectWhy("booting", o.Why(), "waiting for the boot acknowledgement of r1, r3")
	o.hello(1, func(h *message.Hello) { h.Epoch = 0 })
	o.hello(3, func(h *message.Hello) { h.Epoch = 0 })
	o.wins()
	o.install(1)
	o.expectWhy("installing", o.Why(), "waiting for r2, r3 to install the view")
	o.installAll()
	o.expectWhy("ready", o.Why(), "")
	o.pass(1)
	o.lost(3)
	o.expectWhy("changing", o.Why(), "the view is being changed")
	o.expectWhy("short", o.Short(), "")
	o.silent[2] = true
	o.pass(suspect + 1)
	o.expectWhy("short", o.Why(),
		"r2, r3 of the view's 3 members cannot be reached, and 2 of them are needed to go on without losing what was "+
			"acknowledged")
	o.expectWhy("short", o.Short(), o.Why())
	o.turn(o.Recover)
	o.expectWhy("recovering", o.Short(), "")
}

func TestWhyNot(t *testing.T) {
	o := led(t, 3)
	learner := func(phase message.Phase) func(*message.Hello) {
		return func(h *message.Hello) { h.Incarnation, h.Phase, h.PID, h.Keys = 8, phase, 300, 12 }
	}
	o.expectWhy("member", o.WhyNot(o.Replica(3)), "")
	o.lost(3)
	o.expectWhy("lost", o.WhyNot(o.Replica(3)), "its process has ended")
	o.hello(3, learner(message.PhaseBoot))
	o.expectWhy("new", o.WhyNot(o.Replica(3)), "it is not in the view")
	o.hello(3, learner(message.PhaseLearning))
	o.expectWhy("loading", o.WhyNot(o.Replica(3)), "it is being loaded (12 keys so far)")
	o.hello(3, learner(message.PhaseCaught))
	o.expectWhy("a stranger", o.WhyNot(o.Replica(3)), "it is loaded and waits until it and every member have heard each other")
	o.pass(1)
	o.caught(3, 8)
	o.expectWhy("caught", o.WhyNot(o.Replica(3)), "it is loaded and waits for the next view")
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.stateOf(3, 8, 0, 0, 0, 0)
	o.wins()
	o.expectWhy("installing", o.WhyNot(o.Replica(3)), "it has not installed the view yet")
	o.installAll() // before all have, nobody serves
	o.expectWhy("installed", o.WhyNot(o.Replica(3)), "")
	if why := fresh(t, 3); !strings.Contains(why.WhyNot(why.Replica(1)), "has not been heard") {
		t.Errorf("never heard: %s", why.WhyNot(why.Replica(1)))
	}
}

// Who may not speak is not heard.
func TestHeard(t *testing.T) {
	o := led(t, 3)
	for _, test := range []struct {
		from        lamport.Node
		incarnation uint64
		want        bool
	}{{1, 7, true}, {1, 6, false}, {1, 0, false}, {0, 7, false}, {lamport.Master(1), 7, false}, {4, 1, true}, {2, 8, true}, {2, 7, false}} {
		if got := o.Heard(&message.Header{From: test.from, Incarnation: test.incarnation}); got != test.want {
			t.Errorf("%v incarnation %d: heard %t", test.from, test.incarnation, got)
		}
	}
}
