package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// Keys whose hashes are the same are told apart, and each leaves without the others.
func TestKeysOfOneHash(t *testing.T) {
	const keys, shared = 10, 7
	key := func(n uint32) string { return fmt.Sprintf("key %d", n) }
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		m := &Memory{}
		m.Clear()
		for n := range uint32(keys) {
			m.newEntry()
			m.setPlace(n, m.segments.append(n, key(n), &Record{Kind: KindValue}))
			m.hashes.insert(shared, n)
		}

		gone := map[uint32]bool{}
		for _, n := range rnd.Perm(keys) {
			m.hashes.remove(shared, uint32(n))
			gone[uint32(n)] = true
			for k := range uint32(keys) {
				at, ok := m.find(shared, key(k))
				isAnother := ok && at != k
				if ok == gone[k] || isAnother {
					t.Fatalf("seed %d, after %d has left: %q is found: %v, at %d", seed, n, key(k), ok, at)
				}
			}
		}
		if stay := m.hashes.find(shared); len(stay)+m.hashes.count > 0 {
			t.Fatalf("seed %d: %v stay, %d are counted", seed, stay, m.hashes.count)
		}
	}
}

// A value that was handed out stays what it was, however often its segment is cleaned since; bytes
// of nobody are at most a sixth of all, and each byte is counted once.
func TestSegmentsAreCleaned(t *testing.T) {
	const keys, steps = 3000, 200_000
	type held struct{ got, want []byte }
	rnd := rand.New(rand.NewPCG(1, 0))
	m := NewMemory(1)
	model := map[string]Record{}
	var out []held

	for i := range steps {
		key := fmt.Sprintf("key %d", rnd.IntN(keys))
		if rnd.IntN(10) == 0 {
			m.Remove(key)
			delete(model, key)
			continue
		}
		r := Record{Kind: KindValue, RID: uint64(i), Revision: uint64(2 * i), Value: bytes.Repeat([]byte{byte(i)}, rnd.IntN(200))}
		if rnd.IntN(100) == 0 {
			r.Value = bytes.Repeat([]byte{byte(i)}, inlineMost-2+rnd.IntN(5))
		}
		if rnd.IntN(4) == 0 {
			r.Expires = uint64(1 + rnd.IntN(1000))
		}
		m.Put(key, r)
		model[key] = r
		if i%100 == 0 {
			got, _ := m.Get(key)
			out = append(out, held{got.Value, bytes.Clone(r.Value)})
		}
		if s := &m.segments; s.dead > max(s.used/deadMost, deadLeast)+2*inlineMost {
			t.Fatalf("step %d: of %d bytes %d are nobody's", i, s.used, s.dead)
		}
	}

	for i, h := range out {
		if !bytes.Equal(h.got, h.want) {
			t.Fatalf("value %d has changed since it was handed out", i)
		}
	}
	wantModel(t, m, model)
}

func wantModel(t *testing.T, m *Memory, model map[string]Record) {
	t.Helper()
	if m.Len() != len(model) {
		t.Fatalf("Len = %d, want %d", m.Len(), len(model))
	}
	live, dead, beside := 0, 0, 0
	for _, s := range m.segments.all {
		live += len(s.data) - s.dead
		dead += s.dead
	}
	for key, want := range model {
		got, ok := m.Get(key)
		same := ok && got.RID == want.RID && got.Expires == want.Expires && bytes.Equal(got.Value, want.Value)
		if !same {
			t.Fatalf("%q is %+v, want %+v", key, got, want)
		}
		n := 0
		live -= recordLen(key, want)
		if len(want.Value) > inlineMost {
			n = 1
		}
		beside += n
	}
	if live != 0 || dead != m.segments.dead || beside != len(m.beside) {
		t.Errorf("%d bytes are counted that are no record's; %d are nobody's, %d are counted; %d values stand beside, %d should",
			live, dead, m.segments.dead, len(m.beside), beside)
	}
}

func recordLen(key string, r Record) int {
	s := newSegments()
	s.append(0, key, &r)
	return s.used
}
