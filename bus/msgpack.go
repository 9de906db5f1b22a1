package bus

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/model"
)

// The fields of a msgpack request, as bits of what has been seen.
const (
	fieldConsistency = 1 << iota
	fieldRequest
	fieldKey
	fieldValue
)

// parseMsgpack walks the map itself rather than decode into a value: a declared length
// never sizes an allocation, an unknown field ends the walk (so nesting is never
// followed), and value can share body's memory.
func parseMsgpack(body []byte) (Request, error) {
	r := Request{Encoding: Msgpack}
	if c := body[0]; !msgpcode.IsFixedMap(c) && c != msgpcode.Map16 && c != msgpcode.Map32 {
		return r, malformed("begins with byte 0x%02x: neither a text request nor a msgpack map", c)
	}
	w := walker{in: bytes.NewReader(body), body: body, dec: msgpack.GetDecoder()}
	defer msgpack.PutDecoder(w.dec)
	w.dec.Reset(w.in)
	n, err := w.dec.DecodeMapLen()
	if err != nil {
		return r, errTruncated()
	}
	var seen, key = 0, []byte(nil)
	for ; n > 0; n-- {
		if err := w.field(&r, &key, &seen); err != nil {
			return r, err
		}
	}
	if err := missing(seen, r.Type); err != nil {
		return r, err
	}
	if w.in.Len() > 0 {
		return r, malformed("%d bytes after the msgpack map", w.in.Len())
	}
	r.Key = string(key)
	if err := checkKey(r.Key); err != nil {
		return r, err
	}
	return r, checkSize(len(r.Key), len(r.Value))
}

func errTruncated() error { return malformed("the msgpack is cut short") }

// missing refuses a map without all fields, and a get with a value.
func missing(seen int, t model.Type) error {
	switch {
	case seen&fieldConsistency == 0:
		return malformed("field consistency is missing")
	case seen&fieldRequest == 0:
		return malformed("field request is missing")
	case seen&fieldKey == 0:
		return malformed("field key is missing")
	case t == model.Set && seen&fieldValue == 0:
		return malformed("field value is missing in a set")
	case t == model.Get && seen&fieldValue != 0:
		return malformed("a get takes no field value")
	}
	return nil
}

// walker reads body through a decoder that does not buffer.
type walker struct {
	in   *bytes.Reader
	body []byte
	dec  *msgpack.Decoder
}

// field reads one name and its value into r.
func (w *walker) field(r *Request, key *[]byte, seen *int) error {
	name, err := w.bytes("a field's name", false)
	if err != nil {
		return err
	}

	bit := 0
	switch string(name) {
	case "consistency":
		bit = fieldConsistency
	case "request":
		bit = fieldRequest
	case "key":
		bit = fieldKey
	case "value":
		bit = fieldValue
	default:
		return malformed("unknown field %s", quote(name))
	}

	if *seen&bit != 0 {
		return malformed("field %s is repeated", name)
	}
	*seen |= bit

	switch bit {
	case fieldConsistency:
		n, err := w.code("consistency", len(model.All), consistencyChoice)
		r.Model = model.Consistency(n)
		return err
	case fieldRequest:
		n, err := w.code("request", len(model.Types), typeChoice)
		r.Type = model.Type(n)
		return err
	case fieldKey:
		*key, err = w.bytes("field key", false)
	case fieldValue:
		r.Value, err = w.bytes("field value", true)
	}
	return err
}

// code reads an int from 1 to limit in any of msgpack's int forms.
func (w *walker) code(field string, limit int, choice string) (int, error) {
	c, err := w.dec.PeekCode()
	if err != nil {
		return 0, errTruncated()
	}
	sized := msgpcode.Uint8 <= c && c <= msgpcode.Int64
	if !sized && !msgpcode.IsFixedNum(c) {
		return 0, malformed("field %s is no int", field)
	}
	n, err := w.dec.DecodeInt64() // a uint64 too large for it turns negative: refused below
	if err != nil {
		return 0, errTruncated()
	}
	if n < 1 || n > int64(limit) {
		return 0, malformed("unknown %s %d (want %s)", field, n, choice)
	}
	return int(n), nil
}

// bytes reads a str, or a bin where that is allowed, as a part of body.
func (w *walker) bytes(what string, bin bool) ([]byte, error) {
	c, err := w.dec.PeekCode()
	if err != nil {
		return nil, errTruncated()
	}
	switch {
	case msgpcode.IsString(c):
	case bin && msgpcode.IsBin(c):
	case bin:
		return nil, malformed("%s is neither bin nor str", what)
	default:
		return nil, malformed("%s is no str", what)
	}
	n, err := w.dec.DecodeBytesLen()
	if err != nil || n > w.in.Len() {
		return nil, errTruncated()
	}
	at := len(w.body) - w.in.Len()
	if _, err := w.in.Seek(int64(n), 1); err != nil {
		return nil, errTruncated()
	}
	return w.body[at : at+n : at+n], nil
}

// AppendMsgpack appends r as a msgpack map. It refuses, with an [*Error], what
// [ParseRequest] would refuse.
func AppendMsgpack(dst []byte, r *model.Request) ([]byte, error) {
	if err := Check(r); err != nil {
		return dst, err
	}

	w := appender{b: dst}
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&w)

	fields := 3
	if r.Type == model.Set {
		fields = 4
	}
	steps := [...]error{
		enc.EncodeMapLen(fields),
		enc.EncodeString("consistency"), enc.EncodeUint(uint64(r.Model)),
		enc.EncodeString("request"), enc.EncodeUint(uint64(r.Type)),
		enc.EncodeString("key"), enc.EncodeString(r.Key),
	}

	for _, err := range steps {
		if err != nil {
			return dst, fmt.Errorf("bus: encode a request: %w", err)
		}
	}
	if r.Type == model.Set {
		// EncodeBytes would make nil of an empty value.
		if err := enc.EncodeString("value"); err != nil {
			return dst, fmt.Errorf("bus: encode a request: %w", err)
		}
		if err := enc.EncodeBytesLen(len(r.Value)); err != nil {
			return dst, fmt.Errorf("bus: encode a request: %w", err)
		}
		w.b = append(w.b, r.Value...)
	}

	return w.b, nil
}

// appender is the writer of an encoder: it cannot fail.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func (a *appender) WriteByte(c byte) error {
	a.b = append(a.b, c)
	return nil
}
