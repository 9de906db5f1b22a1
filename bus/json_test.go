package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew (read the diff before you accept it)")

func TestParseJSON(t *testing.T) {
	set := func(m model.Consistency, key, value string) Request {
		return Request{Request: model.NewSet(m, key, []byte(value)), Encoding: JSON}
	}
	get := func(m model.Consistency, key string) Request {
		return Request{Request: model.NewGet(m, key), Encoding: JSON}
	}
	with := func(r Request, h nats.Header) Request { r.Asked = h; return r }

	for body, want := range map[string]Request{
		`{"consistency":1,"request":1,"key":"k","value":"v"}`:                                     set(1, "k", "v"),
		`{"consistency":"linearizable","request":"set","key":"k","value":""}`:                     set(1, "k", ""),
		`{"consistency":"CAUSAL","request":"Get","key":"k"}`:                                      get(3, "k"),
		`{"consistency":"4","request":"2","key":"k"}`:                                             get(4, "k"),
		"{\r\n\t\"key\" : \"k\" ,\n \"request\":2, \"consistency\" : 2 }\r\n \t\n":                get(2, "k"), // echo … | nats req
		`{"consistency":1,"request":1,"key":" k ","value":" v\n"}`:                                set(1, " k ", " v\n"),
		`{"consistency":1,"request":1,"key":"a,b","value":"x ::: y"}`:                             set(1, "a,b", "x ::: y"),
		`{"consistency":1,"request":1,"key":"{","value":"{}"}`:                                    set(1, "{", "{}"),
		`{"consistency":1,"request":1,"key":"k\u00e9","value":"\ud83d\ude00\u0000\u2028\\ud800"}`: set(1, "ké", "😀\x00\u2028\\ud800"),
		`{"consistency":1,"request":1,"key":"ключ","value":"� \ufffd"}`:                           set(1, "ключ", "� �"),
		`{"consistency":1,"request":1,"key":"k","value_base64":"/wD+"}`:                           set(1, "k", "\xff\x00\xfe"),
		`{"consistency":1,"request":1,"key":"k","value_base64":""}`:                               set(1, "k", ""),
		`{"consistency":3,"request":2,"key":"k","id":"i","client":"C1","age":250,"min_timestamp":18446744073709551615,` +
			`"min_position":0,"replica":"r2","session":"new"}`: with(get(3, "k"), nats.Header{
			HeaderMsgID: {"i"}, HeaderClient: {"C1"}, HeaderAge: {"250"}, HeaderMinTimestamp: {"18446744073709551615"},
			HeaderMinPosition: {"0"}, HeaderReplica: {"r2"}, HeaderSession: {"new"},
		}),
	} {
		got, err := ParseRequest([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", body, diff)
		}
	}
	if JSON.String() != "json" {
		t.Errorf("named %q", JSON)
	}
}

func TestJSONRefused(t *testing.T) {
	const l, set, get = model.Linearizable, model.Set, model.Get
	const lget, lset = `{"consistency":1,"request":2,`, `{"consistency":1,"request":1,"key":"k",`
	nest := strings.Repeat(`{"a":`, 100_000)
	big := strings.Repeat("v", model.MaxKeyValue)

	checkRefusals(t, []refusal{
		{"only a brace", `{`, 400, 0, 0, "cut short"},
		{"empty object", `{}`, 400, 0, 0, "field consistency is missing"},
		{"blank before it", ` {"consistency":1,"request":2,"key":"k"}`, 400, 0, 0, "unknown consistency"}, // the first byte decides
		{"closed by a bracket", `{]`, 400, 0, 0, "no JSON at byte"},
		{"cut in a name", `{"consis`, 400, 0, 0, "cut short"},
		{"cut in a value", `{"consistency":1,"request":2,"key":"k`, 400, l, get, "cut short"},
		{"cut before the brace", `{"consistency":1,"request":2,"key":"k"`, 400, l, get, "cut short"},
		{"no colon", `{"consistency" 1}`, 400, 0, 0, "no JSON at byte"},
		{"no comma", `{"consistency":1 "request":2}`, 400, l, 0, "no JSON at byte"},
		{"comma at the end", `{"consistency":1,"request":2,"key":"k",}`, 400, l, get, "no JSON at byte"},
		{"number as name", `{1:1}`, 400, 0, 0, "no JSON at byte"},
		{"single quotes", `{'consistency':1}`, 400, 0, 0, "no JSON at byte"},
		{"second object", `{"consistency":1,"request":2,"key":"k"}{}`, 400, l, get, "2 bytes after the JSON object"},
		{"NUL after it", `{"consistency":1,"request":2,"key":"k"}` + "\x00", 400, l, get, "1 bytes after"},
		{"not UTF-8", lset + `"value":"` + "\xff\"}", 400, 0, 0, "not UTF-8"},
		{"no consistency", `{"request":2,"key":"k"}`, 400, 0, get, "field consistency is missing"},
		{"no request", `{"consistency":1,"key":"k"}`, 400, l, 0, "field request is missing"},
		{"no key", `{"consistency":1,"request":2}`, 400, l, get, "field key is missing"},
		{"no value in a set", `{"consistency":1,"request":1,"key":"k"}`, 400, l, set, "field value is missing"},
		{"value in a get", lget + `"key":"k","value":""}`, 400, l, get, "a get takes no field value"},
		{"two values", lset + `"value":"v","value_base64":"dg=="}`, 400, l, set, "one of the fields value and value_base64"},
		{"unknown field", lget + `"key":"k","lease":5}`, 400, l, get, `unknown field "lease"`},
		{"the name model", `{"model":1}`, 400, 0, 0, `unknown field "model"`},
		{"field in other case", lget + `"Key":"k"}`, 400, l, get, `unknown field "Key"`},
		{"unknown field, nested deep", lget + `"deep":` + nest, 400, l, get, `unknown field "deep"`},
		{"key nested deep", lget + `"key":` + nest, 400, l, get, "no JSON at byte"},
		{"key an object", lget + `"key":{}}`, 400, l, get, "field key is no string"},
		{"long unknown field", `{"` + strings.Repeat(`\n`, 5000) + `":1}`, 400, 0, 0, "unknown field"},
		{"repeated field", lget + `"key":"k","key":"l"}`, 400, l, get, "field key is repeated"},
		{"repeated consistency", `{"consistency":1,"consistency":1}`, 400, l, 0, "field consistency is repeated"},
		{"repeated option", lget + `"id":"a","id":"a"}`, 400, l, get, "field id is repeated"},
		{"repeated by an escape", lget + `"key":"k","\u006bey":"l"}`, 400, l, get, "field key is repeated"},
		{"consistency 0", `{"consistency":0}`, 400, 0, 0, `unknown consistency "0"`},
		{"consistency 1.0", `{"consistency":1.0}`, 400, 0, 0, `unknown consistency "1.0"`},
		{"consistency -1", `{"consistency":-1}`, 400, 0, 0, `unknown consistency "-1"`},
		{"consistency of many digits", `{"consistency":` + strings.Repeat("1", 5000) + `}`, 400, 0, 0, "unknown consistency"},
		{"consistency word", `{"consistency":"strong"}`, 400, 0, 0, `unknown consistency "strong"`},
		{"consistency null", `{"consistency":null}`, 400, 0, 0, "neither a number nor a string"},
		{"request 8", `{"consistency":1,"request":8}`, 400, l, 0, `unknown request "8"`},
		{"request true", `{"consistency":1,"request":true}`, 400, l, 0, "neither a number nor a string"},
		{"key a number", lget + `"key":7}`, 400, l, get, "field key is no string"},
		{"key null", lget + `"key":null}`, 400, l, get, "field key is no string"},
		{"key empty", lget + `"key":""}`, 400, l, get, "empty key"},
		{"key with a control", lget + `"key":"a\u0000"}`, 400, l, get, "control character U+0000"},
		{"key with the separator", lget + `"key":"a:::b"}`, 400, l, get, "holds :::"},
		{"key too long", lget + `"key":"` + strings.Repeat("k", 1025) + `"}`, 400, l, get, "1025 bytes"},
		{"half a pair, first", lset + `"value":"\ud800"}`, 400, l, set, "half a surrogate pair"},
		{"half a pair, first before a letter", lset + `"value":"\ud83dx\ude00"}`, 400, l, set, "half a surrogate pair"},
		{"half a pair, second", lset + `"value":"\ude00"}`, 400, l, set, "half a surrogate pair"},
		{"half a pair, two firsts", lset + `"value":"\ud83d\ud83d\ude00"}`, 400, l, set, "half a surrogate pair"},
		{"value a number", lset + `"value":7}`, 400, l, set, "field value is no string"},
		{"value a list", lset + `"value":["v"]}`, 400, l, set, "field value is no string"},
		{"value with a raw line end", lset + "\"value\":\"a\nb\"}", 400, l, set, "no JSON at byte"},
		{"value with a bad escape", lset + `"value":"\x41"}`, 400, l, set, "no JSON at byte"},
		{"no base64", lset + `"value_base64":"*"}`, 400, l, set, "no base64"},
		{"base64 without padding", lset + `"value_base64":"dg"}`, 400, l, set, "no base64"},
		{"base64 with bits to spare", lset + `"value_base64":"dh=="}`, 400, l, set, "no base64"},
		{"base64 a number", lset + `"value_base64":1}`, 400, l, set, "no string"},
		{"value too large", lset + `"value":"` + big + `"}`, 413, l, set, "524289 bytes together"},
		{"id a number", lget + `"id":7}`, 400, l, get, "field id is no string"},
		{"minimum a string", lget + `"min_position":"7"}`, 400, l, get, "field min_position is no whole number"},
		{"minimum of 65 bits", lget + `"min_timestamp":18446744073709551616}`, 400, l, get, "field min_timestamp is no whole number"},
		{"minimum 1e3", lget + `"min_timestamp":1e3}`, 400, l, get, "field min_timestamp is no whole number"},
	})

	if _, err := ParseRequest([]byte(lset + `"value":"` + big[1:] + `"}`)); err != nil {
		t.Errorf("exactly 512 KiB: %v", err)
	}
}

// An error of the form says at which byte it is, from 1 on, however deep that is.
func TestWhereJSONIsWrong(t *testing.T) {
	for _, body := range []string{
		`{!`, `{"consistency"!`, `{"consistency": !`, `{"consistency":1 !`, `{"consistency":1, !`,
		`{"consistency":1,"request":6,"then":!`, `{"consistency":1,"request":6,"then":[{"request":"get","key":"k"} !`,
		`{"consistency":1,"request":6,"if":[],"then":[{"request":"get","key":!`,
		"{\"consistency\":1,\n \"request\":6,\n \"then\": [ {\"request\" : \"set\", \"key\":\"k\", \"value\":\"é\\!",
	} {
		_, err := ParseRequest([]byte(body + `"}]}`))
		want := fmt.Sprintf("no JSON at byte %d: invalid character", len(body))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// What a body asks for is checked as the header is, and is not said twice.
func TestOptionsOfJSON(t *testing.T) {
	parse := func(m, more string) *Request {
		t.Helper()
		r, err := ParseRequest([]byte(`{"consistency":` + m + `,"request":2,"key":"k"` + more + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return &r
	}

	other := nats.Header{"quartet-client": {"C2"}, "X": {"y"}}
	for name, c := range map[string]struct {
		request *Request
		header  nats.Header
		want    Options
	}{
		"nothing": {parse("3", ""), nil, Options{}},
		"headers alone": {
			parse("3", ""), nats.Header{HeaderMsgID: {"h"}, HeaderMinTimestamp: {"4"}},
			Options{Identity: "h", MinTimestamp: 4},
		},
		"body alone": {
			parse("3", `,"id":"i","min_timestamp":7,"min_position":8,"replica":"r2"`), nil,
			Options{Identity: "i", MinTimestamp: 7, Replica: "r2"},
		},
		"session": {
			parse("3", `,"session":"AQAHYOcmhg","min_timestamp":4`), nil,
			Options{MinTimestamp: 7, Session: Session{Timestamp: 7}, InSession: true},
		},
		"both, each other": {
			parse("2", `,"id":"i","min_timestamp":7,"min_position":8`), other,
			Options{Identity: "i", MinPosition: 8, Client: "C2"},
		},
	} {
		got, err := OptionsOf(c.request, c.header)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}

	if len(other) != 2 {
		t.Errorf("the message's headers were changed: %v", other)
	}
	for name, c := range map[string]struct {
		request *Request
		header  nats.Header
		reason  string
	}{
		"said twice":               {parse("1", `,"client":"C1"`), other, "field client and header Quartet-Client"},
		"said twice, alike":        {parse("1", `,"id":"i"`), nats.Header{HeaderMsgID: {"i"}}, "field id and header Nats-Msg-Id"},
		"session that is none":     {parse("4", `,"session":"x"`), nil, "header Quartet-Session"},
		"empty id":                 {parse("1", `,"id":""`), nil, "Nats-Msg-Id of 0 bytes"},
		"id with a line end":       {parse("1", `,"id":"a\r\nb"`), nil, "not printable"},
		"replica that cannot be":   {parse("1", `,"replica":"m1"`), nil, "names no replica"},
		"client of 257 characters": {parse("1", `,"client":"`+strings.Repeat("c", 257)+`"`), nil, "257 bytes"},
	} {
		_, err := OptionsOf(c.request, c.header)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// jsonReplies have a golden file each: they are the public contract's.
func jsonReplies() map[string]Reply {
	clock := lamport.Timestamp{Time: 289, Node: lamport.Replica(2)}

	return map[string]Reply{
		"set": {
			Answer: model.Answer{RID: 41, Code: model.OK, Clock: clock, Replica: 2, Position: 12, HasPosition: true},
			Model:  model.Linearizable, Type: model.Set,
		},
		"get": {
			Answer: model.Answer{
				RID: 42, Code: model.OK, Clock: clock, Replica: 2, HasPosition: true,
				Value: []byte("<v> & \"w\"\n\u2028é😀\x7f\x00"),
			},
			Model: model.Sequential, Type: model.Get,
		},
		"get_empty": {Answer: model.Answer{RID: 43, Code: model.OK, Clock: clock, Replica: 9}, Model: model.Eventual, Type: model.Get},
		"get_binary": {
			Answer: model.Answer{
				RID: 44, Code: model.OK, Clock: clock, Replica: 1, Timestamp: 7, Value: []byte("\xff\x00\xfe"),
			},
			Model: model.Causal, Type: model.Get, Session: "AQAHYOcmhg",
		},
		"causal_set": {
			Answer: model.Answer{
				RID: 1<<64 - 1, Code: model.OK, Clock: lamport.Timestamp{Time: 1<<64 - 1, Node: lamport.Master(1)},
				Timestamp: 1<<64 - 1,
			},
			Model: model.Causal, Type: model.Set,
		},
		"not_found": {
			Answer: model.Answer{
				RID: 45, Code: model.NotFound, Reason: "no value under key k", Clock: clock, Replica: 1,
			},
			Model: model.Eventual, Type: model.Get,
		},
		"malformed": {
			Answer: model.Answer{
				RID: 46, Code: model.Malformed, Reason: "unknown field \"ttl\"\n",
				Clock: lamport.Timestamp{Time: 3, Node: lamport.Master(1)},
			},
		},
		"delete": {
			Answer: model.Answer{
				RID: 48, Code: model.OK, Clock: clock, Replica: 2, HasPosition: true, Position: 13, HasRevision: true,
				Revision: 13,
			},
			Model: model.Linearizable, Type: model.Delete,
		},
		"get_ending": {
			Answer: model.Answer{
				RID: 49, Code: model.OK, Clock: clock, Replica: 2, HasRevision: true, Revision: 13,
				Expires: 1_700_000_000_007, Value: []byte("v"),
			},
			Model: model.Eventual, Type: model.Get,
		},
		"add": {
			Answer: model.Answer{
				RID: 50, Code: model.OK, Clock: clock, Replica: 2, HasPosition: true, Position: 14, HasRevision: true,
				Revision: 14, Value: []byte("-9223372036854775808"),
			},
			Model: model.Linearizable, Type: model.Add,
		},
		"failed": {
			Answer: model.Answer{
				RID: 51, Code: model.Failed, Clock: clock, Replica: 2, HasPosition: true, Position: 15,
				HasRevision: true, Reason: "the key has no value",
			},
			Model: model.Sequential, Type: model.Set,
		},
		"list": {
			Answer: model.Answer{
				RID: 52, Code: model.OK, Clock: clock, Replica: 2, HasPosition: true, Position: 15, Value: packedPage(),
			},
			Model: model.Linearizable, Type: model.List,
		},
		"list_empty": {
			Answer: model.Answer{RID: 53, Code: model.OK, Clock: clock, Replica: 2, Value: packedEmptyPage()},
			Model:  model.Eventual, Type: model.List,
		},
		"txn": {
			Answer: model.Answer{
				RID: 54, Code: model.OK, Clock: clock, Replica: 2, HasPosition: true, Position: 16, HasRevision: true,
				Revision: 16, Value: packedResults(-1),
			},
			Model: model.Linearizable, Type: model.Txn,
		},
		"txn_failed": {
			Answer: model.Answer{
				RID: 55, Code: model.Failed, Clock: clock, Replica: 2, HasPosition: true, Position: 17,
				Reason: "add: the value is no number", Value: packedResults(2),
			},
			Model: model.Linearizable, Type: model.Txn,
		},
		"unavailable": {Answer: model.Answer{RID: 47, Code: model.Unavailable, Clock: clock}, Model: model.Linearizable, Type: model.Set},
	}
}

func TestJSONReplies(t *testing.T) {
	all := jsonReplies()
	for name, r := range all {
		plain := r.Msg("to")
		r.Encoding = JSON
		m := r.Msg("to")
		if diff := cmp.Diff(plain.Header, m.Header); diff != "" {
			t.Errorf("%s: the headers differ: %s", name, diff)
		}
		file := filepath.Join("testdata", "json", name+".json")
		if *update {
			if err := os.WriteFile(file, append(bytes.Clone(m.Data), '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.Data) + "\n"; got != string(golden) {
			t.Errorf("%s:\n%swas\n%s", name, got, golden)
		}
		checkJSONReply(t, &r, m.Data)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "json", "*.json"))
	if err != nil || len(files) != len(all) {
		t.Errorf("%d golden files of %d replies: %v", len(files), len(all), err)
	}
}

// checkJSONReply reads a body as any JSON library does.
func checkJSONReply(t *testing.T, r *Reply, body []byte) {
	t.Helper()
	var got struct {
		Ack, Error, Clock string
		Code              model.Code
		RID               uint64
		Value             *string
		Binary            []byte `json:"value_base64"`
	}
	if err := json.Unmarshal(body, &got); err != nil || !utf8.Valid(body) || bytes.ContainsAny(body, "\r\n") {
		t.Fatalf("%v: %s", err, body)
	}
	if (got.Ack == AckOK) != (r.Code == model.OK) || got.Code != r.Code || got.RID != r.RID ||
		got.Clock != r.Clock.String() || (got.Error == "") != (r.Code == model.OK) {
		t.Errorf("%s of %+v", body, r)
	}
	value, has := got.Binary, got.Binary != nil
	if got.Value != nil {
		value, has = []byte(*got.Value), !has
	}
	takesValue := r.Type == model.Get || r.Type == model.Add
	wanted := r.Code == model.OK && takesValue
	if has != wanted {
		t.Errorf("a value: %t, of %q", has, r.Value)
	}
	if has && !bytes.Equal(value, r.Value) {
		t.Errorf("value %q of %q", value, r.Value)
	}
}

// The largest value fits into a message of the bus, whatever it is made of.
func TestJSONRepliesFit(t *testing.T) {
	for _, unit := range []string{"v", "\x01", "\"", "\u2028", "\xff", "<"} {
		r := Reply{
			Answer: model.Answer{
				RID: 1<<64 - 1, Code: model.OK, Replica: 65535, Position: 1<<64 - 1, HasPosition: true, Timestamp: 1<<64 - 1,
				Value: bytes.Repeat([]byte(unit), model.MaxKeyValue/len(unit)),
			},
			Model: model.Linearizable, Type: model.Get, Encoding: JSON,
		}
		m := r.Msg("to")
		if len(m.Data) > maxJSON {
			t.Errorf("%q: %d bytes", unit, len(m.Data))
		}
		checkJSONReply(t, &r, m.Data)
	}
}
