package kv

import (
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
)

// A frame of events is taken event by event: what has to wait for a purge's answer makes all that
// is behind it wait, and its acknowledgement, too.
func TestAFrameIsTakenInOrder(t *testing.T) {
	f, h, b := opened(t)
	var w bus.FrameWriter
	for i, e := range []model.Event{
		{Kind: model.EventSet, Key: "b/k", Value: []byte("1"), Revision: 11},
		{Kind: model.EventDelete, Key: "b/k", Revision: 12},
		{Kind: model.EventSet, Key: "b/other", Value: []byte("2"), Revision: 13},
	} {
		e.Sequence = uint64(i) + 2
		w.Add("r1.1", &e)
	}
	caughtUp := bus.EventMsg("_INBOX.x.F."+b.feed.token, "", &bus.Event{
		Event: model.Event{Kind: model.EventCaughtUp, Sequence: 1, Revision: 10}, Stream: "r1.1",
	}, false)
	b.purging["b/k"] = 1
	h.sent = nil
	f.Hear(caughtUp)
	f.Hear(&nats.Msg{Subject: caughtUp.Subject, Reply: "quartet.flow.r1.7.4", Data: w.Take()})

	acknowledged := func() bool {
		for _, m := range h.sent {
			if m.Subject == "quartet.flow.r1.7.4" {
				return true
			}
		}
		return false
	}
	if n := b.numbers.last(); n != 1 || acknowledged() {
		t.Fatalf("%d events are taken while a purge is under way; acknowledged: %t", n, acknowledged())
	}

	delete(b.purging, "b/k")
	b.purged[12] = ""
	b.feed.goOn()
	k, other := b.numbers.keys["k"], b.numbers.keys["other"]
	if k.number != 2 || k.marker != isPurged || other.number != 3 || !acknowledged() {
		t.Errorf("%+v, %+v; acknowledged: %t", k, other, acknowledged())
	}
	if b.feed.upTo != 13 {
		t.Errorf("told up to %d", b.feed.upTo)
	}
}
