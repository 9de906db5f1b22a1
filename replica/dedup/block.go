package dedup

import "encoding/binary"

// An entry in its block: the length of its ID, the distance back to the entry before it
// with the same hash (0: none), then, with an ID, the ID and the digest (8 bytes); rID,
// position, timestamp and time as differences to the block's base.

// put writes an entry behind the others, and returns its length.
func (b *block) put(e *Entry, back uint64) int {
	w := b.data[b.used:b.used]
	w = binary.AppendUvarint(w, uint64(len(e.ID)))
	w = binary.AppendUvarint(w, back)
	if e.ID != "" {
		w = append(w, e.ID...)
		w = binary.LittleEndian.AppendUint64(w, e.Digest)
	}
	w = binary.AppendVarint(w, int64(e.RID-b.base.RID))
	w = binary.AppendVarint(w, int64(e.Position-b.base.Position))
	w = binary.AppendVarint(w, int64(e.Timestamp-b.base.Timestamp))
	w = binary.AppendVarint(w, int64(e.Time-b.base.Time))
	return len(w)
}

// get reads the entry at a place: what it is, its length, and the distance back.
func (b *block) get(at int) (e Entry, length int, back uint64) {
	r := reader{b: b.data[at:b.used]}
	n := int(r.uint())
	back = r.uint()
	if n > 0 {
		e.ID = string(r.bytes(n))
		e.Digest = binary.LittleEndian.Uint64(r.bytes(8))
	}
	e.RID = b.base.RID + uint64(r.int())
	e.Position = b.base.Position + uint64(r.int())
	e.Timestamp = b.base.Timestamp + uint64(r.int())
	e.Time = b.base.Time + uint64(r.int())
	return e, b.used - at - len(r.b), back
}

// length is get's, without the entry.
func (b *block) length(at int) int {
	r := reader{b: b.data[at:b.used]}
	n := int(r.uint())
	r.uint()
	if n > 0 {
		r.bytes(n + 8)
	}
	for range 4 {
		r.int()
	}
	return b.used - at - len(r.b)
}

// back is get's, without the entry.
func (b *block) back(at int) uint64 {
	r := reader{b: b.data[at:b.used]}
	r.uint()
	return r.uint()
}

// is reports whether the entry at a place has an identity.
func (b *block) is(at int, id string, rid uint64) bool {
	r := reader{b: b.data[at:b.used]}
	n := int(r.uint())
	r.uint()
	if n != len(id) {
		return false
	}
	if n > 0 {
		return string(r.bytes(n)) == id
	}
	return b.base.RID+uint64(r.int()) == rid
}

// reader reads what put wrote.
type reader struct{ b []byte }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}
