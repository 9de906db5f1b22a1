package store

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the hashes are, each entry is found under its own, in few bytes, until it leaves.
func TestHashes(t *testing.T) {
	for _, c := range []struct {
		name string
		draw func(*rand.Rand) uint32
	}{
		{"spread evenly", (*rand.Rand).Uint32},
		{"few of them", func(r *rand.Rand) uint32 { return r.Uint32N(300) * 0x9e3779b9 }},
		{"of one beginning", func(r *rand.Rand) uint32 { return r.Uint32() >> 16 }},
		{"of one end", func(r *rand.Rand) uint32 { return r.Uint32() << 16 }},
		{"of one bit", func(r *rand.Rand) uint32 { return 1 << r.Uint32N(32) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			const entries, steps = 20_000, 100_000
			rnd := rand.New(rand.NewPCG(7, 0))
			of := make([]uint32, entries)
			x := newHashes()
			held := map[uint32]bool{}

			for step := range steps {
				n := rnd.Uint32N(entries)
				isLeaving := step > steps*3/4 // it is to become small again
				switch {
				case held[n]:
					x.remove(of[n], n)
					delete(held, n)
				case !isLeaving:
					of[n] = c.draw(rnd)
					x.insert(of[n], n)
					held[n] = true
				default:
					x.remove(c.draw(rnd), n) // it is not there
				}
				if step%10_000 == 0 || step == steps-1 {
					wantHashes(t, &x, of, held)
				}
			}
		})
	}
}

// wantHashes checks that those entries are there and no others, and the order of all shelves.
func wantHashes(t *testing.T, x *hashes, of []uint32, held map[uint32]bool) {
	t.Helper()
	count := 0
	for i := range x.shelves {
		s := &x.shelves[i]
		count += len(s.list)
		if !slices.IsSorted(s.list) {
			t.Fatalf("shelf %d is in no order", i)
		}
		if len(s.list) > shelfMost && s.depth < depthMost {
			t.Errorf("shelf %d has %d entries, and tells only %d bits", i, len(s.list), s.depth)
		}
		if cap(s.list) > 2*room(len(s.list)) {
			t.Errorf("shelf %d has room for %d, and %d entries", i, cap(s.list), len(s.list))
		}
	}
	if count != len(held) || x.count != len(held) {
		t.Fatalf("%d entries stand there, and %d are counted: %d should", count, x.count, len(held))
	}

	for entry := range held {
		isIt := func(v hashed) bool { return v.entry() == entry && v.hash() == of[entry] }
		if !slices.ContainsFunc(x.find(of[entry]), isIt) {
			t.Fatalf("entry %d is not found under its hash %x", entry, of[entry])
		}
	}
}

// While entries come one after the other, what an entry takes stays within its bound.
func TestHashesAreSmall(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 0))
	x := newHashes()
	for n := range uint32(200_000) {
		x.insert(rnd.Uint32(), n)
		if n < 10_000 || n%1000 > 0 {
			continue
		}
		bytes := 4 * cap(x.directory)
		for i := range x.shelves {
			bytes += 32 + 8*cap(x.shelves[i].list)
		}
		if per := float64(bytes) / float64(n+1); per > 10 {
			t.Fatalf("%d entries take %.1f bytes each", n+1, per)
		}
	}
}
