package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// testdata/before-revisions is the directory of a replica as the last build without revisions left
// it (records of layout 1, the state of layout 3, values of version 3): the turns of writeBefore
// with a window of 50 entries, and then Close.

// beforeTurns is how many turns writeBefore commits.
const beforeTurns = 30

// writeBefore puts three records a turn, for so many turns, and closes the disk.
func writeBefore(d *Disk) error {
	for n := range beforeTurns {
		for i := range 3 {
			d.Put(beforeKey(n, i), beforeRecord(n, i))
		}
		if err := d.Commit(beforeTurn(n)); err != nil {
			return err
		}
	}
	return d.Close()
}

func beforeKey(turn, i int) string { return fmt.Sprintf("key %02d", (turn*7+i)%40) }

func beforeRecord(turn, i int) store.Record {
	return store.Record{
		Kind: store.KindValue, Value: fmt.Appendf(nil, "value %d of turn %d", i, turn), Number: uint64(i % 2), RID: uint64(10*turn + i + 1),
		Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(turn + 1), Node: lamport.Replica(2)}},
	}
}

func beforeRequest(turn, i int, c model.Consistency) message.Request {
	r := beforeRecord(turn, i)
	return message.Request{
		Request: model.Request{Model: c, Type: model.Set, Key: beforeKey(turn, i), Value: r.Value}, RID: r.RID, Version: r.Version,
		Identity: fmt.Sprintf("client %d.%d", turn, i), Digest: uint64(turn), First: 5, Came: 0,
	}
}

// beforeTurn is a turn with something of everything that the build before could write.
func beforeTurn(n int) *durable.Turn {
	weak := beforeRequest(n, 0, model.Eventual)
	causal := message.CausalWrite{Number: uint64(n + 1), Request: beforeRequest(n, 1, model.Causal)}
	t := &durable.Turn{Changed: true, State: beforeState(n), Weak: []*message.Request{&weak}, Writes: []*message.CausalWrite{&causal}}
	if n > 5 {
		gone := beforeRequest(n-5, 0, model.Eventual)
		t.WeakGone = []durable.WeakID{{RID: gone.RID, Version: gone.Version}}
	}

	header := message.Header{From: lamport.Replica(1), Incarnation: 1, Epoch: 1, Clock: uint64(n + 1)}
	t.Data = []*message.Data{{
		Header: header, Seq: uint64(n + 1), Received: message.Received{LastSeq: uint64(n + 1), Received: []uint64{1, 2}},
		Ops: []message.Operation{{Op: message.OpStrong, Request: beforeRequest(n, 2, model.Sequential)}},
	}}
	if n > 0 {
		t.Delivered = []durable.DataID{{From: lamport.Replica(1), Seq: uint64(n)}}
	}

	for i := range 2 {
		r := beforeRequest(n, i, model.Sequential)
		t.Executed = append(t.Executed, message.Executed{
			Identity: r.Identity, RID: r.RID, Digest: r.Digest, Position: uint64(2*n + i + 1), Key: r.Key, Time: uint64(n),
		})
	}
	return t
}

// beforeState is the state after turn n.
func beforeState(n int) durable.State {
	node := lamport.Replica
	return durable.State{
		Node: node(2), Incarnation: 1, Lives: []uint64{1}, Clock: uint64(n + 1), LastRID: uint64(10*n + 3), Position: uint64(2*n + 2),
		Place: lamport.Timestamp{Time: uint64(n + 1), Node: node(1)}, Entries: uint64(2*n + 2), Contiguous: []uint64{uint64(n), 1},
		Order: message.OrderTime{Now: uint64(n), Tick: uint64(n), Oldest: 1}, Committed: uint64(n),
		Watermark: uint64(n + 1), Safe: uint64(n),
		Record: message.Record{
			View: message.View{
				Epoch: 1, Members: []message.Member{{Node: node(1), Incarnation: 1}, {Node: node(2), Incarnation: 1}},
				Faults: 1,
			},
			Configured: []lamport.Node{node(1), node(2), node(3)}, Missing: 1, Cut: []uint64{1, 2}, High: 3, Start: 4, Master: 5, Nonce: 6,
		},
	}
}

// snapshotBefore is what must be read after writeBefore.
func snapshotBefore(revision uint64) snapshot {
	s := snapshot{saved: durable.Saved{State: beforeState(beforeTurns - 1)}, keys: map[string]store.Record{}}
	last := beforeTurns - 1
	for n := range beforeTurns {
		for i := range 3 {
			r := beforeRecord(n, i)
			r.Revision = revision
			s.keys[beforeKey(n, i)] = r
		}

		t := beforeTurn(n)
		s.saved.Executed = append(s.saved.Executed, t.Executed...)
		if n == 0 || n > last-5 { // the others are gone
			s.saved.Weak = append(s.saved.Weak, *t.Weak[0])
		}
		if n == last {
			s.saved.Data, s.saved.Writes = t.Data, append(s.saved.Writes, *t.Writes[0])
		}
	}
	s.saved.Executed = s.saved.Executed[len(s.saved.Executed)-50:]
	return s
}

// A directory that the build before has left opens and serves, and goes on with the new layouts.
// So does one that this build leaves.
func TestADirectoryWithoutRevisions(t *testing.T) {
	for name, c := range map[string]struct {
		make     func(dir string) error
		revision uint64
	}{
		"of the build before": {func(dir string) error { return os.CopyFS(dir, os.DirFS("testdata/before-revisions")) }, firstRevision},
		"of this build": {func(dir string) error {
			d, _ := mustOpen(t, Options{Dir: dir, BootID: "boot 1", Window: 50})
			return writeBefore(d)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "r2")
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			want := snapshotBefore(c.revision)
			if c.revision == firstRevision { // votes are read as those of who may have missed one
				want.saved.State.Votes.Base = want.saved.State.Record
			}
			for life := range 3 {
				live(t, dir, life, &want)
			}
		})
	}
}

// live opens the directory, looks for what must be there, and puts records of the new layout.
func live(t *testing.T, dir string, life int, want *snapshot) {
	t.Helper()
	d, saved := mustOpen(t, Options{Dir: dir, BootID: "boot 1", Window: 50})
	if n := saved.Earlier.Len(); n != 10 {
		t.Errorf("%d earlier entries, want 10", n)
	}
	saved.Earlier = nil
	if diff := want.differs(d, saved); diff != "" {
		t.Fatalf("life %d: %s", life, diff)
	}

	r := store.Record{Kind: store.KindValue, Value: []byte("new"), Revision: uint64(100 + life), Expires: 5}
	tombstone := store.Record{Kind: store.KindTombstone, Revision: uint64(200 + life)}
	for key, r := range map[string]store.Record{beforeKey(life, 0): r, beforeKey(life, 1): tombstone} {
		d.Put(key, r)
		want.keys[key] = r
	}
	mustCommit(t, d, &durable.Turn{})
	mustClose(t, d)
}
