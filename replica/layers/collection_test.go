package layers_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/layers"
	"quartet/replica/store"
)

// collected are layers in which a tombstone stood under "gone", which was collected with all up to
// a version.
func collected(t *testing.T, floor uint64) (*layers.Layers, *store.Memory) {
	t.Helper()
	s := store.NewMemory(0)
	l := layers.New(layers.Config{Store: s})
	put := func(kind model.Type, key string, time uint64) {
		r := &message.Request{RID: time, Request: model.NewSet(model.Eventual, key, []byte("x")), Version: stampOf(time)}
		r.Type = kind
		l.Count(1)
		l.CommitWeak(r, 0, l.Position())
	}
	put(model.Set, "stays", 2)
	put(model.Delete, "gone", 3)
	put(model.Delete, "later", floor+1)
	if !l.Propose(stampOf(floor)) || l.Propose(stampOf(floor+9)) {
		t.Fatal("of two horizons the second is taken")
	}
	if l.Agree(stampOf(floor), 0, 2) || l.Agree(stampOf(floor-1), 1, 2) || !l.Agree(stampOf(floor), 1, 2) {
		t.Fatal("it is collected by another number of agreements than there are members")
	}
	return l, s
}

func stampOf(time uint64) lamport.Version {
	return lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: time, Node: 1}}
}

// What is gone is gone for everybody at once, and for the store later. What stands above the floor,
// or came after the collection, stays.
func TestO43GoneAtOnce(t *testing.T) {
	l, s := collected(t, 10)
	for range 2 {
		if _, ok := l.Committed("gone"); ok {
			t.Error("the tombstone is there")
		}
		if rec, ok := l.Committed("later"); !ok || rec.Kind != store.KindTombstone {
			t.Errorf("a tombstone above the floor has become %+v", rec)
		}
		l.Sweep()
	}
	if _, ok := s.Get("gone"); ok || s.Len() != 2 || l.Sweeps() {
		t.Errorf("the store has %d records, and is to be swept: %t", s.Len(), l.Sweeps())
	}

	// The end of a value leaves a tombstone with the value's version: it is not up to that
	// floor's place.
	l.Count(1)
	l.CommitWeak(&message.Request{
		RID: 50, Version: stampOf(20), Wall: 1, Request: model.Request{Model: model.Eventual, Type: model.Set, Key: "ends", TTL: 5},
	}, 0, l.Position())
	revision := l.Position()
	l.Propose(stampOf(30))
	l.Agree(stampOf(30), 0, 1)
	l.Count(1)
	l.End("ends", revision, l.Position())
	if _, ok := l.Committed("ends"); !ok {
		t.Error("a tombstone that came after the collection is gone")
	}
}

// Where a key has no record a weak write loses up to the floor, committed and tentative.
func TestO43TheFloorDecides(t *testing.T) {
	for _, c := range []struct {
		key  string
		time uint64
		wins bool
	}{
		{"gone", 10, false}, {"gone", 11, true}, {"never", 10, false}, {"never", 11, true},
		{"stays", 3, true}, {"stays", 1, false}, {"later", 11, false}, {"later", 12, true},
	} {
		t.Run(fmt.Sprint(c.key, c.time), func(t *testing.T) {
			l, _ := collected(t, 10)
			r := &message.Request{RID: 70, Request: model.NewSet(model.Eventual, c.key, []byte("new")), Version: stampOf(c.time)}
			l.Hold(r, 0)
			if rec, _ := l.Newest(c.key); (string(rec.Value) == "new") != c.wins {
				t.Errorf("before it is committed models 3 and 4 read %q", rec.Value)
			}
			l.Count(1)
			l.CommitWeak(r, 0, l.Position())
			if rec, _ := l.Committed(c.key); (string(rec.Value) == "new") != c.wins {
				t.Errorf("committed is %q", rec.Value)
			}
		})
	}
}

// A sweep looks at so many keys at a time, and is done in the end.
func TestSweepIsBounded(t *testing.T) {
	s := store.NewMemory(0)
	l := layers.New(layers.Config{Store: s})
	const n = 10_000
	for i := range n {
		kind := store.KindTombstone
		if i%4 == 0 {
			kind = store.KindValue
		}
		s.Put(fmt.Sprintf("k%05d", i), store.Record{Kind: kind, Version: stampOf(1), Revision: 1})
	}
	l.Count(1)
	l.Propose(stampOf(5))
	l.Agree(stampOf(5), 0, 1)

	turns := 0
	for ; l.Sweeps(); turns++ {
		before := s.Len()
		l.Sweep()
		if took := before - s.Len(); took > 500 {
			t.Fatalf("%d records are removed in one turn", took)
		}
	}
	if s.Len() != n/4 || l.Tombstones() != 0 || turns < 15 {
		t.Errorf("%d records are left, %d of them tombstones, after %d turns", s.Len(), l.Tombstones(), turns)
	}
}

// A range of a load takes out what the member has no more, a bounded number at a time.
func TestO44ALoadRemoves(t *testing.T) {
	s := store.NewMemory(0)
	l := layers.New(layers.Config{Store: s})
	for i := range 5000 {
		s.Put(fmt.Sprintf("k%04d", i), store.Record{Kind: store.KindValue, Version: stampOf(1), Revision: 1})
	}
	has := []message.KeyRecord{{Key: "k0007", Kind: uint8(store.KindValue)}, {Key: "k4000", Kind: uint8(store.KindValue)}}

	from, pieces := "k0003", 0
	for from != "k4500" {
		from = l.LoadRange(from, "k4500", has)
		if pieces++; pieces > 10 {
			t.Fatal("it comes to no end")
		}
	}
	l.LoadRemoved([]string{"k0001", "never"})
	var left []string
	s.Ascend("", func(key string, _ store.Record) bool { left = append(left, key); return len(left) < 6 })
	want := []string{"k0000", "k0002", "k0007", "k4000", "k4500", "k4501"}
	if !slices.Equal(left, want) || pieces < 3 {
		t.Errorf("after %d pieces the first keys are %v, want %v", pieces, left, want)
	}
	if to := l.LoadRange("k4600", "", nil); to != "" || s.Len() != 4+100 {
		t.Errorf("up to %q is done, and %d keys are left", to, s.Len())
	}
}

// Models 3 and 4 are told of both writes of one broadcast, which have one version.
func TestO23WritesOfOneVersionAreTold(t *testing.T) {
	l := layers.New(layers.Config{Store: store.NewMemory(0)})
	l.Follow(true)
	for range 2 {
		l.Count(1)
		r := &message.Request{RID: l.Position(), Request: model.NewSet(model.Sequential, "a", fmt.Append(nil, l.Position()))}
		l.CommitStrong(r, stampOf(9), l.Position())
	}
	if n := l.Visible().Len(); n != 2 {
		t.Errorf("%d changes are told", n)
	}
}
