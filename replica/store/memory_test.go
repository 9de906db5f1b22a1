package store_test

import (
	"fmt"
	"runtime"
	"testing"

	"quartet/bus/lamport"
	"quartet/replica/store"
	"quartet/replica/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory(0) })
}

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		// 16 bytes, not in order; the multiplier is odd, so all differ.
		out[i] = fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15)
	}
	return out
}

func filled(keys []string, ttl uint64) *store.Memory {
	m := store.NewMemory(0)
	for i, key := range keys {
		m.Put(key, ending(i, ttl))
	}
	return m
}

var value = make([]byte, 100)

func record(i int) store.Record {
	return store.Record{
		Kind: store.KindValue, Value: value, RID: uint64(i),
		Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(i), Node: 1}},
	}
}

// ending is a record that ends a time after it was put, if that is not 0; one is put each
// millisecond.
func ending(i int, ttl uint64) store.Record {
	r := record(i)
	if ttl > 0 {
		r.Expires = uint64(i) + ttl
	}
	return r
}

// perKey returns the bytes that a key of 16 bytes costs with its value of 100, both among them.
func perKey(n int, fill func(keys []string) *store.Memory) float64 {
	all := keys(n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := fill(all)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	runtime.KeepAlive(all)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

// fills are the ways to fill a store whose memory is measured.
var fills = []struct {
	name string
	most float64 // bytes a key, with a tenth to spare
	fill func(keys []string) *store.Memory
}{
	{"no deadlines", 190, func(keys []string) *store.Memory { return filled(keys, 0) }},
	{"tombstones", 95, func(keys []string) *store.Memory {
		m := filled(keys, 0)
		for i, key := range keys {
			m.Put(key, store.Record{Kind: store.KindTombstone, Revision: uint64(i)})
		}
		return m
	}},
	{"one time to live", 205, func(keys []string) *store.Memory { return filled(keys, 1000) }},
	{"deadlines in no order", 220, func(keys []string) *store.Memory {
		m := store.NewMemory(0)
		for i, key := range keys {
			m.Put(key, ending(i, 1+uint64(i)*0x9e3779b97f4a7c15>>1))
		}
		return m
	}},
	{"each put off twice", 240, func(keys []string) *store.Memory {
		m := filled(keys, 1000)
		for round := range 2 {
			for i := range keys {
				at := i * 7919 % len(keys)
				m.Put(keys[at], ending((1+round)*len(keys)+i, 1000))
			}
		}
		return m
	}},
	{"each overwritten three times, in no order", 220, func(keys []string) *store.Memory {
		m := filled(keys, 0)
		for i := range 3 * len(keys) {
			m.Put(keys[i*7919%len(keys)], record(i))
		}
		return m
	}},
	{"deadlines taken back", 220, func(keys []string) *store.Memory {
		m := filled(keys, 1000)
		for i := range keys {
			at := i * 7919 % len(keys)
			m.Put(keys[at], record(at))
		}
		return m
	}},
}

func TestMemoryPerKey(t *testing.T) {
	for _, f := range fills {
		if per := perKey(100_000, f.fill); per > f.most {
			t.Errorf("%s: %.0f bytes a key, more than %.0f", f.name, per, f.most)
		} else {
			t.Logf("%s: %.0f bytes a key", f.name, per)
		}
	}
}

func BenchmarkMemoryPerKey(b *testing.B) {
	for _, f := range fills {
		b.Run(f.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(perKey(1_000_000, f.fill), "B/key")
			}
		})
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		all := keys(n)
		m, mortal := filled(all, 0), filled(all, 1000)
		name := func(op string) string { return fmt.Sprintf("%s/keys=%d", op, n) }

		b.Run(name("get"), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, ok := m.Get(all[i*7919%n]); !ok {
					b.Fatal("a key is missing")
				}
			}
		})
		b.Run(name("overwrite"), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				m.Put(all[i*7919%n], record(i))
			}
		})
		b.Run(name("put off"), func(b *testing.B) { // a deadline
			b.ReportAllocs()
			for i := range b.N {
				mortal.Put(all[i*7919%n], ending(n+i, 1000))
			}
		})
		b.Run(name("nothing due"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mortal.Due(1, func(string, store.Record) bool { return true })
			}
		})
		b.Run(name("fill"), func(b *testing.B) {
			b.ReportAllocs()
			fresh := store.NewMemory(0)
			for i := range b.N {
				if i%n == 0 {
					fresh = store.NewMemory(0)
				}
				fresh.Put(all[i%n], record(i))
			}
		})
		b.Run(name("ascend 100"), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				count := 0
				m.Ascend(all[i*7919%n], func(string, store.Record) bool {
					count++
					return count < 100
				})
			}
		})
	}
}
