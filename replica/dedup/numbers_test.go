package dedup_test

import (
	"math/rand/v2"
	"testing"

	"quartet/replica/dedup"
)

// Numbers are a map, whether they lie close together or far apart, are given out in a row or come
// back, and however many pages share a place among those that were looked for lately.
func TestNumbersAreAMap(t *testing.T) {
	draws := map[string]func(r *rand.Rand, i int) uint64{
		"in a row":                  func(_ *rand.Rand, i int) uint64 { return uint64(i / 3) },
		"close together":            func(r *rand.Rand, _ int) uint64 { return r.Uint64N(200) },
		"far apart":                 func(r *rand.Rand, _ int) uint64 { return r.Uint64N(50) << 40 },
		"pages that share a place":  func(r *rand.Rand, _ int) uint64 { return r.Uint64N(6)<<10 | r.Uint64N(2) },
		"with gaps, as of takeover": func(r *rand.Rand, i int) uint64 { return uint64(i/500)<<20 + r.Uint64N(40) },
	}
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var m dedup.Numbers
			want := map[uint64]uint32{}
			for i := range 20_000 {
				n, offset := draw(r, i), r.Uint32N(3)
				before, had := want[n]
				if got, ok := m.Get(n); got != before || ok != had {
					t.Fatalf("step %d: Get(%d) = %d, %v; want %d, %v", i, n, got, ok, before, had)
				}

				switch r.IntN(3) {
				case 0:
					if got, ok := m.Set(n, offset); got != before || ok != had {
						t.Fatalf("step %d: Set(%d) = %d, %v; want %d, %v", i, n, got, ok, before, had)
					}
					want[n] = offset
				case 1: // only what stands there goes
					m.Drop(n, offset)
					if had && before == offset {
						delete(want, n)
					}
				default:
					m.Drop(n, before)
					delete(want, n)
				}
			}
		})
	}
}

// BenchmarkNumbers is what a queue of a million requests does: the newest is looked for and put,
// the oldest goes.
func BenchmarkNumbers(b *testing.B) {
	const n = 1_000_000
	b.Run("numbers", func(b *testing.B) {
		var m dedup.Numbers
		before := heap()
		for i := range uint64(n) {
			m.Set(i, uint32(i))
		}
		taken := heap() - before

		i := uint64(n)
		for b.Loop() {
			m.Get(i)
			m.Set(i, uint32(i))
			m.Drop(i-n, uint32(i-n))
			i++
		}

		b.ReportMetric(float64(taken)/n, "B/entry")
	})

	b.Run("a map of Go's", func(b *testing.B) {
		m := map[uint64]uint32{}
		before := heap()
		for i := range uint64(n) {
			m[i] = uint32(i)
		}
		taken := heap() - before

		i := uint64(n)
		for b.Loop() {
			if _, ok := m[i]; !ok {
				m[i] = uint32(i)
			}
			if m[i-n] == uint32(i-n) {
				delete(m, i-n)
			}
			i++
		}

		b.ReportMetric(float64(taken)/n, "B/entry")
	})
}
