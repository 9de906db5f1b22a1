package store

import (
	"cmp"
	"slices"
)

const (
	slabLen  = 128 // entries allocated at once
	blockMax = 256 // keys in a block of the index before it splits
)

// Memory is a [Store] in memory: a hash map for Get and Put, and beside it an
// ordered index that only a key's first Put touches. So the cost of Get and of
// overwriting is that of a map (one lookup, no allocation). A new key also pays for
// its place in the index at once, O(log n) comparisons and a move of at most a block,
// rather than leaving a sort of everything to the first Ascend: that sort would hold
// up a replica with a million keys for longer than the others wait before they suspect
// it.
//
// Measured by BenchmarkMemory on one core of 2025, with 1,000 and with 1,000,000 keys
// of 16 bytes: Get 12 and 170 ns, overwriting 28 and 260 ns, a new key 0.3 and 2 µs,
// Ascend over 100 keys 0.8 and 6 µs. Memory per key, beyond the bytes of key and value:
// 172 bytes.
type Memory struct {
	entries map[string]*entry
	slab    []entry  // room for new entries; an entry never moves
	index   [][]slot // non-empty blocks of at most blockMax slots, in key order
}

type entry struct {
	key    string
	record Record
}

// slot repeats the start of the key, so that most comparisons of a search need not
// follow the pointer (a cache miss each). Numbers compare as the bytes do.
type slot struct {
	prefix uint64
	entry  *entry
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{entries: make(map[string]*entry)} }

// Get implements [Store].
func (m *Memory) Get(key string) (Record, bool) {
	if e := m.entries[key]; e != nil {
		return e.record, true
	}
	return Record{}, false
}

// Put implements [Store].
func (m *Memory) Put(key string, r Record) {
	if e := m.entries[key]; e != nil {
		e.record = r
		return
	}
	if len(m.slab) == 0 {
		m.slab = make([]entry, slabLen)
	}
	e := &m.slab[0]
	m.slab = m.slab[1:]
	e.key, e.record = key, r
	m.entries[key] = e
	m.insert(slot{prefix: prefixOf(key), entry: e})
}

// Clear implements [Store].
func (m *Memory) Clear() { *m = *NewMemory() }

// Len implements [Store].
func (m *Memory) Len() int { return len(m.entries) }

// Ascend implements [Store].
func (m *Memory) Ascend(from string, fn func(key string, r Record) bool) {
	b := m.blockOf(from)
	if b == len(m.index) {
		return
	}
	at, _ := find(m.index[b], from)
	for ; b < len(m.index); b, at = b+1, 0 {
		for _, s := range m.index[b][at:] {
			if !fn(s.entry.key, s.entry.record) {
				return
			}
		}
	}
}

// insert puts a key that the index does not hold yet at its place. A full block is
// cut in the middle; but a key above all others begins a block of its own, so that
// keys that arrive in rising order leave full blocks behind, not half-full ones.
func (m *Memory) insert(s slot) {
	b := m.blockOf(s.entry.key)
	if b < len(m.index) && len(m.index[b]) == blockMax {
		block := m.index[b]
		cut := blockMax / 2
		if b == len(m.index)-1 && block[blockMax-1].compare(s.prefix, s.entry.key) < 0 {
			cut = blockMax
		}
		right := append(make([]slot, 0, blockMax), block[cut:]...)
		clear(block[cut:])
		m.index[b] = block[:cut]
		m.index = slices.Insert(m.index, b+1, right)
		if cut == blockMax || right[0].compare(s.prefix, s.entry.key) < 0 {
			b++
		}
	}
	if b == len(m.index) {
		m.index = append(m.index, make([]slot, 0, blockMax))
	}
	at, _ := find(m.index[b], s.entry.key)
	m.index[b] = slices.Insert(m.index[b], at, s)
}

// blockOf returns the block where key is or belongs: the last one whose first key is
// not above key, else the first. It is len(index) only for an empty index.
func (m *Memory) blockOf(key string) int {
	prefix := prefixOf(key)
	lo, hi := 0, len(m.index)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if m.index[mid][0].compare(prefix, key) > 0 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(lo-1, 0)
}

func find(block []slot, key string) (int, bool) {
	prefix := prefixOf(key)
	return slices.BinarySearchFunc(block, key, func(s slot, key string) int { return s.compare(prefix, key) })
}

func (s slot) compare(prefix uint64, key string) int {
	if c := cmp.Compare(s.prefix, prefix); c != 0 {
		return c
	}
	return cmp.Compare(s.entry.key, key)
}

// prefixOf returns the first eight bytes of key as a number, filled up with zeros:
// for any two keys, a smaller number means a smaller key; equal ones say nothing.
func prefixOf(key string) uint64 {
	var p uint64
	for i := range 8 {
		p <<= 8
		if i < len(key) {
			p |= uint64(key[i])
		}
	}
	return p
}
