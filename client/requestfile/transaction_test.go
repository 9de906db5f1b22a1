package requestfile

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/model"
)

// Both forms say all that a transaction can say.
func TestParseTransaction(t *testing.T) {
	const text = "\ufeff# all of it\n\nIF missing a\n  exists b c\n\trevision d 7\n  revision e f ::: 0\n  value g some words\r\n  value h :::\nthen\n" +
		"  set k v w\n  set --ttl 1h30m --if-revision=4 a key ::: v ::: w\n  create l :::\n  get a b\n  delete --if-revision 3 m\n  add n -4\n" +
		"  set -- --ttl x\nelse get o\n"
	const whole = `{"if":[{"key":"a","exists":false},{"key":"b c","exists":true},{"key":"d","revision":7},{"key":"e f","revision":0},
		{"key":"g","value":"some words"},{"key":"h","value":""}],
		"then":[{"request":"set","key":"k","value":"v w"},{"request":"set","key":"a key","value":"v ::: w","ttl":"1h30m","if_revision":4},
		{"request":"set","key":"l","value":"","if_revision":0},{"request":"get","key":"a b"},{"request":"delete","key":"m","if_revision":3},
		{"request":"add","key":"n","value":-4},{"request":"set","key":"--ttl","value":"x"}],"else":[{"request":"get","key":"o"}]}`

	var both [2]model.Transaction
	for i, body := range []string{text, whole} {
		r, err := ParseTransaction("f", []byte(body))
		if err != nil {
			t.Fatal(Show(err))
		}
		if r.Type != model.Txn || r.Model != 0 || r.Key != "" {
			t.Errorf("%+v", r)
		}
		if both[i], err = codec.ParseTransaction(r.Value); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(both[0], both[1]) {
		t.Errorf("the text form says\n%+v\nthe JSON form\n%+v", both[0], both[1])
	}
	if n := len(both[0].If) + len(both[0].Then) + len(both[0].Else); n != 14 {
		t.Errorf("%d parts were read", n)
	}
}

// What the JSON form may leave out, and what it may say.
func TestParseTransactionInJSON(t *testing.T) {
	for body, want := range map[string]model.Consistency{
		`{"then":[{"request":"get","key":"a"}]}`:                                                  0,
		` {"request":"txn","then":[{"request":"get","key":"a"}]} `:                                0,
		"{\n\"consistency\":\"sequential\",\n\"then\":[{\"request\":\"get\",\"key\":\"a\"}]\n}\n": model.Sequential,
		`{"consistency":1,"request":6,"then":[{"request":"get","key":"a"}]}`:                      model.Linearizable,
	} {
		r, err := ParseTransaction("f", []byte(body))
		if err != nil || r.Model != want || r.Type != model.Txn {
			t.Errorf("%s: %+v, %v", body, r, err)
		}
	}
}

func TestMistakesOfATransaction(t *testing.T) {
	for _, test := range []struct {
		body         string
		line, column int
		code         model.Code
		reason       string
	}{
		{"", 1, 1, 400, "does nothing"},
		{"if\nthen\nelse\n", 3, 1, 400, "does nothing"},
		{"if\n  absent a", 2, 3, 400, `unknown condition "absent"`},
		{"if missing", 1, 4, 400, "empty key"},
		{"if revision a b", 1, 4, 400, `"b" is no revision`},
		{"if revision a -1", 1, 4, 400, "no revision"},
		{"if value a", 1, 4, 400, "want value KEY VALUE"},

		{"put a b", 1, 1, 400, `unknown operation "put"`},
		{"then\n\tset a", 2, 2, 400, "want set KEY VALUE"},
		{"set --ttl", 1, 1, 400, "no time after which a value ends"},
		{"set --ttl soon a b", 1, 1, 400, "no time"},
		{"set --ttl 100ms a b", 1, 1, 400, "TTL"},
		{"set --ttl 1000000us a b", 1, 1, 400, "no time"},
		{"set --if a b", 1, 1, 400, "unknown flag --if"},
		{"delete --if-revision x a", 1, 1, 400, "no revision"},
		{"delete --ttl 1h a", 1, 1, 400, "TTL"},
		{"get --if-revision 1 a", 1, 1, 400, "condition"},
		{"add n x", 1, 1, 400, "whole number"},
		{"set k " + strings.Repeat("v", model.MaxKeyValue), 1, 1, 413, "524288"},
		{strings.Repeat("set k "+strings.Repeat("v", 300<<10)+"\n", 2), 2, 1, 413, "524288"},
		{strings.Repeat("get a\n", 129), 129, 1, 400, "at most 128"},
		{"set k \xff", 1, 1, 400, "UTF-8"},

		{"{", 1, 1, 400, "cut short"},
		{"{}", 1, 1, 400, "does nothing"},
		{`{"if":[}`, 1, 1, 400, "no JSON at byte"},
		{`{"consistency":1,"request":"get","key":"a"}`, 1, 1, 400, "it is a get"},
		{`{"id":"x","then":[{"request":"get","key":"a"}]}`, 1, 1, 400, "no id"},
		{`{"consistency":3,"then":[{"request":"get","key":"a"}]}`, 1, 1, 400, "causal"},
		{`{"then":[{"request":"list","key":"a"}]}`, 1, 1, 400, "element 0 of then"},
	} {
		_, err := ParseTransaction("f", []byte(test.body))

		var bad *Error
		if !errors.As(err, &bad) || !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60q: %v", test.body, err)
			continue
		}

		if bad.Line != test.line || bad.Column != test.column || bad.Code != test.code || !strings.Contains(bad.Reason, test.reason) {
			t.Errorf("%.60q: %d:%d, %d: %.200s", test.body, bad.Line, bad.Column, bad.Code, bad.Reason)
		}
	}
}

// The first ten mistakes are told, not the first alone.
func TestManyMistakesOfATransaction(t *testing.T) {
	_, err := ParseTransaction("f", []byte(strings.Repeat("put a b\n", 20)))
	if n := strings.Count(err.Error(), "unknown operation"); n != maxErrors {
		t.Errorf("%d mistakes are told", n)
	}
}

func FuzzParseTransaction(f *testing.F) {
	for _, body := range []string{
		"if missing a\nthen set --ttl 1h a b\nelse get a\n", `{"then":[{"request":"get","key":"a"}]}`, "set -- --x y", "{", "\xff",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseTransaction("f", body)
		if err != nil {
			if Show(err) == "" {
				t.Error("a mistake without a word")
			}
			return
		}
		if _, err := codec.ParseTransaction(r.Value); err != nil || r.Type != model.Txn {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
