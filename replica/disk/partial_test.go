package disk

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// A turn that is partial leaves out what was put into the store: after a kill it is not
// there, and neither is what the next one would have said of it.
func TestPartialTurns(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Disk, *durable.Saved) {
		d, saved, err := Open(t.Context(), Options{Dir: dir, Sync: Interval, BootID: "b"})
		if err != nil {
			t.Fatal(err)
		}
		return d, saved
	}
	commit := func(d *Disk, turn *durable.Turn) {
		t.Helper()
		if err := d.Commit(turn); err != nil {
			t.Fatal(err)
		}
	}
	data := &message.Data{
		Header: message.Header{From: 2, Incarnation: 1, Epoch: 1, Clock: 9}, Seq: 1,
		Received: message.Received{LastSeq: 1, Received: []uint64{0, 1}},
	}
	state := durable.State{
		Incarnation: 7, Contiguous: []uint64{0, 1},
		Record: message.Record{
			View:       message.View{Epoch: 1, Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 1}}},
			Configured: []lamport.Node{1, 2}, Master: 1,
		},
	}
	d, _ := open()
	commit(d, &durable.Turn{Changed: true, State: state})
	d.Put("k", store.Record{Kind: store.KindValue, Value: []byte("v"), RID: 1})
	commit(d, &durable.Turn{Partial: true, Changed: true, State: state, Data: []*message.Data{data}})
	if _, ok := d.Get("k"); !ok || d.Len() != 1 {
		t.Error("what was put is not seen")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d, saved := open()
	if _, ok := d.Get("k"); ok || d.Len() != 0 || len(saved.Data) != 1 {
		t.Errorf("k is there: %t, %d keys, %d DATA", ok, d.Len(), len(saved.Data))
	}
	d.Put("k", store.Record{Kind: store.KindValue, Value: []byte("v"), RID: 1})
	state.Position, state.Entries = 2, 2
	entries := []message.Executed{{RID: 1, Key: "k"}, {RID: 2, Key: "k"}}
	commit(d, &durable.Turn{Changed: true, State: state, Delivered: []durable.DataID{{From: 2, Seq: 1}}, Executed: entries})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, saved = open()
	if rec, ok := d.Get("k"); !ok || string(rec.Value) != "v" || d.Len() != 1 || len(saved.Data) != 0 ||
		len(saved.Executed) != 2 || saved.State.Position != 2 {
		t.Errorf("k is %q (%t), %d keys, %+v", rec.Value, ok, d.Len(), saved)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
