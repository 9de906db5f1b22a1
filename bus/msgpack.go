package bus

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/internal/pack"
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
	w := walker{in: pack.Get(body)}
	defer w.in.Put()

	n, err := w.in.MapLen()
	if err != nil {
		return r, wrong(err, "begins with byte 0x%02x: neither a text request nor a msgpack map", body[0])
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

// walker reads the fields of a request or an answer. Its errors are the contract's, with the name
// of the field.
type walker struct{ in *pack.Reader }

// wrong is the error for a value that the reader has not read. The format is for one that is there
// and of another type.
func wrong(err error, format string, args ...any) error {
	if errors.Is(err, pack.ErrType) {
		return malformed(format, args...)
	}
	return errTruncated()
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
	n, err := w.in.Int()
	if err != nil {
		return 0, wrong(err, "field %s is no int", field)
	}
	if n < 1 || n > int64(limit) {
		return 0, malformed("unknown %s %d (want %s)", field, n, choice)
	}
	return int(n), nil
}

// bytes reads a str, or a bin where that is allowed, as a part of the body.
func (w *walker) bytes(what string, bin bool) ([]byte, error) {
	n, err := w.head(bin)
	switch {
	case err == nil:
	case bin:
		return nil, wrong(err, "%s is neither bin nor str", what)
	default:
		return nil, wrong(err, "%s is no str", what)
	}

	b, ok := w.in.Take(n)
	if !ok {
		return nil, errTruncated()
	}
	return b, nil
}

// head reads the length of what bytes reads.
func (w *walker) head(bin bool) (int, error) {
	if bin && msgpcode.IsBin(w.in.Code()) {
		return w.in.BinLen()
	}
	return w.in.StrLen()
}

// AppendMsgpack appends r as a msgpack map. It refuses, with an [*Error], what
// [ParseRequest] would refuse.
func AppendMsgpack(dst []byte, r *model.Request) ([]byte, error) {
	if err := Check(r); err != nil {
		return dst, err
	}

	w := pack.Buffer{B: dst}
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
		w.B = append(w.B, r.Value...)
	}

	return w.B, nil
}
