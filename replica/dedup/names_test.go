package dedup_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"quartet/replica/dedup"
)

// What names take in they lead to, and give back as it was; what they refuse they do not find; and
// what has left they know no more, whichever ids come.
func TestNamesAreAMap(t *testing.T) {
	draws := map[string]func(r *rand.Rand, i int) string{
		"of one client":             func(_ *rand.Rand, i int) string { return fmt.Sprintf("one.%d", i) },
		"of several, in disorder":   func(r *rand.Rand, i int) string { return fmt.Sprintf("c%d.%d", r.IntN(5), i+r.IntN(40)) },
		"of clients that come once": func(_ *rand.Rand, i int) string { return fmt.Sprintf("c%d.1", i) },
		"of numbers by chance":      func(r *rand.Rand, _ int) string { return fmt.Sprintf("c.%d", r.Uint64()>>r.IntN(64)) },
		"again and again":           func(r *rand.Rand, _ int) string { return fmt.Sprintf("c.%d", r.IntN(30)) },
		"of no such form": func(r *rand.Rand, i int) string {
			return [...]string{"", ".", ".7", "c.", "c.07", "c.-1", "c.1x", "c.1.", "c", "c.9999999999999", "c.1099511627776"}[i%11]
		},
	}
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var m dedup.Names
			var queue []entered
			want := map[string]uint32{}
			for i := range 30_000 {
				id := draw(r, i)
				if n := m.Enter(id, uint32(i)); !n.IsZero() {
					queue = append(queue, entered{id, n, uint32(i)})
					want[id] = uint32(i)
				}
				isTime := len(queue) > 1500 && r.IntN(3) == 0
				if len(queue) > 2000 || isTime {
					queue = leave(&m, queue, want)
				}

				other := draw(r, r.IntN(i+1))
				for _, id := range []string{id, other} {
					got, ok := m.Find(id)
					if offset, is := want[id]; ok != is || got != offset {
						t.Fatalf("after %d ids %q is found: %t, at %d; it is there: %t, at %d", i+1, id, ok, got, is, offset)
					}
				}
			}
			if taken := len(queue); strings.HasPrefix(name, "of one") && taken < 1500 {
				t.Errorf("%d of the last 2,000 ids of a client were taken in", taken)
			}
			for len(queue) > 0 {
				if e := queue[0]; m.ID(e.name) != e.id {
					t.Fatalf("%q is called %q", e.id, m.ID(e.name))
				}
				queue = leave(&m, queue, want)
			}
		})
	}
}

// entered is an id that names have taken in.
type entered struct {
	id     string
	name   dedup.Name
	offset uint32
}

// leave takes the oldest out.
func leave(m *dedup.Names, queue []entered, want map[string]uint32) []entered {
	e := queue[0]
	m.Leave(e.name, e.offset)
	if want[e.id] == e.offset {
		delete(want, e.id)
	}
	return queue[1:]
}

// An id takes no more memory than what it counts for, whoever makes it up.
func TestNamesTakeNoMoreThanTheyCost(t *testing.T) {
	const n = 200_000
	for name, id := range map[string]func(i int) string{
		"of one client":                func(i int) string { return fmt.Sprintf("V4hXjQ9tU3cb.%d", i) },
		"of 1,000 clients in turn":     func(i int) string { return fmt.Sprintf("V4hXjQ9t%04d.%d", i%1000, i/1000) },
		"each of a client of its own":  func(i int) string { return fmt.Sprintf("V4hXjQ9t%07d.1", i) },
		"two of each client":           func(i int) string { return fmt.Sprintf("V4hXjQ9t%07d.%d", i/2, i%2) },
		"with numbers that are apart":  func(i int) string { return fmt.Sprintf("V4hXjQ9t.%d", i*16) },
		"of a long prefix, of few":     func(i int) string { return fmt.Sprintf("%s.%d", strings.Repeat("p", 200), i) },
		"of a long prefix that varies": func(i int) string { return fmt.Sprintf("%s%d.%d", strings.Repeat("p", 200), i/40, i%40) },
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			m := dedup.New(1)
			for i := range n {
				m.Add(&dedup.Entry{ID: id(i), RID: uint64(i + 1), Digest: uint64(i), Position: uint64(i), Time: uint64(i / 400)})
			}
			taken := float64(heap()-before) / n
			counts := float64(m.Cost()) / n
			t.Logf("%.0f bytes an entry, counted %.0f", taken, counts)
			if taken > counts*1.25 {
				t.Errorf("an entry takes %.0f bytes and counts for %.0f", taken, counts)
			}
			if e, ok := m.Lookup(id(n/2), 0); !ok || e.RID != n/2+1 {
				t.Errorf("%q: %t, %+v", id(n/2), ok, e)
			}
		})
	}
}
