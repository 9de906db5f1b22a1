package history

import (
	"fmt"
	"slices"

	"quartet/bus/model"
)

// bytesRecord is a value that may be left out, which is not the same as an empty one.
type bytesRecord struct {
	Value   *string `json:"value,omitempty"`
	Value64 []byte  `json:"value_base64,omitempty"`
}

// recordOfBytes returns the record of a value; nil: it is left out.
func recordOfBytes(b []byte) (r bytesRecord) {
	if b == nil {
		return r
	}

	text, raw := split(string(b))
	if raw != nil {
		r.Value64 = raw
		return r
	}
	r.Value = &text
	return r
}

// bytes returns nil where there is no value.
func (r *bytesRecord) bytes() []byte {
	switch {
	case len(r.Value64) > 0:
		return r.Value64
	case r.Value != nil:
		return []byte(*r.Value)
	}
	return nil
}

// optional is a number that a record leaves out where there is none.
func optional(has bool, n uint64) *uint64 {
	if !has {
		return nil
	}
	return &n
}

// given returns what [optional] was given.
func given(n *uint64) (bool, uint64) {
	if n == nil {
		return false, 0
	}
	return true, *n
}

// txnRecord is a transaction as a history has it: as in the JSON of a request, but for a TTL.
type txnRecord struct {
	If   []checkRecord `json:"if,omitempty"`
	Then []stepRecord  `json:"then,omitempty"`
	Else []stepRecord  `json:"else,omitempty"`
}

// checkRecord is a condition of a transaction: one of its fields beside the key is there.
type checkRecord struct {
	Key      string  `json:"key"`
	Revision *uint64 `json:"revision,omitempty"`
	Exists   *bool   `json:"exists,omitempty"`
	bytesRecord
}

// stepRecord is a step of a transaction.
type stepRecord struct {
	Request string  `json:"request"`
	Key     string  `json:"key"`
	If      *uint64 `json:"if_revision,omitempty"`
	TTL     uint64  `json:"ttl_ms,omitempty"`
	bytesRecord
}

// transactionRecord returns the record of a transaction; nil, of all other requests.
func transactionRecord(t *model.Transaction) *txnRecord {
	if t == nil {
		return nil
	}

	r := &txnRecord{Then: stepRecords(t.Then), Else: stepRecords(t.Else)}
	for i := range t.If {
		c := &t.If[i]
		x := checkRecord{Key: c.Key, Revision: optional(c.HasRevision, c.Revision), bytesRecord: recordOfBytes(c.Value)}
		if c.HasExists {
			x.Exists = &c.Exists
		}
		r.If = append(r.If, x)
	}
	return r
}

// stepRecords returns the records of a branch of a transaction.
func stepRecords(steps []model.Step) []stepRecord {
	var list []stepRecord
	for i := range steps {
		s := &steps[i]
		list = append(list, stepRecord{
			Request: s.Type.Word(), Key: s.Key, If: optional(s.HasIf, s.If), TTL: s.TTL, bytesRecord: recordOfBytes(s.Value),
		})
	}
	return list
}

// transaction returns what transactionRecord was given. Its error says what no transaction can be.
func (r *txnRecord) transaction() (*model.Transaction, error) {
	if r == nil {
		return nil, nil
	}

	t := &model.Transaction{}
	for i := range r.If {
		x := &r.If[i]
		c := model.Check{Key: x.Key, Value: x.bytes()}
		c.HasRevision, c.Revision = given(x.Revision)
		c.HasValue = c.Value != nil
		if x.Exists != nil {
			c.HasExists, c.Exists = true, *x.Exists
		}

		kinds := 0
		for _, has := range [...]bool{c.HasRevision, c.HasExists, c.HasValue} {
			if has {
				kinds++
			}
		}
		if kinds != 1 || c.Key == "" {
			return nil, fmt.Errorf("condition %d of a txn wants a key and one of revision, exists and value", i)
		}
		t.If = append(t.If, c)
	}

	var err error
	if t.Then, err = stepsOf(r.Then); err != nil {
		return nil, err
	}
	if t.Else, err = stepsOf(r.Else); err != nil {
		return nil, err
	}
	return t, nil
}

// stepsOf returns what stepRecords was given. Its error says what no step can be.
func stepsOf(list []stepRecord) ([]model.Step, error) {
	var steps []model.Step
	for i := range list {
		x := &list[i]
		kind, err := model.ParseType(x.Request)
		if err != nil {
			return nil, err
		}

		s := model.Step{Type: kind, Key: x.Key, TTL: x.TTL, Value: x.bytes()}
		s.HasIf, s.If = given(x.If)
		takesValue, hasValue := kind == model.Set || kind == model.Add, s.Value != nil
		if !kind.HasKey() || s.Key == "" || takesValue != hasValue {
			return nil, fmt.Errorf("step %d of a txn is no set, get, delete or add of a key", i)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// resultsRecord is what a transaction came to.
type resultsRecord struct {
	Succeeded bool           `json:"succeeded"`
	Failed    *int           `json:"failed,omitempty"`
	Results   []resultRecord `json:"results,omitempty"`
}

// resultRecord is the result of one step.
type resultRecord struct {
	Code     uint16 `json:"code"`
	Revision uint64 `json:"revision,omitempty"`
	Expires  uint64 `json:"expires_ms,omitempty"`
	bytesRecord
}

// recordOfResults returns the record of what a transaction came to; nil, where that is not known.
func recordOfResults(r *model.Results) *resultsRecord {
	if r == nil {
		return nil
	}

	x := &resultsRecord{Succeeded: r.Succeeded}
	if r.Failed >= 0 {
		x.Failed = &r.Failed
	}
	for i := range r.Results {
		y := &r.Results[i]
		x.Results = append(x.Results, resultRecord{
			Code: uint16(y.Code), Revision: y.Revision, Expires: y.Expires, bytesRecord: recordOfBytes(y.Value),
		})
	}
	return x
}

// results returns what recordOfResults was given.
func (r *resultsRecord) results() *model.Results {
	if r == nil {
		return nil
	}

	x := &model.Results{Succeeded: r.Succeeded, Failed: -1}
	if r.Failed != nil {
		x.Failed = *r.Failed
	}
	for i := range r.Results {
		y := &r.Results[i]
		x.Results = append(x.Results, model.Result{
			Code: model.Code(y.Code), Revision: y.Revision, Expires: y.Expires, Value: y.bytes(),
		})
	}
	return x
}

// itemRecord is a key of a list, with its value where the list has values.
type itemRecord struct {
	Key       string `json:"key"`
	Revision  uint64 `json:"revision,omitempty"`
	Expires   uint64 `json:"expires_ms,omitempty"`
	Timestamp uint64 `json:"timestamp,omitempty"`
	bytesRecord
}

// itemRecords returns the records of the keys that a list returned.
func itemRecords(list []model.Item) []itemRecord {
	var records []itemRecord
	for i := range list {
		x := &list[i]
		r := itemRecord{Key: x.Key, Revision: x.Revision, Expires: x.Expires, Timestamp: x.Timestamp}
		if x.HasValue { // an empty one, too, which is not nil then
			r.bytesRecord = recordOfBytes(append([]byte{}, x.Value...))
		}
		records = append(records, r)
	}
	return records
}

// items returns what itemRecords was given.
func items(records []itemRecord) []model.Item {
	var list []model.Item
	for i := range records {
		r := &records[i]
		x := model.Item{Key: r.Key, Revision: r.Revision, Expires: r.Expires, Timestamp: r.Timestamp, Value: r.bytes()}
		x.HasValue = x.Value != nil
		list = append(list, x)
	}
	return list
}

// eventRecord is an event that a watch has shown.
type eventRecord struct {
	Event    EventKind `json:"event"`
	Key      string    `json:"key,omitempty"`
	Value    string    `json:"value,omitempty"`
	Value64  []byte    `json:"value_base64,omitempty"`
	Revision uint64    `json:"revision,omitempty"`
	Sequence uint64    `json:"sequence,omitempty"`
	More     bool      `json:"more,omitempty"`
	At       int64     `json:"at,omitempty"`
}

// eventRecords returns the records of the events that a watch has shown.
func eventRecords(list []Event) []eventRecord {
	var records []eventRecord
	for i := range list {
		e := &list[i]
		r := eventRecord{Event: e.Kind, Key: e.Key, Revision: e.Revision, Sequence: e.Sequence, More: e.More, At: e.At}
		r.Value, r.Value64 = split(e.Value)
		records = append(records, r)
	}
	return records
}

// events returns what eventRecords was given. Its error says what no event can be.
func events(records []eventRecord) ([]Event, error) {
	var list []Event
	for i := range records {
		r := &records[i]
		keyless := r.Event == EventCaughtUp
		if !slices.Contains(eventKinds[:], r.Event) || keyless != (r.Key == "") {
			return nil, fmt.Errorf("event %d is %q of key %q: no event that a history has", i, r.Event, r.Key)
		}

		list = append(list, Event{
			Kind: r.Event, Key: r.Key, Value: join(r.Value, r.Value64), Revision: r.Revision,
			Sequence: r.Sequence, More: r.More, At: r.At,
		})
	}
	return list, nil
}
