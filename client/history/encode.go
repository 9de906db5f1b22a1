package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"quartet/replica/model"
)

// ErrFormat is wrapped by every error of [Decode] that is not the reader's own.
var ErrFormat = errors.New("history: malformed record")

// maxLine bounds a record, in bytes: a key and value of the largest size, escaped.
const maxLine = 8 << 20

// record is one line of a history. The names are a stable format: a field is never
// renamed or given another meaning.
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
	Identity  string `json:"identity,omitempty"`
}

// Encode writes h as JSON lines. Values that are not UTF-8 go into the base64 fields.
func Encode(w io.Writer, h []Operation) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range h {
		o := &h[i]
		r := record{
			ID: o.ID, Client: o.Client, Session: o.Session, Model: o.Model.Word(), Type: o.Type.Word(),
			Key: o.Key, Found: o.Found, Call: o.Call, Return: o.Return, Replica: o.Replica,
			Position: o.Position, Timestamp: o.Timestamp, Outcome: o.Outcome.String(), Identity: o.Identity,
		}
		r.Value, r.Value64 = split(o.Value)
		r.Output, r.Output64 = split(o.Output)
		if err := enc.Encode(&r); err != nil {
			return fmt.Errorf("history: operation %d: %w", i, err)
		}
	}
	return nil
}

func split(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// Decode reads JSON lines. Blank lines and lines that begin with # are passed over. An
// error names the line, counted from 1, and wraps [ErrFormat].
func Decode(r io.Reader) ([]Operation, error) {
	var h []Operation
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		o, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		h = append(h, o)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("history: after line %d: %w", n, err)
	}
	return h, nil
}

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
		Position: r.Position, Timestamp: r.Timestamp, Identity: r.Identity,
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
	case o.Return < o.Call:
		return Operation{}, fmt.Errorf("%w: it returned at %d, before its call at %d", ErrFormat, o.Return, o.Call)
	}
	return o, nil
}

func join(s string, b []byte) string {
	if len(b) > 0 {
		return string(b)
	}
	return s
}
