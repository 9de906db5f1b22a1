package bus

import (
	"errors"

	"github.com/vmihailenco/msgpack/v5"

	"quartet/bus/codec"
	"quartet/bus/internal/pack"
	"quartet/bus/model"
)

// msgpackFields is how many fields the map of r has.
func msgpackFields(r *model.Request) int {
	n := 2 // the codes
	switch r.Type {
	case model.Set, model.Add:
		n += 2
	case model.Txn:
		n += 3
	default:
		n++
	}

	if r.HasIf {
		n++
	}
	if r.TTL > 0 {
		n++
	}
	if r.Range == nil {
		return n
	}
	if r.Range.Limit > 0 {
		n++
	}
	if r.Range.Values {
		n++
	}
	if r.Range.From != "" {
		n++
	}
	return n
}

// appendSubject writes what a request is about, and what it brings.
func appendSubject(enc *msgpack.Encoder, w *pack.Buffer, r *model.Request) error {
	if r.Type == model.Txn {
		return appendTransaction(enc, w, r.Value)
	}
	name := "prefix"
	if r.Type.HasKey() {
		name = "key"
	}
	if err := appendField(enc, name, r.Key); err != nil {
		return err
	}
	if takesValue(r.Type) {
		return appendBytes(enc, w, "value", r.Value)
	}
	return nil
}

func appendField(enc *msgpack.Encoder, name, value string) error {
	if err := enc.EncodeString(name); err != nil {
		return err
	}
	return enc.EncodeString(value)
}

func appendNumber(enc *msgpack.Encoder, name string, n uint64) error {
	if err := enc.EncodeString(name); err != nil {
		return err
	}
	return enc.EncodeUint(n)
}

// appendBytes writes a bin. (EncodeBytes would make nil of an empty value.)
func appendBytes(enc *msgpack.Encoder, w *pack.Buffer, name string, value []byte) error {
	if err := enc.EncodeString(name); err != nil {
		return err
	}
	if err := enc.EncodeBytesLen(len(value)); err != nil {
		return err
	}
	w.B = append(w.B, value...)
	return nil
}

func appendBool(enc *msgpack.Encoder, name string, b bool) error {
	if err := enc.EncodeString(name); err != nil {
		return err
	}
	return enc.EncodeBool(b)
}

// appendExtras writes what headers would say otherwise.
func appendExtras(enc *msgpack.Encoder, r *model.Request) error {
	var errs [5]error
	if r.HasIf {
		errs[0] = appendNumber(enc, "if_revision", r.If)
	}
	if r.TTL > 0 {
		errs[1] = appendField(enc, "ttl", FormatTTL(r.TTL))
	}
	if r.Range == nil {
		return errors.Join(errs[:]...)
	}
	if r.Range.Limit > 0 {
		errs[2] = appendNumber(enc, "limit", uint64(r.Range.Limit))
	}
	if r.Range.Values {
		errs[3] = appendBool(enc, "values", true)
	}
	if r.Range.From != "" {
		errs[4] = appendField(enc, "from", r.Range.From)
	}
	return errors.Join(errs[:]...)
}

// appendTransaction writes the three lists of a txn.
func appendTransaction(enc *msgpack.Encoder, w *pack.Buffer, value []byte) error {
	t, err := codec.ParseTransaction(value)
	if err != nil {
		return err
	}

	errs := []error{enc.EncodeString("if"), enc.EncodeArrayLen(len(t.If))}
	for i := range t.If {
		errs = append(errs, appendCheck(enc, w, &t.If[i]))
	}
	for _, list := range [...]struct {
		name  string
		steps []model.Step
	}{{"then", t.Then}, {"else", t.Else}} {
		errs = append(errs, enc.EncodeString(list.name), enc.EncodeArrayLen(len(list.steps)))
		for i := range list.steps {
			errs = append(errs, appendStep(enc, w, &list.steps[i]))
		}
	}
	return errors.Join(errs...)
}

func appendCheck(enc *msgpack.Encoder, w *pack.Buffer, c *model.Check) error {
	if err := enc.EncodeMapLen(2); err != nil {
		return err
	}
	if err := appendField(enc, "key", c.Key); err != nil {
		return err
	}
	switch {
	case c.HasRevision:
		return appendNumber(enc, "revision", c.Revision)
	case c.HasExists:
		return appendBool(enc, "exists", c.Exists)
	}
	return appendBytes(enc, w, "value", c.Value)
}

func appendStep(enc *msgpack.Encoder, w *pack.Buffer, s *model.Step) error {
	r := s.Request(0)
	if err := enc.EncodeMapLen(msgpackFields(&r) - 1); err != nil { // it has no consistency
		return err
	}
	if err := appendNumber(enc, "request", uint64(s.Type)); err != nil {
		return err
	}
	if err := appendSubject(enc, w, &r); err != nil {
		return err
	}
	return appendExtras(enc, &r)
}
