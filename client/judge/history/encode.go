package history

import (
	"bytes"
	"encoding/json"
	"errors"
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
	Key       string `json:"key,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
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

	If       *uint64 `json:"if_revision,omitempty"`
	TTL      uint64  `json:"ttl_ms,omitempty"`
	Ends     int64   `json:"ends,omitempty"`
	Revision *uint64 `json:"revision,omitempty"`
	Expires  uint64  `json:"expires_ms,omitempty"`

	Limit  int           `json:"limit,omitempty"`
	Values bool          `json:"values,omitempty"`
	From   string        `json:"from,omitempty"`
	Items  []itemRecord  `json:"items,omitempty"`
	Next   string        `json:"next,omitempty"`
	Events []eventRecord `json:"events,omitempty"`

	Txn     *txnRecord     `json:"txn,omitempty"`
	Results *resultsRecord `json:"results,omitempty"`
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
		Identity: o.Identity, Rest: o.Rest, TTL: o.TTL, Ends: o.Ends, Expires: o.Expires, Next: o.Next,
		If: optional(o.HasIf, o.If), Revision: optional(o.HasRevision, o.Revision),
		Items: itemRecords(o.Items), Events: eventRecords(o.Events),
		Txn: transactionRecord(o.Txn), Results: recordOfResults(o.Results),
	}
	r.Value, r.Value64 = split(o.Value)
	r.Output, r.Output64 = split(o.Output)
	if prefixed(o.Type) {
		r.Key, r.Prefix = "", o.Key
	}
	if o.Range != nil {
		r.Limit, r.Values, r.From = o.Range.Limit, o.Range.Values, o.Range.From
	}

	b := bytes.NewBuffer(dst)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&r); err != nil {
		return dst, fmt.Errorf("history: %w", err)
	}
	return b.Bytes(), nil
}

// prefixed reports whether operations of a type have a prefix in place of a key.
func prefixed(t model.Type) bool { return t == model.List || t == model.Watch }

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

	o, err := r.operation()
	if err == nil {
		err = o.fault()
	}
	if err != nil {
		return Operation{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return o, nil
}

// operation is what a line says.
func (r *record) operation() (o Operation, err error) {
	o = Operation{
		ID: r.ID, Client: r.Client, Session: r.Session, Key: r.Key, Value: join(r.Value, r.Value64),
		Output: join(r.Output, r.Output64), Found: r.Found, Call: r.Call, Return: r.Return, Replica: r.Replica,
		Position: r.Position, Timestamp: r.Timestamp, Code: r.Code, Identity: r.Identity, Rest: r.Rest,
		TTL: r.TTL, Ends: r.Ends, Expires: r.Expires, Next: r.Next, Results: r.Results.results(),
	}
	o.HasIf, o.If = given(r.If)
	o.HasRevision, o.Revision = given(r.Revision)

	ranged := r.Limit != 0 || r.Values || r.From != ""
	if ranged {
		o.Range = &model.Range{Limit: r.Limit, Values: r.Values, From: r.From}
	}

	if o.Model, err = model.ParseConsistency(r.Model); err != nil {
		return o, err
	}
	if o.Type, err = model.ParseType(r.Type); err != nil {
		return o, err
	}

	if prefixed(o.Type) {
		if r.Key != "" {
			return o, fmt.Errorf("a %s has a prefix, and no key", r.Type)
		}
		o.Key = r.Prefix
	}

	for out := OK; out <= Unknown; out++ {
		if r.Outcome == outcomeWords[out] {
			o.Outcome = out
		}
	}
	if o.Outcome == 0 {
		return o, fmt.Errorf("outcome %q (want ok, fail or unknown)", r.Outcome)
	}

	if o.Txn, err = r.Txn.transaction(); err != nil {
		return o, err
	}
	if o.Events, err = events(r.Events); err != nil {
		return o, err
	}
	o.Items = items(r.Items)
	return o, nil
}

// fault says what an operation cannot be.
func (o *Operation) fault() error {
	listed := len(o.Items) > 0 || o.Next != ""
	switch {
	case o.Key == "" && o.Type.HasKey():
		return errors.New("no key")
	case (o.Type == model.Txn) != (o.Txn != nil):
		return errors.New("a txn, and only a txn, has the field txn")
	case o.Results != nil && o.Txn == nil:
		return errors.New("only a txn has results")
	case o.Range != nil && !prefixed(o.Type):
		return errors.New("only a list or a watch has a limit, values or from")
	case listed && o.Type != model.List:
		return errors.New("only a list has items or next")
	case len(o.Events) > 0 && o.Type != model.Watch:
		return errors.New("only a watch has events")
	case o.Rest && !o.restful():
		return errors.New("only a get of a certain replica, or a watch, can be at rest")
	case o.Return < o.Call:
		return fmt.Errorf("it returned at %d, before its call at %d", o.Return, o.Call)
	}
	return nil
}

// restful reports whether the operation may be at rest.
func (o *Operation) restful() bool {
	replicas := o.Type == model.Get && o.Replica != ""
	return replicas || o.Type == model.Watch
}

// join returns what [split] has split.
func join(s string, b []byte) string {
	if len(b) > 0 {
		return string(b)
	}
	return s
}
