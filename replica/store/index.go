package store

import (
	"cmp"
	"slices"
)

const (
	blockMax = 256          // entries in a block before it splits
	blockLow = blockMax / 4 // a block that falls below this looks for a neighbour to join
)

// index holds entries in an order: by a number that goes with each and, where that is the same, by
// key. With the first bytes of the key for the number that is the order of keys (prefixOf), with
// the deadline it is that of deadlines. Non-empty blocks of at most blockMax entries stand in
// order.
//
// It is own code, and not one of the B-trees that there are, for its size: an entry is 12 bytes,
// and blocks that were filled in rising order are full. google/btree and tidwall/btree cut a full
// node in the middle also then (deadlines come in rising order where all values live equally long),
// so that an entry takes twice as much.
type index struct {
	blocks []block
	key    func(entry uint32) []byte // the key of an entry
}

// block is entries beside their numbers: of the same length. Most comparisons of a search need the
// number alone, and do not look for the key (a cache miss each).
type block struct {
	numbers []uint64
	entries []uint32
}

func newBlock() block {
	return block{numbers: make([]uint64, 0, blockMax), entries: make([]uint32, 0, blockMax)}
}

func (b *block) len() int { return len(b.entries) }

// take appends the entries of another block from one of its places on, and cuts them off there.
func (b *block) take(from *block, at int) {
	b.numbers = append(b.numbers, from.numbers[at:]...)
	b.entries = append(b.entries, from.entries[at:]...)
	from.numbers, from.entries = from.numbers[:at], from.entries[:at]
}

// compare is the order of a place in a block and of a number with a key.
func (x *index) compare(b *block, at int, number uint64, key string) int {
	if c := cmp.Compare(b.numbers[at], number); c != 0 {
		return c
	}
	switch k := x.key(b.entries[at]); {
	case string(k) < key:
		return -1
	case string(k) > key:
		return 1
	}
	return 0
}

// insert puts an entry that the index does not hold yet at its place. A full block is cut in the
// middle; but an entry above all others begins a block of its own, so that entries that arrive in
// rising order leave full blocks behind, not half-full ones.
func (x *index) insert(number uint64, key string, entry uint32) {
	b := x.blockOf(number, key)
	if b < len(x.blocks) && x.blocks[b].len() == blockMax {
		b = x.split(b, number, key)
	}

	if b == len(x.blocks) {
		x.blocks = append(x.blocks, newBlock())
	}
	block := &x.blocks[b]
	at, _ := x.find(block, number, key)
	block.numbers = slices.Insert(block.numbers, at, number)
	block.entries = slices.Insert(block.entries, at, entry)
}

// split cuts the full block b in two, and returns which of them a new entry belongs to.
func (x *index) split(b int, number uint64, key string) int {
	full := &x.blocks[b]
	cut := blockMax / 2
	if b == len(x.blocks)-1 && x.compare(full, blockMax-1, number, key) < 0 {
		cut = blockMax
	}

	right := newBlock()
	right.take(full, cut)
	x.blocks = slices.Insert(x.blocks, b+1, right)
	if cut == blockMax || x.compare(&right, 0, number, key) < 0 {
		return b + 1
	}
	return b
}

// remove takes an entry out, if it is there. A block that has become small joins a neighbour
// where both together leave room for more, so that an index that shrinks gives memory back.
func (x *index) remove(number uint64, key string) {
	b := x.blockOf(number, key)
	if b == len(x.blocks) {
		return
	}
	block := &x.blocks[b]
	at, found := x.find(block, number, key)
	if !found {
		return
	}

	block.numbers = slices.Delete(block.numbers, at, at+1)
	block.entries = slices.Delete(block.entries, at, at+1)
	if block.len() >= blockLow {
		return
	}
	switch {
	case block.len() == 0:
		x.blocks = slices.Delete(x.blocks, b, b+1)
	case b > 0 && x.joinable(b-1):
		x.join(b - 1)
	case b+1 < len(x.blocks) && x.joinable(b):
		x.join(b)
	}
}

// joinable reports whether block b and the one behind it leave a quarter of a block free.
func (x *index) joinable(b int) bool {
	return x.blocks[b].len()+x.blocks[b+1].len() <= blockMax*3/4
}

// join appends the block behind b to b.
func (x *index) join(b int) {
	x.blocks[b].take(&x.blocks[b+1], 0)
	x.blocks = slices.Delete(x.blocks, b+1, b+2)
}

// ascend calls fn for every entry that is not below a place, in order, until fn returns false.
func (x *index) ascend(number uint64, key string, fn func(number uint64, entry uint32) bool) {
	b := x.blockOf(number, key)
	if b == len(x.blocks) {
		return
	}
	at, _ := x.find(&x.blocks[b], number, key)
	for ; b < len(x.blocks); b, at = b+1, 0 {
		block := &x.blocks[b]
		for ; at < block.len(); at++ {
			if !fn(block.numbers[at], block.entries[at]) {
				return
			}
		}
	}
}

// blockOf returns the block where an entry is or belongs: the last one whose first entry is
// not above it, else the first. It is the number of blocks only for an empty index.
func (x *index) blockOf(number uint64, key string) int {
	lo, hi := 0, len(x.blocks)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x.compare(&x.blocks[mid], 0, number, key) > 0 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(lo-1, 0)
}

// find returns the first place in a block that is not below a number with a key, and whether it
// has them.
func (x *index) find(b *block, number uint64, key string) (at int, found bool) {
	lo, hi := 0, b.len()
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := x.compare(b, mid, number, key); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
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
