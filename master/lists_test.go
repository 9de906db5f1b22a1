package master_test

import (
	"slices"
	"strings"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
)

// aList is a list of a model; with a cursor it goes on there.
func aList(c model.Consistency, from message.Cursor) master.Incoming {
	i := master.Incoming{Cursor: from}
	i.Request.Request = model.Request{Model: c, Type: model.List, Key: "a"}
	if from.List > 0 {
		i.Request.Range = &model.Range{From: codec.NextWord(&from)}
	}
	return i
}

func kept(n lamport.Node) message.Cursor {
	return message.Cursor{Replica: n, Life: 7, List: 1, Page: 1}
}

// The first page of a list is fenced in model 1, as a get is; a further one concerns no view and no
// fence, and goes to the replica that keeps the list (rule P6).
func TestP6AListGoesOnWhereItIsKept(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, aList(model.Linearizable, message.Cursor{})))
	o.answer(1, 1, model.OK)
	o.expect()
	o.echo(1, 2)
	o.expect("1 #1 200")

	for i, c := range model.All {
		rid := uint64(i + 2)
		o.ask(aList(c, kept(3)))
		o.wantRounds()
		if sent := o.forwarded(); len(sent) != 1 || !strings.HasPrefix(sent[0], "r3 ") {
			t.Errorf("%s: forwarded %v", c, sent)
		}
		o.answer(3, rid, model.OK)
		if len(o.out.Replies) != 1 || o.out.Replies[0].Code != model.OK {
			t.Errorf("%s: %+v", c, o.out.Replies)
		}
	}

	o.ask(at(2, aList(model.Linearizable, kept(3))))
	if r := o.out.Replies; len(r) != 1 || r[0].Code != model.Malformed {
		t.Errorf("another replica is named: %+v", r)
	}
}

// A list whose replica is gone is gone: also where a page was under way there.
func TestP6AListIsGoneWithItsReplica(t *testing.T) {
	for _, c := range model.All {
		o := ready(t, configured(3, 1))
		o.pass(200) // by now everybody was heard
		o.ask(aList(c, kept(3)))
		o.lost(3)
		o.wedged(0, 1, 2)
		o.decide()
		o.expect("1 #1 410")
		o.installed()
		if sent := o.forwarded(); len(sent) != 0 {
			t.Errorf("%s: forwarded %v", c, sent)
		}

		o.ask(aList(c, kept(3)), aList(c, kept(9)))
		codes := []model.Code{}
		for _, r := range o.out.Replies {
			codes = append(codes, r.Code)
		}
		if !slices.Equal(codes, []model.Code{model.Gone, model.Gone}) {
			t.Errorf("%s: asked for when it is gone: %+v", c, o.out.Replies)
		}
	}
}

// A further page goes on while the view changes: it needs none.
func TestP6AListGoesOnWhileTheViewChanges(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.lost(2)
	o.ask(aList(model.Linearizable, kept(3)), aList(model.Linearizable, message.Cursor{}))
	if sent := o.forwarded(); !slices.Equal(sent, []string{"r3 #1"}) {
		t.Errorf("forwarded %v", sent)
	}
	o.answer(3, 1, model.OK)
	o.expect("1 #1 200")
}

// A cursor that another cluster told, or a history that has ended, is refused, whatever else the
// request goes on from.
func TestACursorOfAnotherHistory(t *testing.T) {
	cfg := configured(3, 1)
	cfg.Cluster, cfg.Nonce = 5, 6
	o := ready(t, cfg)
	p := kept(3)
	p.History = message.History{Cluster: o.History().Cluster + 1, Epoch: 1, Nonce: 1}
	o.ask(aList(model.Sequential, p))
	if r := o.out.Replies; len(r) != 1 || r[0].Code != model.Misdirected {
		t.Errorf("%+v", r)
	}

	p.History = o.History()
	o.ask(aList(model.Sequential, p))
	if sent := o.forwarded(); len(sent) != 1 {
		t.Errorf("of this history: %v, %+v", sent, o.out.Replies)
	}
	p.Nonce++
	o.ask(aList(model.Sequential, p))
	if r := o.out.Replies; len(r) != 1 || r[0].Code != model.Misdirected {
		t.Errorf("of an ended one: %+v", r)
	}
}
