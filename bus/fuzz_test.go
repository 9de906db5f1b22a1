package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Whatever is accepted keeps the contract's limits and says the same again in every
// encoding; whatever is refused is refused with a code and one line.
func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		"", "1, 1, key1 ::: first", "linearizable,get,k", "4,1,a,b:::c:::d", "1,1,k", "9,2,k", "1,2,a\tb", "1,2,k\xff",
		"\x84\xabconsistency\x03\xa7request\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"\x83\xabconsistency\x01\xa7request\x02\xa3key\xa1k", "\x81\xa3ttl\x05", "\xdf\xff\xff\xff\xff",
		"\x84\xabconsistency\x01\xa7request\x01\xa3key\xa1k\xa5value\xc6\xff\xff\xff\xff", "\xc0", "\x80",
		`{"consistency":3,"request":"set","key":" k ","value":"\n v"}`,
		`{"consistency":"eventual","request":1,"key":"k","value_base64":"/w=="}`,

		// The later requests.
		"1, delete, k", "3,4,", "4, list, a", "1, watch, a", "2, add, n ::: +007", "1, txn, k",
		`{"consistency":1,"request":"add","key":"n","value":-7,"if_revision":0}`,
		`{"consistency":1,"request":4,"prefix":"a","limit":7,"values":true,"from":"r2.7"}`, `{"consistency":4,"request":5,"from":17}`,
		`{"consistency":4,"request":1,"key":"k","value":"v","ttl":"1h30m"}`,
		`{"consistency":1,"request":6,"if":[{"key":"a","revision":17},{"key":"b","exists":false},{"key":"c","value":"x"}],` +
			`"then":[{"request":"set","key":"a","value":"1","ttl":"5m"},{"request":"get","key":"d"}],` +
			`"else":[{"request":7,"key":"a","value":"7"}]}`,
		"\x85\xabif_revision\x07\xabconsistency\x02\xa7request\x01\xa3key\xa1k\xa5value\xc4\x01v",
		"\x84\xabconsistency\x01\xa7request\x05\xa6prefix\xa0\xa4from\x11",
		"\x83\xabconsistency\x01\xa7request\x06\xa4then\x91\x83\xa7request\x07\xa3key\xa1n\xa5value\xff",
	} {
		f.Add([]byte(seed))
	}

	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		r, err := ParseRequest(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			checkRefusal(t, err)
			return
		}

		if err := Check(&r.Request); err != nil {
			t.Fatalf("accepted %+v, which Check refuses: %v", r, err)
		}
		if (r.Value != nil) != takesValue(r.Type) {
			t.Fatalf("value %v of a %v", r.Value, r.Type)
		}

		packed, err := AppendMsgpack(nil, &r.Request)
		if err != nil {
			t.Fatal(err)
		}
		forms := map[string]nats.Header{string(packed): nil, string(jsonForm(t, &r.Request)): nil}
		switch {
		case r.Type == model.Txn: // it has no text form
		case Trimmed(&r.Request):
			forms[string(AppendText(nil, &r.Request))] = TextHeader(nil, &r.Request)
		case r.Encoding == Text:
			t.Fatalf("text was not trimmed: %+v", r)
		}

		for form, header := range forms {
			again, err := ParseRequest([]byte(form))
			if err == nil {
				_, err = OptionsOf(&again, header)
			}
			if diff := cmp.Diff(r.Request, again.Request, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Fatalf("%q: %v\n%s", form, err, diff)
			}
		}
	})
}

// jsonForm is r in JSON.
func jsonForm(t *testing.T, r *model.Request) []byte {
	t.Helper()
	object := map[string]any{"consistency": r.Model, "request": r.Type}
	switch {
	case r.Type == model.Txn:
		x, err := codec.ParseTransaction(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		jsonLists(object, &x)
	case r.Type.HasKey():
		object["key"] = r.Key
	default:
		object["prefix"] = r.Key
	}

	jsonExtras(object, r.Type, r.Value, r.HasIf, r.If, r.TTL)
	if x := r.Range; x != nil && x.Limit > 0 {
		object["limit"] = x.Limit
	}
	if x := r.Range; x != nil && r.Type == model.List {
		object["values"] = x.Values
	}
	if x := r.Range; x != nil && x.From != "" {
		object["from"] = x.From
	}

	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// jsonExtras are the fields that requests and steps have beside key and codes.
func jsonExtras(object map[string]any, kind model.Type, value []byte, hasIf bool, revision, ttl uint64) {
	switch kind {
	case model.Set:
		object["value_base64"] = value
	case model.Add:
		object["value"] = string(value)
	}
	if hasIf {
		object["if_revision"] = revision
	}
	if ttl > 0 {
		object["ttl"] = FormatTTL(ttl)
	}
}

func jsonLists(object map[string]any, x *model.Transaction) {
	checks := []any{}
	for _, c := range x.If {
		check := map[string]any{"key": c.Key}
		switch {
		case c.HasRevision:
			check["revision"] = c.Revision
		case c.HasExists:
			check["exists"] = c.Exists
		default:
			check["value_base64"] = c.Value
		}
		checks = append(checks, check)
	}

	steps := func(steps []model.Step) []any {
		list := []any{}
		for _, s := range steps {
			step := map[string]any{"request": s.Type, "key": s.Key}
			jsonExtras(step, s.Type, s.Value, s.HasIf, s.If, s.TTL)
			list = append(list, step)
		}
		return list
	}
	object["if"], object["then"], object["else"] = checks, steps(x.Then), steps(x.Else)
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	tooLarge := e.Code == model.TooLarge
	if !tooLarge && e.Code != model.Malformed {
		t.Fatalf("code %d of %v", e.Code, err)
	}
	if errors.Is(err, ErrTooLarge) != tooLarge {
		t.Fatalf("code %d of %v", e.Code, err)
	}
	if e.Reason == "" || len(e.Reason) > 300 || strings.ContainsAny(e.Reason, "\r\n") || !utf8.ValidString(e.Reason) {
		t.Fatalf("reason %q", e.Reason)
	}
}

// What is read of a JSON request is what a JSON library reads there, and nothing else is
// there; its options are checked as headers are.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`{"consistency":1,"request":2,"key":"k"}`,
		`{"consistency":"causal","request":"set","key":"k","value":"\ud83d\ude00\u0000","id":"i"}`,
		`{"consistency":2,"request":1,"key":"k","value_base64":"/wD+","min_position":7,"min_timestamp":8,` +
			`"replica":"r1","client":"C","session":"new"}`,
		`{"consistency":1,"request":1,"key":"k","value":"\ud800"}`, `{"key":[[[[`, `{"key":"k","\u006bey":"l"}`,
		`{"consistency":1e0}`, "{}\x00",
	} {
		f.Add([]byte(seed))
	}

	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 || body[0] != '{' {
			return
		}

		r, err := ParseRequest(body)
		if r.Encoding != JSON {
			t.Fatalf("taken for %v", r.Encoding)
		}
		if err != nil {
			checkRefusal(t, err)
			return
		}

		var fields map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&fields); err != nil || !json.Valid(body) {
			t.Fatalf("accepted, though %v", err)
		}

		known := map[string]bool{"consistency": true, "request": true, "key": true, "prefix": true, "value": true, "value_base64": true,
			"if": true, "then": true, "else": true, "if_revision": true, "ttl": true, "limit": true, "values": true, "from": true}
		others := 0
		for name := range fields {
			if !known[name] {
				others++
			}
		}
		if text, ok := fields["value"]; ok && r.Type == model.Set && text != string(r.Value) {
			t.Fatalf("value %q is %q", text, r.Value)
		}
		otherKey := r.Type.HasKey() && fields["key"] != r.Key
		if others != len(r.Asked) || otherKey {
			t.Fatalf("%+v of %v", r, fields)
		}

		for name, values := range r.Asked {
			if len(values) != 1 {
				t.Fatalf("%s: %v", name, values)
			}
		}
		if _, err := OptionsOf(&r, nil); err != nil {
			checkRefusal(t, err)
		}
	})
}

// Headers of any content either complete a request to one that the cluster takes, or are refused.
func FuzzExtras(f *testing.F) {
	f.Add("1, 1, k ::: v", "Quartet-TTL", "5m", "quartet-if-revision", "0")
	f.Add("1, 4, a", "Quartet-Limit", "10001", "Quartet-From", "r2.7")
	f.Add("3, 5, ", "Quartet-From", "18446744073709551616", "Quartet-Values", "true")
	f.Fuzz(func(t *testing.T, body, name1, value1, name2, value2 string) {
		r, err := ParseRequest([]byte(body))
		if err != nil {
			return
		}
		before := r.Request
		h := nats.Header{name1: {value1}, name2: {value2}}
		if _, err := OptionsOf(&r, h); err != nil {
			checkRefusal(t, err)
			return
		}
		if err := Check(&r.Request); err != nil {
			t.Fatalf("%+v was completed to %+v: %v", before, r.Request, err)
		}
		if r.Model != before.Model || r.Type != before.Type || r.Key != before.Key || !bytes.Equal(r.Value, before.Value) {
			t.Fatalf("%+v became %+v", before, r.Request)
		}
	})
}

func FuzzParseOptions(f *testing.F) {
	f.Add("Nats-Msg-Id", "id", "Quartet-Min-Timestamp", "7", uint8(3))
	f.Add("NATS-MSG-ID", "", "Quartet-Min-Position", "18446744073709551616", uint8(2))
	f.Add("Quartet-Replica", "r1\r\n", "Quartet-Client", "\x1b", uint8(1))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, m uint8) {
		c := model.Consistency(m)
		o, err := ParseOptions(nats.Header{name1: {value1}, name2: {value2}}, c)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		for _, name := range []string{o.Identity, o.Client} {
			if len(name) > model.MaxIdentity || !utf8.ValidString(name) || strings.ContainsAny(name, "\r\n\t\x00") {
				t.Fatalf("accepted %q", name)
			}
		}
		timestamp := o.MinTimestamp != 0 && c != model.Causal
		position := o.MinPosition != 0 && c != model.Sequential
		if timestamp || position {
			t.Fatalf("%+v of model %d", o, m)
		}
		if o.Replica != "" {
			if n, err := lamport.ParseNode(o.Replica); err != nil || n.String() != o.Replica {
				t.Fatalf("replica %q", o.Replica)
			}
		}
	})
}

// What is read as a reply is the same reply when it is sent on and read again.
func FuzzParseReply(f *testing.F) {
	f.Add("1", "OK", "LINEARIZABLE", "SET", "5.r1", "r1", "", "0", "", "", []byte("k ::: v"))
	f.Add("18446744073709551615", "FAIL", "causal", "2", "0.m1", "", "3", "", "404", "a\r\nb", []byte(nil))
	f.Add("x", "NO", "x", "x", "x", "x", "x", "x", "x", "", []byte("x"))

	f.Fuzz(func(t *testing.T, rid, ack, consistency, request, clock, replica, timestamp, position, code, reason string, body []byte) {
		h := nats.Header{}
		for name, value := range map[string]string{
			HeaderRequestID: rid, HeaderAck: ack, HeaderConsistency: consistency, HeaderRequest: request, HeaderClock: clock,
			HeaderReplica: replica, HeaderTimestamp: timestamp, HeaderPosition: position, HeaderErrorCode: code, HeaderError: reason,
		} {
			if value != "" {
				h.Set(name, value)
			}
		}

		r, err := ParseReply(&nats.Msg{Header: h, Data: body})
		if err != nil {
			if !errors.Is(err, ErrReply) {
				t.Fatal(err)
			}
			return
		}

		m := r.Msg("to")
		for name, values := range m.Header {
			if len(values) != 1 || strings.ContainsAny(values[0], "\r\n") {
				t.Fatalf("%s: %q", name, values)
			}
		}

		again, err := ParseReply(m)
		if err != nil {
			t.Fatal(err)
		}
		want := string(r.Body)
		if r.Code != model.OK {
			want = again.Reason
		}
		if string(again.Body) != want {
			t.Fatalf("body %q of %+v", again.Body, r)
		}

		r.Body, again.Body, r.Reason, again.Reason = nil, nil, "", ""
		if r.RID != again.RID || r.Code != again.Code || r.Model != again.Model || r.Type != again.Type || r.Clock != again.Clock ||
			r.Replica != again.Replica || r.Timestamp != again.Timestamp || r.Position != again.Position ||
			r.HasPosition != again.HasPosition {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}

func FuzzParseRIDs(f *testing.F) {
	for _, seed := range []string{"", "1", "1,2,3", ",", "01", "18446744073709551616", "1,,2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rids, err := ParseRIDs(s)
		if err != nil {
			if !errors.Is(err, ErrRIDs) || len(err.Error()) > 300 {
				t.Fatal(err)
			}
			return
		}
		if got := string(AppendRIDs(nil, rids)); got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
