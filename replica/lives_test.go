package replica_test

import (
	"slices"
	"strings"
	"testing"

	"quartet/bus/message"
	"quartet/replica"
)

// lived is r1 with a disk, in the first view, under life 100; the record names that.
func lived(t *testing.T) *one {
	o := fresh(t, 10, onDisk, func(c *replica.Config) { c.Life = 100 })
	o.disk.keep(o.out.Turn)
	r := recordOf(1, 3)
	r.Members[0].Life = 100
	o.install(r)
	o.disk.keep(o.out.Turn)
	return o
}

// under starts a process with what the disk of o holds, under another life.
func (o *one) under(life uint64) *one {
	saved := o.disk.saved()
	b := fresh(o.t, 10, func(c *replica.Config) {
		c.Self, c.Incarnation, c.Life, c.Store, c.Saved, c.Durable = o.node, 99, life, o.store, saved, true
	})
	b.store, b.disk, b.record, b.clock = o.store, o.disk, o.record, o.clock
	return b
}

// naming is the record of the next epoch, which names r1 by a life.
func (o *one) naming(life uint64, cut ...uint64) message.Record {
	r := o.next(cut...)
	r.Members = slices.Clone(r.Members)
	r.Members[0].Life = life
	return r
}

// Each process is on disk before it says anything, and says which one it is.
func TestF8LivesAreKept(t *testing.T) {
	o := lived(t)
	b := o.under(101)
	b.pass(1)
	if h := taken[*message.Hello](b); len(h) != 1 || h[0].Past.Life != 101 || h[0].Past.Record == nil || h[0].Past.Record.Epoch != 1 {
		t.Errorf("HELLO %+v", h)
	}
	if s := b.out.Turn; s == nil || !slices.Equal(s.State.Lives, []uint64{100, 101}) || s.State.Node != 1 {
		t.Errorf("with the first HELLO on disk: %+v", s)
	}
	if s := b.wedge(); s.Proof.Life != 101 {
		t.Errorf("STATE %+v", s)
	}
	b.install(b.naming(101, 0, 0, 0))
	if s := b.out.Turn; s == nil || !slices.Equal(s.State.Lives, []uint64{101}) || b.Stats().Phase != message.PhaseMember {
		t.Errorf("in the epoch that names it: %+v", s)
	}
}

// A record that names a life which the disk does not know shows that the disk is an older copy.
func TestF8AnUnknownLife(t *testing.T) {
	o := lived(t)
	b := o.under(102) // 101 had worked with it, and what it did is gone
	b.wedge()
	b.install(b.naming(101, 0, 0, 0))
	if s := b.Stats(); s.Phase != message.PhaseLearning || b.Incarnation() != 8 || !strings.Contains(b.Reason(), "older copy") {
		t.Errorf("%+v, incarnation %d, reason %q", s, b.Incarnation(), b.Reason())
	}
	// It is a member like any other once it has been let in.
	b.step(&message.Probe{Header: b.master()})
	if h := taken[*message.Hello](b); len(h) != 1 || h[0].Past.Reason != b.Reason() || h[0].Incarnation != 8 {
		t.Errorf("HELLO %+v", h)
	}
}

// A process that ended between its STATE and the record survives by its disk, and does not work
// in the epoch: the next one names the process that does.
func TestF8AnEarlierLifeSurvivesAndWaits(t *testing.T) {
	o := lived(t)
	o.step(strong(o.peer(2), 1, request(1, "linearizable set a 1")))
	o.disk.keep(o.out.Turn)
	o.wedge()
	o.disk.keep(o.out.Turn)
	b := o.under(101)
	b.install(b.naming(100, 0, 1, 0))
	if s := b.Stats(); s.Phase != message.PhaseWedged || s.Epoch != 2 || s.Position != 1 || b.Incarnation() != 7 || b.Reason() != "" {
		t.Errorf("%+v, incarnation %d, reason %q", s, b.Incarnation(), b.Reason())
	}
	if installed := taken[*message.Installed](b); len(installed) != 0 {
		t.Errorf("it says that it works: %+v", installed)
	}
	b.wedge()
	b.install(b.naming(101, 0, 0, 0))
	if s := b.Stats(); s.Phase != message.PhaseMember || s.Epoch != 3 {
		t.Errorf("%+v", s)
	}
}

// STATE says what the others have told, also after a clean stop.
func TestF9StateSaysWhatWasTold(t *testing.T) {
	o := lived(t)
	o.step(strong(o.peer(2), 1, request(1, "linearizable set a 1")))
	o.step(&message.Ack{Header: o.peer(3), Received: message.Received{Received: []uint64{0, 1, 0}}})
	o.disk.keep(o.out.Turn)
	o.Settle(&o.out)
	o.disk.keep(o.out.Turn)
	s := o.under(101).wedge()
	if len(s.Proof.Told) != 3 || s.Proof.Told[1][1] != 1 || s.Proof.Told[2][1] != 1 {
		t.Errorf("told %v", s.Proof.Told)
	}
}

// A process that starts below an incarnation that is known goes on above it, whatever its clock
// says; one that was replaced ends; what is meant for another process changes nothing.
func TestF10Outdated(t *testing.T) {
	o := fresh(t, 10, onDisk, func(c *replica.Config) { c.Life = 100 })
	o.record.Master = 1
	says := func(newest, life uint64, replaced bool) {
		o.step(&message.Outdated{Header: o.master(), Newest: newest, Life: life, Replaced: replaced})
	}
	says(50, 101, true)
	says(50, 101, false)
	if o.Incarnation() != 7 || o.Replaced() {
		t.Errorf("incarnation %d, replaced %t", o.Incarnation(), o.Replaced())
	}
	says(50, 100, false)
	if o.Incarnation() != 51 || o.out.Turn == nil || o.out.Turn.State.Incarnation != 51 {
		t.Errorf("incarnation %d, on disk %+v", o.Incarnation(), o.out.Turn)
	}
	says(51, 100, true)
	if !o.Replaced() {
		t.Error("it goes on")
	}
}

// of gives r1's record, as its disk has it, to another cluster.
func (o *one) of(cluster uint64) *one {
	o.disk.state.Record.Cluster = cluster
	return o.under(101)
}

// A process whose disk is another cluster's ends when a record says so, of whatever epoch it is,
// and does not follow it; one that works goes on.
func TestADiskOfAnotherCluster(t *testing.T) {
	r := recordOf(1, 3)
	r.Cluster, r.Epoch = 5, 1
	b := lived(t).of(6)
	b.install(r)
	if b.Foreign() == "" || b.Stats().Phase != message.PhaseWedged || b.Record().Cluster != 6 {
		t.Errorf("%q, %+v, record %+v", b.Foreign(), b.Stats(), b.Record())
	}
	b = lived(t).of(5)
	b.install(r)
	if b.Foreign() != "" {
		t.Errorf("its own cluster's record: %s", b.Foreign())
	}
	b = lived(t).of(6)
	b.record.Cluster = 6
	b.wedge()
	b.install(b.naming(101, 0, 0, 0))
	other := b.record
	other.Cluster, other.Epoch = 5, 9
	b.install(other)
	if b.Foreign() != "" || b.Stats().Phase != message.PhaseMember || b.Stats().Refused == 0 {
		t.Errorf("a member at work: %q, %+v", b.Foreign(), b.Stats())
	}
}

// What an earlier process of its name was sent a process with a disk takes only from the master
// that its own record names, until it has taken a record.
func TestADiskServesItsOwnMaster(t *testing.T) {
	answered := func(incarnation uint64) int {
		b := lived(t).under(101)
		h := b.master()
		h.Incarnation = incarnation
		b.step(&message.Probe{Header: h}, &message.Forward{Header: h, Requests: []message.Request{request(9, "eventual get a")}})
		return len(taken[*message.Answers](b))
	}
	if answered(1) != 1 {
		t.Error("the master that its record names is not served")
	}
	if answered(2) != 0 {
		t.Error("a master that its record does not name is served")
	}
}
