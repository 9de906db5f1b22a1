package layers

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
	"quartet/replica/store"
)

// taken is a snapshot, and what it is to show.
type taken struct {
	*Snapshot
	want map[string]string
}

// snapshots is layers to which everything happens, beside what their snapshots are to show.
type snapshots struct {
	*Layers
	rand  *rand.Rand
	rid   uint64
	taken []taken
	weak  []*message.Request // tentative

	collects bool // tombstones, as the order does: snapshots may show them or not
}

func (s *snapshots) key() string { return fmt.Sprintf("k%03d", s.rand.IntN(300)) }

func describe(rec store.Record) string {
	return fmt.Sprintf("%d %q %v %d", rec.Kind, rec.Value, rec.Version, rec.Revision)
}

// all is what there is now: of both layers, or of the committed one.
func (s *snapshots) all(weak bool) map[string]string {
	all := map[string]string{}
	for i := range 300 {
		key := fmt.Sprintf("k%03d", i)
		rec, ok := s.Committed(key)
		if weak {
			rec, _ = s.Newest(key)
			ok = rec.Kind != 0
		}
		if ok && s.isShown(&rec) {
			all[key] = describe(rec)
		}
	}
	return all
}

// isShown reports whether a snapshot is to show a record.
func (s *snapshots) isShown(rec *store.Record) bool {
	isHidden := s.collects && rec.Kind == store.KindTombstone
	return rec.Kind != 0 && !isHidden
}

// collect collects the tombstones up to all that may still be committed, and takes some of them out
// of the store.
func (s *snapshots) collect() {
	time := s.rid - 1
	for _, r := range s.weak {
		time = min(time, r.Version.Time-1)
	}
	horizon := lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: time, Node: math.MaxUint32}}
	if s.Propose(horizon) {
		s.Agree(horizon, 0, 1)
	}
	s.Sweep()
}

// happen lets one thing happen.
func (s *snapshots) happen() {
	s.rid++
	s.Count(1)
	version := lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: s.rid, Node: 1}}
	r := &message.Request{RID: s.rid, Version: version, Request: model.NewSet(model.Eventual, s.key(), fmt.Append(nil, s.rid))}
	if s.rand.IntN(3) == 0 {
		r.Type, r.Value = model.Delete, nil
	}

	switch s.rand.IntN(8) {
	case 0, 1: // a strong write
		r.Model = model.Linearizable
		s.CommitStrong(r, version, s.Position())
	case 2, 3:
		s.Hold(r, 0)
		s.weak = append(s.weak, r)
	case 4: // of a key that nothing else has
		r.Key = fmt.Sprintf("k%03d", 200+s.rand.IntN(100))
		s.Accept(r)
		s.weak = append(s.weak, r)
	case 5:
		if r := s.tentativeOne(); r != nil {
			s.CommitWeak(r, 0, s.Position())
		}
	case 6: // its number is void
		if r := s.tentativeOne(); r != nil {
			s.Forget(r)
		}
	default: // a tombstone is collected
		if s.collects {
			s.collect()
			return
		}
		if rec, _ := s.Committed(r.Key); rec.Kind == store.KindTombstone {
			s.remove(r.Key)
		}
	}
}

func (s *snapshots) tentativeOne() *message.Request {
	if len(s.weak) == 0 {
		return nil
	}
	i := s.rand.IntN(len(s.weak))
	r := s.weak[i]
	s.weak = slices.Delete(s.weak, i, i+1)
	return r
}

// check compares a snapshot with what there was when it was taken, read in pieces.
func (s *snapshots) check(t *testing.T, at taken) {
	t.Helper()
	got := map[string]string{}
	from, before := "", ""

	for {
		last, n, most := "", 0, 1+s.rand.IntN(40)
		at.Each(from, func(key string, rec store.Record) bool {
			if key <= before {
				t.Fatalf("%s comes after %s", key, before)
			}
			before, last = key, key
			if s.isShown(&rec) {
				got[key] = describe(rec)
			}
			n++
			return n < most
		})
		if n < most {
			break
		}
		from = last + "\x00"
		if s.rand.IntN(2) == 0 {
			s.happen()
		}
	}

	if !maps.Equal(got, at.want) {
		for key := range at.want {
			if got[key] != at.want[key] {
				t.Fatalf("%s was %s, and the snapshot (of both layers: %t) says %q", key, at.want[key], at.weak, got[key])
			}
		}
		t.Fatalf("the snapshot has %d keys, and there were %d", len(got), len(at.want))
	}
}

// Whatever happens after it was taken, a snapshot shows what there was: keys that are written,
// deleted, collected, or that only a write had which is void by now.
func TestO30SnapshotsShowWhatThereWas(t *testing.T) {
	for seed := range uint64(30) {
		s := &snapshots{
			Layers: New(Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 64}}),
			rand:   rand.New(rand.NewPCG(seed, 1)), collects: seed%2 == 1,
		}
		for range 400 {
			s.happen()
		}
		for range 60 {
			weak := s.rand.IntN(2) == 0
			at := taken{want: s.all(weak)}
			if at.Snapshot = s.Snapshot(); weak {
				at.Close()
				at.Snapshot = s.NewestSnapshot()
			}
			s.taken = append(s.taken, at)

			for ready := false; !ready; {
				_, ready = at.Prepare(1 + s.rand.IntN(20))
				s.happen()
			}
			for range s.rand.IntN(80) {
				s.happen()
			}

			i := s.rand.IntN(len(s.taken))
			s.check(t, s.taken[i])
			if s.rand.IntN(3) > 0 {
				s.taken[i].Close()
				s.taken = slices.Delete(s.taken, i, i+1)
			}
		}

		for _, at := range s.taken {
			s.check(t, at)
			at.Close()
		}
		for _, p := range []*past{&s.committedPast, &s.newestPast} {
			if len(p.byKey) > 0 || p.first != nil || p.removed != nil || p.bytes > 0 || len(p.open) > 0 {
				t.Fatalf("no snapshot is open, and something is kept: %+v", p)
			}
		}
		if len(s.preparing) > 0 {
			t.Fatalf("%d snapshots are being prepared for nobody", len(s.preparing))
		}
	}
}

// What is dropped as a whole has no snapshot any more; a load that writes over it has.
func TestWhatIsDroppedLosesSnapshots(t *testing.T) {
	l := New(Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 64}})
	committed, newest := l.Snapshot(), l.NewestSnapshot()
	l.Restart()
	if committed.Lost() || newest.Lost() {
		t.Errorf("a load loses snapshots")
	}
	l.Clear()
	if !committed.Lost() || !newest.Lost() {
		t.Errorf("snapshots outlive what they are of")
	}
	committed.Close()
	newest.Close()
	if again := l.Snapshot(); again.Lost() {
		t.Errorf("no snapshot can be taken afterwards")
	}
}

// Memory is bounded: the oldest snapshot goes first, and what nobody needs goes with it.
func TestO33SnapshotsAreBounded(t *testing.T) {
	l := New(Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 64}})
	set := func(n, bytes int) {
		l.Count(1)
		key := fmt.Sprint("k", n)
		l.CommitStrong(&message.Request{RID: l.Position(), Request: model.NewSet(model.Linearizable, key, make([]byte, bytes))},
			lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: l.Position(), Node: 1}}, l.Position())
	}
	const value = 1 << 20
	for n := range 100 {
		set(n, value)
	}

	oldest := l.Snapshot()
	for n := range 50 {
		set(n, 1)
	}
	newer := l.Snapshot()
	if oldest.Lost() {
		t.Fatal("a snapshot is lost with less noted than there is room for")
	}
	for n := 50; n < 90; n++ {
		set(n, 1)
	}
	if !oldest.Lost() || newer.Lost() {
		t.Errorf("the oldest is lost: %t, the newer one: %t", oldest.Lost(), newer.Lost())
	}
	if bytes := l.committedPast.bytes; bytes > pastMost+value {
		t.Errorf("%d bytes are noted", bytes)
	}
	newer.Each("", func(key string, rec store.Record) bool {
		if key == "k60" && len(rec.Value) != value {
			t.Errorf("k60 had %d bytes, and the snapshot says %d", value, len(rec.Value))
		}
		return true
	})
}

// A snapshot is taken at once, however much there is: what it would take to prepare one of both
// layers is left for later.
func TestO34ASnapshotIsTakenAtOnce(t *testing.T) {
	l := New(Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 64}})
	for n := range 50_000 {
		r := &message.Request{RID: uint64(n) + 1, Request: model.NewSet(model.Eventual, fmt.Sprint("k", n), []byte("v"))}
		r.Version = lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(n) + 1, Node: 1}}
		l.Accept(r)
	}
	allocs := testing.AllocsPerRun(10, func() {
		s := l.NewestSnapshot()
		s.Close()
		l.Snapshot().Close()
	})
	if allocs > 40 {
		t.Errorf("two snapshots take %v allocations", allocs)
	}

	s := l.NewestSnapshot()
	if took, ready := s.Prepare(1000); took != 1000 || ready {
		t.Errorf("1,000 looks: %d, ready: %t", took, ready)
	}
	if _, ready := s.Prepare(50_000); !ready {
		t.Error("it is not ready after looks at all")
	}
}
