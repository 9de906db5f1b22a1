package membership_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// again changes the view once more, with the same members.
func again(t *testing.T, o *one, high uint64) *message.Record {
	t.Helper()
	members := o.Record().Members
	for _, m := range members { // each says that it is wedged, as after a stop of everything
		o.hello(m.Node, func(h *message.Hello) { h.Phase = message.PhaseWedged })
	}
	for _, m := range members {
		o.state(m.Node, high, make([]uint64, len(members))...)
	}
	r := o.proposed()
	o.wins()
	return r
}

// The first record draws the cluster's identity, and has no ancestors.
func TestTheFirstRecordNamesTheCluster(t *testing.T) {
	o := fresh(t, 2)
	o.reads(nil, 0)
	o.hello(1, func(h *message.Hello) { h.Epoch = 0 })
	o.hello(2, func(h *message.Hello) { h.Epoch = 0 })
	if r := o.proposed(); r.Cluster != 77 || len(r.Lineage) != 0 || r.Nonce != 1<<40+1 {
		t.Errorf("proposed %+v", r)
	}
}

// Every later record keeps the cluster and names the records before it, with what could be
// told at most before each of them began.
func TestF13Lineage(t *testing.T) {
	o := fresh(t, 2)
	first := recordOf(1, 2, self-1)
	first.Cluster, first.High = 5, 3
	o.reads(first, 7)
	second := again(t, o, 8)
	lineage := []message.Ancestor{{Epoch: 1, Nonce: first.Nonce, High: 3, Position: message.Unknown}}
	if diff := cmp.Diff(lineage, second.Lineage); diff != "" || second.Cluster != 5 {
		t.Errorf("cluster %d, lineage (-want +got):\n%s", second.Cluster, diff)
	}
	o.installAll() // at position 200
	third := again(t, o, 9)
	if diff := cmp.Diff([]message.Ancestor{
		{Epoch: 1, Nonce: first.Nonce, High: 3, Position: message.Unknown}, {Epoch: 2, Nonce: second.Nonce, High: 8, Position: 200},
	}, third.Lineage); diff != "" || third.Cluster != 5 {
		t.Errorf("cluster %d, lineage (-want +got):\n%s", third.Cluster, diff)
	}
	for range 40 {
		o.installAll()
		again(t, o, 9)
	}
	r := o.Record()
	if n := len(r.Lineage); n != message.MaxLineage || r.Lineage[n-1].Epoch != r.Epoch-1 ||
		r.Lineage[0].Epoch != r.Epoch-message.MaxLineage || !r.Sound() {
		t.Errorf("epoch %d: %d ancestors, %+v", r.Epoch, n, r.Lineage)
	}
}

// A cluster that began before records had an identity draws one with its next record.
func TestAnOldClusterDrawsItsIdentity(t *testing.T) {
	o := fresh(t, 2)
	o.reads(recordOf(6, 2, self-1), 7)
	if r := again(t, o, 0); r.Cluster != 77 || len(r.Lineage) != 1 || r.Lineage[0].Epoch != 6 {
		t.Errorf("proposed %+v", r)
	}
	if r := again(t, o, 0); r.Cluster != 77 {
		t.Errorf("the next has cluster %d", r.Cluster)
	}
}

// The cluster stays the same where an operator goes on with a learner's state.
func TestRecoverKeepsTheCluster(t *testing.T) {
	o := led(t, 3)
	before := *o.Record()
	for _, n := range []lamport.Node{1, 2, 3} {
		o.lost(n)
	}
	o.hello(3, func(h *message.Hello) { h.Incarnation, h.Phase, h.PID, h.Whole = 8, message.PhaseLearning, 300, true })
	o.turn(o.Recover)
	r := o.proposed()
	want := message.Ancestor{Epoch: 4, Nonce: before.Nonce, High: before.High, Position: 400}
	if r.Since != 5 || r.Cluster != before.Cluster || r.Lineage[len(r.Lineage)-1] != want {
		t.Errorf("proposed %+v", r)
	}
	o.result(membership.Won, nil, 99)
}
