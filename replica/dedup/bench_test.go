package dedup_test

import (
	"fmt"
	"runtime"
	"testing"

	"quartet/replica/dedup"
)

// What an entry takes, and what it costs to look one up that is not there, remember it and forget
// the oldest, with a million of them: of a client that draws letters, and of one that numbers its
// requests.
func BenchmarkMemory(b *testing.B) {
	b.Run("letters", func(b *testing.B) {
		benchmarkMemory(b, func(i int) string { return fmt.Sprintf("V4hXjQ9tU3cbJm%08x", uint32(i)*2654435761) })
	})
	b.Run("numbered", func(b *testing.B) {
		benchmarkMemory(b, func(i int) string { return fmt.Sprintf("V4hXjQ9tU3cb.%d", i) })
	})
}

func benchmarkMemory(b *testing.B, id func(i int) string) {
	const n = 1_000_000
	ids := make([]string, 2*n)
	for i := range ids {
		ids[i] = id(i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := dedup.New(1)
	add := func(i int) {
		m.Add(&dedup.Entry{
			ID: ids[i%len(ids)], RID: uint64(i), Digest: uint64(i) * 0x9e3779b97f4a7c15, Position: uint64(i),
			Time: uint64(i / 400),
		})
	}
	for i := range n {
		add(i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	i := n

	for b.Loop() {
		if _, known := m.Lookup(ids[i%len(ids)], uint64(i)); known {
			b.Fatal("it is known")
		}
		add(i)
		m.Forget()
		i++
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/entry")
	b.ReportMetric(float64(m.Cost())/n, "cost/entry")
}

// BenchmarkResults says what entries with results take, and what they count for.
func BenchmarkResults(b *testing.B) {
	for _, size := range []int{8, 64, 65, 1000, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			for b.Loop() {
				n := min(200_000, 200<<20/size)
				before := heap()
				m := dedup.New(1)
				for i := range n {
					m.Add(&dedup.Entry{RID: uint64(i + 1), Position: uint64(i), Result: make([]byte, size)})
				}
				b.ReportMetric(float64(heap()-before)/float64(n), "B/entry")
				b.ReportMetric(float64(m.Cost())/float64(n), "cost/entry")
				runtime.KeepAlive(m)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
