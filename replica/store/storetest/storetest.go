// Package storetest is the suite of every store of a replica, the memory store and a durable one:
// [Run]. It promises that they keep the same contract.
package storetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/replica/store"
)

// Run runs the suite. open returns an empty store and arranges by t.Cleanup for
// whatever it needs to be closed.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"empty", testEmpty},
		{"every field comes back", testFields},
		{"put replaces", testReplace},
		{"any bytes are a key", testKeys},
		{"values of any length", testValues},
		{"values are not shared with later ones", testAliasing},
		{"ascend begins at from", testAscendFrom},
		{"ascend stops when told", testAscendStops},
		{"ascend in chunks sees every key once", testAscendChunks},
		{"rising, falling and shuffled keys", testOrders},
		{"clear removes everything", testClear},
		{"a removed key is as if it had never been", testRemove},
		{"values are counted apart", testLive},
		{"what is due comes in order", testDue},
		{"a deadline is that of the last put", testDueFollowsPut},
		{"due stops when told", testDueStops},
		{"many deadlines come and go", testDueDrains},
		{"behaves like a map", testModel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func record(i int) store.Record {
	return store.Record{
		Kind:    store.KindValue,
		Value:   fmt.Appendf(nil, "value %d", i),
		Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(i), Node: lamport.Replica(1)}},
		RID:     uint64(i), Revision: uint64(i) + 1,
	}
}

func equal(a, b store.Record) bool {
	sameWrite := a.Version == b.Version && a.Number == b.Number && a.RID == b.RID && a.Revision == b.Revision
	return a.Kind == b.Kind && bytes.Equal(a.Value, b.Value) && sameWrite && a.Expires == b.Expires
}

func wantGet(t *testing.T, s store.Store, key string, want store.Record) {
	t.Helper()
	if got, ok := s.Get(key); !ok || !equal(got, want) {
		t.Fatalf("Get(%.40q) = %+v, %v; want %+v", key, got, ok, want)
	}
}

func wantNone(t *testing.T, s store.Store, key string) {
	t.Helper()
	if got, ok := s.Get(key); ok || !equal(got, store.Record{}) {
		t.Fatalf("Get(%.40q) = %+v, %v; want nothing", key, got, ok)
	}
}

func keysFrom(s store.Store, from string) []string {
	var keys []string
	s.Ascend(from, func(key string, _ store.Record) bool {
		keys = append(keys, key)
		return true
	})
	return keys
}

func wantKeys(t *testing.T, s store.Store, from string, want []string) {
	t.Helper()
	if got := keysFrom(s, from); !slices.Equal(got, want) {
		t.Fatalf("Ascend(%q) = %.200q; want %.200q", from, got, want)
	}
}

func testEmpty(t *testing.T, s store.Store) {
	if s.Len() != 0 {
		t.Errorf("Len = %d, want 0", s.Len())
	}
	wantNone(t, s, "k")
	wantNone(t, s, "")
	wantKeys(t, s, "", nil)
	wantKeys(t, s, "k", nil)
	wantLive(t, s, 0)
	wantDue(t, s, math.MaxUint64)
}

func testFields(t *testing.T, s store.Store) {
	most := store.Record{
		Kind:    math.MaxUint8, // a kind of the future is kept as it is
		Value:   []byte{0, 1, 0xff},
		Version: lamport.Version{Epoch: math.MaxUint64, Timestamp: lamport.Timestamp{Time: math.MaxUint64 - 1, Node: math.MaxUint32}},
		Number:  math.MaxUint64 - 2,
		RID:     math.MaxUint64 - 3, Revision: math.MaxUint64 - 4, Expires: math.MaxUint64,
	}
	s.Put("most", most)
	wantGet(t, s, "most", most)
	least := store.Record{Kind: store.KindValue}
	s.Put("least", least)
	wantGet(t, s, "least", least)
	tombstone := store.Record{Kind: store.KindTombstone, Version: most.Version, Revision: 7}
	s.Put("deleted", tombstone)
	wantGet(t, s, "deleted", tombstone)
	s.Ascend("most", func(key string, r store.Record) bool {
		if key != "most" || !equal(r, most) {
			t.Errorf("Ascend gives %q, %+v; want %+v", key, r, most)
		}
		return true
	})
}

func testReplace(t *testing.T, s store.Store) {
	s.Put("k", record(2))
	causal := record(1) // an older version: which one wins is not the store's to say
	causal.Number = 7
	s.Put("k", causal)
	wantGet(t, s, "k", causal)
	s.Put("k", record(3))
	wantGet(t, s, "k", record(3)) // the causal number is gone with the causal write
	if s.Len() != 1 {
		t.Errorf("Len = %d, want 1", s.Len())
	}
	wantKeys(t, s, "", []string{"k"})
}

func testKeys(t *testing.T, s store.Store) {
	keys := []string{
		"", "\x00", "\x00\x00", "\x00a", "A", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00", "a\x00\x00\x00\x00\x00\x00\x00\x00",
		"a b", "aa", "abcdefgh", "abcdefgh\x00", "abcdefgha", "abcdefghb", "b", "é", "\xff", "\xff\xff", strings.Repeat("\xff", 1024),
	}
	slices.Sort(keys)
	for i, key := range keys {
		wantNone(t, s, key)
		s.Put(key, record(i))
	}
	for i, key := range keys {
		wantGet(t, s, key, record(i))
		wantKeys(t, s, key, keys[i:])
	}
	if s.Len() != len(keys) {
		t.Errorf("Len = %d, want %d", s.Len(), len(keys))
	}
}

func testValues(t *testing.T, s store.Store) {
	for i, n := range []int{0, 1, 255, 256, 65535, 65536, 512 * 1024, 0} {
		r := record(i)
		r.Value = bytes.Repeat([]byte{byte(i)}, n)
		s.Put("k", r)
		wantGet(t, s, "k", r)
	}
}

func testAliasing(t *testing.T, s store.Store) {
	s.Put("a", record(1))
	s.Put("b", record(2))
	a, _ := s.Get("a")
	var b store.Record
	s.Ascend("b", func(_ string, r store.Record) bool {
		b = r
		return true
	})
	for i := range 1000 {
		s.Put("a", record(1000+i))
		s.Put("b", record(2000+i))
		s.Get("a")
		keysFrom(s, "")
	}
	if !equal(a, record(1)) || !equal(b, record(2)) {
		t.Errorf("values handed out earlier have changed: %q, %q", a.Value, b.Value)
	}
}

func testAscendFrom(t *testing.T, s store.Store) {
	for i, key := range []string{"d", "b", "f"} {
		s.Put(key, record(i))
	}
	for from, want := range map[string][]string{
		"": {"b", "d", "f"}, "a": {"b", "d", "f"}, "b": {"b", "d", "f"}, "b\x00": {"d", "f"}, "c": {"d", "f"},
		"f": {"f"}, "f\x00": nil, "g": nil,
	} {
		wantKeys(t, s, from, want)
	}
}

func testAscendStops(t *testing.T, s store.Store) {
	for i := range 10 {
		s.Put(fmt.Sprint(i), record(i))
	}
	calls := 0
	s.Ascend("3", func(key string, _ store.Record) bool {
		calls++
		return key < "5"
	})
	if calls != 3 {
		t.Errorf("fn was called %d times, want 3 (keys 3, 4, 5)", calls)
	}
}

func testAscendChunks(t *testing.T, s store.Store) {
	const n, chunk = 1000, 7
	for i := range n {
		s.Put(fmt.Sprintf("%04d", i*7919%n), record(i))
	}
	var got []string
	for from, more := "", true; more; {
		more = false
		count := 0
		s.Ascend(from, func(key string, _ store.Record) bool {
			got = append(got, key)
			from = key + "\x00"
			count++
			more = count == chunk
			return !more
		})
		s.Put("0000", record(-1)) // between chunks the world goes on
	}
	if len(got) != n || !slices.IsSorted(got) || len(slices.Compact(got)) != n {
		t.Errorf("chunks gave %d keys, want the %d keys in order, each once", len(got), n)
	}
}

func testOrders(t *testing.T, s store.Store) {
	const n = 3000
	var want []string
	put := func(key string) {
		s.Put(key, record(len(want)))
		want = append(want, key)
	}
	for i := range n {
		put(fmt.Sprintf("rising %06d", i))
		put(fmt.Sprintf("falling %06d", n-i))
		put(fmt.Sprintf("%06d shuffled", i*7919%n))
	}
	slices.Sort(want)
	wantKeys(t, s, "", want)
	if s.Len() != len(want) {
		t.Errorf("Len = %d, want %d", s.Len(), len(want))
	}
}

func testClear(t *testing.T, s store.Store) {
	s.Clear()
	testEmpty(t, s)
	for round := range 3 {
		for i := range 500 {
			s.Put(fmt.Sprint(i), record(i))
		}
		s.Clear()
		testEmpty(t, s)
		wantNone(t, s, "7")
		s.Put("7", record(round)) // what comes afterwards is there, and nothing else
		wantGet(t, s, "7", record(round))
		wantKeys(t, s, "", []string{"7"})
		wantKeys(t, s, "70", nil)
		if s.Len() != 1 {
			t.Errorf("Len = %d, want 1", s.Len())
		}
	}
}
