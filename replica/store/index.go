package store

import (
	"cmp"
	"slices"
)

const (
	blockMax = 256          // slots in a block before it splits
	blockLow = blockMax / 4 // a block that falls below this looks for a neighbour to join
)

// index holds entries in an order: by a number that goes with each and, where that is the same, by
// key. With the first bytes of the key for the number that is the order of keys (prefixOf), with
// the deadline it is that of deadlines. Non-empty blocks of at most blockMax slots stand in order.
//
// It is own code, and not one of the B-trees that there are, for its size: a slot is 16 bytes, and
// blocks that were filled in rising order are full. google/btree and tidwall/btree cut a full node
// in the middle also then (deadlines come in rising order where all values live equally long), so
// that a slot takes twice as much.
type index [][]slot

// slot repeats the number, so that most comparisons of a search need not follow the pointer (a
// cache miss each).
type slot struct {
	number uint64
	entry  *entry
}

func (s slot) compare(number uint64, key string) int {
	if c := cmp.Compare(s.number, number); c != 0 {
		return c
	}
	return cmp.Compare(s.entry.key, key)
}

// insert puts a slot that the index does not hold yet at its place. A full block is
// cut in the middle; but a slot above all others begins a block of its own, so that
// slots that arrive in rising order leave full blocks behind, not half-full ones.
func (x *index) insert(s slot) {
	blocks := *x
	b := blocks.blockOf(s.number, s.entry.key)
	if b < len(blocks) && len(blocks[b]) == blockMax {
		block := blocks[b]
		cut := blockMax / 2
		if b == len(blocks)-1 && block[blockMax-1].compare(s.number, s.entry.key) < 0 {
			cut = blockMax
		}

		right := append(make([]slot, 0, blockMax), block[cut:]...)
		clear(block[cut:])
		blocks[b] = block[:cut]
		blocks = slices.Insert(blocks, b+1, right)
		if cut == blockMax || right[0].compare(s.number, s.entry.key) < 0 {
			b++
		}
	}

	if b == len(blocks) {
		blocks = append(blocks, make([]slot, 0, blockMax))
	}
	at, _ := find(blocks[b], s.number, s.entry.key)
	blocks[b] = slices.Insert(blocks[b], at, s)
	*x = blocks
}

// remove takes a slot out, if it is there. A block that has become small joins a neighbour
// where both together leave room for more, so that an index that shrinks gives memory back.
func (x *index) remove(number uint64, key string) {
	blocks := *x
	b := blocks.blockOf(number, key)
	if b == len(blocks) {
		return
	}
	at, found := find(blocks[b], number, key)
	if !found {
		return
	}

	blocks[b] = slices.Delete(blocks[b], at, at+1)
	if len(blocks[b]) >= blockLow {
		return
	}
	switch {
	case len(blocks[b]) == 0:
		*x = slices.Delete(blocks, b, b+1)
	case b > 0 && blocks.joinable(b-1):
		x.join(b - 1)
	case b+1 < len(blocks) && blocks.joinable(b):
		x.join(b)
	}
}

// joinable reports whether block b and the one behind it leave a quarter of a block free.
func (x index) joinable(b int) bool { return len(x[b])+len(x[b+1]) <= blockMax*3/4 }

// join appends the block behind b to b.
func (x *index) join(b int) {
	blocks := *x
	blocks[b] = append(blocks[b], blocks[b+1]...)
	*x = slices.Delete(blocks, b+1, b+2)
}

// ascend calls fn for every entry that is not below a place, in order, until fn returns false.
func (x index) ascend(number uint64, key string, fn func(slot) bool) {
	b := x.blockOf(number, key)
	if b == len(x) {
		return
	}
	at, _ := find(x[b], number, key)
	for ; b < len(x); b, at = b+1, 0 {
		for _, s := range x[b][at:] {
			if !fn(s) {
				return
			}
		}
	}
}

// blockOf returns the block where a slot is or belongs: the last one whose first slot is
// not above it, else the first. It is len(x) only for an empty index.
func (x index) blockOf(number uint64, key string) int {
	lo, hi := 0, len(x)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x[mid][0].compare(number, key) > 0 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(lo-1, 0)
}

func find(block []slot, number uint64, key string) (int, bool) {
	return slices.BinarySearchFunc(block, key, func(s slot, key string) int { return s.compare(number, key) })
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
