package bus

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"quartet/bus/model"
)

// maxJSON is about how large a JSON reply is made: no larger than the largest value takes
// in base64, so that it fits where that does. (Characters that JSON escapes take up to six
// times their place.)
const maxJSON = 700_000

// JSONReply is the body of a reply to a JSON request, as CONTRACT.md has its fields. The
// command's -o json and jsonl have the same ones, by the same code.
type JSONReply struct {
	Ack         string        `json:"ack,omitempty"`
	Code        uint16        `json:"code,omitempty"`
	Error       string        `json:"error,omitempty"`
	Consistency string        `json:"consistency,omitempty"`
	Request     string        `json:"request,omitempty"`
	Value       *string       `json:"value,omitempty"`
	Binary      []byte        `json:"value_base64,omitempty"`
	Items       *[]JSONItem   `json:"items,omitempty"`
	Next        string        `json:"next,omitempty"`
	Succeeded   *bool         `json:"succeeded,omitempty"`
	Failed      *int          `json:"failed,omitempty"`
	FailedIn    string        `json:"failed_in,omitempty"`
	Revision    *uint64       `json:"revision,omitempty"`
	Expires     string        `json:"expires,omitempty"`
	Results     *[]JSONResult `json:"results,omitempty"`
	RID         uint64        `json:"rID,omitempty"`
	Clock       string        `json:"clock,omitempty"`
	Replica     string        `json:"replica,omitempty"`
	Timestamp   uint64        `json:"timestamp,omitempty"`
	Position    *uint64       `json:"position,omitempty"`
	Session     string        `json:"session,omitempty"`
	History     string        `json:"history,omitempty"`
}

// JSONItem is a key of a list.
type JSONItem struct {
	Key       string  `json:"key"`
	Value     *string `json:"value,omitempty"`
	Binary    *[]byte `json:"value_base64,omitempty"`
	Revision  uint64  `json:"revision"`
	Expires   string  `json:"expires,omitempty"`
	Timestamp uint64  `json:"timestamp,omitempty"`
}

// JSONResult is what a step of a txn came to.
type JSONResult struct {
	Code     uint16  `json:"code"`
	Value    *string `json:"value,omitempty"`
	Binary   *[]byte `json:"value_base64,omitempty"`
	Revision uint64  `json:"revision,omitempty"`
	Expires  string  `json:"expires,omitempty"`
}

// JSON is r as a JSON object, which says all that the headers and the body say. r is one that is to
// be sent, or that came to a request in msgpack.
func (r *Reply) JSON() JSONReply {
	holds, err := r.content()
	if err != nil {
		holds = content{}
	}
	return r.jsonOf(holds)
}

func (r *Reply) jsonOf(holds content) JSONReply {
	out := JSONReply{
		Ack: AckOK, Code: uint16(r.Code), RID: r.RID, Clock: r.Clock.String(), Timestamp: r.Timestamp, Session: r.Session,
		History: HistoryWord(r.History), Next: r.Next,
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
	if r.HasRevision {
		out.Revision = &r.Revision
	}
	if r.Expires > 0 {
		out.Expires = expiresAt(r.Expires)
	}
	out.holdAll(r, holds)
	return out
}

// holdAll takes what the reply says beside the headers.
func (out *JSONReply) holdAll(r *Reply, holds content) {
	valued := r.Type == model.Get || r.Type == model.Add
	switch {
	case holds.page != nil:
		out.holdPage(holds.page)
	case holds.results != nil && holds.results.Failed >= 0:
		out.holdFailure(holds.results)
	case holds.results != nil:
		out.holdResults(holds.results)
	case r.Code == model.OK && valued:
		out.hold(r.Value)
	}
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

// holdPage takes the keys of a page. Where it would be too large, values that take less place so
// stand in base64.
func (out *JSONReply) holdPage(p *model.Page) {
	items := make([]JSONItem, len(p.Items))
	for i := range p.Items {
		items[i] = ItemJSON(&p.Items[i])
	}

	out.Items = &items
	if len(encodeJSON(out)) <= maxJSON {
		return
	}
	for i := range items {
		items[i].Value, items[i].Binary = shorter(items[i].Value, items[i].Binary)
	}
}

// ItemJSON is a key of a list as it stands in a reply in JSON.
func ItemJSON(x *model.Item) JSONItem {
	item := JSONItem{Key: x.Key, Revision: x.Revision, Timestamp: x.Timestamp}
	if x.Expires > 0 {
		item.Expires = expiresAt(x.Expires)
	}
	if x.HasValue {
		item.Value, item.Binary = textOrBinary(x.Value)
	}
	return item
}

// holdFailure takes which step of a txn could not be done, and the revision of its key.
func (out *JSONReply) holdFailure(r *model.Results) {
	out.Failed, out.FailedIn = &r.Failed, r.List()
	revision := r.FailedRevision()
	out.Revision = &revision
}

// holdResults takes what the steps of a txn came to.
func (out *JSONReply) holdResults(r *model.Results) {
	results := make([]JSONResult, len(r.Results))
	for i := range r.Results {
		x := &r.Results[i]
		results[i] = JSONResult{Code: uint16(x.Code), Revision: x.Revision}
		if x.Expires > 0 {
			results[i].Expires = expiresAt(x.Expires)
		}
		if x.Value != nil {
			results[i].Value, results[i].Binary = textOrBinary(x.Value)
		}
	}

	out.Succeeded, out.Results = &r.Succeeded, &results
	if len(encodeJSON(out)) <= maxJSON {
		return
	}
	for i := range results {
		results[i].Value, results[i].Binary = shorter(results[i].Value, results[i].Binary)
	}
}

// textOrBinary is a value as text, if it is UTF-8, else as bytes.
func textOrBinary(b []byte) (text *string, binary *[]byte) {
	if !utf8.Valid(b) {
		return nil, &b
	}
	s := string(b)
	return &s, nil
}

// shorter is a value as bytes where that takes less place in JSON.
func shorter(text *string, binary *[]byte) (*string, *[]byte) {
	if text == nil || len(quoted([]byte(*text))) <= (len(*text)+2)/3*4+len(`_base64""`) {
		return text, binary
	}
	b := []byte(*text)
	return nil, &b
}

// json is the body of r.
func (r *Reply) json(holds content) []byte {
	out := r.jsonOf(holds)
	return encodeJSON(&out)
}

// encodeJSON is what is made of strings and numbers as JSON, on one line.
func encodeJSON[T JSONReply | JSONEvent](of *T) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(of) // strings and numbers: cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
