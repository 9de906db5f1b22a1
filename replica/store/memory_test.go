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
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory() })
}

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		// 16 bytes, not in order; the multiplier is odd, so all differ.
		out[i] = fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15)
	}
	return out
}

func filled(keys []string) *store.Memory {
	m := store.NewMemory()
	for i, key := range keys {
		m.Put(key, record(i))
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

// perKey returns the bytes that a key costs beyond those of key and value.
func perKey(n int) float64 {
	all := keys(n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := filled(all)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(m)
	runtime.KeepAlive(all)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

// The figure in Memory's comment, with a tenth to spare.
func TestMemoryPerKey(t *testing.T) {
	if per := perKey(200_000); per > 190 {
		t.Errorf("%.0f bytes a key beyond key and value, more than 190", per)
	}
}

func BenchmarkMemoryPerKey(b *testing.B) {
	for range b.N {
		b.ReportMetric(perKey(1_000_000), "B/key")
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		all := keys(n)
		m := filled(all)
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
		b.Run(name("fill"), func(b *testing.B) {
			b.ReportAllocs()
			fresh := store.NewMemory()
			for i := range b.N {
				if i%n == 0 {
					fresh = store.NewMemory()
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
