package membership_test

import (
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// inCluster gives a record an identity, and ancestors whose nonces are the epoch and a branch's
// number.
func inCluster(r *message.Record, cluster, branch uint64) *message.Record {
	r.Cluster, r.Nonce, r.Lineage = cluster, r.Epoch*10+branch, nil
	for e := uint64(1); e < r.Epoch; e++ {
		r.Lineage = append(r.Lineage, message.Ancestor{Epoch: e, Nonce: e*10 + branch})
	}
	return r
}

// knows is a HELLO of a process with a disk that knows a record, and whether it is refused.
func (o *one) knows(n lamport.Node, r *message.Record, incarnation, life uint64) (refused bool) {
	underWay := o.out.Command
	defer func() {
		if o.out.Command == nil {
			o.out.Command = underWay
		}
	}()
	o.turn(func() {
		o.nonce++
		h := &message.Hello{Header: o.head(n), PID: 900, Phase: message.PhaseWedged, Master: self, Nonce: o.nonce, Heard: o.heardBy(n)}
		h.Incarnation, h.Epoch, h.Past = incarnation, r.Epoch, message.Past{Life: life, Record: r}
		if refused = o.Refuses(h, &o.out); !refused && o.Heard(h.Head()) {
			o.Hello(h, &o.out)
		}
	})
	return refused
}

// begun is a master that has read the record of epoch 4 of cluster 5, as r1 and r3 know it.
func begun(t *testing.T, order func(o *one, stands *message.Record)) *one {
	o := fresh(t, 3)
	stands := inCluster(recordOf(4, 3, self-1), 5, 0)
	order(o, stands)
	o.knows(1, stands, 7, 0)
	o.knows(3, stands, 7, 0)
	return o
}

// A replica with the directory of another cluster is told which cluster this is, and is not
// heard, whatever epoch it names, before or after the record was read: the others go on.
func TestF14ADirectoryOfAnotherCluster(t *testing.T) {
	foreign := inCluster(recordOf(9, 3, self+1000), 6, 0)
	for name, order := range map[string]func(o *one, stands *message.Record){
		"before the record was read": func(o *one, stands *message.Record) {
			o.knows(2, foreign, 70, 12)
			o.reads(stands, 3)
			if !o.knows(2, foreign, 70, 12) {
				t.Error("it is heard")
			}
		},
		"after that": func(o *one, stands *message.Record) {
			o.reads(stands, 3)
			if !o.knows(2, foreign, 3, 12) {
				t.Error("it is heard")
			}
			o.expectSent("INSTALL r2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := begun(t, order)
			if why := o.WhyNot(o.Replica(2)); !strings.Contains(why,
				"another cluster (0000000000000006, and this one is 0000000000000005)") {
				t.Errorf("why not r2: %q", why)
			}

			o.silent[2] = true
			o.pass(suspect + 1)
			o.state(1, 0, 0, 0, 0)
			o.state(3, 0, 0, 0, 0)
			if r := o.proposed(); nodes(r) != "r1/7 r3/7" || r.Cluster != 5 {
				t.Errorf("proposed %+v", r)
			}

			if o.knows(2, inCluster(recordOf(4, 3, self-1), 5, 0), 7, 14); strings.Contains(o.WhyNot(o.Replica(2)), "another cluster") {
				t.Error("its own directory is taken for the other one")
			}
		})
	}
}

// A replica with the directory of a copy of this cluster, which went on elsewhere, is no sign
// that the store has lost a record, and no survivor.
func TestF14ADirectoryOfACopyThatWentOn(t *testing.T) {
	copied := inCluster(recordOf(9, 3, self-1), 5, 0)
	copied.Lineage[3].Nonce++ // epoch 4
	o := begun(t, func(o *one, stands *message.Record) {
		o.knows(2, copied, 7, 12)
		o.reads(stands, 3)
		o.knows(2, copied, 7, 12)
	})
	if why := o.WhyNot(o.Replica(2)); !strings.Contains(why, "another history of this cluster") {
		t.Errorf("why not r2: %q", why)
	}
	o.state(1, 0, 0, 0, 0)
	o.state(3, 0, 0, 0, 0)
	if r := o.proposed(); nodes(r) != "r1/7 r3/7" || r.Epoch != 5 {
		t.Errorf("proposed %+v", r)
	}
}

// With the record lost the history is written back of which all replicas speak: a directory of
// another one, however late its epoch, waits, and so does a member that knows less than it must.
func TestF14ALostRecordAndOtherHistories(t *testing.T) {
	for name, test := range map[string]struct {
		other *message.Record
		waits string
	}{
		"another cluster":             {inCluster(recordOf(9, 3, self-1), 6, 0), "is of epoch 4, and r2,"},
		"another history":             {inCluster(recordOf(9, 3, self-1), 5, 1), "is of epoch 4, and r2,"},
		"later than they could be at": {inCluster(recordOf(9, 3, self-1), 5, 0), "is of epoch 9, and r1, r3,"},
	} {
		t.Run(name, func(t *testing.T) {
			o := begun(t, func(o *one, _ *message.Record) {
				o.reads(nil, 0)
				o.knows(2, test.other, 7, 12)
			})
			for range 3 {
				o.awaitCommand()
				if o.out.Command.Propose != nil {
					t.Fatalf("proposed %+v", o.out.Command.Propose)
				}
				o.reads(nil, 0)
			}
			if why := o.Why(); !strings.Contains(why, test.waits) {
				t.Errorf("why: %s", why)
			}
		})
	}
}
