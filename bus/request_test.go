package bus

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"

	"quartet/bus/model"
)

func TestParseText(t *testing.T) {
	set := func(m model.Consistency, key, value string) Request {
		return Request{Request: model.NewSet(m, key, []byte(value))}
	}
	get := func(m model.Consistency, key string) Request {
		return Request{Request: model.NewGet(m, key)}

	}
	for body, want := range map[string]Request{
		"1, 1, key1 ::: first": set(model.Linearizable, "key1", "first"),
		"1,1,k:::v":            set(model.Linearizable, "k", "v"),
		"2, 2, key1":           get(model.Sequential, "key1"),
		" \t\r\n3 \n,\t1\r\n, \n k \t:::\r\n v \n\n": set(model.Causal, "k", "v"),
		"LINEARIZABLE, SET, k ::: v":                 set(model.Linearizable, "k", "v"),
		"Sequential, Get, k":                         get(model.Sequential, "k"),
		"causal,get,k":                               get(model.Causal, "k"),
		"2, get, key\n":                              get(model.Sequential, "key"), // echo … | nats req
		"eventual, 1, k ::: v\r\n":                   set(model.Eventual, "k", "v"),
		"eVENTUAL,sEt,k:::v":                         set(model.Eventual, "k", "v"),
		"4, 1, a,b ::: c, d,, e":                     set(model.Eventual, "a,b", "c, d,, e"),
		"1,1,k ::: line 1\nline 2\tx":                set(model.Linearizable, "k", "line 1\nline 2\tx"),
		"1,1,k ::: a ::: b":                          set(model.Linearizable, "k", "a ::: b"),
		"1,1,k:::::v":                                set(model.Linearizable, "k", "::v"),
		"1,1,k::::v":                                 set(model.Linearizable, "k", ":v"),
		"1,1,a:b::c ::: v":                           set(model.Linearizable, "a:b::c", "v"),
		"1,1,k :::":                                  set(model.Linearizable, "k", ""),
		"1,1,k ::: \xff\x00\x80":                     set(model.Linearizable, "k", "\xff\x00\x80"),
		"1,2,two words":                              get(model.Linearizable, "two words"),
		"1,2,ключ-键-�":                               get(model.Linearizable, "ключ-键-�"),
		"1,2," + strings.Repeat("k", 1024):           get(model.Linearizable, strings.Repeat("k", 1024)),
	} {
		got, err := ParseRequest([]byte(body))
		if err != nil {
			t.Errorf("%q: %v", body, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", body, diff)
		}
	}
}

// refusal is a body that the contract refuses, and what a reply to it can still name.
type refusal struct {
	name, body string
	code       model.Code
	model      model.Consistency
	typ        model.Type
	reason     string // a part of it
}

func checkRefusals(t *testing.T, cases []refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := ParseRequest([]byte(c.body))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %+v, %v", r, err)
			}
			sentinel, other := ErrMalformed, ErrTooLarge
			if c.code == model.TooLarge {
				sentinel, other = other, sentinel
			}
			if e.Code != c.code || !errors.Is(err, sentinel) || errors.Is(err, other) {
				t.Errorf("code %d, want %d (%v)", e.Code, c.code, err)
			}
			if r.Model != c.model || r.Type != c.typ {
				t.Errorf("names %v %v, want %v %v", r.Model, r.Type, c.model, c.typ)
			}
			if !strings.Contains(e.Reason, c.reason) || c.reason == "" {
				t.Errorf("reason %q lacks %q", e.Reason, c.reason)
			}
			if strings.ContainsAny(e.Reason, "\r\n\x00") || len(e.Reason) > 300 {
				t.Errorf("reason is no short line: %q", e.Reason)
			}
		})
	}
}

func TestTextRefused(t *testing.T) {
	const l, s, set, get = model.Linearizable, model.Sequential, model.Set, model.Get
	big := strings.Repeat("v", model.MaxKeyValue)

	checkRefusals(t, []refusal{
		{"empty", "", 400, 0, 0, "empty request"},
		{"only blanks", " \t\r\n", 400, 0, 0, "empty request"},
		{"one word", "hello", 400, 0, 0, "no comma after the consistency"},
		{"only a consistency", "1", 400, l, 0, "no comma after the consistency"},
		{"two parts", "2, 2", 400, s, get, "no comma after the request"},
		{"only commas", ",,", 400, 0, 0, `unknown consistency ""`},
		{"consistency 0", "0,2,k", 400, 0, get, `unknown consistency "0"`},
		{"consistency 5", "5,2,k", 400, 0, get, `unknown consistency "5"`},
		{"consistency 01", "01,2,k", 400, 0, get, `unknown consistency "01"`},
		{"consistency -1", "-1,2,k", 400, 0, get, `unknown consistency "-1"`},
		{"consistency word", "strong,2,k", 400, 0, get, `unknown consistency "strong"`},
		{"consistency prefix", "linear,1,k:::v", 400, 0, set, `unknown consistency "linear"`},
		{"request 0", "1,0,k", 400, l, 0, `unknown request "0"`},
		{"request 8", "1,8,k", 400, l, 0, `unknown request "8"`},
		{"request remove", "1,remove,k", 400, l, 0, `unknown request "remove"`},
		{"request empty", "1,,k", 400, l, 0, `unknown request ""`},
		{"request long s", "1,ſet,k ::: v", 400, l, 0, `unknown request "ſet"`},
		{"request long", "1," + strings.Repeat("x", 5000) + ",k", 400, l, 0, "unknown request"},
		{"request with line ends", "1,a\r\nb,k", 400, l, 0, `"a\r\nb"`},
		{"set without a value", "1,1,k", 400, l, set, "needs a key and a value"},
		{"set with two colons", "1,1,k::v", 400, l, set, "needs a key and a value"},
		{"set without a key", "1,1, ::: v", 400, l, set, "empty key"},
		{"get without a key", "1,2, ", 400, l, get, "empty key"},
		{"get with a value", "1,2,k ::: v", 400, l, get, "holds :::"},
		{"key too long", "1,2," + strings.Repeat("k", 1025), 400, l, get, "key of 1025 bytes (at most 1024)"},
		{"key not UTF-8", "1,2,k\xff", 400, l, get, "not UTF-8"},
		{"key cut in a rune", "1,2,k\xe2\x82", 400, l, get, "not UTF-8"},
		{"key with a surrogate", "1,2,\xed\xa0\x80", 400, l, get, "not UTF-8"},
		{"key with a tab", "1,2,a\tb", 400, l, get, "control character U+0009"},
		{"key with a line end", "1,1,a\nb ::: v", 400, l, set, "control character U+000A"},
		{"key with NUL", "1,2,a\x00", 400, l, get, "control character U+0000"},
		{"key with DEL", "1,2,a\x7f", 400, l, get, "control character U+007F"},
		{"key with a C1 control", "1,2,a\u0085b", 400, l, get, "control character U+0085"},
		{"value too large", "1,1,k ::: " + big, 413, l, set, "524289 bytes together (at most 524288)"},
	})

	if _, err := ParseRequest([]byte("1,1,k ::: " + big[1:])); err != nil {
		t.Errorf("exactly 512 KiB: %v", err)
	}
}

func TestParseMsgpack(t *testing.T) {
	want := Request{Request: model.NewSet(model.Causal, " k ", []byte("\n v")), Encoding: Msgpack}
	for name, body := range map[string]string{
		"bin":   "\x84\xabconsistency\x03\xa7request\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"str":   "\x84\xabconsistency\x03\xa7request\x01\xa3key\xa3 k \xa5value\xa3\n v",
		"order": "\x84\xa5value\xa3\n v\xa3key\xa3 k \xa7request\x01\xabconsistency\x03",
		"wide ints": "\x84\xabconsistency\xcf\x00\x00\x00\x00\x00\x00\x00\x03\xa7request" +
			"\xd3\x00\x00\x00\x00\x00\x00\x00\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"ints 8":      "\x84\xabconsistency\xcc\x03\xa7request\xd0\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"ints 16, 32": "\x84\xabconsistency\xcd\x00\x03\xa7request\xd2\x00\x00\x00\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"map 16":      "\xde\x00\x04\xabconsistency\x03\xa7request\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"map 32":      "\xdf\x00\x00\x00\x04\xabconsistency\x03\xa7request\x01\xa3key\xa3 k \xa5value\xc4\x03\n v",
		"wide str":    "\x84\xd9\x0bconsistency\x03\xda\x00\x07request\x01\xdb\x00\x00\x00\x03key\xa3 k \xa5value\xc6\x00\x00\x00\x03\n v",
	} {
		got, err := ParseRequest([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}

	get, err := ParseRequest([]byte("\x83\xabconsistency\x01\xa7request\x02\xa3key\xa1k"))
	if diff := cmp.Diff(Request{Request: model.NewGet(model.Linearizable, "k"), Encoding: Msgpack}, get); err != nil || diff != "" {
		t.Errorf("get: %v %s", err, diff)
	}

	// Any library's map will do.
	body, err := msgpack.Marshal(map[string]any{"consistency": 4, "request": 1, "key": "k", "value": []byte{}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ParseRequest(body); err != nil || r.Model != model.Eventual || r.Value == nil || len(r.Value) != 0 {
		t.Errorf("empty value: %+v %v", r, err)
	}
}

func TestMsgpackRefused(t *testing.T) {
	const l, set, get = model.Linearizable, model.Set, model.Get
	const c, rs, rg, k, v = "\xabconsistency\x01", "\xa7request\x01", "\xa7request\x02", "\xa3key\xa1k", "\xa5value\xa1v"
	nest := strings.Repeat("\x91", 500_000)

	checkRefusals(t, []refusal{
		{"nil", "\xc0", 400, 0, 0, "byte 0xc0: neither"},
		{"array", "\x93\x01\x02\xa1k", 400, 0, 0, "byte 0x93: neither"},
		{"byte order mark", "\xef\xbb\xbf1,2,k", 400, 0, 0, "byte 0xef: neither"},
		{"ext", "\xd4\x01\x01" + "\x83" + c + rg + k, 400, 0, 0, "byte 0xd4: neither"},
		{"empty map", "\x80", 400, 0, 0, "consistency is missing"},
		{"map length cut", "\xde\x00", 400, 0, 0, "cut short"},
		{"map of four billion", "\xdf\xff\xff\xff\xff", 400, 0, 0, "cut short"},
		{"no consistency", "\x82" + rg + k, 400, 0, get, "consistency is missing"},
		{"no request", "\x82" + c + k, 400, l, 0, "request is missing"},
		{"no key", "\x82" + c + rg, 400, l, get, "key is missing"},
		{"no value in a set", "\x83" + c + rs + k, 400, l, set, "value is missing"},
		{"value in a get", "\x84" + c + rg + k + v, 400, l, get, "takes no field value"},
		{"empty value in a get", "\x84" + c + rg + k + "\xa5value\xa0", 400, l, get, "takes no field value"},
		{"unknown field", "\x84" + c + rg + k + "\xa5lease\x05", 400, l, get, `unknown field "lease"`},
		{"field in other case", "\x83" + c + rg + "\xa3Key\xa1k", 400, l, get, `unknown field "Key"`},
		{"unknown field, nested deep", "\x84" + c + rg + k + "\xa4deep" + nest, 400, l, get, `unknown field "deep"`},
		{"key nested deep", "\x83" + c + rg + "\xa3key" + nest, 400, l, get, "key is no str"},
		{"long unknown field", "\x81\xd9\xff" + strings.Repeat("\n", 255), 400, 0, 0, "unknown field"},
		{"repeated field", "\x84" + c + rg + k + k, 400, l, get, "field key is repeated"},
		{"repeated consistency", "\x84" + c + c + rg + k, 400, l, 0, "field consistency is repeated"},
		{"bytes after the map", "\x83" + c + rg + k + "\x00", 400, l, get, "1 bytes after"},
		{"second map", "\x83" + c + rg + k + "\x80", 400, l, get, "1 bytes after"},
		{"int as field name", "\x81\x01\x01", 400, 0, 0, "field's name is no str"},
		{"bin as field name", "\x81\xc4\x03key\xa1k", 400, 0, 0, "field's name is no str"},
		{"consistency 0", "\x83\xabconsistency\x00" + rg + k, 400, 0, 0, "unknown consistency 0"},
		{"consistency 5", "\x83\xabconsistency\x05" + rg + k, 400, 0, 0, "unknown consistency 5"},
		{"consistency 257", "\x83\xabconsistency\xcd\x01\x01" + rg + k, 400, 0, 0, "unknown consistency 257"},
		{"consistency -1", "\x83\xabconsistency\xff" + rg + k, 400, 0, 0, "unknown consistency -1"},
		{"consistency 2^64-1", "\x83\xabconsistency\xcf\xff\xff\xff\xff\xff\xff\xff\xff" + rg + k, 400, 0, 0, "unknown consistency"},
		{"consistency str", "\x83\xabconsistency\xa11" + rg + k, 400, 0, 0, "consistency is no int"},
		{"consistency float", "\x83\xabconsistency\xca\x3f\x80\x00\x00" + rg + k, 400, 0, 0, "consistency is no int"},
		{"consistency nil", "\x83\xabconsistency\xc0" + rg + k, 400, 0, 0, "consistency is no int"},
		{"consistency true", "\x83\xabconsistency\xc3" + rg + k, 400, 0, 0, "consistency is no int"},
		{"consistency cut", "\x83\xabconsistency\xcd\x00", 400, 0, 0, "cut short"},
		{"consistency missing at the end", "\x83\xabconsistency", 400, 0, 0, "cut short"},
		{"request 8", "\x83" + c + "\xa7request\x08" + k, 400, l, 0, "unknown request 8"},
		{"key bin", "\x83" + c + rg + "\xa3key\xc4\x01k", 400, l, get, "key is no str"},
		{"key int", "\x83" + c + rg + "\xa3key\x01", 400, l, get, "key is no str"},
		{"key empty", "\x83" + c + rg + "\xa3key\xa0", 400, l, get, "empty key"},
		{"key not UTF-8", "\x83" + c + rg + "\xa3key\xa1\xff", 400, l, get, "not UTF-8"},
		{"key with a control", "\x83" + c + rg + "\xa3key\xa1\n", 400, l, get, "control character"},
		{"key with the separator", "\x83" + c + rg + "\xa3key\xa5a:::b", 400, l, get, "holds :::"},
		{"key too long", "\x83" + c + rg + "\xa3key\xda\x04\x01" + strings.Repeat("k", 1025), 400, l, get, "1025 bytes"},
		{"key cut", "\x83" + c + rg + "\xa3key\xa5abc", 400, l, get, "cut short"},
		{"key of four gigabytes", "\x83" + c + rg + "\xa3key\xdb\xff\xff\xff\xffabc", 400, l, get, "cut short"},
		{"value nil", "\x84" + c + rs + k + "\xa5value\xc0", 400, l, set, "value is neither bin nor str"},
		{"value int", "\x84" + c + rs + k + "\xa5value\x01", 400, l, set, "field value is no string: only an add takes a number"},
		{"value array", "\x84" + c + rs + k + "\xa5value\x90", 400, l, set, "value is neither bin nor str"},
		{"value of four gigabytes", "\x84" + c + rs + k + "\xa5value\xc6\xff\xff\xff\xffabc", 400, l, set, "cut short"},
		{
			"value too large", "\x84" + c + rs + k + "\xa5value\xc6\x00\x08\x00\x00" + strings.Repeat("v", 512*1024),
			413, l, set, "524289 bytes together",
		},
		{"map cut between fields", "\x84" + c + rs + k, 400, l, set, "cut short"},
	})
}

// A length that a stranger declares costs nothing: only what is really there does.
func TestDeclaredLengthsAllocateNothing(t *testing.T) {
	for name, body := range map[string]string{
		"map":   "\xdf\xff\xff\xff\xff",
		"name":  "\x81\xdb\xff\xff\xff\xff",
		"key":   "\x81\xa3key\xdb\xff\xff\xff\xffabc",
		"value": "\x81\xa5value\xc6\xff\xff\xff\xffabc",
	} {
		b := []byte(body)
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_, _ = ParseRequest(b)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 4096 {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}

func TestAppendRequest(t *testing.T) {
	for _, r := range []Request{
		{Request: model.NewSet(model.Linearizable, "k", []byte("v"))},
		{Request: model.NewSet(model.Sequential, "a,b:c", []byte{})},
		{Request: model.NewSet(model.Causal, "k", []byte("::: a,\n:::b \xff"))},
		{Request: model.NewGet(model.Eventual, "ключ")},
		{Request: model.NewSet(model.Eventual, "k", bytes.Repeat([]byte{'v'}, model.MaxKeyValue-1))},
	} {
		text := AppendText([]byte("#"), &r.Request)
		got, err := ParseRequest(text[1:])
		if err != nil || !reflect.DeepEqual(r, got) { // cmp is slow on large values
			t.Errorf("text %.60q: %v %.200v", text, err, got)
		}

		r.Encoding = Msgpack
		packed, err := AppendMsgpack([]byte("#"), &r.Request)
		if err != nil {
			t.Fatal(err)
		}
		got, err = ParseRequest(packed[1:])
		if err != nil || !reflect.DeepEqual(r, got) {
			t.Errorf("msgpack %.60q: %v %.200v", packed, err, got)
		}
	}

	for _, r := range []Request{
		{}, {Request: model.NewGet(5, "k")}, {Request: model.Request{Model: 1, Type: 8, Key: "k"}},
		{Request: model.Request{Model: 1, Type: model.Get}},
		{Request: model.Request{Model: 1, Type: model.Get, Key: "k", Value: []byte("v")}}, {Request: model.NewSet(1, "a\n", nil)},
		{Request: model.NewSet(1, "k", make([]byte, model.MaxKeyValue))},
	} {
		var e *Error
		if out, err := AppendMsgpack([]byte("#"), &r.Request); !errors.As(err, &e) || string(out) != "#" {
			t.Errorf("%+v: %q %v", r, out, err)
		}
	}

	for want, r := range map[bool]Request{
		true:  {Request: model.Request{Key: "a b", Value: []byte("x\ny")}},
		false: {Request: model.Request{Key: "a", Value: []byte(" x")}},
	} {
		if Trimmed(&r.Request) != want {
			t.Errorf("Trimmed %+v", r)
		}
	}
}

func TestQuoteCutsAtRunes(t *testing.T) {
	if got := quote(strings.Repeat("é", 60)); got != `"`+strings.Repeat("é", 20)+`"…` {
		t.Error(got)
	}
	if got := quote("x" + strings.Repeat("é", 60)); got != `"x`+strings.Repeat("é", 19)+`"…` {
		t.Error(got)
	}
	if got := quote(bytes.Repeat([]byte{0x80}, 60)); !utf8.ValidString(got) {
		t.Error(got)
	}
}
