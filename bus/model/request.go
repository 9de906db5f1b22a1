package model

import "hash/fnv"

// Request is what a client asks of the key space: the one list of what passes through every
// form of a request, from the client's call to the log of a replica. Each form embeds it, so
// a new field is added here, to the decoders (bus: text, JSON, msgpack, batch; bus/codec) and
// to the protocol that uses it; client/judge/archtest/forms_test.go fails where a form forgets it.
type Request struct {
	Model Consistency
	Type  Type
	Key   string // 1 to [MaxKey] bytes of UTF-8, no control characters, no ":::"
	Value []byte // of a set: any bytes, with the key at most [MaxKeyValue]. Shared, never written to
}

// NewSet is a set of a key under a model.
func NewSet(c Consistency, key string, value []byte) Request {
	return Request{Model: c, Type: Set, Key: key, Value: value}
}

// NewGet is a get of a key under a model.
func NewGet(c Consistency, key string) Request { return Request{Model: c, Type: Get, Key: key} }

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

	if d := h.Sum64(); d != 0 {
		return d
	}
	return 1
}
