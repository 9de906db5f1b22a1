package replicanode

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica"
	"quartet/replica/disk"
	"quartet/replica/durable"
	"quartet/replica/store"
)

func options(dir string, sync disk.Sync) *Options {
	return &Options{ID: 2, Dir: dir, Sync: sync, Log: slog.New(slog.DiscardHandler)}
}

func weakSet(rid uint64, key string) message.Request {
	return message.Request{
		RID: rid, Request: model.NewSet(model.Eventual, key, []byte("v")),
		Version: lamport.Version{Epoch: 3, Timestamp: lamport.Timestamp{Time: 10 + rid, Node: lamport.Master(1)}},
	}
}

// worked leaves in a directory what a member has when it is killed: a key, DATA that were
// received and not delivered, among them a weak write, a causal write, and a weak write
// of its own.
func worked(t *testing.T, sync disk.Sync, boot string) (dir string) {
	t.Helper()
	from := t.TempDir()
	o := options(from, sync)
	d, _, err := disk.Open(t.Context(), disk.Options{Dir: from, Sync: sync, BootID: boot, Log: o.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // the copy is what counts

	weak := weakSet(8, "alone")
	d.Put("key", store.Record{Value: []byte("value")})

	turn := &durable.Turn{
		Changed: true,
		State: durable.State{
			Incarnation: 5, Clock: 40, LastRID: 9, Position: 6, Contiguous: []uint64{2, 0, 0}, Committed: 3, Watermark: 4, Safe: 4,
			Record: message.Record{
				View: message.View{Epoch: 3, Faults: 1, Members: []message.Member{
					{Node: 1, Incarnation: 5}, {Node: 2, Incarnation: 5}, {Node: 3, Incarnation: 5},
				}},
				Configured: []lamport.Node{1, 2, 3}, Missing: 1, Start: 1, Master: 1, Nonce: 1,
			},
		},
		Data: []*message.Data{{
			Header: message.Header{From: 1, Incarnation: 5, Epoch: 3, Clock: 39}, Seq: 2,
			Received: message.Received{LastSeq: 2, Received: []uint64{2, 0, 0}},
			Ops: []message.Operation{
				{Op: message.OpStrong, Request: message.Request{RID: 5, Request: model.NewSet(model.Linearizable, "strong", nil)}},
				{Op: message.OpWeak, Request: weakSet(6, "shared")},
			},
		}},
		Writes: []*message.CausalWrite{{Number: 4, Request: message.Request{RID: 7, Request: model.NewSet(model.Causal, "causal", nil)}}},
		Weak:   []*message.Request{&weak},
	}

	if err := d.Commit(turn); err != nil {
		t.Fatal(err)
	}

	dir = filepath.Join(t.TempDir(), "copy") // while it is open: as a kill leaves it
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func reopen(t *testing.T, o *Options) *storage {
	t.Helper()
	s, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func machineOn(s *storage) *replica.Machine {
	return replica.New(replica.Config{Self: 2, Incarnation: s.incarnation, Store: s.store, Saved: s.saved, Durable: s.disk != nil})
}

// A replica that was killed comes back as who it was, wedged, and lacks nothing.
func TestKilledReplicaIsTheSame(t *testing.T) {
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	for _, sync := range []disk.Sync{disk.Interval, disk.Always} {
		s := reopen(t, options(worked(t, sync, boot), sync))
		m := machineOn(s)
		if st := m.Stats(); st.Phase != message.PhaseWedged || m.Incarnation() != 5 || st.Watermark != 4 ||
			st.Queue != 1 || st.Tentative != 3 {
			t.Errorf("%v: incarnation %d, %+v", sync, m.Incarnation(), st)
		}
	}
}

// After a power cut, synced in intervals, it is somebody else: a learner that claims
// nothing of what it may have lost, but keeps what only it may hold; and it is so only
// once.
func TestReplicaAfterAPowerCut(t *testing.T) {
	o := options(worked(t, disk.Interval, "before the power cut"), disk.Interval)
	s, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}

	check := func(s *storage, incarnation uint64) {
		t.Helper()
		m := machineOn(s)
		st := m.Stats()
		isAnother := incarnation != 0 && m.Incarnation() != incarnation
		if m.Incarnation() <= 5 || isAnother {
			t.Errorf("incarnation %d", m.Incarnation())
		}
		if st.Phase != message.PhaseLearning || st.Epoch != 3 || st.Watermark != 3 || st.Safe != 3 || st.Queue != 0 {
			t.Errorf("it claims to hold %+v", st)
		}
		if st.Tentative != 2 || len(s.saved.Weak) != 2 {
			t.Errorf("weak writes: %+v", s.saved.Weak)
		}
		if r, ok := s.store.Get("key"); !ok || string(r.Value) != "value" {
			t.Error("what was delivered is gone")
		}
	}

	check(s, 0)
	reborn := s.saved.State.Incarnation
	if err := s.close(); err != nil {
		t.Fatal(err)
	}

	s = reopen(t, o)
	if s.disk.TailMayBeMissing() {
		t.Error("it has to be born once more")
	}
	check(s, reborn)
}

// With sync always a power cut takes nothing.
func TestReplicaAfterAPowerCutWithSyncAlways(t *testing.T) {
	s := reopen(t, options(worked(t, disk.Always, "before the power cut"), disk.Always))
	if m := machineOn(s); m.Incarnation() != 5 || m.Stats().Phase != message.PhaseWedged {
		t.Errorf("incarnation %d, %+v", m.Incarnation(), m.Stats())
	}
}

func TestMemoryIsEmptyAndNew(t *testing.T) {
	a, b := reopen(t, options("", 0)), reopen(t, options("", 0))
	if a.saved != nil || a.incarnation == 0 || b.incarnation <= a.incarnation || machineOn(a).Stats().Phase != message.PhaseBoot {
		t.Errorf("%+v, then %+v", a, b)
	}
}
