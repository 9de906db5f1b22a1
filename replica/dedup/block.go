package dedup

import (
	"bytes"
	"encoding/binary"

	"quartet/bus/model"
	"quartet/replica/internal/varint"
)

// An entry in its block: four times the length of its ID, or four times the slot of its name's
// prefix and 2 more; 1 more if its answer said more than most do. Then the number of its name, or
// the distance back to the entry before it with the same hash (0: none) and the ID; with either of
// these the digest (8 bytes); rID, position, timestamp and time as differences to the block's base.
// Where the answer said more: the code, the revision, and twice the length of the result with the
// result behind it, or twice its index beside the block and 1 more.

// way is how an entry is found: by a name, or by the entries with the same hash.
type way struct {
	name Name
	back uint64 // distance to the one before it; 0: none
}

// put writes an entry behind the others, and returns its length.
func (b *block) put(e *Entry, by way) int {
	w := b.data[b.used:b.used]
	if !by.name.IsZero() {
		w = binary.AppendUvarint(w, flagged(int(flagged(int(by.name.slot), true)), e.says()))
		w = binary.AppendUvarint(w, by.name.number)
	} else {
		w = binary.AppendUvarint(w, flagged(int(flagged(len(e.ID), false)), e.says()))
		w = binary.AppendUvarint(w, by.back)
		w = append(w, e.ID...)
	}
	if e.ID != "" {
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

// get reads the entry at an offset, without its ID if it has a name; its length, and how it is
// found.
func (b *block) get(at int) (e Entry, length int, by way) {
	r := varint.Reader{Rest: b.data[at:b.used]}
	n, says := unflagged(r.Uint())
	n, named := unflagged(uint64(n))
	if named {
		by.name = Name{slot: uint32(n), number: r.Uint()}
	} else {
		by.back = r.Uint()
		e.ID = string(r.Bytes(n))
	}
	if n > 0 {
		e.Digest = binary.LittleEndian.Uint64(r.Bytes(8))
	}

	e.RID = b.base.RID + uint64(r.Int())
	e.Position = b.base.Position + uint64(r.Int())
	e.Timestamp = b.base.Timestamp + uint64(r.Int())
	e.Time = b.base.Time + uint64(r.Int())
	if says {
		b.getAnswer(&r, &e)
	}
	return e, b.used - at - len(r.Rest), by
}

// getAnswer reads what putAnswer wrote.
func (b *block) getAnswer(r *varint.Reader, e *Entry) {
	e.Code, e.Revision = model.Code(r.Uint()), r.Uint()
	switch n, beside := unflagged(r.Uint()); {
	case beside:
		e.Result = b.results[n]
	case n > 0:
		e.Result = bytes.Clone(r.Bytes(n))
	}
}

// length is get's, without the entry.
func (b *block) length(at int) int {
	r := varint.Reader{Rest: b.data[at:b.used]}
	n, says := unflagged(r.Uint())
	n, named := unflagged(uint64(n))
	r.Uint()
	switch {
	case named:
		r.Bytes(8)
	case n > 0:
		r.Bytes(n + 8)
	}

	for range 4 {
		r.Int()
	}
	if says {
		r.Uint()
		r.Uint()
		if n, beside := unflagged(r.Uint()); !beside {
			r.Bytes(n)
		}
	}
	return b.used - at - len(r.Rest)
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
	r := varint.Reader{Rest: b.data[at:b.used]}
	r.Uint()
	return r.Uint()
}

// is reports whether the entry at an offset, which has no name, has an identity.
func (b *block) is(at int, id string, rid uint64) bool {
	r := varint.Reader{Rest: b.data[at:b.used]}
	n, _ := unflagged(r.Uint())
	n, named := unflagged(uint64(n))
	r.Uint()
	if named || n != len(id) {
		return false
	}
	if n > 0 {
		return string(r.Bytes(n)) == id
	}
	return b.base.RID+uint64(r.Int()) == rid
}
