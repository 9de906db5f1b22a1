// Package varint is how fields are read that stand one behind the other in a replica's memory:
// numbers in the varints of encoding/binary, and bytes. It promises each as it was appended, and
// nothing about what was not written so: disks and messages have forms of their own.
package varint

import "encoding/binary"

// Reader reads what is left of fields; each method takes its own off the front.
type Reader struct{ Rest []byte }

// Uint reads what binary.AppendUvarint wrote.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	r.Rest = r.Rest[n:]
	return v
}

// Int reads what binary.AppendVarint wrote.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.Rest)
	r.Rest = r.Rest[n:]
	return v
}

// Bytes reads n bytes. They are the memory that is read, and whoever appends to them copies them.
func (r *Reader) Bytes(n int) []byte {
	p := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return p
}
