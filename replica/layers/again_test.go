package layers

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
	"quartet/replica/store"
)

// A learner whose table and records are ahead of its log of changes, and of the member that it lets
// itself in with, notes each change when its place comes: also of a key that is written once more
// further on.
func TestO20WhatWasLoadedAheadIsNotedAtItsPlace(t *testing.T) {
	made := func() *Layers {
		return New(Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 64}})
	}
	at := func(n uint64) lamport.Version {
		return lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: n, Node: 1}}
	}
	ops := []*message.Request{
		{RID: 1, Request: model.NewSet(model.Linearizable, "a", []byte("1"))},
		{RID: 2, Request: model.NewSet(model.Linearizable, "b", []byte("2"))},
		{RID: 3, Request: model.NewSet(model.Linearizable, "a", []byte("3"))},
		{RID: 4, Request: model.Request{Model: model.Sequential, Type: model.Delete, Key: "b"}},
		{RID: 2, Request: model.NewSet(model.Linearizable, "b", []byte("2"))}, // sent again
		{RID: 5, Request: model.NewSet(model.Linearizable, "b", []byte("5")), Version: at(0)},
	}
	deliver := func(l *Layers, r *message.Request) {
		l.Count(1)
		if first, again := l.Executed(r); again {
			l.Again(r, at(l.Position()), &first)
			return
		}
		l.CommitStrong(r, at(l.Position()), l.Position())
	}

	ahead := made()
	for _, r := range ops {
		deliver(ahead, r)
	}
	learner := made()
	deliver(learner, ops[0])
	var entries []message.Executed
	ahead.EachEntry(2, func(x message.Executed) bool { entries = append(entries, x); return true })
	if !learner.Load(2, entries) {
		t.Fatal("the table does not go on")
	}
	ahead.EachKey("", func(key string, rec store.Record) bool {
		learner.LoadKey(&message.KeyRecord{
			Key: key, Kind: uint8(rec.Kind), Value: rec.Value, Version: rec.Version, RID: rec.RID, Revision: rec.Revision,
		})
		return true
	})

	for _, r := range ops[1:] {
		deliver(learner, r)
	}
	if a, b := learner.Changes(), ahead.Changes(); a.Len() != b.Len() || a.Since() != 0 {
		t.Fatalf("the learner's log has %d changes since %d, and there are %d", a.Len(), a.Since(), b.Len())
	}
	for i := range uint64(learner.Changes().Len()) {
		x, y := learner.Changes().At(i), ahead.Changes().At(i)
		if x.Revision != y.Revision || x.Kind != y.Kind || x.Key != y.Key || string(x.Value) != string(y.Value) || x.Version != y.Version {
			t.Errorf("change %d is %+v, and was %+v", i, x, y)
		}
	}
}
