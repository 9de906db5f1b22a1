package replica_test

import (
	"fmt"
	"testing"

	"quartet/bus/message"
)

// fenced is a turn with a FORWARD of a round.
func (o *one) fenced(round uint64, requests ...message.Request) {
	o.step(&message.Forward{Header: o.master(), Round: round, Requests: requests})
}

// expectEchoes compares the rounds of the turn's ANSWERS and how many answers each has.
func (o *one) expectEchoes(want ...string) {
	o.t.Helper()
	got := []string{}
	for _, a := range taken[*message.Answers](o) {
		got = append(got, fmt.Sprintf("round %d with %d", a.Round, len(a.Answers)))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		o.t.Errorf("ANSWERS %q, want %q", got, want)
	}
}

// A fenced get is read behind all that is held, the sets of its own turn included, and costs
// no broadcast.
func TestL2AFencedGetHasItsTurnInTheQueue(t *testing.T) {
	o := alone(t, 3, 10)
	o.fenced(1, request(1, "linearizable get a"))
	o.expect(o.answers(), "#1 404")
	if d := taken[*message.Data](o); len(d) != 0 {
		t.Errorf("it sends %d DATA", len(d))
	}
	o.fenced(2, request(2, "linearizable set a 1"), request(3, "linearizable get a"))
	o.expect(o.answers())
	o.fenced(3, request(4, "linearizable get a"))
	o.expect(o.answers())
	o.agree(1, 0)
	o.expect(o.answers(), "#2 200 at 1", "#3 200 1 at 1", "#4 200 1 at 1")
	// What another member has sent is held, be it answered or not.
	d := &message.Data{Header: o.peer(2), Seq: 1, Received: message.Received{LastSeq: 1, Received: []uint64{1, 1, 0}}}
	d.Ops = []message.Operation{{Op: message.OpStrong, Request: request(5, "linearizable set a 2")}}
	o.step(d)
	o.fenced(4, request(6, "linearizable get a"))
	o.expect(o.answers())
	o.agree(1, 1)
	o.expect(o.answers(), "#6 200 2 at 2")
	// Without a round gets are ordered: each counts.
	o.ask(request(7, "linearizable get a"))
	o.expect(o.answers())
	o.agree(2, 1)
	o.expect(o.answers(), "#7 200 2 at 3")
}

func TestL3Echoes(t *testing.T) {
	o := alone(t, 3, 10)
	o.fenced(0)
	o.expectEchoes()
	o.fenced(3)
	o.expectEchoes("round 3 with 0")
	o.fenced(3) // its echo was lost
	o.expectEchoes("round 3 with 0")
	o.fenced(2) // it comes late
	o.expectEchoes("round 3 with 0")
	o.fenced(4, request(1, "linearizable set a 1"))
	o.expectEchoes("round 4 with 0")
	// Gets take the echo along when they are answered.
	o.fenced(5, request(2, "linearizable get a"))
	o.expectEchoes()
	o.agree(1, 0)
	o.expectEchoes("round 5 with 2")
	o.fenced(6, request(3, "eventual get a"))
	o.expectEchoes("round 6 with 1")
	o.ask(request(4, "eventual get a"))
	o.expectEchoes("round 6 with 1")
}

// Who does not work in the epoch of the master that asks confirms nothing, and serves no
// fenced get.
func TestL3WhoEchoesNothing(t *testing.T) {
	get := request(1, "linearizable get a")

	silent := func(t *testing.T, o *one, h message.Header) {
		t.Helper()

		before := o.Stats().Pending
		o.step(&message.Forward{Header: h, Round: 9}, &message.Forward{Header: h, Round: 9, Requests: []message.Request{get}})
		o.expectEchoes()
		if p := o.Stats().Pending; p != before {
			t.Errorf("it has taken the get")
		}

		o.step(&message.Forward{Header: o.master(), Requests: []message.Request{request(2, "eventual get a")}})
		for _, a := range taken[*message.Answers](o) {
			if a.Round >= 9 {
				t.Errorf("it echoes round %d", a.Round)
			}
		}
	}

	t.Run("another epoch", func(t *testing.T) {
		o := alone(t, 3, 10)
		h := o.master()
		h.Epoch++
		silent(t, o, h)
	})

	t.Run("another master", func(t *testing.T) {
		o := alone(t, 3, 10)
		h := o.master()
		h.Incarnation++
		silent(t, o, h)
	})

	t.Run("wedged", func(t *testing.T) {
		o := alone(t, 3, 10)
		o.fenced(3)
		o.wedge()
		silent(t, o, o.master())
	})

	t.Run("wedged in the same turn", func(t *testing.T) {
		o := alone(t, 3, 10)
		o.step(&message.Forward{Header: o.master(), Round: 9}, &message.Prepare{Header: o.master(), Attempt: 1})
		o.expectEchoes()
	})

	t.Run("removed", func(t *testing.T) {
		o := alone(t, 3, 10)
		o.fenced(3)
		o.install(without(o.next(0, 0, 0), 1))
		silent(t, o, o.master())
	})

	t.Run("no view", func(t *testing.T) {
		silent(t, fresh(t, 10), message.Header{From: m1, Incarnation: 1, Epoch: 1, Clock: 9})
	})
}

// A round is of its epoch, and gets that wait are dropped with theirs: the master sends
// them again.
func TestL4RoundsEndWithTheirEpoch(t *testing.T) {
	o := alone(t, 3, 10)
	o.fenced(7, request(1, "linearizable set a 1"), request(2, "linearizable get a"))
	o.wedge()
	o.install(o.next(1, 0, 0))
	o.expect(o.answers(), "#1 200 at 1")
	for _, a := range taken[*message.Answers](o) {
		if a.Round != 0 {
			t.Errorf("round %d is echoed in the next epoch", a.Round)
		}
	}
	o.pass(5)
	o.expect(o.answers())
	o.fenced(8)
	o.expectEchoes("round 8 with 0")
}

// A replica that is restarted with its disk is wedged, and knows no round.
func TestL3ARestartEchoesNothing(t *testing.T) {
	o := fresh(t, 10, onDisk)
	o.install(recordOf(1, 3))
	o.disk.keep(o.out.Turn)
	o.fenced(7)
	o.expectEchoes("round 7 with 0")
	again := o.back()
	if phase := again.Stats().Phase; phase != message.PhaseWedged {
		t.Fatalf("phase %d", phase)
	}
	again.fenced(8)
	again.expectEchoes()
}
