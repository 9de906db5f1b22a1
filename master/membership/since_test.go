package membership_test

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// holds is a HELLO of a wedged replica that holds a record.
func (o *one) holds(n lamport.Node, known *message.Record, heartbeat uint64) {
	o.hello(n, func(h *message.Hello) {
		h.Epoch, h.Phase, h.Nonce, h.Past.Record = known.Epoch, message.PhaseWedged, heartbeat, known
	})
}

// A first view is formed of replicas that have answered a heartbeat which this master sent after it
// had found no record, and that obey it. What they have said before may be older than a record that
// was written meanwhile, and lost again.
func TestF11AFirstViewNeedsAnswersSince(t *testing.T) {
	o := fresh(t, 3)
	look := o.out.Command
	boots := func(n lamport.Node, heartbeat, master uint64) {
		o.hello(n, func(h *message.Hello) { h.Nonce, h.Master = heartbeat, master })
	}
	for n := lamport.Replica(1); n <= 3; n++ {
		boots(n, 900, self)
	}
	o.Asked(1000)
	o.out.Command = look
	o.reads(nil, 0)
	if o.out.Command != nil || !o.out.Probe {
		t.Fatalf("of what was said before: %+v, asks %t", o.out.Command, o.out.Probe)
	}

	o.Asked(1001)
	boots(1, 1001, self)
	boots(2, 1001, self)
	boots(3, 1001, self-1) // it obeys an earlier master
	if o.out.Command != nil || o.out.Probe {
		t.Fatalf("of what r3 has told another master: %+v, asks again %t", o.out.Command, o.out.Probe)
	}
	boots(3, 1001, self)
	if r := o.proposed(); r.Epoch != 1 || nodes(r) != "r1/7 r2/7 r3/7" {
		t.Errorf("proposed %+v", r)
	}
}

// A master that starts writes a lost record back only once every replica has said, since the loss
// was found, that it knows of no later one: another master may have asked them in between.
func TestF11AMasterThatStartsNeedsAnswersSince(t *testing.T) {
	o := fresh(t, 3)
	look := o.out.Command
	known := recordOf(4, 3, self-1)
	for n := lamport.Replica(1); n <= 3; n++ {
		o.holds(n, known, 900)
	}
	o.Asked(1000)
	o.out.Command = look
	o.reads(nil, 0)
	o.holds(1, known, 1001)
	o.holds(2, known, 1001)
	if c := o.out.Command; c != nil && c.Propose != nil {
		t.Fatalf("r3 has said nothing since, and proposed is %+v", c.Propose)
	}
	o.holds(3, known, 1001)
	if r := o.proposed(); r.Nonce != known.Nonce {
		t.Errorf("proposed %+v", r)
	}
}

// A member that works answers with REPORT, and so shows which record it holds, whatever it had said
// before it installed that one.
func TestF11AMemberThatReportsHasSpoken(t *testing.T) {
	o := led(t, 3, checks)
	for n := lamport.Replica(1); n <= 2; n++ {
		o.holds(n, recordOf(2, 3, self-2), 50)
		o.expectSent("INSTALL " + n.String())
		o.install(n)
	}
	o.check()
	o.Asked(1000)
	o.reads(nil, 0)
	o.reports(1, 1001)
	o.reports(2, 1001)
	if r := o.proposed(); r.Epoch != 4 {
		t.Errorf("proposed %+v", r)
	}
}

// While the record is lost it is told again to a member that has not acknowledged it: until then a
// REPORT does not show that it has.
func TestF11ALostRecordIsToldToItsMembersAgain(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.wins()
	o.install(1)
	o.lost(1)
	o.pass(1)
	o.awaitCommand()
	o.reads(nil, 0)
	o.pass(repeated)
	if !slices.Contains(o.sent(), "INSTALL r2") {
		t.Errorf("sent %q", o.sent())
	}
}

// A replica that holds another record of the epoch is told which one counts only when the store has
// shown it since: it may be this master's that was lost.
func TestF4WhichRecordCountsTheStoreSays(t *testing.T) {
	other := recordOf(4, 3, self-1)
	for name, stands := range map[string]bool{"this master's": true, "the other": false} {
		t.Run(name, func(t *testing.T) {
			o := led(t, 3, checks)
			o.hello(2, func(h *message.Hello) { h.Phase, h.Past.Record = message.PhaseMember, other })
			o.expectSent()
			if c := o.out.Command; c == nil || !c.Check {
				t.Fatalf("it looks with %+v", c)
			}
			own := *o.Record()
			if stands {
				o.reads(&own, 8)
				o.expectSent("INSTALL r2")
				return
			}
			o.reads(other, 9)
			if o.Leads() || o.Record().Nonce != other.Nonce {
				t.Errorf("it goes on with its own: %+v", o.Record())
			}
		})
	}
}

// What a wedged member has told another master shows nothing of whom it obeys.
func TestF3StatesForAnotherMasterDoNotCount(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	for _, attempt := range []uint64{o.attempt + 1, o.attempt - 1, 1} {
		s := message.State{Header: o.head(1), Attempt: attempt, Contiguous: []uint64{0, 0, 0}}
		if o.State(&s) {
			t.Errorf("taken for attempt %d, and %d was asked for", attempt, o.attempt)
		}
	}
}

// W1: the newest epoch is that of the record or of a replica of this history, and only who knows it
// serves what needs no view.
func TestW1TheNewestEpoch(t *testing.T) {
	o := fresh(t, 4)
	record := recordOf(1, 4, self-2)
	o.reads(record, 2) // the store has lost the newer ones
	works := func(n lamport.Node, r *message.Record, master uint64) {
		o.hello(n, func(h *message.Hello) {
			h.Epoch, h.Phase, h.Past.Record, h.Master = r.Epoch, message.PhaseMember, r, master
		})
	}
	newer, other := recordOf(3, 4, self-1), recordOf(9, 4, self-1)
	other.Lineage = []message.Ancestor{{Epoch: 1, Nonce: 5}}
	works(1, record, self)
	works(2, newer, self)
	works(3, newer, self-1)
	works(4, other, self)

	if newest := o.NewestEpoch(); newest != 3 {
		t.Errorf("the newest epoch is %d", newest)
	}
	want := map[lamport.Node]bool{2: true}
	for _, r := range o.Replicas() {
		if got := o.AtWork(r) && o.MayServe(r); got != want[r.Node] {
			t.Errorf("%v serves: %t", r.Node, got)
		}
	}
}

// Nothing is done in an epoch before all of its members have installed its record: until then the
// store may lose it, and it may be decided otherwise.
func TestF11AnEpochIsServedOnceAllHaveInstalledIt(t *testing.T) {
	o := led(t, 3)
	o.lost(3)
	o.state(1, 0, 0, 0, 0)
	o.state(2, 0, 0, 0, 0)
	o.wins()
	o.install(1)
	if o.Works(o.Replica(1)) {
		t.Error("r1 works, and r2 has not installed the record")
	}
	o.install(2)
	if !o.Works(o.Replica(1)) || !o.Works(o.Replica(2)) {
		t.Error("all have installed the record, and not all work")
	}
}
