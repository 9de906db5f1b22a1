package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"testing"

	"quartet/replica/store"
)

// due is what Due gives.
type due struct {
	key     string
	expires uint64
}

func ending(i int, expires uint64) store.Record {
	r := record(i)
	r.Expires = expires
	return r
}

func tombstone(i int) store.Record {
	r := record(i)
	r.Kind, r.Value = store.KindTombstone, nil
	return r
}

func wantDue(t *testing.T, s store.Store, by uint64, want ...due) {
	t.Helper()
	var got []due
	s.Due(by, func(key string, r store.Record) bool {
		if stands, ok := s.Get(key); !ok || !equal(stands, r) {
			t.Fatalf("Due(%d) gives %.40q = %+v; Get %+v, %v", by, key, r, stands, ok)
		}
		got = append(got, due{key, r.Expires})
		return true
	})
	if !slices.Equal(got, want) {
		t.Fatalf("Due(%d) = %.300v; want %.300v", by, got, want)
	}
}

func wantLive(t *testing.T, s store.Store, want int) {
	t.Helper()
	if got := s.Live(); got != want {
		t.Fatalf("Live = %d, want %d", got, want)
	}
}

func testRemove(t *testing.T, s store.Store) {
	s.Remove("k")
	testEmpty(t, s)
	for round := range 3 {
		s.Put("a", ending(1, 5))
		s.Put("b", tombstone(2))
		s.Put("c", record(3))
		s.Remove("aa")
		s.Remove("b")
		s.Remove("b")
		wantNone(t, s, "b")
		wantKeys(t, s, "", []string{"a", "c"})
		wantLive(t, s, 2)
		if s.Len() != 2 {
			t.Fatalf("Len = %d, want 2", s.Len())
		}

		s.Put("b", record(round))
		wantGet(t, s, "b", record(round))
		wantKeys(t, s, "", []string{"a", "b", "c"})
		for _, key := range []string{"c", "a", "b"} {
			s.Remove(key)
		}
		testEmpty(t, s)
	}
}

func testLive(t *testing.T, s store.Store) {
	s.Put("a", record(1))
	s.Put("b", tombstone(2))
	s.Put("c", store.Record{Kind: math.MaxUint8})
	wantLive(t, s, 1)
	s.Put("a", record(3))
	wantLive(t, s, 1)
	s.Put("a", tombstone(4))
	wantLive(t, s, 0)
	s.Put("b", record(5))
	s.Put("a", record(6))
	wantLive(t, s, 2)
	if s.Len() != 3 {
		t.Errorf("Len = %d, want 3", s.Len())
	}
	s.Clear()
	wantLive(t, s, 0)
}

func testDue(t *testing.T, s store.Store) {
	for i, d := range []due{
		{"d", 30}, {"b", 20}, {"never", 0}, {"c", 20}, {"", 40}, {"a", 20},
		{"now", 1}, {"far", math.MaxUint64}, {"a\x00", 20}, {"x", 1 << 40},
	} {
		s.Put(d.key, ending(i, d.expires))
	}

	all := []due{
		{"now", 1}, {"a", 20}, {"a\x00", 20}, {"b", 20}, {"c", 20}, {"d", 30},
		{"", 40}, {"x", 1 << 40}, {"far", math.MaxUint64},
	}
	for by, n := range map[uint64]int{
		0: 0, 1: 1, 19: 1, 20: 5, 29: 5, 30: 6, 40: 7,
		1<<40 - 1: 7, 1 << 40: 8, math.MaxUint64 - 1: 8, math.MaxUint64: 9,
	} {
		wantDue(t, s, by, all[:n]...)
	}
}

func testDueFollowsPut(t *testing.T, s store.Store) {
	s.Put("a", ending(1, 10))
	s.Put("b", ending(2, 20))
	wantDue(t, s, 100, due{"a", 10}, due{"b", 20})
	s.Put("a", ending(3, 30)) // later
	wantDue(t, s, 100, due{"b", 20}, due{"a", 30})
	s.Put("b", ending(4, 20)) // the same
	s.Put("a", ending(5, 5))  // sooner
	wantDue(t, s, 100, due{"a", 5}, due{"b", 20})
	s.Put("a", record(6)) // none any more
	wantDue(t, s, 100, due{"b", 20})
	s.Put("b", tombstone(7))
	wantDue(t, s, 100)
	s.Put("a", ending(8, 7))
	s.Put("c", ending(9, 7))
	wantDue(t, s, 7, due{"a", 7}, due{"c", 7})
	s.Remove("a")
	wantDue(t, s, 7, due{"c", 7})
	s.Clear()
	wantDue(t, s, 100)
	s.Put("a", ending(10, 8))
	wantDue(t, s, 100, due{"a", 8})
}

func testDueStops(t *testing.T, s store.Store) {
	for i := range 10 {
		s.Put(fmt.Sprint(i), ending(i, uint64(20-i)))
	}
	for range 2 {
		calls := 0
		s.Due(15, func(string, store.Record) bool {
			calls++
			return calls < 3
		})
		if calls != 3 {
			t.Errorf("fn was called %d times, want 3", calls)
		}
	}
}

// testDueDrains lets deadlines come up as a cluster does: the due ones become tombstones, a few
// at a time, while others are set anew.
func testDueDrains(t *testing.T, s store.Store) {
	const n, step = 3000, 100
	for i := range n {
		s.Put(fmt.Sprintf("%04d", i*7919%n), ending(i, uint64(1+i/10)))
	}

	ended, last := 0, uint64(0)
	for now := uint64(1); s.Live() > 0; now += 5 {
		var keys []string
		s.Due(now, func(key string, r store.Record) bool {
			if r.Expires < last {
				t.Fatalf("%s, which ends at %d, comes after %d", key, r.Expires, last)
			}
			keys, last = append(keys, key), r.Expires
			return len(keys) < step
		})

		for i, key := range keys {
			if i == 0 && ended < n {
				s.Put(key, ending(i, now+1000))
				continue
			}
			s.Put(key, tombstone(i))
		}
		ended += len(keys)
	}

	if ended < n {
		t.Errorf("%d have ended, want at least %d", ended, n)
	}
	wantDue(t, s, math.MaxUint64)
	if s.Len() != n {
		t.Errorf("Len = %d, want %d", s.Len(), n)
	}
}

// model is a store as a map, of which everything is found by looking at all of it.
type model map[string]store.Record

func (m model) live() int {
	n := 0
	for _, r := range m {
		if r.Kind == store.KindValue {
			n++
		}
	}
	return n
}

func (m model) due(by uint64) []due {
	var all []due
	for key, r := range m {
		if r.Expires > 0 && r.Expires <= by {
			all = append(all, due{key, r.Expires})
		}
	}
	slices.SortFunc(all, func(a, b due) int { return cmp.Or(cmp.Compare(a.expires, b.expires), cmp.Compare(a.key, b.key)) })
	return all
}

func testModel(t *testing.T, s store.Store) {
	const seed, steps, keys = 1, 20_000, 3000
	rnd := rand.New(rand.NewSource(seed))
	m := model{}
	for i := range steps {
		if i == steps/3 {
			s.Clear()
			clear(m)
		}

		key := fmt.Sprintf("k%d", rnd.Intn(keys))
		switch want, ok := m[key]; {
		case rnd.Intn(2) == 0:
			m[key] = randomRecord(rnd, i)
			s.Put(key, m[key])
		case rnd.Intn(8) == 0:
			delete(m, key)
			s.Remove(key)
		case ok:
			wantGet(t, s, key, want)
		default:
			wantNone(t, s, key)
		}

		if i%1000 == 0 || i == steps-1 {
			compare(t, s, m, key, uint64(rnd.Intn(2000)))
		}
	}
}

func randomRecord(rnd *rand.Rand, i int) store.Record {
	switch rnd.Intn(3) {
	case 0:
		return tombstone(i)
	case 1:
		return ending(i, uint64(1+rnd.Intn(2000)))
	}
	return record(i)
}

func compare(t *testing.T, s store.Store, m model, key string, by uint64) {
	t.Helper()
	sorted := slices.Sorted(maps.Keys(m))
	wantKeys(t, s, "", sorted)
	at, _ := slices.BinarySearch(sorted, key)
	wantKeys(t, s, key, sorted[at:])
	s.Ascend("", func(key string, r store.Record) bool {
		if !equal(r, m[key]) {
			t.Fatalf("Ascend gives %q = %+v; want %+v", key, r, m[key])
		}
		return true
	})

	wantDue(t, s, by, m.due(by)...)
	wantLive(t, s, m.live())
	if s.Len() != len(m) {
		t.Errorf("Len = %d, want %d", s.Len(), len(m))
	}
}
