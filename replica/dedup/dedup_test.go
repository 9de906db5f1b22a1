package dedup_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"quartet/bus/model"
	"quartet/replica/dedup"
)

// A memory answers as a plain list does, whatever is added and forgotten.
func TestAgainstAList(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := dedup.New(seed)
		var list []dedup.Entry
		now, cost := uint64(0), 0
		most := 1 + r.IntN(6000)
		for step := range 20_000 {
			forget := len(list) > 0 && r.IntN(3) == 0
			switch {
			case forget, len(list) > most:
				cost -= list[0].Cost()
				m.Forget()
				list = list[1:]
			case len(list) > 0 && r.IntN(4000) == 0:
				for range list {
					m.Forget()
				}
				list, cost = nil, 0
			default:
				now += r.Uint64N(3)
				e := randomEntry(r, now)
				m.Add(&e)
				cost += e.Cost()
				list = append(list, e)
			}

			if step%500 == 0 {
				compare(t, m, list, r)
			}
			if m.Len() != len(list) || m.Cost() != cost {
				t.Fatalf("seed %d, step %d: %d entries of %d bytes, want %d of %d", seed, step, m.Len(), m.Cost(), len(list), cost)
			}
		}
	}
}

func results(list []dedup.Entry) int {
	n := 0
	for i := range list {
		n += len(list[i].Result)
	}
	return n
}

func randomEntry(r *rand.Rand, now uint64) dedup.Entry {
	e := dedup.Entry{RID: r.Uint64() >> r.IntN(64), Time: now}
	switch r.IntN(3) {
	case 0:
		e.Position = r.Uint64() >> r.IntN(64)
	case 1:
		e.Timestamp = r.Uint64() >> r.IntN(64)
	}
	if r.IntN(4) == 0 { // it said more than most do
		e.Code, e.Revision = model.Code(r.IntN(600)), r.Uint64()>>r.IntN(64)
		e.Result = make([]byte, []int{0, 1, 20, 64, 65, 1000}[r.IntN(6)])
		for i := range e.Result {
			e.Result[i] = byte(e.RID) + byte(i)
		}
	}

	switch r.IntN(7) {
	case 0:
	case 4: // nobody's
		e.RID = 0
	case 5: // of clients that number theirs, again and again
		e.ID, e.Digest = fmt.Sprintf("c%d.%d", r.IntN(3), r.IntN(40)), r.Uint64()
	case 6: // … and in a row
		e.ID, e.Digest = fmt.Sprintf("d%d.%d", r.IntN(3), now+r.Uint64N(8)), r.Uint64()
	case 1: // few of them, so that identities come again
		e.ID, e.Digest = fmt.Sprint(r.IntN(50)), r.Uint64()
	case 2:
		e.ID, e.Digest = strings.Repeat("x", 1+r.IntN(256)), r.Uint64()
	default:
		e.ID, e.Digest = fmt.Sprintf("client-%d", r.Uint64()), r.Uint64()
	}
	return e
}

func compare(t *testing.T, m *dedup.Memory, list []dedup.Entry, r *rand.Rand) {
	t.Helper()
	newest := map[string]dedup.Entry{}
	for _, e := range list {
		if nobodys := e.ID == "" && e.RID == 0; !nobodys {
			newest[fmt.Sprint(e.ID, "/", identity(&e))] = e
		}
	}
	if got, ok := m.Lookup("", 0); ok {
		t.Fatalf("nobody's entry is found: %+v", got)
	}

	for _, want := range newest {
		if got, ok := m.Lookup(want.ID, want.RID); !ok || !same(&got, &want) {
			t.Fatalf("%+v is found as %+v, %t", want, got, ok)
		}
	}

	for range 100 {
		e := randomEntry(r, 0)
		if _, known := newest[fmt.Sprint(e.ID, "/", identity(&e))]; known {
			continue
		}
		if got, ok := m.Lookup(e.ID, e.RID); ok {
			t.Fatalf("%+v was never added, and is found as %+v", e, got)
		}
	}

	if m.Results() != results(list) {
		t.Fatalf("%d bytes of results, want %d", m.Results(), results(list))
	}

	oldest, ok := m.Oldest()
	if ok != (len(list) > 0) {
		t.Fatalf("an oldest entry: %t, of %d", ok, len(list))
	}
	if ok && !same(&oldest, &list[0]) {
		t.Fatalf("the oldest is %+v", oldest)
	}

	for _, from := range []int{0, 1, len(list) / 2, len(list) - 1, len(list)} {
		i := max(from, 0)
		m.Each(i, func(e *dedup.Entry) bool {
			if i >= len(list) || !same(e, &list[i]) {
				t.Fatalf("entry %d of %d, from %d on, is %+v", i, len(list), from, *e)
			}
			i++
			return i%1000 != 0
		})
		if i%1000 != 0 && i != max(len(list), 0) {
			t.Fatalf("entries %d to %d of %d", from, i, len(list))
		}
	}
}

func same(a, b *dedup.Entry) bool {
	identity := a.ID == b.ID && a.RID == b.RID && a.Digest == b.Digest
	outcome := a.Position == b.Position && a.Timestamp == b.Timestamp && a.Time == b.Time
	answer := a.Code == b.Code && a.Revision == b.Revision && bytes.Equal(a.Result, b.Result)
	return identity && outcome && answer
}

// identity is what an entry is found by.
func identity(e *dedup.Entry) uint64 {
	if e.ID != "" {
		return 0
	}
	return e.RID
}

// A long result is freed when its entry is forgotten, not when all of its block are.
func TestResultsAreFreed(t *testing.T) {
	const n, size = 300, 512 << 10
	before := heap()
	m := dedup.New(1)
	for i := range n {
		m.Add(&dedup.Entry{RID: uint64(i + 1), Result: make([]byte, size)})
		if m.Len() > 4 {
			m.Forget()
		}
	}
	if held := heap() - before; held > 8*size {
		t.Errorf("%d bytes are held for %d results of %d bytes", held, m.Len(), size)
	}
	if cost := m.Cost(); cost < 4*size {
		t.Errorf("%d results cost %d bytes", m.Len(), cost)
	}
	for i := n - 4; i < n; i++ {
		if e, ok := m.Lookup("", uint64(i+1)); !ok || len(e.Result) != size {
			t.Errorf("rID %d: %v, %d bytes", i+1, ok, len(e.Result))
		}
	}
}
