package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"quartet/bus"
)

// A transaction that breaks a rule is refused with a code, whatever stands around the mistake; one
// that meets what cannot be done is 412, at the place in the order; nothing of either is executed.
func TestBadTransactions(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	mustOK(t, nc, "1, set, word ::: tea")
	mustOK(t, nc, "1, set, most ::: 9223372036854775807")
	before := mustStatus(t, nc)

	const set = `{"request":"set","key":"k","value":"v"}`
	many := strings.TrimSuffix(strings.Repeat(set+",", 129), ",")
	large := fmt.Sprintf(`{"request":"set","key":"k","value":%q}`, strings.Repeat("v", 300<<10))
	then := func(step string) string { return `"then":[` + set + `,` + step + `]` }

	for name, b := range map[string]struct{ rest, code string }{
		// What no transaction can say.
		"nothing":                        {`"if":[]`, "400"},
		"a key of its own":               {`"key":"k",` + then(set), "400"},
		"a condition of its own":         {`"if_revision":1,` + then(set), "400"},
		"a TTL of its own":               {`"ttl":"5s",` + then(set), "400"},
		"an unknown field":               {`"than":[]`, "400"},
		"a repeated list":                {`"then":[` + set + `],"then":[` + set + `]`, "400"},
		"a list that is an object":       {`"then":{}`, "400"},
		"a step that is a list":          {`"then":[[]]`, "400"},
		"129 steps":                      {`"then":[` + many + `]`, "400"},
		"129 conditions":                 {`"if":[` + strings.TrimSuffix(strings.Repeat(`{"key":"k","exists":true},`, 129), ",") + `]`, "400"},
		"600 KiB":                        {`"then":[` + large + `,` + large + `]`, "413"},
		"steps nested without end":       {`"then":` + strings.Repeat("[", 10_000), "400"},
		"a condition of nothing":         {`"if":[{"key":"k"}],` + then(set), "400"},
		"a condition of two things":      {`"if":[{"key":"k","exists":true,"revision":1}],` + then(set), "400"},
		"a condition without a key":      {`"if":[{"exists":true}],` + then(set), "400"},
		"a condition of a negative one":  {`"if":[{"key":"k","revision":-1}],` + then(set), "400"},
		"a condition of 2^64":            {`"if":[{"key":"k","revision":18446744073709551616}],` + then(set), "400"},
		"a step without a request":       {then(`{"key":"k","value":"v"}`), "400"},
		"a step without a key":           {then(`{"request":"get"}`), "400"},
		"a step of a control character":  {then(`{"request":"get","key":"a\u0001"}`), "400"},
		"a step that lists":              {then(`{"request":"list","key":"k"}`), "400"},
		"a txn within":                   {then(`{"request":"txn","then":[]}`), "400"},
		"a step of another model":        {then(`{"consistency":1,"request":"get","key":"k"}`), "400"},
		"a set without a value":          {then(`{"request":"set","key":"k"}`), "400"},
		"a get with a value":             {then(`{"request":"get","key":"k","value":"v"}`), "400"},
		"a get with a condition":         {then(`{"request":"get","key":"k","if_revision":1}`), "400"},
		"a delete that ends":             {then(`{"request":"delete","key":"k","ttl":"5s"}`), "400"},
		"an end in the past":             {then(`{"request":"set","key":"k","value":"v","ttl":"-5s"}`), "400"},
		"an end of half a second":        {then(`{"request":"set","key":"k","value":"v","ttl":"500ms"}`), "400"},
		"an end in eleven years":         {then(`{"request":"set","key":"k","value":"v","ttl":"96360h"}`), "400"},
		"an add of a word":               {then(`{"request":"add","key":"k","value":"one"}`), "400"},
		"an add of 2^63":                 {then(`{"request":"add","key":"k","value":9223372036854775808}`), "400"},
		"an id in both places":           {`"id":"a",` + then(set), "400"},
		"an empty one in the other list": {`"else":[{}]`, "400"},

		// What cannot be done where it stands.
		"an add to a word":             {then(`{"request":"add","key":"word","value":1}`), "412"},
		"an add beyond 64 bits":        {then(`{"request":"add","key":"most","value":1}`), "412"},
		"a revision of the future":     {then(`{"request":"delete","key":"word","if_revision":18446744073709551615}`), "412"},
		"a create of what is there":    {then(`{"request":"set","key":"word","value":"v","if_revision":0}`), "412"},
		"a create of what it has made": {then(`{"request":"set","key":"k","value":"w","if_revision":0}`), "412"},
	} {
		t.Run(name, func(t *testing.T) {
			for model := 1; model <= 2; model++ {
				body := fmt.Sprintf(`{"consistency":%d,"request":"txn",%s}`, model, b.rest)
				got := ask(t, nc, body, bus.HeaderMsgID, fmt.Sprintf("%s %d", name, model))
				reason := got.Header.Get(bus.HeaderError)
				if code(got) != b.code || reason == "" || strings.ContainsAny(reason, "\r\n") {
					t.Errorf("model %d: code %q, want %s; %.300q", model, code(got), b.code, got.Data)
				}
			}
		})
	}
	for model := 3; model <= 4; model++ {
		if got := ask(t, nc, fmt.Sprintf(`{"consistency":%d,"request":"txn",%s}`, model, then(set))); code(got) != "400" {
			t.Errorf("model %d: code %q: %.300q", model, code(got), got.Data)
		}
	}
	if got := ask(t, nc, "1, get, k"); code(got) != "404" {
		t.Errorf("something of all that was executed: %.100q", got.Data)
	}
	unharmed(t, nc, before)
}
