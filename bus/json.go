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
	r := Request{Encoding: JSON}
	if !utf8.Valid(body) {
		return r, malformed("the JSON is not UTF-8")
	}
	w := jsonWalker{dec: json.NewDecoder(bytes.NewReader(body)), request: &r}
	if _, err := w.dec.Token(); err != nil { // the brace
		return r, errJSON(err)
	}
	for w.dec.More() {
		if err := w.field(); err != nil {
			return r, err
		}
	}
	if _, err := w.dec.Token(); err != nil { // the other one
		return r, errJSON(err)
	}
	if after := len(trim(body[w.dec.InputOffset():])); after > 0 {
		return r, malformed("%d bytes after the JSON object", after)
	}
	if err := missing(w.seen, r.Type); err != nil {
		return r, err
	}
	if err := checkKey(r.Key); err != nil {
		return r, err
	}
	return r, checkSize(len(r.Key), len(r.Value))
}

// errJSON says what is wrong with the form, and where.
func errJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return malformed("no JSON at byte %d: %s", syntax.Offset, oneLine(syntax.Error()))
	}
	return malformed("the JSON is cut short")
}

type jsonWalker struct {
	dec     *json.Decoder
	request *Request
	seen    int // bits, as of a msgpack map
}

// field reads one name and its value into the request.
func (w *jsonWalker) field() error {
	token, err := w.dec.Token()
	if err != nil {
		return errJSON(err)
	}
	name, ok := token.(string)
	if !ok {
		return malformed("no JSON: a field's name is no string")
	}
	bit := jsonBit(name)
	if w.seen&bit != 0 {
		if bit == fieldValue {
			return malformed("a set takes one value: one of the fields value and value_base64")
		}
		return malformed("field %s is repeated", name)
	}
	w.seen |= bit
	if bit == 0 {
		return w.option(name)
	}
	raw, err := w.raw()
	if err != nil {
		return err
	}
	return w.part(name, raw)
}

// jsonBit is 0 for what is none of a request's own parts.
func jsonBit(name string) int {
	switch name {
	case "consistency":
		return fieldConsistency
	case "request":
		return fieldRequest
	case "key":
		return fieldKey
	case "value", "value_base64":
		return fieldValue
	}
	return 0
}

// raw reads a value as it stands there.
func (w *jsonWalker) raw() (json.RawMessage, error) {
	var raw json.RawMessage
	if err := w.dec.Decode(&raw); err != nil {
		return nil, errJSON(err)
	}
	return raw, nil
}

// part takes one of the fields that a msgpack map has, too.
func (w *jsonWalker) part(name string, raw json.RawMessage) (err error) {
	r := w.request
	switch name {
	case "consistency":
		code, err := jsonCode(name, raw)
		if err != nil {
			return err
		}
		if r.Model = readConsistency(code); r.Model == 0 {
			return malformed("unknown consistency %s (want %s)", quote(code), consistencyChoice)
		}
	case "request":
		code, err := jsonCode(name, raw)
		if err != nil {
			return err
		}
		if r.Type = readType(code); r.Type == 0 {
			return malformed("unknown request %s (want %s)", quote(code), typeChoice)
		}

	// The rest of the fields are strings.
	case "key":
		r.Key, err = jsonString(name, raw)
	case "value":
		var value string
		value, err = jsonString(name, raw)
		r.Value = []byte(value)
	case "value_base64":
		var value string
		if value, err = jsonString(name, raw); err != nil {
			return err
		}
		if r.Value, err = base64.StdEncoding.Strict().DecodeString(value); err != nil {
			return malformed("field %s is no base64: %s", name, oneLine(err.Error()))
		}
	}
	return err
}

// option takes a field that says what a header says otherwise, as that header.
func (w *jsonWalker) option(name string) error {
	for _, a := range asked {
		if a.field != name {
			continue
		}
		if w.request.Asked[a.header] != nil {
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
		if w.request.Asked == nil {
			w.request.Asked = nats.Header{}
		}
		w.request.Asked[a.header] = []string{value}
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
	case c == '-', '0' <= c && c <= '9':
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
		return "", errJSON(err)
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
// JSON request, by its body. Nothing may be said both ways.
func OptionsOf(r *Request, h nats.Header) (Options, error) {
	if r.Asked == nil {
		return ParseOptions(h, r.Model)
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
	return ParseOptions(both, r.Model)
}

// maxJSON is about how large a JSON reply is made: no larger than the largest value takes
// in base64, so that it fits where that does. (Characters that JSON escapes take up to six
// times their place.)
const maxJSON = 700_000

// JSONReply is the body of a reply to a JSON request, as CONTRACT.md has its fields. The
// command's -o json and jsonl have the same ones, by the same code.
type JSONReply struct {
	Ack         string  `json:"ack,omitempty"`
	Code        uint16  `json:"code,omitempty"`
	Error       string  `json:"error,omitempty"`
	Consistency string  `json:"consistency,omitempty"`
	Request     string  `json:"request,omitempty"`
	Value       *string `json:"value,omitempty"`
	Binary      []byte  `json:"value_base64,omitempty"`
	RID         uint64  `json:"rID,omitempty"`
	Clock       string  `json:"clock,omitempty"`
	Replica     string  `json:"replica,omitempty"`
	Timestamp   uint64  `json:"timestamp,omitempty"`
	Position    *uint64 `json:"position,omitempty"`
	Session     string  `json:"session,omitempty"`
	History     string  `json:"history,omitempty"`
}

// JSON is r as a JSON object, which says all that the headers say.
func (r *Reply) JSON() JSONReply {
	out := JSONReply{
		Ack: AckOK, Code: uint16(r.Code), RID: r.RID, Clock: r.Clock.String(), Timestamp: r.Timestamp, Session: r.Session,
		History: HistoryWord(r.History),
	}
	if r.Code != model.OK {
		out.Ack, out.Error = AckFail, oneLine(r.Reason)
	}
	if r.Model.Valid() {
		out.Consistency = modelWords[r.Model]
	}
	if r.Type.Valid() {
		out.Request = typeWords[r.Type]
	}
	if r.Replica != 0 {
		out.Replica = r.Replica.String()
	}
	if r.HasPosition {
		out.Position = &r.Position
	}
	if r.Code == model.OK && r.Type == model.Get {
		out.hold(r.Value)
	}
	return out
}

// hold takes a value: as text, if that is UTF-8 and not too large in JSON.
func (out *JSONReply) hold(body []byte) {
	if value := string(body); utf8.ValidString(value) {
		out.Value = &value
		if len(encodeJSON(out)) <= maxJSON {
			return
		}
		out.Value = nil
	}
	out.Binary = body
}

// json is the body of r.
func (r *Reply) json() []byte {
	out := r.JSON()
	return encodeJSON(&out)
}

func encodeJSON(r *JSONReply) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(r) // strings and numbers: cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
