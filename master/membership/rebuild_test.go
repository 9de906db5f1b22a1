package membership_test

import (
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// robbed is a master that leads epoch 4 and finds, in a change, that the store has lost the
// record; r3 has died in the same moment. Heartbeats up to 1000 were sent before.
func robbed(t *testing.T) *one {
	o := changed(t)
	o.Asked(1000)
	o.result(membership.Unknown, nil, 0)
	o.awaitCommand()
	o.reads(nil, 0)
	return o
}

// obeys is what a wedged member that knows the record of epoch 4 answers a heartbeat with.
func (o *one) obeys(n lamport.Node, heartbeat uint64) {
	known := *o.Record()
	o.hello(n, func(h *message.Hello) {
		h.Phase, h.Nonce, h.Past.Record = message.PhaseWedged, heartbeat, &known
	})
}

// A master that leads the epoch of a lost record writes it back once more than f of the members
// have answered a heartbeat that it sent after it had found the loss: nobody else can have gone
// on. Then the change goes on without the one that died.
func TestALeaderWritesALostRecordBackWithFewer(t *testing.T) {
	o := robbed(t)
	lead := o.Record().Nonce
	o.obeys(1, 900) // it was sent before
	o.obeys(2, 1001)
	if o.out.Command != nil && o.out.Command.Propose != nil {
		t.Fatalf("with one of three: proposed %+v", o.out.Command.Propose)
	}
	if why := o.Why(); !strings.Contains(why, "r3, which may know of a later one") {
		t.Errorf("why: %s", why)
	}
	o.obeys(1, 1002)
	if r := o.proposed(); r.Epoch != 4 || r.Nonce != lead || o.out.Command.Revision != 0 {
		t.Fatalf("proposed %+v on revision %d", r, o.out.Command.Revision)
	}
	o.wins()
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	if r := o.proposed(); r.Epoch != 5 || nodes(r) != "r1/7 r2/7" {
		t.Errorf("proposed %+v", r)
	}
}

// A master that does not lead that epoch waits for every configured replica, however many others
// have spoken.
func TestAnotherMasterWaitsForAll(t *testing.T) {
	o := fresh(t, 3)
	o.reads(nil, 0)
	o.Asked(1000)
	known := recordOf(4, 3, self-1)
	for n := lamport.Node(1); n <= 2; n++ {
		o.hello(n, func(h *message.Hello) {
			h.Epoch, h.Phase, h.Nonce, h.Past.Record = 4, message.PhaseWedged, 2000+uint64(n), known
		})
	}
	for range 3 {
		o.awaitCommand()
		if o.out.Command.Propose != nil {
			t.Fatalf("proposed %+v", o.out.Command.Propose)
		}
		o.reads(nil, 0)
	}
	if absent, present := o.AtRisk(); !slices.Equal(absent, []lamport.Node{3}) || !slices.Equal(present, []lamport.Node{1, 2}) {
		t.Errorf("at risk: absent %v, present %v", absent, present)
	}

	// r3 is there as the same incarnation, and knows less than it must have: its disk was put back,
	// and with it what it may have known of later records.
	o.hello(3, func(h *message.Hello) {
		h.Epoch, h.Phase, h.Nonce, h.Past.Record = 2, message.PhaseWedged, 2003, recordOf(2, 3, self-1)
	})
	o.awaitCommand()
	if o.out.Command.Propose != nil {
		t.Fatalf("proposed %+v", o.out.Command.Propose)
	}
	if absent, present := o.AtRisk(); !slices.Equal(absent, []lamport.Node{3}) || !slices.Equal(present, []lamport.Node{1, 2}) {
		t.Errorf("r3 was put back: absent %v, present %v", absent, present)
	}
	o.reads(nil, 0)

	o.turn(o.Recover)
	if r := o.proposed(); r.Epoch != 4 {
		t.Errorf("an operator has decided; proposed %+v", r)
	}
}

// A record that a master has only read, and that the store has lost since, may never have been told
// to anybody: another master's of the same epoch, or a later one, which the replicas hold, is
// written back, though it was taken for that of a copy of the cluster before the loss was found.
func TestF11WhatWasOnlyReadGivesWayToWhatReplicasHold(t *testing.T) {
	for name, epoch := range map[string]uint64{"of the same epoch": 4, "of a later one": 5} {
		t.Run(name, func(t *testing.T) {
			o := fresh(t, 3)
			o.reads(inCluster(recordOf(4, 3, self-2), 5, 0), 3)
			held := inCluster(recordOf(epoch, 3, self-1), 5, 1)
			say := func() {
				for n := lamport.Node(1); n <= 3; n++ {
					o.knows(n, held, 7, 0)
				}
			}
			say()
			o.awaitCommand()
			o.Asked(o.nonce)
			o.reads(nil, 0)
			if o.out.Command != nil && o.out.Command.Propose != nil {
				t.Fatalf("proposed %+v before anybody has spoken since", o.out.Command.Propose)
			}

			say()
			if r := o.proposed(); r.Nonce != held.Nonce || r.Epoch != epoch {
				t.Fatalf("proposed %+v", r)
			}
			o.wins()
			if r := o.Record(); r.Nonce != held.Nonce {
				t.Errorf("the change goes on from %+v", r)
			}
			o.state(1, 0, 0, 0, 0)
			o.state(2, 0, 0, 0, 0)
			o.state(3, 0, 0, 0, 0)
			if r := o.proposed(); r.Epoch != epoch+1 || len(r.Members) != 3 {
				t.Errorf("proposed %+v", r)
			}
		})
	}
}
