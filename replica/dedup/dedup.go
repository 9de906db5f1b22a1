// Package dedup is a memory of requests that had their place in the order: identity → first
// outcome. It promises to hold millions of them in few bytes each. It is a queue, oldest first:
// entries are added at one end and forgotten at the other, and are found by their identity. It is
// pure, and what it answers depends on nothing but what was added and forgotten: two replicas with
// the same calls know the same.
//
// An entry stands in a block of bytes without pointers (the garbage collector passes over
// them), as differences to the first one of its block. [Numbers] lead from an rID to the newest
// entry with it, [Names] from a client's id whose client numbers its requests; a map leads from 32
// bits of a hash of any other id to the newest with that hash, and each entry to the one before it
// with the same. A long result stands beside its block.
package dedup

import (
	"encoding/binary"

	"quartet/bus/model"
	"quartet/replica/internal/hash"
)

// Entry is a request that had its place. Without ID and RID it is nobody's, for what changed
// without a request of its own: it is counted and forgotten as all others, and not found.
type Entry struct {
	ID        string // the client's; "": the identity is RID
	RID       uint64
	Digest    uint64 // of the request; only with an ID
	Position  uint64 // strong sets
	Timestamp uint64 // causal sets
	Time      uint64 // when it had its place; never falls from one entry to the next

	// What else its answer said. Few have any of these.
	Code     model.Code
	Revision uint64
	Result   []byte // shared, never written to
}

// Cost is how many bytes an entry counts for in [Memory.Cost]: about what it takes. It
// depends on the entry alone, so that replicas forget the same entries for lack of room.
func (e *Entry) Cost() int {
	n := overhead + len(e.ID) + len(e.Result)
	switch {
	case e.beside():
		n += overheadBeside
	case e.says():
		n += overheadSays
	}
	return n
}

// says reports whether the answer said more than most do.
func (e *Entry) says() bool { return e.Code != 0 || e.Revision != 0 || len(e.Result) > 0 }

// beside reports whether the result stands beside the block.
func (e *Entry) beside() bool { return len(e.Result) > inlineResult }

// nobodys reports whether the entry cannot be found.
func (e *Entry) nobodys() bool { return e.ID == "" && e.RID == 0 }

// What an entry takes beside its id and its result, about.
const (
	overhead       = 38 // 15 to 30 bytes in its block, and 14 in the map
	overheadSays   = 6  // code, revision and length of the result
	overheadBeside = 40 // and the result's slice, with what Go rounds it up by
)

// inlineResult is the length of results, in bytes, up to which they stand in the block: a sum
// does, and the results of a small transaction.
const inlineResult = 64

// Memory is the memory. The zero value is not ready: see [New]. It has one owner.
type Memory struct {
	seed   uint64
	byRID  Numbers           // of entries without an id: offset of the newest
	names  Names             // of entries whose ids it has: offset of the newest
	byID   map[uint32]uint32 // hash of an id → offset of the newest entry with it
	blocks []*block          // oldest first
	spare  *block
	first  uint64 // offset of the first byte of blocks[0]
	head   uint64 // offset of the oldest entry
	tail   uint64 // offset behind the newest
	count  int
	cost   int
	bytes  int // of results
}

// block is blockBytes of offsets, of which the last few may be unused: no entry is in two.
type block struct {
	base    Entry // what its entries are written as differences to
	used    int
	count   int      // entries, with those that are forgotten
	results [][]byte // the long ones, in the order of their entries
	freed   int      // of those
	data    []byte   // blockBytes: apart, so that the garbage collector passes over them
}

// blockBytes is much more than the largest entry: 256 bytes of ID, a result and ten numbers.
const blockBytes = 1 << 16

const largestEntry = 256 + inlineResult + 11*binary.MaxVarintLen64

// MaxCost is the greatest sum of costs that a Memory can hold: an offset is written with
// 32 bits.
const MaxCost = 1 << 31

// New returns an empty memory. The seed makes hashes hard to foresee for clients who choose
// identities; nothing that the memory answers depends on it.
func New(seed uint64) *Memory {
	return &Memory{seed: seed, byID: map[uint32]uint32{}}
}

// Len returns how many entries there are.
func (m *Memory) Len() int { return m.count }

// Cost returns the sum of the entries' costs.
func (m *Memory) Cost() int { return m.cost }

// Results returns how many bytes the entries' results have.
func (m *Memory) Results() int { return m.bytes }

// Add remembers an entry as the newest.
func (m *Memory) Add(e *Entry) {
	b := m.room(e)
	var by way
	if !e.nobodys() {
		by = m.link(e)
	}

	n := b.put(e, by)
	b.used += n
	b.count++
	m.tail += uint64(n)
	m.count++
	m.cost += e.Cost()
	m.bytes += len(e.Result)
}

// link makes e, the next entry, the newest with its identity, and returns how it is found: with an
// id that has no name, how far back the one before it is with the same hash; 0: there is none.
func (m *Memory) link(e *Entry) (by way) {
	if e.ID == "" {
		m.byRID.Set(e.RID, uint32(m.tail))
		return way{}
	}
	if by.name = m.names.Enter(e.ID, uint32(m.tail)); !by.name.IsZero() {
		return by
	}

	h := hash.Sum32(m.seed, e.ID)
	low, had := m.byID[h]
	m.byID[h] = uint32(m.tail)
	if !had {
		return way{}
	}
	if p := m.offset(low); p >= m.head {
		by.back = m.tail - p
	}
	return by
}

// unlink takes the oldest entry out of what leads to entries.
func (m *Memory) unlink(e *Entry, by way) {
	switch {
	case e.nobodys(): // nothing leads to it
	case !by.name.IsZero(): // a prefix and a number
		m.names.Leave(by.name, uint32(m.head))
	case e.ID == "": // the client gave none: it is known by its rID
		m.byRID.Drop(e.RID, uint32(m.head))
	default:
		if h := hash.Sum32(m.seed, e.ID); m.byID[h] == uint32(m.head) {
			delete(m.byID, h)
		}
	}
}

// room returns the block that the next entry goes into.
func (m *Memory) room(e *Entry) *block {
	if n := len(m.blocks); n > 0 && m.blocks[n-1].used <= blockBytes-largestEntry {
		return m.blocks[n-1]
	}
	b := m.spare
	if b == nil {
		b = &block{data: make([]byte, blockBytes)}
	}
	m.spare = nil
	b.base, b.used, b.count = *e, 0, 0
	b.results, b.freed = nil, 0
	b.base.ID, b.base.Result = "", nil

	if m.count == 0 {
		m.blocks = m.blocks[:0]
		m.first = (m.tail + blockBytes - 1) / blockBytes * blockBytes
		m.head = m.first
	}
	m.blocks = append(m.blocks, b)
	m.tail = m.first + uint64(len(m.blocks)-1)*blockBytes
	return b
}

// offset returns the offset whose lower 32 bits these are: the last one before the tail.
func (m *Memory) offset(low uint32) uint64 {
	return m.tail - uint64(uint32(m.tail)-low)
}

// Lookup returns the newest entry with an identity: the id, or, if that is "", the rID.
func (m *Memory) Lookup(id string, rid uint64) (Entry, bool) {
	isNobodys := id == "" && rid == 0
	if isNobodys || m.count == 0 {
		return Entry{}, false
	}

	p, ok := m.newest(id, rid)
	if !ok {
		return Entry{}, false
	}
	e, _, _ := m.entry(p)
	return e, true
}

// newest returns the offset of the newest entry with an identity.
func (m *Memory) newest(id string, rid uint64) (p uint64, ok bool) {
	if id == "" {
		low, ok := m.byRID.Get(rid)
		return m.offset(low), ok
	}

	// One may have come before its id had a name, and another one later.
	low, isNamed := m.names.Find(id)
	plain, isPlain := m.chained(id)
	if !isNamed {
		return plain, isPlain
	}
	p = m.offset(low)
	if isPlain {
		p = max(p, plain)
	}
	return p, true
}

// chained returns the offset of the newest entry with an id that has no name.
func (m *Memory) chained(id string) (p uint64, ok bool) {
	low, ok := m.byID[hash.Sum32(m.seed, id)]
	if !ok {
		return 0, false
	}
	for p = m.offset(low); p >= m.head; {
		b, at := m.at(p)
		if b.is(at, id, 0) {
			return p, true
		}
		back := b.back(at)
		if back == 0 || back > p {
			break
		}
		p -= back
	}
	return 0, false
}

// entry returns the whole entry at an offset.
func (m *Memory) entry(p uint64) (e Entry, length int, by way) {
	b, at := m.at(p)
	e, length, by = b.get(at)
	if !by.name.IsZero() {
		e.ID = m.names.ID(by.name)
	}
	return e, length, by
}

// Oldest returns the oldest entry.
func (m *Memory) Oldest() (Entry, bool) {
	if m.count == 0 {
		return Entry{}, false
	}
	e, _, _ := m.entry(m.head)
	return e, true
}

// Forget removes the oldest entry.
func (m *Memory) Forget() {
	if m.count == 0 {
		return
	}
	e, n, by := m.entry(m.head)
	b, _ := m.at(m.head)
	m.unlink(&e, by)
	b.drop(&e)
	m.count--
	m.cost -= e.Cost()
	m.bytes -= len(e.Result)

	if m.count == 0 {
		seed, tail, spare := m.seed, m.tail, b
		*m = *New(seed) // a map that has been large never becomes smaller
		m.tail, m.spare = tail, spare
		return
	}
	m.head += uint64(n)
	if m.head-m.first >= uint64(b.used) {
		m.spare = b
		m.blocks[0] = nil
		m.blocks = m.blocks[1:]
		m.first += blockBytes
		m.head = m.first
	}
}

// Each calls f for the entries from the one with an index (0: the oldest) on, until f
// returns false.
func (m *Memory) Each(from int, f func(*Entry) bool) {
	i := 0
	for k, b := range m.blocks {
		at := 0
		if k == 0 {
			at = int(m.head - m.first)
		}
		if n := b.count; k > 0 && i+n <= from { // all of it is passed over
			i += n
			continue
		}
		for at < b.used {
			if i < from {
				at += b.length(at)
				i++
				continue
			}
			e, n, by := b.get(at)
			if !by.name.IsZero() {
				e.ID = m.names.ID(by.name)
			}
			if !f(&e) {
				return
			}
			at += n
			i++
		}
	}
}

// at returns the block of an offset, and where in it.
func (m *Memory) at(p uint64) (*block, int) {
	d := p - m.first
	return m.blocks[d/blockBytes], int(d % blockBytes)
}
