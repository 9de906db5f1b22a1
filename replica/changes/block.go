package changes

import (
	"encoding/binary"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/internal/varint"
)

// A change in its block: its kind, or isBeside where all of it stands beside; the length of the key
// and the key; the revision, as a difference to the block's first; epoch, time as a difference to
// the revision, node, number and deadline; the value, to the end. Numbers are varints
// (encoding/binary).
//
// But for a kind that becomes isBeside, what stands in a block never changes: keys and values are
// handed out where they stand.

// isBeside is no kind.
const isBeside = 0xff

// inlineMost is the length of values, in bytes, up to which they are copied into a block. Longer
// ones are kept as they were handed in, with their change.
const inlineMost = 1 << 10

// block is up to blockLen changes, without a pointer for each, so the garbage collector passes over
// them.
type block struct {
	base   uint64                 // what the revisions are differences to
	data   []byte                 // one change behind the other
	ends   []uint32               // where each ends in data
	beside map[int]message.Change // by their place in the block
}

// newBlock returns an empty block with room for so many bytes.
func newBlock(base uint64, room int) *block {
	return &block{base: base, data: make([]byte, 0, room), ends: make([]uint32, 0, blockLen)}
}

func (b *block) len() int { return len(b.ends) }

// append takes the next change.
func (b *block) append(c *message.Change) {
	if len(c.Value) > inlineMost {
		b.put(b.len(), c)
		b.data = append(b.data, isBeside)
	} else {
		b.data = b.encode(c)
	}
	b.ends = append(b.ends, uint32(len(b.data)))
}

// put keeps a change beside the block.
func (b *block) put(i int, c *message.Change) {
	if b.beside == nil {
		b.beside = map[int]message.Change{}
	}
	b.beside[i] = *c
}

// replace puts another change in the place of one.
func (b *block) replace(i int, c *message.Change) {
	b.put(i, c)
	b.data[b.start(i)] = isBeside
}

// drop forgets what stands beside the block of a change that is not kept any more.
func (b *block) drop(i int) { delete(b.beside, i) }

// seal gives room back that a full block does not need.
func (b *block) seal() {
	if cap(b.data)-len(b.data) > len(b.data)/16 {
		b.data = append(make([]byte, 0, len(b.data)), b.data...)
	}
}

func (b *block) encode(c *message.Change) []byte {
	d := append(b.data, byte(c.Kind))
	d = binary.AppendUvarint(d, uint64(len(c.Key)))
	d = append(d, c.Key...)
	d = binary.AppendVarint(d, int64(c.Revision-b.base))
	d = binary.AppendUvarint(d, c.Version.Epoch)
	d = binary.AppendVarint(d, int64(c.Version.Time-c.Revision))
	d = binary.AppendUvarint(d, uint64(c.Version.Node))
	d = binary.AppendUvarint(d, c.Number)
	d = binary.AppendUvarint(d, c.Expires)
	return append(d, c.Value...)
}

// start is where a change begins.
func (b *block) start(i int) int {
	if i == 0 {
		return 0
	}
	return int(b.ends[i-1])
}

// reader reads the change at a place, behind its kind, if it does not stand beside.
func (b *block) reader(i int) (kind byte, r varint.Reader) {
	at, end := b.start(i), b.ends[i]
	return b.data[at], varint.Reader{Rest: b.data[at+1 : end : end]}
}

// get returns the change at a place.
func (b *block) get(i int) message.Change {
	kind, r := b.reader(i)
	if kind == isBeside {
		return b.beside[i]
	}
	c := message.Change{Kind: message.ChangeKind(kind), Key: string(textOf(&r))}
	c.Revision = b.base + uint64(r.Int())
	c.Version = lamport.Version{Epoch: r.Uint()}
	c.Version.Time = c.Revision + uint64(r.Int())
	c.Version.Node = lamport.Node(r.Uint())
	c.Number, c.Expires = r.Uint(), r.Uint()
	if hasValue := c.Kind == message.ChangeSet || len(r.Rest) > 0; hasValue { // an empty one is no nil
		c.Value = r.Rest
	}
	return c
}

// key returns the key of the change at a place.
func (b *block) key(i int) []byte {
	kind, r := b.reader(i)
	if kind == isBeside {
		return []byte(b.beside[i].Key)
	}
	return textOf(&r)
}

// revision returns the revision of the change at a place.
func (b *block) revision(i int) uint64 {
	kind, r := b.reader(i)
	if kind == isBeside {
		return b.beside[i].Revision
	}
	textOf(&r)
	return b.base + uint64(r.Int())
}

// size is the Size of the change at a place.
func (b *block) size(i int) int {
	kind, r := b.reader(i)
	if kind == isBeside {
		c := b.beside[i]
		return c.Size()
	}
	key := len(textOf(&r))
	for range 6 { // what stands between key and value
		r.Uint()
	}
	return key + len(r.Rest)
}

// textOf reads a length and as many bytes.
func textOf(r *varint.Reader) []byte { return r.Bytes(int(r.Uint())) }
