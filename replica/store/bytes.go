package store

import (
	"encoding/binary"
	"math/bits"

	"quartet/bus/lamport"
)

// A record in its segment: its entry, or nobody's (4 bytes); the length of what follows; the length
// of the key and the key; the kind and what else there is; the deadline, if there is one; epoch,
// node, number and revision; time and rID as differences to the revision; the value, to the end.
// Numbers are varints (encoding/binary) but for the first.
//
// But for its entry, which becomes nobody's, a record never changes: values are handed out where
// they stand.

// nobody is the entry of a record that is gone.
const nobody = 1<<32 - 1

// What else there is in a record.
const (
	isBeside = 1 << iota // its value stands beside
	ends                 // it has a deadline
)

// inlineMost is the length of values, in bytes, up to which they stand in a segment, and are copied
// when it is cleaned. Longer ones are kept as they were handed in.
const inlineMost = 1 << 10

// segmentLen is how many bytes a segment has. A value that somebody still holds keeps all of its
// segment in memory; cleaning one is at most so much to copy.
const segmentLen = 1 << 16

// firstLen is how many bytes the first segment has, for stores of a few records: the next are as
// long as all before them, up to segmentLen.
const firstLen = 1 << 10

// place is where a record stands: the number of a segment and an offset in it; 0: nowhere. Its
// upper bytes are 0: those beyond placeLen would be needed by a store of 2^40 bytes.
type place uint64

// placeLen is how many bytes a place takes.
const placeLen = 5

func placeAt(segment, offset int) place { return place(segment+1)<<16 | place(offset) }

func (p place) segment() int { return int(p>>16) - 1 }
func (p place) offset() int  { return int(p & (segmentLen - 1)) }

// segments hold the bytes of records without a pointer for each, so the garbage collector passes
// over them. A record is appended to the newest one; one that is replaced or removed leaves its
// bytes behind, until clean has moved what is left of its segment.
type segments struct {
	all    []segment
	free   []int // numbers of those that hold nothing
	newest int   // number of the one that is appended to; -1: none
	hand   int   // where the next one to be cleaned is looked for
	used   int   // bytes in all
	dead   int   // … of records that are gone
}

type segment struct {
	data []byte
	dead int
}

func newSegments() segments { return segments{newest: -1} }

// append takes an entry's record in, and returns its place.
func (s *segments) append(entry uint32, key string, r *Record) place {
	beside := len(r.Value) > inlineMost
	rest := restOf(key, r, beside)
	n := entryLen + lenOf(uint64(rest)) + rest
	s.makeRoom(n)
	to := &s.all[s.newest]
	at := len(to.data)
	b := binary.LittleEndian.AppendUint32(to.data, entry)
	b = binary.AppendUvarint(b, uint64(rest))
	to.data = appendRest(b, key, r, beside)
	s.used += n
	return placeAt(s.newest, at)
}

// makeRoom sees that the newest segment has room for so many bytes. A record that is longer than a
// segment has its own.
func (s *segments) makeRoom(n int) {
	if s.newest >= 0 {
		d := s.all[s.newest].data
		if len(d)+n <= cap(d) && len(d) < segmentLen {
			return
		}
	}
	room := min(max(s.used, firstLen), segmentLen)
	s.begin(max(n, room))
}

// begin makes an empty segment the newest.
func (s *segments) begin(room int) {
	fresh := segment{data: make([]byte, 0, room)}
	if n := len(s.free); n > 0 {
		s.newest, s.free = s.free[n-1], s.free[:n-1]
		s.all[s.newest] = fresh
		return
	}
	s.newest = len(s.all)
	s.all = append(s.all, fresh)
}

// move copies the record at a place to the newest segment.
func (s *segments) move(record []byte) place {
	s.makeRoom(len(record))
	to := &s.all[s.newest]
	at := len(to.data)
	to.data = append(to.data, record...)
	s.used += len(record)
	return placeAt(s.newest, at)
}

// drop counts the record at a place as gone, and returns what its replacement has to know.
func (s *segments) drop(p place) (kind Kind, beside bool, expires uint64) {
	in := &s.all[p.segment()]
	r, length := readerOf(in.data[p.offset():])
	binary.LittleEndian.PutUint32(in.data[p.offset():], nobody)
	in.dead += length
	s.dead += length

	r.bytes(r.uint())
	kind, beside, expires = r.kind()
	return kind, beside, expires
}

// deadMost is the part of all bytes that may belong to records that are gone: one in so many.
// Fewer would mean more copying. What fits into a few segments is not worth cleaning.
const (
	deadMost  = 6
	deadLeast = 16 * segmentLen
)

// isCrowded reports whether a segment is to be cleaned.
func (s *segments) isCrowded() bool { return s.dead > max(s.used/deadMost, deadLeast) }

// worst returns the number of a segment with at least as many dead bytes as they have on average.
// The newest one is none: it would be copied into itself.
func (s *segments) worst() int {
	average := s.dead / len(s.all)
	for range s.all {
		s.hand = (s.hand + 1) % len(s.all)
		if s.hand != s.newest && s.all[s.hand].dead >= max(average, 1) {
			return s.hand
		}
	}
	return -1
}

// clear frees a segment of which nothing is needed any more.
func (s *segments) clear(number int) {
	old := &s.all[number]
	s.used -= len(old.data)
	s.dead -= old.dead
	*old = segment{}
	s.free = append(s.free, number)
}

func (s *segments) reader(p place) reader {
	r, _ := readerOf(s.all[p.segment()].data[p.offset():])
	return r
}

// key returns the key of the record at a place.
func (s *segments) key(p place) []byte {
	r := s.reader(p)
	return r.bytes(r.uint())
}

// get returns the record at a place, but for a value that stands beside.
func (s *segments) get(p place) (rec Record, beside bool) {
	r := s.reader(p)
	r.bytes(r.uint())
	rec.Kind, beside, rec.Expires = r.kind()
	rec.Version.Epoch = r.uint()
	rec.Version.Node = lamport.Node(r.uint())
	rec.Number, rec.Revision = r.uint(), r.uint()
	rec.Version.Time = rec.Revision + r.int()
	rec.RID = rec.Revision + r.int()
	if len(r.b) > 0 {
		rec.Value = r.bytes(uint64(len(r.b)))
	}
	return rec, beside
}

// entryLen is the length of a record's entry.
const entryLen = 4

// headOf returns the entry of the first record in b, where what follows its length begins, and
// where the record ends.
func headOf(b []byte) (entry uint32, head, length int) {
	entry = binary.LittleEndian.Uint32(b)
	low, high := int(b[entryLen]), int(b[entryLen+1]) // behind the length is more
	switch {
	case low < 0x80:
		return entry, entryLen + 1, entryLen + 1 + low
	case high < 0x80:
		return entry, entryLen + 2, entryLen + 2 + (low&0x7f | high<<7)
	}
	rest, n := binary.Uvarint(b[entryLen:])
	return entry, entryLen + n, entryLen + n + int(rest)
}

func appendRest(b []byte, key string, r *Record, beside bool) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = append(b, byte(r.Kind), flagsOf(r, beside))
	if r.Expires > 0 {
		b = binary.AppendUvarint(b, r.Expires)
	}
	b = binary.AppendUvarint(b, r.Version.Epoch)
	b = binary.AppendUvarint(b, uint64(r.Version.Node))
	b = binary.AppendUvarint(b, r.Number)
	b = binary.AppendUvarint(b, r.Revision)
	b = binary.AppendVarint(b, int64(r.Version.Time-r.Revision))
	b = binary.AppendVarint(b, int64(r.RID-r.Revision))
	if beside {
		return b
	}
	return append(b, r.Value...)
}

// restOf is how many bytes appendRest appends.
func restOf(key string, r *Record, beside bool) int {
	n := lenOf(uint64(len(key))) + len(key) + 2
	if r.Expires > 0 {
		n += lenOf(r.Expires)
	}
	n += lenOf(r.Version.Epoch) + lenOf(uint64(r.Version.Node)) + lenOf(r.Number) + lenOf(r.Revision)
	n += lenOf(zigzag(r.Version.Time-r.Revision)) + lenOf(zigzag(r.RID-r.Revision))
	if beside {
		return n
	}
	return n + len(r.Value)
}

func flagsOf(r *Record, beside bool) (flags byte) {
	if beside {
		flags |= isBeside
	}
	if r.Expires > 0 {
		flags |= ends
	}
	return flags
}

// lenOf is how many bytes a varint has.
func lenOf(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// zigzag is the unsigned number as which binary.AppendVarint writes a signed one.
func zigzag(v uint64) uint64 { return v<<1 ^ uint64(int64(v)>>63) }

// reader reads a record.
type reader struct{ b []byte }

// readerOf reads what stands behind the head of the first record in b, and nothing beyond its end.
func readerOf(b []byte) (r reader, length int) {
	_, head, length := headOf(b)
	return reader{b: b[head:length:length]}, length
}

func (r *reader) uint() uint64 {
	if r.b[0] < 0x80 { // most numbers: a byte
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	r.b = r.b[n:]
	return v
}

func (r *reader) int() uint64 {
	v := r.uint()
	return v>>1 ^ -(v & 1)
}

// bytes returns the next n bytes, which nobody can append to.
func (r *reader) bytes(n uint64) []byte {
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// kind reads the kind, whether the value stands beside, and the deadline.
func (r *reader) kind() (kind Kind, beside bool, expires uint64) {
	kind, flags := Kind(r.b[0]), r.b[1]
	r.b = r.b[2:]
	if flags&ends != 0 {
		expires = r.uint()
	}
	return kind, flags&isBeside != 0, expires
}
