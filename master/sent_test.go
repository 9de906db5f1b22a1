package master_test

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/master"
)

// told compares what the turn says of requests: those that left, and those that a replica has
// told of.
func (o *one) told(name string, sent []master.Sent, heard ...uint64) {
	o.t.Helper()
	if !slices.Equal(o.out.Sent, sent) || !slices.Equal(o.out.Heard, heard) {
		o.t.Errorf("%s: sent %v, want %v; heard %v, want %v", name, o.out.Sent, sent, o.out.Heard, heard)
	}
}

// The output names what was sent and what was heard by the tokens that the caller gave: each
// request leaves once, however often it is forwarded, and a sending that joins another is in
// neither.
func TestTheOutputNamesWhatWasSentAndHeard(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, id("x", in("sequential set a 1"))), at(2, in("eventual get b")), in("causal set c 1"))
	o.told("three requests", []master.Sent{{Token: 1, To: lamport.Replica(1)}, {Token: 2, To: lamport.Replica(2)}, {Token: 3}})

	o.ask(at(1, id("x", in("sequential set a 1"))))
	o.told("one is sent again", nil)
	o.pass(again)
	o.ask(at(3, id("x", in("sequential set a 1"))))
	if got := o.forwarded(); len(got) == 0 {
		t.Error("it is not forwarded again")
	}
	o.told("and forwarded again", nil)

	o.answer(2, 2, model.NotFound)
	o.told("the get is answered", nil, 2)
	o.answer(2, 2, model.NotFound)
	o.told("and once more", nil)
	o.answer(1, 1, model.OK)
	o.told("the set is", nil, 1)
	for i, r := range o.out.Replies {
		if !r.HasPosition || r.Position != 4 {
			t.Errorf("reply %d to a sequential set: %+v", i, r)
		}
	}
}

// A reply has a position where a replica has served a request of the total order, and says 0
// as well.
func TestARefusalHasNoPosition(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(9, in("linearizable get a")), in("eventual get a"))
	o.answer(1, 2, model.NotFound)
	for _, r := range o.out.Replies {
		if r.HasPosition {
			t.Errorf("%+v", r)
		}
	}
}
