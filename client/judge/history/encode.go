package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"quartet/bus/model"
)

// record is one operation as a line of a history has it. The names are a stable format: a field is
// never renamed or given another meaning.
type record struct {
	ID        uint64 `json:"id,omitempty"`
	Client    string `json:"client,omitempty"`
	Session   string `json:"session,omitempty"`
	Model     string `json:"model"`
	Type      string `json:"type"`
	Key       string `json:"key"`
	Value     string `json:"value,omitempty"`
	Value64   []byte `json:"value_base64,omitempty"`
	Output    string `json:"output,omitempty"`
	Output64  []byte `json:"output_base64,omitempty"`
	Found     bool   `json:"found,omitempty"`
	Call      int64  `json:"call"`
	Return    int64  `json:"return"`
	Replica   string `json:"replica,omitempty"`
	Position  uint64 `json:"position,omitempty"`
	Timestamp uint64 `json:"timestamp,omitempty"`
	Outcome   string `json:"outcome"`
	Code      uint16 `json:"code,omitempty"`
	Identity  string `json:"identity,omitempty"`
	Rest      bool   `json:"rest,omitempty"`
}

// Encode writes h as JSON lines, without a header. Values that are not UTF-8 go into the
// base64 fields.
func Encode(w io.Writer, h []Operation) error {
	var line []byte
	for i := range h {
		var err error
		if line, err = Append(line[:0], &h[i]); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		if _, err = w.Write(line); err != nil {
			return fmt.Errorf("history: operation %d: %w", i, err)
		}
	}
	return nil
}

// Append appends an operation's line.
func Append(dst []byte, o *Operation) ([]byte, error) {
	r := record{
		ID: o.ID, Client: o.Client, Session: o.Session, Model: o.Model.Word(), Type: o.Type.Word(),
		Key: o.Key, Found: o.Found, Call: o.Call, Return: o.Return, Replica: o.Replica,
		Position: o.Position, Timestamp: o.Timestamp, Outcome: o.Outcome.String(), Code: o.Code,
		Identity: o.Identity, Rest: o.Rest,
	}
	r.Value, r.Value64 = split(o.Value)
	r.Output, r.Output64 = split(o.Output)

	b := bytes.NewBuffer(dst)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&r); err != nil {
		return dst, fmt.Errorf("history: %w", err)
	}
	return b.Bytes(), nil
}

// split returns s as text or, if it is not UTF-8, as bytes.
func split(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// decodeLine reads what [Append] writes. The error wraps [ErrFormat].
func decodeLine(line []byte) (Operation, error) {
	var r record
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Operation{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if dec.More() {
		return Operation{}, fmt.Errorf("%w: more than one record on the line", ErrFormat)
	}

	o := Operation{
		ID: r.ID, Client: r.Client, Session: r.Session, Key: r.Key, Value: join(r.Value, r.Value64),
		Output: join(r.Output, r.Output64), Found: r.Found, Call: r.Call, Return: r.Return, Replica: r.Replica,
		Position: r.Position, Timestamp: r.Timestamp, Code: r.Code, Identity: r.Identity, Rest: r.Rest,
	}

	var err error
	if o.Model, err = model.ParseConsistency(r.Model); err != nil {
		return Operation{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if o.Type, err = model.ParseType(r.Type); err != nil {
		return Operation{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}

	for out := OK; out <= Unknown; out++ {
		if r.Outcome == outcomeWords[out] {
			o.Outcome = out
		}
	}

	switch {
	case o.Outcome == 0:
		return Operation{}, fmt.Errorf("%w: outcome %q (want ok, fail or unknown)", ErrFormat, r.Outcome)
	case o.Key == "":
		return Operation{}, fmt.Errorf("%w: no key", ErrFormat)
	case o.Rest && !o.restful():
		return Operation{}, fmt.Errorf("%w: only a get of a certain replica can be at rest", ErrFormat)
	case o.Return < o.Call:
		return Operation{}, fmt.Errorf("%w: it returned at %d, before its call at %d", ErrFormat, o.Return, o.Call)
	}
	return o, nil
}

// restful reports whether the operation may be at rest.
func (o *Operation) restful() bool { return o.Type == model.Get && o.Replica != "" }

// join returns what [split] has split.
func join(s string, b []byte) string {
	if len(b) > 0 {
		return string(b)
	}
	return s
}
