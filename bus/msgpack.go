package bus

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/internal/pack"
	"quartet/bus/model"
)

// The fields of a request in JSON or msgpack, as bits of what has been seen.
const (
	fieldConsistency = 1 << iota
	fieldRequest
	fieldKey
	fieldPrefix
	fieldValue
	fieldIf
	fieldThen
	fieldElse
	fieldIfRevision
	fieldTTL
	fieldLimit
	fieldValues
	fieldFrom
)

// fieldBit is 0 for what is no field of a request itself.
func fieldBit(name string) int {
	switch name {
	case "consistency":
		return fieldConsistency
	case "request":
		return fieldRequest
	case "key":
		return fieldKey
	case "prefix":
		return fieldPrefix
	case "value":
		return fieldValue

	// Of a txn.
	case "if":
		return fieldIf
	case "then":
		return fieldThen
	case "else":
		return fieldElse
	}
	for i := range extras {
		if extras[i].field == name {
			return extras[i].bit
		}
	}
	return 0
}

// draft is a request in JSON or msgpack while its fields are read. They come in any order, so what
// belongs together is looked at last.
type draft struct {
	Request
	seen    int
	numeric bool // the value is a number
	txn     model.Transaction
}

// finish refuses a request without all fields that its type needs, with one that it does not take,
// or with one that breaks a rule.
func (d *draft) finish() error {
	if err := missing(d.seen, d.Type); err != nil {
		return err
	}
	if d.numeric && d.Type != model.Add {
		return malformed("field value is no string: only an add takes a number")
	}
	d.KeysOnly = d.seen&fieldValues != 0 && !says(&d.Request.Request, fieldValues)
	if d.KeysOnly && d.Type != model.List {
		return noRange(d.Type)
	}
	if d.Type == model.Txn {
		var err error
		if d.Value, err = PackTransaction(&d.txn); err != nil {
			return err
		}
	}
	return settle(&d.Request.Request)
}

// parseMsgpack walks the map itself rather than decode into a value: a declared length
// never sizes an allocation, an unknown field ends the walk (so nesting is never
// followed), and value can share body's memory.
func parseMsgpack(body []byte) (Request, error) {
	d := draft{Request: Request{Encoding: Msgpack}}
	w := walker{in: pack.Get(body)}
	defer w.in.Put()

	n, err := w.in.MapLen()
	if err != nil {
		return d.Request, wrong(err, "begins with byte 0x%02x: neither a text request nor a msgpack map", body[0])
	}
	for ; n > 0; n-- {
		if err := w.field(&d); err != nil {
			return d.Request, err
		}
	}
	if err := missing(d.seen, d.Type); err != nil {
		return d.Request, err
	}
	if w.in.Len() > 0 {
		return d.Request, malformed("%d bytes after the msgpack map", w.in.Len())
	}
	err = d.finish()
	return d.Request, err
}

func errTruncated() error { return malformed("the msgpack is cut short") }

// missing refuses a request without all fields, or with a field that its type does not take.
func missing(seen int, t model.Type) error {
	const ofTxn = fieldIf | fieldThen | fieldElse
	takesField := t == model.Set || t == model.Add
	switch {
	case seen&fieldConsistency == 0:
		return malformed("field consistency is missing")
	case seen&fieldRequest == 0:
		return malformed("field request is missing")

	// What it is about.
	case t.HasKey() && seen&fieldPrefix != 0:
		return malformed("%s takes field key, not prefix", article(t))
	case t.HasKey() && seen&fieldKey == 0:
		return malformed("field key is missing")
	case t == model.Txn && seen&(fieldKey|fieldPrefix) != 0:
		return malformed("a txn takes no field key or prefix of its own: its steps have keys")
	case !t.HasKey() && seen&fieldKey != 0:
		return malformed("%s takes field prefix, not key", article(t))

	// What it brings.
	case takesField && seen&fieldValue == 0:
		return malformed("field value is missing in %s", article(t))
	case !takesField && seen&fieldValue != 0:
		return malformed("%s takes no field value", article(t))
	case t != model.Txn && seen&ofTxn != 0:
		return malformed("%s takes no fields if, then and else: a txn does", article(t))
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

// name reads a field's name and its bit; a name that was seen is refused.
func (w *walker) name(seen *int) (int, error) {
	name, err := w.bytes("a field's name", false)
	if err != nil {
		return 0, err
	}
	bit := fieldBit(string(name))
	return bit, once(seen, bit, name)
}

// field reads one name and its value into d.
func (w *walker) field(d *draft) error {
	bit, err := w.name(&d.seen)
	if err != nil {
		return err
	}
	return w.fieldValue(d, bit)
}

func (w *walker) fieldValue(d *draft, bit int) (err error) {
	switch bit {
	case fieldConsistency:
		n, err := w.code("consistency", len(model.All), consistencyChoice)
		d.Model = model.Consistency(n)
		return err
	case fieldRequest:
		n, err := w.code("request", len(model.Types), model.TypeChoice)
		d.Type = model.Type(n)
		return err
	case fieldKey:
		d.Key, err = w.str("field key")
	case fieldPrefix:
		d.Key, err = w.str("field prefix")
	case fieldValue:
		d.Value, d.numeric, err = w.value()

	// Of a txn.
	case fieldIf:
		d.txn.If, err = w.checks()
	case fieldThen:
		d.txn.Then, err = w.steps("then")
	case fieldElse:
		d.txn.Else, err = w.steps("else")

	default:
		return w.extra(&d.Request.Request, bit)
	}
	return err
}

// str reads a str into memory of its own.
func (w *walker) str(what string) (string, error) {
	b, err := w.bytes(what, false)
	return string(b), err
}

// value reads a str, a bin or a number.
func (w *walker) value() (value []byte, numeric bool, err error) {
	if n, err := w.in.Uint(); err == nil {
		return strconv.AppendUint(nil, n, 10), true, nil
	}
	if n, err := w.in.Int(); err == nil { // a negative one
		return strconv.AppendInt(nil, n, 10), true, nil
	}
	value, err = w.bytes("field value", true)
	return value, false, err
}

// extra reads what a header says otherwise.
func (w *walker) extra(r *model.Request, bit int) error {
	text, err := w.extraText(bit)
	if err != nil {
		return err
	}
	return setExtra(r, bit, text)
}

func (w *walker) extraText(bit int) (string, error) {
	switch bit {
	case fieldIfRevision, fieldLimit:
		n, err := w.uint(fieldName(bit))
		return strconv.FormatUint(n, 10), err
	case fieldValues:
		b, err := w.in.Bool()
		if err != nil {
			return "", wrong(err, "field values is no boolean")
		}
		return strconv.FormatBool(b), nil
	case fieldFrom: // of a watch it is a number
		if n, err := w.in.Uint(); err == nil {
			return strconv.FormatUint(n, 10), nil
		}
	}
	return w.str(fieldName(bit))
}

// fieldName is what errors call a field.
func fieldName(bit int) string {
	for i := range extras {
		if extras[i].bit == bit {
			return "field " + extras[i].field
		}
	}
	return "a field"
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

	steps := [...]error{
		enc.EncodeMapLen(msgpackFields(r)),
		enc.EncodeString("consistency"), enc.EncodeUint(uint64(r.Model)),
		enc.EncodeString("request"), enc.EncodeUint(uint64(r.Type)),
	}
	for _, err := range steps {
		if err != nil {
			return dst, fmt.Errorf("bus: encode a request: %w", err)
		}
	}

	if err := appendSubject(enc, &w, r); err != nil {
		return dst, fmt.Errorf("bus: encode a request: %w", err)
	}
	if err := appendExtras(enc, r); err != nil {
		return dst, fmt.Errorf("bus: encode a request: %w", err)
	}
	return w.B, nil
}
