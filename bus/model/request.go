package model

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
)

// Request is what a client asks of the key space: the one list of what passes through every
// form of a request, from the client's call to the log of a replica. Each form embeds it, so
// a new field is added here, to the decoders (bus: text, JSON, msgpack, batch; bus/codec) and
// to the protocol that uses it; client/judge/archtest/forms_test.go fails where a form forgets it.
type Request struct {
	Model Consistency
	Type  Type
	HasIf bool   // If is given, even if it is 0
	Key   string // 1 to [MaxKey] bytes of UTF-8, no control characters, no ":::". List, Watch: a prefix, perhaps ""

	// Value is, of a Set, any bytes, with the key at most [MaxKeyValue]; of an Add a number of 64
	// bits with its sign, in decimal; of a Txn a [Transaction] as
	// package codec writes it. Shared, never written to.
	Value []byte

	If    uint64 // Set, Delete, Add in models 1 and 2: the revision that the key must have; 0: no value
	TTL   uint64 // Set: milliseconds after which the value ends, [MinTTL] to [MaxTTL]; 0: none
	Range *Range // List, Watch; nil: all of it is left out
}

// NewSet is a set of a key under a model.
func NewSet(c Consistency, key string, value []byte) Request {
	return Request{Model: c, Type: Set, Key: key, Value: value}
}

// NewGet is a get of a key under a model.
func NewGet(c Consistency, key string) Request { return Request{Model: c, Type: Get, Key: key} }

// Range is what a List or a Watch says beside its prefix.
type Range struct {
	Limit  int    // List: most keys of a page, 1 to [MaxPage]; 0: not given
	Values bool   // List: values, too
	From   string // List: the Next of the page before. Watch: the revision after which to begin. "": not given
}

// After returns the revision after which a Watch is to begin, and whether it says one. The form was
// checked at the door.
func (r *Request) After() (revision uint64, given bool) {
	if r.Range == nil || r.Range.From == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(r.Range.From, 10, 64)
	return n, err == nil
}

// Limits of what a request says beside key and value.
const (
	MinTTL      = 1000                        // milliseconds: 1 s
	MaxTTL      = 10 * 365 * 24 * 3600 * 1000 // 10 years
	MaxPage     = 10_000                      // keys of a page
	DefaultPage = 1000
	MaxNext     = 128 // letters of a page's Next
)

// Writes reports whether r may change what a key holds.
func (r *Request) Writes() bool { return r.Type.Writes() }

// Size is the bytes of the parts that have no fixed length: what batches are cut by.
func (r *Request) Size() int { return len(r.Key) + len(r.Value) }

// Digest tells requests apart that carry one identity. It is 64 bits of FNV-1a, never 0: it
// guards a client against its own mistake, not against itself as an adversary.
func (r *Request) Digest() uint64 {
	h := fnv.New64a()
	h.Write([]byte{byte(r.Model), byte(r.Type)})
	h.Write([]byte(r.Key))
	h.Write([]byte{0}) // no key holds a control character
	h.Write(r.Value)

	// What few requests have leaves the digest of all others as it was: it stands on disks.
	if r.HasIf || r.TTL > 0 {
		var tail [17]byte
		binary.BigEndian.PutUint64(tail[:], r.If)
		binary.BigEndian.PutUint64(tail[8:], r.TTL)
		if r.HasIf {
			tail[16] = 1
		}
		h.Write(tail[:])
	}

	if d := h.Sum64(); d != 0 {
		return d
	}
	return 1
}
