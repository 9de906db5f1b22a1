package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// testdata/before-collections is the directory of a replica as the last build that collected no
// tombstones left it (the state of layout 4, a record of level 1): writeUncollected, with a
// window of 50 entries.

// uncollectedTurns is how many turns writeUncollected commits.
const uncollectedTurns = 4

// writeUncollected puts three records a turn, for so many turns, and closes the disk.
func writeUncollected(d *Disk) error {
	for n := range uncollectedTurns {
		for i := range 3 {
			d.Put(uncollectedKey(n, i), uncollectedRecord(n, i))
		}
		if err := d.Commit(uncollectedTurn(n)); err != nil {
			return err
		}
	}
	return d.Close()
}

func uncollectedKey(turn, i int) string { return fmt.Sprintf("key %d of %d", i, turn) }

// uncollectedRecord is a value, a value with an end, or a tombstone.
func uncollectedRecord(turn, i int) store.Record {
	r := store.Record{
		Kind: store.KindValue, Value: fmt.Appendf(nil, "value %d", turn), RID: uint64(10*turn + i + 1), Revision: uint64(3*turn + i + 1),
		Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(3*turn + i + 1), Node: lamport.Replica(2)}},
	}
	switch i {
	case 1:
		r.Expires = 1_900_000_000_000 + uint64(turn)
	case 2:
		r.Kind, r.Value = store.KindTombstone, nil
	}
	return r
}

// uncollectedTurn is a turn of three changes, as the build before wrote it.
func uncollectedTurn(n int) *durable.Turn {
	t := &durable.Turn{Changed: true, State: uncollectedState(n)}
	for i := range 3 {
		r := uncollectedRecord(n, i)
		c := message.Change{
			Revision: r.Revision, Kind: message.ChangeSet, Key: uncollectedKey(n, i), Value: r.Value, Version: r.Version, Expires: r.Expires,
		}
		if r.Kind == store.KindTombstone {
			c.Kind = message.ChangeDelete
		}
		t.Changes = append(t.Changes, c)
		t.Executed = append(t.Executed, message.Executed{
			Identity: fmt.Sprintf("client %d.%d", n, i), RID: r.RID, Position: r.Revision, Key: c.Key, Time: uint64(n),
		})
	}
	return t
}

// uncollectedState is the state after turn n, of an epoch in which nothing is collected.
func uncollectedState(n int) durable.State {
	node := lamport.Replica
	position := uint64(3*n + 3)
	return durable.State{
		Node: node(2), Incarnation: 1, Lives: []uint64{1}, Clock: position, LastRID: uint64(10*n + 3), Position: position,
		Place: lamport.Timestamp{Time: position, Node: node(2)}, Entries: position, Contiguous: []uint64{1, position},
		Order: message.OrderTime{Now: uint64(n), Tick: uint64(n), Oldest: 1}, Changes: durable.Span{To: position},
		Record: message.Record{
			View: message.View{
				Epoch: 1, Members: []message.Member{{Node: node(1), Incarnation: 1}, {Node: node(2), Incarnation: 1}},
				Faults: 1,
			},
			Configured: []lamport.Node{node(1), node(2)}, Missing: 1, Cut: []uint64{1, 2}, High: 3, Start: 4, Master: 5, Nonce: 6,
			Level: message.LevelRevisions,
		},
	}
}

// A directory that the build before has left opens with all that it holds, in an epoch in which
// nothing is collected; so does one that this build leaves. In a later epoch tombstones go, and
// the next life knows how far.
func TestADirectoryWithoutCollections(t *testing.T) {
	state := uncollectedState(uncollectedTurns - 1)
	for name, c := range map[string]struct {
		make  func(dir string) error
		votes durable.Votes // as they are read: of who may have missed one
	}{
		"of the build before": {
			func(dir string) error { return os.CopyFS(dir, os.DirFS("testdata/before-collections")) },
			durable.Votes{Base: state.Record},
		},
		"of this build": {func(dir string) error {
			d, _ := mustOpen(t, Options{Dir: dir, BootID: "boot 1", Window: 50})
			return writeUncollected(d)
		}, durable.Votes{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "r2")
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			collectIn(t, dir, c.votes)
		})
	}
}

// collectIn opens a directory of writeUncollected in three lives, and takes a tombstone out in
// each.
func collectIn(t *testing.T, dir string, votes durable.Votes) {
	t.Helper()
	want := snapshot{saved: durable.Saved{State: uncollectedState(uncollectedTurns - 1)}, keys: map[string]store.Record{}}
	want.saved.State.Votes = votes
	for n := range uncollectedTurns {
		for i := range 3 {
			want.keys[uncollectedKey(n, i)] = uncollectedRecord(n, i)
		}
		turn := uncollectedTurn(n)
		want.saved.Executed = append(want.saved.Executed, turn.Executed...)
		want.saved.Changes = append(want.saved.Changes, turn.Changes...)
	}

	collected := message.Collection{
		Floor:    lamport.Version{Epoch: 2, Timestamp: lamport.Timestamp{Time: 50, Node: lamport.Replica(2)}},
		Position: 20, Horizon: lamport.Version{Epoch: 2, Timestamp: lamport.Timestamp{Time: 60}}, Agreed: 2,
	}
	for life := range 3 {
		d, saved := mustOpen(t, Options{Dir: dir, BootID: "boot 1", Window: 50})
		if diff := want.differs(d, saved); diff != "" {
			t.Fatalf("life %d: %s", life, diff)
		}
		if n := d.Len() - d.Live(); n != uncollectedTurns-life {
			t.Errorf("life %d: %d tombstones", life, n)
		}

		state := &want.saved.State
		state.Clock++
		state.Record.Level, state.Collected, state.Shut = message.Level, collected, collected.Horizon
		gone := uncollectedKey(life, 2)
		d.Remove(gone)
		delete(want.keys, gone)
		mustCommit(t, d, &durable.Turn{Changed: true, State: *state})
		mustClose(t, d)
	}
}
