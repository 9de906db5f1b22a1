package dedup

import (
	"bytes"
	"encoding/binary"

	"quartet/bus/model"
)

// An entry in its block: twice the length of its ID, and 1 more if its answer said more than most
// do; the distance back to the entry before it with the same hash (0: none); then, with an ID, the
// ID and the digest (8 bytes); rID, position, timestamp and time as differences to the block's
// base. Where the answer said more: the code, the revision, and twice the length of the result with
// the result behind it, or twice its index beside the block and 1 more.

// put writes an entry behind the others, and returns its length.
func (b *block) put(e *Entry, back uint64) int {
	w := b.data[b.used:b.used]
	w = binary.AppendUvarint(w, flagged(len(e.ID), e.says()))
	w = binary.AppendUvarint(w, back)
	if e.ID != "" {
		w = append(w, e.ID...)
		w = binary.LittleEndian.AppendUint64(w, e.Digest)
	}
	w = binary.AppendVarint(w, int64(e.RID-b.base.RID))
	w = binary.AppendVarint(w, int64(e.Position-b.base.Position))
	w = binary.AppendVarint(w, int64(e.Timestamp-b.base.Timestamp))
	w = binary.AppendVarint(w, int64(e.Time-b.base.Time))
	if e.says() {
		w = b.putAnswer(w, e)
	}
	return len(w)
}

// putAnswer appends what else an entry's answer said.
func (b *block) putAnswer(w []byte, e *Entry) []byte {
	w = binary.AppendUvarint(w, uint64(e.Code))
	w = binary.AppendUvarint(w, e.Revision)
	if !e.beside() {
		return append(binary.AppendUvarint(w, flagged(len(e.Result), false)), e.Result...)
	}
	b.results = append(b.results, e.Result)
	return binary.AppendUvarint(w, flagged(len(b.results)-1, true))
}

// flagged is a number that says something more; unflagged takes it apart.
func flagged(n int, flag bool) uint64 {
	if flag {
		return uint64(n)<<1 | 1
	}
	return uint64(n) << 1
}

func unflagged(v uint64) (n int, flag bool) { return int(v >> 1), v&1 == 1 }

// get reads the entry at an offset: what it is, its length, and the distance back.
func (b *block) get(at int) (e Entry, length int, back uint64) {
	r := reader{b: b.data[at:b.used]}
	n, says := unflagged(r.uint())
	back = r.uint()
	if n > 0 {
		e.ID = string(r.bytes(n))
		e.Digest = binary.LittleEndian.Uint64(r.bytes(8))
	}
	e.RID = b.base.RID + uint64(r.int())
	e.Position = b.base.Position + uint64(r.int())
	e.Timestamp = b.base.Timestamp + uint64(r.int())
	e.Time = b.base.Time + uint64(r.int())
	if says {
		b.getAnswer(&r, &e)
	}
	return e, b.used - at - len(r.b), back
}

// getAnswer reads what putAnswer wrote.
func (b *block) getAnswer(r *reader, e *Entry) {
	e.Code, e.Revision = model.Code(r.uint()), r.uint()
	switch n, beside := unflagged(r.uint()); {
	case beside:
		e.Result = b.results[n]
	case n > 0:
		e.Result = bytes.Clone(r.bytes(n))
	}
}

// length is get's, without the entry.
func (b *block) length(at int) int {
	r := reader{b: b.data[at:b.used]}
	n, says := unflagged(r.uint())
	r.uint()
	if n > 0 {
		r.bytes(n + 8)
	}
	for range 4 {
		r.int()
	}
	if says {
		r.uint()
		r.uint()
		if n, beside := unflagged(r.uint()); !beside {
			r.bytes(n)
		}
	}
	return b.used - at - len(r.b)
}

// drop frees the result of the oldest entry, which is forgotten, if it stands beside the block.
func (b *block) drop(oldest *Entry) {
	if oldest.beside() {
		b.results[b.freed] = nil
		b.freed++
	}
}

// back is get's, without the entry.
func (b *block) back(at int) uint64 {
	r := reader{b: b.data[at:b.used]}
	r.uint()
	return r.uint()
}

// is reports whether the entry at an offset has an identity.
func (b *block) is(at int, id string, rid uint64) bool {
	r := reader{b: b.data[at:b.used]}
	n, _ := unflagged(r.uint())
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
