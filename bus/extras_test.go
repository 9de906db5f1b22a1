package bus

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus/codec"
	"quartet/bus/model"
)

// The new requests in every form that they have, and what is read.
func TestFormsOfTheRequests(t *testing.T) {
	page := &model.Range{Limit: 7, Values: true, From: "r2.7"}

	for name, test := range map[string]struct {
		bodies []string
		header nats.Header
		want   model.Request
	}{
		"delete": {
			[]string{"1, delete, k", "1,3,k", "linearizable , DELETE,  k ", `{"consistency":1,"request":"delete","key":"k"}`,
				"\x83\xabconsistency\x01\xa7request\x03\xa3key\xa1k"}, nil,
			model.Request{Model: 1, Type: model.Delete, Key: "k"}},
		"create": {
			[]string{"1, 1, k ::: v"}, nats.Header{"Quartet-If-Revision": {" 0 "}},
			model.Request{Model: 1, Type: model.Set, Key: "k", Value: []byte("v"), HasIf: true}},
		"update": {
			[]string{`{"consistency":"sequential","request":1,"key":"k","value":"v","if_revision":18446744073709551615}`,
				"\x85\xabif_revision\xcf\xff\xff\xff\xff\xff\xff\xff\xff" +
					"\xabconsistency\x02\xa7request\x01\xa3key\xa1k\xa5value\xc4\x01v"}, nil,
			model.Request{Model: 2, Type: model.Set, Key: "k", Value: []byte("v"), HasIf: true, If: 1<<64 - 1}},
		"a set that ends": {
			[]string{"4, 1, k ::: v"}, nats.Header{"quartet-ttl": {"1h30m"}},
			model.Request{Model: 4, Type: model.Set, Key: "k", Value: []byte("v"), TTL: 5_400_000}},
		"a set that ends, said in the body": {
			[]string{`{"ttl":"90s","consistency":4,"request":1,"key":"k","value":""}`,
				"\x85\xa3ttl\xa390s\xabconsistency\x04\xa7request\x01\xa3key\xa1k\xa5value\xc4\x00"}, nil,
			model.Request{Model: 4, Type: model.Set, Key: "k", Value: []byte{}, TTL: 90_000}},

		// What is about many keys.
		"list of everything": {
			[]string{"3, list, ", "3,4,", `{"consistency":3,"request":"list"}`, `{"consistency":3,"request":4,"prefix":""}`,
				"\x82\xabconsistency\x03\xa7request\x04", "\x83\xabconsistency\x03\xa7request\x04\xa6prefix\xa0"}, nil,
			model.Request{Model: 3, Type: model.List}},
		"list": {
			[]string{"1, list, a,b"}, nats.Header{"Quartet-Limit": {"7"}, "Quartet-Values": {"true"}, "Quartet-From": {"r2.7"}},
			model.Request{Model: 1, Type: model.List, Key: "a,b", Range: page}},
		"list, said in the body": {
			[]string{`{"consistency":1,"request":4,"prefix":"a,b","limit":7,"values":true,"from":"r2.7"}`,
				"\x86\xabconsistency\x01\xa7request\x04\xa6prefix\xa3a,b\xa5limit\x07\xa6values\xc3\xa4from\xa4r2.7"}, nil,
			model.Request{Model: 1, Type: model.List, Key: "a,b", Range: page}},
		"watch": {
			[]string{`{"consistency":1,"request":"watch","prefix":"orders/","from":17}`,
				`{"consistency":1,"request":5,"prefix":"orders/","from":"17"}`,
				"\x84\xabconsistency\x01\xa7request\x05\xa6prefix\xa7orders/\xa4from\x11"}, nil,
			model.Request{Model: 1, Type: model.Watch, Key: "orders/", Range: &model.Range{From: "17"}}},

		"add": {
			[]string{"1, add, n ::: -7", "1,7,n:::-007", `{"consistency":1,"request":7,"key":"n","value":-7}`,
				`{"consistency":1,"request":7,"key":"n","value":"-7"}`,
				"\x84\xabconsistency\x01\xa7request\x07\xa3key\xa1n\xa5value\xf9",
				"\x84\xabconsistency\x01\xa7request\x07\xa3key\xa1n\xa5value\xa2-7"}, nil,
			model.Request{Model: 1, Type: model.Add, Key: "n", Value: []byte("-7")}},
		"add of the greatest": {
			[]string{
				"2, add, n ::: +9223372036854775807",
				"\x84\xabconsistency\x02\xa7request\x07\xa3key\xa1n\xa5value\xcf\x7f\xff\xff\xff\xff\xff\xff\xff",
			}, nil,
			model.Request{Model: 2, Type: model.Add, Key: "n", Value: []byte("9223372036854775807")}},
	} {
		for _, body := range test.bodies {
			r, err := ParseRequest([]byte(body))
			if err == nil {
				_, err = OptionsOf(&r, test.header)
			}
			if diff := cmp.Diff(test.want, r.Request); err != nil || diff != "" {
				t.Errorf("%s, %q: %v\n%s", name, body, err, diff)
			}
		}
	}
}

// The txn of the contract, and what is read of it.
func TestFormOfATransaction(t *testing.T) {
	const body = `{"consistency":"linearizable","request":"txn",
 "if":[{"key":"a","revision":17},{"key":"b","exists":false},{"key":"c","value":"x"},{"key":"c","value_base64":"/w=="}],
 "then":[{"request":"set","key":"a","value":"1","ttl":"5m"},{"request":"get","key":"d"},{"request":"add","key":"n","value":2,"if_revision":0}],
 "else":[{"request":"get","key":"a"},{"key":"a","request":3},{"request":"set","key":"b","value_base64":""}]}`
	want := model.Transaction{
		If: []model.Check{{Key: "a", HasRevision: true, Revision: 17}, {Key: "b", HasExists: true},
			{Key: "c", HasValue: true, Value: []byte("x")}, {Key: "c", HasValue: true, Value: []byte("\xff")}},
		Then: []model.Step{{Type: model.Set, Key: "a", Value: []byte("1"), TTL: 300_000}, {Type: model.Get, Key: "d"},
			{Type: model.Add, Key: "n", Value: []byte("2"), HasIf: true}},
		Else: []model.Step{{Type: model.Get, Key: "a"}, {Type: model.Delete, Key: "a"}, {Type: model.Set, Key: "b", Value: []byte{}}},
	}

	r, err := ParseRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.ParseTransaction(r.Value)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || r.Type != model.Txn || r.Key != "" {
		t.Errorf("%v\n%s", err, diff)
	}

	packed, err := AppendMsgpack(nil, &r.Request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseRequest(packed)
	if diff := cmp.Diff(r.Request, again.Request); err != nil || diff != "" {
		t.Errorf("as msgpack: %v\n%s", err, diff)
	}
}

// What a txn may not be. Each stands in JSON between the codes and the brace.
func TestTransactionsRefused(t *testing.T) {
	many := func(one string) string { return "[" + strings.Repeat(one+",", model.MaxSteps) + one + "]" }
	half := `{"request":"set","key":"k","value":"` + strings.Repeat("v", model.MaxKeyValue/2) + `"}`

	for fields, want := range map[string]string{
		``:                             "does nothing",
		`,"if":[],"then":[],"else":[]`: "does nothing",
		`,"key":"k","then":[]`:         "takes no field key",
		`,"prefix":"k","then":[]`:      "takes no field key or prefix",
		`,"value":"v","then":[]`:       "takes no field value",
		`,"then":{}`:                   "field then is no array",
		`,"then":null`:                 "field then is no array",
		`,"if":"x"`:                    "field if is no array",
		`,"then":[7]`:                  "element 0 of then: it is no object",
		`,"then":[[]]`:                 "element 0 of then: it is no object",
		`,"then":[],"then":[]`:         "field then is repeated",
		`,"when":[]`:                   `unknown field "when"`,
		`,"if_revision":1,"then":[]`:   "does nothing",
		`,"ttl":"5m","if":[{"key":"k","exists":true}]`:                                               "takes no TTL",
		`,"if_revision":1,"if":[{"key":"k","exists":true}]`:                                          "its conditions stand in its field if",
		`,"limit":1,"if":[{"key":"k","exists":true}]`:                                                "takes no limit",
		`,"if":` + many(`{"key":"k","exists":true}`):                                                 "128",
		`,"then":` + many(`{"request":"get","key":"k"}`):                                             "128",
		`,"else":` + many(`{"request":"get","key":"k"}`):                                             "128",
		`,"then":[` + half + `,` + half + `]`:                                                        "bytes together",
		`,"if":[{"key":"k"}]`:                                                                        "one of the fields revision, exists and value",
		`,"if":[{"exists":true}]`:                                                                    "empty key",
		`,"if":[{"key":"k","exists":true,"revision":1}]`:                                             "one of the fields revision, exists and value",
		`,"if":[{"key":"k","exists":1}]`:                                                             "neither true nor false",
		`,"if":[{"key":"k","revision":-1}]`:                                                          "no whole number",
		`,"if":[{"key":"k","revision":"1"}]`:                                                         "no whole number",
		`,"if":[{"key":"k","revision":1.5}]`:                                                         "no whole number",
		`,"if":[{"key":"k","value":7}]`:                                                              "no string",
		`,"if":[{"key":"k","value":"a","value_base64":"YQ=="}]`:                                      "repeated",
		`,"if":[{"key":"k","exists":true,"exists":true}]`:                                            "field exists is repeated",
		`,"if":[{"key":"k","is":true}]`:                                                              `unknown field "is"`,
		`,"if":[{"key":"a:::b","exists":true}]`:                                                      "key holds :::",
		`,"then":[{"key":"k"}]`:                                                                      "field request is missing",
		`,"then":[{"request":"get"}]`:                                                                "field key is missing",
		`,"then":[{"request":"get","key":""}]`:                                                       "empty key",
		`,"then":[{"request":"get","key":"a\n"}]`:                                                    "control character",
		`,"then":[{"request":"get","key":"k","value":"v"}]`:                                          "a get takes no field value",
		`,"then":[{"request":"get","key":"k","if_revision":1}]`:                                      "a get takes no condition",
		`,"then":[{"request":"get","key":"k","ttl":"5m"}]`:                                           "a get takes no TTL",
		`,"then":[{"request":"set","key":"k"}]`:                                                      "field value is missing in a set",
		`,"then":[{"request":"set","key":"k","value":5}]`:                                            "only an add takes a number",
		`,"then":[{"request":"set","key":"k","value":"","ttl":"1ms"}]`:                               "TTL",
		`,"then":[{"request":"add","key":"k","value":"x"}]`:                                          "an add takes a whole number",
		`,"then":[{"request":"list","prefix":""}]`:                                                   "unknown field",
		`,"then":[{"request":"list","key":"k"}]`:                                                     "made of set, get, delete and add",
		`,"then":[{"request":"txn","key":"k"}]`:                                                      "made of set, get, delete and add",
		`,"then":[{"request":"set","key":"k","value":"v","consistency":1}]`:                          "unknown field",
		`,"then":[{"request":"set","key":"k","value":"v","id":"x"}]`:                                 `unknown field "id"`,
		`,"else":[{"request":"get","key":"k"},{"request":"rm","key":"k"}]`:                           "element 1 of else: unknown request",
		`,"then":` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000):                           "no object",
		`,"then":[{"request":"set","key":"k","value":"v"`:                                            "cut short",
		`,"min_position":7,"id":"` + strings.Repeat("i", 300) + `","then":[{"request":"x","key":1}]`: "unknown request",
	} {
		for _, c := range []string{"1", "2"} {
			r, err := ParseRequest([]byte(`{"consistency":` + c + `,"request":6` + fields + `}`))
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, want) || len(e.Reason) > 400 || r.Type != model.Txn {
				t.Errorf("%.100s: %v; want %q", fields, err, want)
			}
		}
	}

	for name, body := range map[string]string{
		"as text":          "1, txn, {}",
		"as text, by code": "1,6,k",
		"as text, alone":   "2, 6",
	} {
		if _, err := ParseRequest([]byte(body)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "no text form") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []string{"3", "4"} {
		_, err := ParseRequest([]byte(`{"consistency":` + c + `,"request":6,"then":[{"request":"get","key":"k"}]}`))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "no txn in model") {
			t.Errorf("model %s: %v", c, err)
		}
	}
}

// What the other new requests may not say, in the body or by a header: 400, and a sentence.
func TestExtrasRefused(t *testing.T) {
	set := func(fields string) string { return `{"consistency":1,"request":1,"key":"k","value":"v"` + fields + `}` }
	weak := func(c int, fields string) string {
		return `{"consistency":` + strconv.Itoa(c) + `,"request":1,"key":"k","value":"v"` + fields + `}`
	}
	get := func(fields string) string { return `{"consistency":1,"request":2,"key":"k"` + fields + `}` }
	list := func(fields string) string { return `{"consistency":1,"request":4` + fields + `}` }
	watch := func(fields string) string { return `{"consistency":1,"request":5` + fields + `}` }
	add := func(value string) string { return `{"consistency":1,"request":7,"key":"k","value":` + value + `}` }
	const textSet, textGet, textDelete, textList, textWatch = "1,1,k:::v", "1,2,k", "1,3,k", "1,4,k", "1,5,k"

	for _, c := range []struct{ body, header, value, want string }{
		// Conditions.
		{set(`,"if_revision":"1"`), "", "", "no whole number"}, {set(`,"if_revision":-1`), "", "", "no whole number"},
		{set(`,"if_revision":1.0`), "", "", "no whole number"}, {set(`,"if_revision":18446744073709551616`), "", "", "no whole number"},
		{set(`,"if_revision":null`), "", "", "no whole number"}, {set(`,"if_revision":1,"if_revision":1`), "", "", "repeated"},
		{textSet, HeaderIfRevision, "", "no decimal"}, {textSet, HeaderIfRevision, "-1", "no decimal"},
		{textSet, HeaderIfRevision, "latest", "no decimal"},
		{textSet, HeaderIfRevision, "18446744073709551616", "no decimal"}, {textSet, HeaderIfRevision, "0x10", "no decimal"},
		{set(`,"if_revision":1`), HeaderIfRevision, "1", "same thing"}, {set(`,"if_revision":0`), "quartet-if-revision", "0", "same thing"},
		{weak(3, `,"if_revision":0`), "", "", "no condition in model causal"},
		{weak(4, `,"if_revision":1`), "", "", "no condition in model eventual"},
		{"3,1,k:::v", HeaderIfRevision, "0", "no condition in model causal"},
		{"4,3,k", HeaderIfRevision, "1", "no condition in model eventual"},
		{get(`,"if_revision":1`), "", "", "a get takes no condition"}, {textGet, HeaderIfRevision, "1", "a get takes no condition"},
		{list(`,"if_revision":1`), "", "", "a list takes no condition"}, {textWatch, HeaderIfRevision, "1", "a watch takes no condition"},

		// Ends.
		{set(`,"ttl":30`), "", "", "no string"}, {set(`,"ttl":"30"`), "", "", "a TTL of"}, {set(`,"ttl":""`), "", "", "a TTL of"},
		{set(`,"ttl":"0s"`), "", "", "a TTL of"}, {set(`,"ttl":"0"`), "", "", "a TTL of"}, {set(`,"ttl":"999ms"`), "", "", "want 1s to"},
		{set(`,"ttl":"-5s"`), "", "", "a TTL of"}, {set(`,"ttl":"+5s"`), "", "", "a TTL of"}, {set(`,"ttl":"5 m"`), "", "", "a TTL of"},
		{set(`,"ttl":"1d"`), "", "", "a TTL of"}, {set(`,"ttl":"1h-5m"`), "", "", "a TTL of"}, {set(`,"ttl":"87601h"`), "", "", "10 years"},
		{set(`,"ttl":"99999999999999999999h"`), "", "", "a TTL of"}, {set(`,"ttl":"forever"`), "", "", "a TTL of"},
		{set(`,"ttl":"1e3s"`), "", "", "a TTL of"},
		{textSet, HeaderTTL, "", "a TTL of"}, {textSet, HeaderTTL, "5", "a TTL of"}, {textSet, HeaderTTL, "87600h1s", "10 years"},
		{set(`,"ttl":"5s"`), HeaderTTL, "5s", "same thing"}, {set(`,"ttl":"5s","ttl":"5s"`), "", "", "repeated"},
		{get(`,"ttl":"5s"`), "", "", "a get takes no TTL"}, {textDelete, HeaderTTL, "5s", "a delete takes no TTL"},
		{"1,7,k:::1", HeaderTTL, "5s", "an add takes no TTL"},
		{textList, HeaderTTL, "5s", "a list takes no TTL"},

		// Lists.
		{list(`,"key":"k"`), "", "", "takes field prefix, not key"}, {get(`,"prefix":"k"`), "", "", "takes field key, not prefix"},
		{list(`,"prefix":7`), "", "", "no string"},
		{list(`,"prefix":"` + strings.Repeat("k", model.MaxKey+1) + `"`), "", "", "prefix of 1025 bytes"},
		{"1,4,a:::b", "", "", "prefix holds :::"}, {"1,4,a\x01", "", "", "prefix holds the control"},
		{"1,4,\xff", "", "", "prefix is not UTF-8"},
		{list(`,"value":"v"`), "", "", "a list takes no field value"}, {list(`,"limit":0`), "", "", "want 1 to 10000"},
		{list(`,"limit":10001`), "", "", "want 1 to 10000"},
		{list(`,"limit":"7"`), "", "", "no whole number"}, {list(`,"limit":-1`), "", "", "no whole number"},
		{textList, HeaderLimit, "0", "want 1 to 10000"},
		{textList, HeaderLimit, "many", "want 1 to 10000"}, {textList, HeaderLimit, "4294967297", "want 1 to 10000"},
		{list(`,"limit":7`), HeaderLimit, "7", "same thing"}, {textGet, HeaderLimit, "7", "a get takes no limit"},
		{textSet, HeaderValues, "true", "a set takes no limit"},
		{list(`,"values":"true"`), "", "", "neither true nor false"},
		{list(`,"values":1`), "", "", "neither true nor false"}, {textList, HeaderValues, "yes", "want true or false"},
		{textList, HeaderValues, "", "want true or false"}, {textList, HeaderFrom, "", "of 0 letters"},
		{textList, HeaderFrom, strings.Repeat("n", 129), "of 129 letters"},
		{list(`,"from":"a\nb"`), "", "", "not printable"}, {list(`,"from":"x"`), HeaderFrom, "x", "same thing"},
		{list(`,"from":true`), "", "", "no string"},
		{list(`,"values":false`), HeaderValues, "true", "same thing"}, {get(`,"values":false`), "", "", "a get takes no limit"},

		// Watches.
		{textWatch, HeaderValues, "true", "a watch takes no limit"},
		{watch(`,"limit":7`), "", "", "a watch takes no limit"}, {watch(`,"values":false`), "", "", "a watch takes no limit"},
		{textWatch, HeaderValues, "false", "a watch takes no limit"},
		{watch(`,"from":"here"`), "", "", "from a revision"},
		{watch(`,"from":-1`), "", "", "no whole number"}, {watch(`,"from":1.5`), "", "", "no whole number"},
		{textWatch, HeaderFrom, "r2.7", "from a revision"},

		// Adds.
		{add(`"x"`), "", "", "a whole number"}, {add(`""`), "", "", "a whole number"},
		{add(`1.5`), "", "", "a whole number"}, {add(`1e3`), "", "", "a whole number"},
		{add(`9223372036854775808`), "", "", "a whole number"}, {add(`-9223372036854775809`), "", "", "a whole number"},
		{add(`" 1"`), "", "", "a whole number"},
		{add(`null`), "", "", "no string"}, {add(`true`), "", "", "no string"}, {add(`[1]`), "", "", "no string"},
		{"1,7,k", "", "", "an add needs a key and a value"},
		{"1,add,k:::", "", "", "a whole number"}, {"1,add,k:::1_000", "", "", "a whole number"},
		{"3,add,k:::1", "", "", "no add in model causal"},
		{`{"consistency":4,"request":7,"key":"k","value":1}`, "", "", "no add in model eventual"},
		{`{"consistency":1,"request":7,"key":"k"}`, "", "", "field value is missing in an add"},

		// Deletes, and what belongs to a txn.
		{`{"consistency":1,"request":3,"key":"k","value":""}`, "", "", "a delete takes no field value"},
		{`{"consistency":1,"request":3}`, "", "", "field key is missing"},
		{"1,3,", "", "", "empty key"}, {"1,3,a ::: b", "", "", "key holds :::"},
		{get(`,"if":[]`), "", "", "a txn does"}, {set(`,"then":[]`), "", "", "a txn does"},
	} {
		r, err := ParseRequest([]byte(c.body))
		if err == nil && c.header != "" {
			_, err = OptionsOf(&r, nats.Header{c.header: {c.value}})
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != model.Malformed || !strings.Contains(e.Reason, c.want) || len(e.Reason) > 300 {
			t.Errorf("%.120s %s %.40q: %v; want %q", c.body, c.header, c.value, err, c.want)
		}
		if !r.Model.Valid() {
			t.Errorf("%.120s: the model is not named: %+v", c.body, r)
		}
	}
}

// The limits themselves are allowed.
func TestLimitsOfTTLs(t *testing.T) {
	for text, want := range map[string]uint64{
		"1000.001ms": 1001, "2.0000001s": 2001,
		"1s": 1000, "1000ms": 1000, "1.5s": 1500, "30s": 30_000, "5m": 300_000, "1h30m": 5_400_000, "1m1m": 120_000, "87600h": model.MaxTTL,
	} {
		got, err := ParseTTL(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
		if again, err := ParseTTL(FormatTTL(got)); err != nil || again != want {
			t.Errorf("%s, written %s: %d, %v", text, FormatTTL(got), again, err)
		}
	}

	for _, text := range []string{"1000000us", "1000000µs", "1000000μs", "2s1ns", "1000000000ns"} { // of no unit of a TTL
		if ms, err := ParseTTL(text); err == nil || !strings.Contains(err.Error(), "seconds and ms") {
			t.Errorf("%s: %d, %v", text, ms, err)
		}
	}
}
