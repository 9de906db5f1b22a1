package store

import (
	"encoding/binary"

	"quartet/replica/internal/hash"
)

// Memory is a [Store] in memory, made for millions of small records: their bytes stand one behind
// the other in segments, a table leads from the hash of a key to its record, and beside it is an
// ordered index that only a key's first Put touches. There are no pointers to single records, so
// the garbage collector has next to nothing to look at, however many there are.
//
// Get and overwriting cost one lookup. A new key also pays for its place in the index at once,
// O(log n) comparisons and a move of at most a block, rather than leaving a sort of everything to
// the first Ascend: that sort would hold up a replica with a million keys for longer than the
// others wait before they suspect it. A record with a deadline has a place in a second index of the
// same form, and pays for it as a new key does; a record without one costs nothing there.
//
// A Put copies key and value, but for values of more than 1 KiB, which it keeps. A record that is
// replaced leaves its bytes behind; where these come to more than a sixth of all, each Put that
// replaces one cleans a segment (64 KiB), and copies what is left of it.
//
// Measured by BenchmarkMemoryPerKey: a key of 16 bytes takes 162 bytes with its value of 100, 15 to
// 25 more with a deadline, and 190 where each was overwritten three times; with a map of Go's in
// place of the table 178 and 207. What Remove frees is used again by new keys. On a loaded machine
// of 2026, one of a million keys costs 1.2 µs to get and 2.0 to overwrite, one of 1,000 keys 0.10
// and 0.12 µs (with the map 1.2, 2.4, 0.08 and 0.14).
type Memory struct {
	seed      uint64
	hashes    hashes    // of keys: to their entries
	places    []*places // of the records, by entry
	entries   uint32    // that were ever given out
	free      []uint32  // entries whose keys were removed
	segments  segments
	beside    map[uint32][]byte // values that are too long for a segment, by entry
	keys      index             // all entries, in the order of their keys
	deadlines index             // those that have one
	len, live int
}

// places are of entries whose numbers follow each other, placeLen bytes each.
type places [pageLen * placeLen]byte

// pageLen is how many places are allocated at once.
const pageLen = 256

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store. The seed makes hashes hard to foresee for clients who choose
// keys; nothing that the store answers depends on it.
func NewMemory(seed uint64) *Memory {
	m := &Memory{seed: seed}
	m.Clear()
	return m
}

// Get implements [Store].
func (m *Memory) Get(key string) (Record, bool) {
	n, ok := m.find(hash.Sum32(m.seed, key), key)
	if !ok {
		return Record{}, false
	}
	return m.record(n), true
}

// Put implements [Store].
func (m *Memory) Put(key string, r Record) {
	h := hash.Sum32(m.seed, key)
	n, known := m.find(h, key)
	var before uint64 // its deadline
	if known {
		before = m.retire(n)
	} else {
		n = m.newEntry()
	}

	m.setPlace(n, m.segments.append(n, key, &r))
	if len(r.Value) > inlineMost {
		m.beside[n] = r.Value
	}
	if r.Kind == KindValue {
		m.live++
	}
	if !known {
		m.hashes.insert(h, n)
		m.keys.insert(prefixOf(key), key, n)
		m.len++
	}
	m.setDeadline(n, key, before, r.Expires)
	if known {
		m.clean()
	}
}

// Remove implements [Store].
func (m *Memory) Remove(key string) {
	h := hash.Sum32(m.seed, key)
	n, known := m.find(h, key)
	if !known {
		return
	}
	m.setDeadline(n, key, m.retire(n), 0)
	m.keys.remove(prefixOf(key), key)
	m.hashes.remove(h, n)
	m.len--

	m.setPlace(n, 0)
	m.free = append(m.free, n)
	m.clean()
}

// Clear implements [Store].
func (m *Memory) Clear() {
	*m = Memory{
		seed: m.seed, hashes: newHashes(), beside: map[uint32][]byte{},
		segments: newSegments(), keys: index{key: m.key}, deadlines: index{key: m.key},
	}
}

// Len implements [Store].
func (m *Memory) Len() int { return m.len }

// Live implements [Store].
func (m *Memory) Live() int { return m.live }

// Ascend implements [Store].
func (m *Memory) Ascend(from string, fn func(key string, r Record) bool) {
	m.keys.ascend(prefixOf(from), from, func(_ uint64, n uint32) bool {
		return fn(string(m.key(n)), m.record(n))
	})
}

// Due implements [Store].
func (m *Memory) Due(by uint64, fn func(key string, r Record) bool) {
	m.deadlines.ascend(0, "", func(expires uint64, n uint32) bool {
		return expires <= by && fn(string(m.key(n)), m.record(n))
	})
}

// record returns the record of an entry.
func (m *Memory) record(n uint32) Record {
	r, beside := m.segments.get(m.place(n))
	if beside {
		r.Value = m.beside[n]
	}
	return r
}

// key returns the key of an entry.
func (m *Memory) key(n uint32) []byte { return m.segments.key(m.place(n)) }

// place is where an entry's record stands.
func (m *Memory) place(n uint32) place {
	b := m.places[n/pageLen][n%pageLen*placeLen:]
	return place(binary.LittleEndian.Uint32(b)) | place(b[4])<<32
}

func (m *Memory) setPlace(n uint32, p place) {
	b := m.places[n/pageLen][n%pageLen*placeLen:]
	binary.LittleEndian.PutUint32(b, uint32(p))
	b[4] = byte(p >> 32)
}

// newEntry returns an entry whose record stands nowhere.
func (m *Memory) newEntry() uint32 {
	if n := len(m.free); n > 0 {
		e := m.free[n-1]
		m.free = m.free[:n-1]
		return e
	}
	e := m.entries
	m.entries++
	if e%pageLen == 0 {
		m.places = append(m.places, new(places))
	}
	return e
}

// retire takes the record of an entry out of the counts, before another one takes its place, and
// returns its deadline. Its key can still be read.
func (m *Memory) retire(n uint32) (expires uint64) {
	kind, beside, expires := m.segments.drop(m.place(n))
	if kind == KindValue {
		m.live--
	}
	if beside {
		delete(m.beside, n)
	}
	return expires
}

// setDeadline moves an entry to its place in the order of deadlines, if it is to have one.
func (m *Memory) setDeadline(n uint32, key string, before, expires uint64) {
	if before == expires {
		return
	}
	if before > 0 {
		m.deadlines.remove(before, key)
	}
	if expires > 0 {
		m.deadlines.insert(expires, key, n)
	}
}

// clean moves what is left of a segment to the newest one, if too many bytes belong to nobody. One
// turn of it frees more than a Put can leave behind.
func (m *Memory) clean() {
	if !m.segments.isCrowded() {
		return
	}
	victim := m.segments.worst()
	if victim < 0 {
		return
	}

	for left := m.segments.all[victim].data; len(left) > 0; {
		n, _, length := headOf(left)
		if n != nobody {
			m.setPlace(n, m.segments.move(left[:length]))
		}
		left = left[length:]
	}
	m.segments.clear(victim)
}

// find returns the entry of a key whose hash is h.
func (m *Memory) find(h uint32, key string) (n uint32, ok bool) {
	for _, x := range m.hashes.find(h) {
		if x.hash() != h {
			break
		}
		if string(m.key(x.entry())) == key {
			return x.entry(), true
		}
	}
	return 0, false
}
