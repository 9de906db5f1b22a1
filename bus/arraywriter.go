package bus

import (
	"encoding/binary"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/internal/pack"
)

// arrayWriter writes messages that are one msgpack array each, of a length that is known last, in
// the same memory. The zero value is ready.
type arrayWriter struct {
	out pack.Buffer
	enc *msgpack.Encoder
}

// begin begins a message.
func (w *arrayWriter) begin() {
	if w.enc == nil {
		w.enc = msgpack.NewEncoder(&w.out)
	}
	w.out.B = append(w.out.B[:0], msgpcode.Array32, 0, 0, 0, 0)
}

// bytes appends bytes, which no encoder has to copy first.
func (w *arrayWriter) bytes(b []byte) {
	_ = w.enc.EncodeBytesLen(len(b))
	w.out.B = append(w.out.B, b...)
}

// end says how many elements the array has, and returns the message, valid until the next begins.
func (w *arrayWriter) end(elements int) []byte {
	binary.BigEndian.PutUint32(w.out.B[1:], uint32(elements))
	return w.out.B
}
