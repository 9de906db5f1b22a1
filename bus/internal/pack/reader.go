package pack

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Why a value is not read. What ends within its number or length is the library's io.EOF or
// io.ErrUnexpectedEOF.
var (
	ErrEnd  = errors.New("cut short")       // nothing is left where the value belongs
	ErrType = errors.New("of another type") // the next value is another one, and still there
)

// NeverUsed is the one code that msgpack leaves out, so no value begins with it.
const NeverUsed = 0xc1

// Reader reads values from the front of a slice. It has one owner. See [NewReader], [Get].
type Reader struct {
	dec *msgpack.Decoder
	in  bytes.Reader // dec reads through it without buffering
	b   []byte       // what in reads
}

// NewReader returns a reader of nothing: see [Reader.Reset].
func NewReader() *Reader {
	r := &Reader{}
	r.dec = msgpack.NewDecoder(&r.in)
	return r
}

var readers = sync.Pool{New: func() any { return NewReader() }}

// Get returns a reader of b, for who reads once. [Reader.Put] gives it back.
func Get(b []byte) *Reader {
	r := readers.Get().(*Reader)
	r.Reset(b)
	return r
}

// Put gives a reader back. It must not be used after it; what it has taken of b stays valid.
func (r *Reader) Put() {
	r.Reset(nil)
	readers.Put(r)
}

// Reset begins to read b, which must not change until the last value is read.
func (r *Reader) Reset(b []byte) {
	r.in.Reset(b)
	r.b = b
}

// Len is how many bytes are left.
func (r *Reader) Len() int { return r.in.Len() }

// Code is the byte that the next value begins with, [NeverUsed] if none is left. It reads nothing.
func (r *Reader) Code() byte {
	if r.in.Len() == 0 {
		return NeverUsed
	}
	return r.b[len(r.b)-r.in.Len()]
}

// refused is the error for the next value, which does not fit.
func (r *Reader) refused() error {
	if r.in.Len() == 0 {
		return ErrEnd
	}
	return ErrType
}

// Uint reads an unsigned number in any of its forms. The library would also take nil and
// negative numbers.
func (r *Reader) Uint() (uint64, error) {
	c := r.Code()
	if c <= msgpcode.PosFixedNumHigh { // most numbers: worth a road of its own
		_, err := r.in.ReadByte()
		return uint64(c), err
	}
	if c < msgpcode.Uint8 || c > msgpcode.Uint64 {
		return 0, r.refused()
	}
	return r.dec.DecodeUint64()
}

// Int reads a number in any of its forms, signed or not. An unsigned one above the largest int64
// turns negative.
func (r *Reader) Int() (int64, error) {
	c := r.Code()
	sized := msgpcode.Uint8 <= c && c <= msgpcode.Int64
	if !sized && !msgpcode.IsFixedNum(c) {
		return 0, r.refused()
	}
	return r.dec.DecodeInt64()
}

// Bool reads a boolean.
func (r *Reader) Bool() (bool, error) {
	if c := r.Code(); c != msgpcode.True && c != msgpcode.False {
		return false, r.refused()
	}
	return r.dec.DecodeBool()
}

// Nil reports whether the next value is nil, and reads it then.
func (r *Reader) Nil() bool {
	return r.Code() == msgpcode.Nil && r.dec.DecodeNil() == nil
}

// ArrayLen reads the head of an array, whose elements come next. It is what the sender says:
// nobody has looked whether as many are there.
func (r *Reader) ArrayLen() (int, error) {
	if c := r.Code(); !msgpcode.IsFixedArray(c) && c != msgpcode.Array16 && c != msgpcode.Array32 {
		return 0, r.refused()
	}
	return r.dec.DecodeArrayLen()
}

// MapLen reads the head of a map, whose names and values come next: what [Reader.ArrayLen] says of
// an array.
func (r *Reader) MapLen() (int, error) {
	if c := r.Code(); !msgpcode.IsFixedMap(c) && c != msgpcode.Map16 && c != msgpcode.Map32 {
		return 0, r.refused()
	}
	return r.dec.DecodeMapLen()
}

// StrLen reads the head of a str, whose bytes are there to [Reader.Take]. It is what the sender
// says, like an array's.
func (r *Reader) StrLen() (int, error) {
	if !msgpcode.IsString(r.Code()) {
		return 0, r.refused()
	}
	return r.dec.DecodeBytesLen()
}

// BinLen reads the head of a bin, as StrLen that of a str.
func (r *Reader) BinLen() (int, error) {
	if !msgpcode.IsBin(r.Code()) {
		return 0, r.refused()
	}
	return r.dec.DecodeBytesLen()
}

// Take reads so many bytes. They share the memory of what is read, without room to append. It
// reports whether there are so many: if not, none is read.
func (r *Reader) Take(n int) ([]byte, bool) {
	if n < 0 || n > r.in.Len() {
		return nil, false
	}
	at := len(r.b) - r.in.Len()
	if _, err := r.in.Seek(int64(n), io.SeekCurrent); err != nil {
		return nil, false
	}
	return r.b[at : at+n : at+n], true
}
