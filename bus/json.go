package bus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
)

// asked are the fields of a JSON request that say what a header says otherwise: who cannot
// set headers has them, too.
var asked = [...]struct {
	field, header string
	number        bool
}{
	{"id", HeaderMsgID, false},
	{"client", HeaderClient, false},
	{"min_timestamp", HeaderMinTimestamp, true},
	{"min_position", HeaderMinPosition, true},
	{"age", HeaderAge, true},
	{"replica", HeaderReplica, false},
	{"session", HeaderSession, false},
	{"history", HeaderHistory, false},
}

// parseJSON walks the object itself rather than decode into a struct, which would take the
// last of a repeated field, and a field in another letter case. An unknown field ends the
// walk. What the standard library would replace in silence (bytes that are no UTF-8, half
// a surrogate pair) is refused: a value is stored as it was sent, or not at all.
func parseJSON(body []byte) (Request, error) {
	w := jsonWalker{body: body, dec: json.NewDecoder(bytes.NewReader(body)), draft: draft{Request: Request{Encoding: JSON}}}
	if !utf8.Valid(body) {
		return w.draft.Request, malformed("the JSON is not UTF-8")
	}
	err := w.object()
	return w.draft.Request, err
}

func (w *jsonWalker) object() error {
	if _, err := w.dec.Token(); err != nil { // the brace
		return errJSON(w.body, err)
	}
	for w.dec.More() {
		if err := w.field(); err != nil {
			return err
		}
	}
	if _, err := w.dec.Token(); err != nil { // the other one
		return errJSON(w.body, err)
	}
	if after := len(trim(w.body[w.dec.InputOffset():])); after > 0 {
		return malformed("%d bytes after the JSON object", after)
	}
	return w.draft.finish()
}

// errJSON says what is wrong with the form of text, and where: at which byte, from 1 on. A
// decoder's own offset leaves out what it has read as tokens.
func errJSON(text []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return malformed("the JSON is cut short")
	}
	_ = errors.As(json.Unmarshal(text, new(json.RawMessage)), &syntax)
	return malformed("no JSON at byte %d: %s", syntax.Offset, oneLine(syntax.Error()))
}

type jsonWalker struct {
	body  []byte
	dec   *json.Decoder
	draft draft
}

// field reads one name and its value into the request.
func (w *jsonWalker) field() error {
	token, err := w.dec.Token()
	if err != nil {
		return errJSON(w.body, err)
	}
	name, ok := token.(string)
	if !ok {
		return malformed("no JSON: a field's name is no string")
	}
	bit := jsonBit(name)
	if bit == 0 {
		return w.option(name)
	}
	if err := w.draft.once(bit, name); err != nil {
		return err
	}
	raw, err := w.raw()
	if err != nil {
		return err
	}
	return w.draft.part(name, bit, raw)
}

// once refuses a field that was seen already.
func (d *draft) once(bit int, name string) error {
	if d.seen&fieldValue != 0 && bit == fieldValue {
		return malformed("one value is enough: one of the fields value and value_base64")
	}
	return once(&d.seen, bit, name)
}

// jsonBit is 0 for what is none of a request's own parts.
func jsonBit(name string) int {
	if name == "value_base64" {
		return fieldValue
	}
	return fieldBit(name)
}

// raw reads a value as it stands there.
func (w *jsonWalker) raw() (json.RawMessage, error) {
	var raw json.RawMessage
	if err := w.dec.Decode(&raw); err != nil {
		return nil, errJSON(w.body, err)
	}
	return raw, nil
}

// part takes one of the fields that a msgpack map has, too.
func (d *draft) part(name string, bit int, raw json.RawMessage) (err error) {
	switch bit {
	case fieldConsistency:
		code, err := jsonCode(name, raw)
		if err != nil {
			return err
		}
		if d.Model = readConsistency(code); d.Model == 0 {
			return malformed("unknown consistency %s (want %s)", quote(code), consistencyChoice)
		}
	case fieldRequest:
		code, err := jsonCode(name, raw)
		if err != nil {
			return err
		}
		if d.Type = readType(code); d.Type == 0 {
			return malformed("unknown request %s (want %s)", quote(code), model.TypeChoice)
		}
	case fieldKey, fieldPrefix:
		d.Key, err = jsonString(name, raw)
	case fieldValue:
		d.Value, d.numeric, err = jsonValue(name, raw)

	// Of a txn.
	case fieldIf:
		d.txn.If, err = jsonChecks(raw)
	case fieldThen:
		d.txn.Then, err = jsonSteps(name, raw)
	case fieldElse:
		d.txn.Else, err = jsonSteps(name, raw)

	default:
		text, err := jsonExtra(name, bit, raw)
		if err != nil {
			return err
		}
		return setExtra(&d.Request.Request, bit, text)
	}
	return err
}

// jsonValue is a string, that of bytes in base64, or a number.
func jsonValue(name string, raw json.RawMessage) (value []byte, numeric bool, err error) {
	if name == "value" && isNumber(raw) {
		return raw, true, nil
	}
	text, err := jsonString(name, raw)
	if err != nil || name == "value" {
		return []byte(text), false, err
	}
	if value, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
		return nil, false, malformed("field %s is no base64: %s", name, oneLine(err.Error()))
	}
	return value, false, nil
}

// jsonExtra is what a header says otherwise, as it would stand there.
func jsonExtra(name string, bit int, raw json.RawMessage) (string, error) {
	switch bit {
	case fieldIfRevision, fieldLimit:
		return jsonNumber(name, raw)
	case fieldValues:
		if raw[0] != 't' && raw[0] != 'f' {
			return "", malformed("field %s is neither true nor false", name)
		}
		return string(raw), nil
	case fieldFrom: // of a watch it may be a number
		if isNumber(raw) {
			return jsonNumber(name, raw)
		}
	}
	return jsonString(name, raw)
}

func isNumber(raw json.RawMessage) bool {
	isDigit := '0' <= raw[0] && raw[0] <= '9'
	return raw[0] == '-' || isDigit
}

// option takes a field that says what a header says otherwise, as that header.
func (w *jsonWalker) option(name string) error {
	for _, a := range asked {
		if a.field != name {
			continue
		}
		if w.draft.Asked[a.header] != nil {
			return malformed("field %s is repeated", name)
		}
		raw, err := w.raw()
		if err != nil {
			return err
		}
		var value string
		if a.number {
			value, err = jsonNumber(name, raw)
		} else {
			value, err = jsonString(name, raw)
		}
		if err != nil {
			return err
		}
		if w.draft.Asked == nil {
			w.draft.Asked = nats.Header{}
		}
		w.draft.Asked[a.header] = []string{value}
		return nil
	}
	return malformed("unknown field %s", quote(name))
}

// jsonCode is a code or a name, as the text form has them.
func jsonCode(field string, raw json.RawMessage) ([]byte, error) {
	switch c := raw[0]; {
	case c == '"':
		s, err := jsonString(field, raw)
		return []byte(s), err
	case isNumber(raw):
		return raw, nil
	}
	return nil, malformed("field %s is neither a number nor a string", field)
}

func jsonNumber(field string, raw json.RawMessage) (string, error) {
	if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil {
		return "", malformed("field %s is no whole number of up to 64 bits: %s", field, quote([]byte(raw)))
	}
	return string(raw), nil
}

func jsonString(field string, raw json.RawMessage) (s string, err error) {
	switch {
	case raw[0] != '"':
		return "", malformed("field %s is no string", field)
	case halfAPair(raw):
		return "", malformed("field %s holds half a surrogate pair: no character", field)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errJSON(raw, err)
	}
	return s, nil
}

// halfAPair reports whether a JSON string holds an escaped surrogate without its other half.
func halfAPair(raw []byte) bool {
	const noEscape = -1
	half := false // the first half of a pair was the last thing
	for i := 0; i < len(raw); i++ {
		unit := rune(noEscape)
		if raw[i] == '\\' {
			if i++; raw[i] == 'u' { // four digits follow: the decoder has seen to it
				n, _ := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
				unit, i = rune(n), i+4
			}
		}
		switch second := utf16.IsSurrogate(unit) && unit >= 0xdc00; {
		case half != second:
			return true
		default:
			half = utf16.IsSurrogate(unit) && !second
		}
	}
	return half
}

// OptionsOf reads what a request asks for by its headers, as [ParseOptions] does, and, of a
// JSON request, by its body. What headers say of the request itself (a condition, an end, a range)
// it adds to r. Nothing may be said both ways.
func OptionsOf(r *Request, h nats.Header) (Options, error) {
	if err := r.complete(h); err != nil {
		return Options{}, err
	}
	if r.Asked == nil {
		return optionsOf(r, h)
	}
	both := maps.Clone(h)
	if both == nil {
		both = nats.Header{}
	}
	for _, a := range asked {
		value := r.Asked[a.header]
		if value == nil {
			continue
		}
		if _, found := Lookup(h, a.header); found {
			return Options{}, malformed("field %s and header %s say the same thing: one is enough", a.field, a.header)
		}
		both[a.header] = value
	}
	return optionsOf(r, both)
}

// optionsOf is [ParseOptions] of a request. A watch of model 1 has no minimum, but says with it how
// much of its history it was told.
func optionsOf(r *Request, h nats.Header) (Options, error) {
	o, err := ParseOptions(h, r.Model)
	if err == nil && r.Type == model.Watch && r.Model == model.Linearizable {
		o.MinPosition, err = numberOption(h, HeaderMinPosition)
	}
	return o, err
}
