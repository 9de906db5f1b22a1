package history

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	aHeader = `{"history":1,"began":"2026-11-24T15:00:00.5Z","program":"quartet 0.1.0"}`
	aRecord = `{"model":"causal","type":"get","key":"k","call":1,"return":2,"outcome":"ok"}`
)

func txnRecordOf(txn string) string {
	return strings.Replace(aRecord, `"get","key":"k"`, `"txn","txn":`+txn, 1)
}

// What a killed program leaves behind can be read, and is told.
func TestReadWhatWasCutOff(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		ops   int
		cut   []int
		open  bool
	}{
		{"whole", []string{aHeader, aRecord, aRecord, ""}, 2, nil, false},
		{"without the last line's end", []string{aHeader, aRecord, aRecord}, 2, nil, false},
		{"the last line is cut off", []string{aHeader, aRecord, aRecord[:20]}, 1, []int{3}, true},
		{"cut off in the middle of a string", []string{aHeader, aRecord[:4]}, 0, []int{2}, true},
		{"and another program went on", []string{aHeader, aRecord, aRecord[:20], aHeader, aRecord, ""}, 2, []int{3}, true},
		{"two programs", []string{aHeader, aRecord, aHeader, aRecord, ""}, 2, nil, true},
		{"without a header", []string{"# by hand", aRecord, ""}, 1, nil, false},
		{"open", []string{strings.Replace(aHeader, `"program"`, `"open":true,"program"`, 1), aRecord, ""}, 1, nil, true},
		{"nothing", nil, 0, nil, false},
	} {
		r, err := Read(strings.NewReader(strings.Join(c.lines, "\n")))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}

		if len(r.Operations) != c.ops || r.Open() != c.open || !cmp.Equal(r.Cut, c.cut) {
			t.Errorf("%s: %d operations, cut %v, open %t", c.name, len(r.Operations), r.Cut, r.Open())
		}
		if r.Nanoseconds() != strings.Contains(strings.Join(c.lines, ""), aHeader[:12]) {
			t.Errorf("%s: nanoseconds %t", c.name, r.Nanoseconds())
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, lines := range map[string][]string{
		"a cut line in the middle":     {aHeader, aRecord[:20], aRecord},
		"a version of the future":      {strings.Replace(aHeader, ":1,", ":3,", 1), aRecord},
		"the same before a header":     {strings.Replace(aHeader, ":1,", ":3,", 1), aHeader},
		"no JSON at the end":           {aHeader, "nonsense"},
		"an unknown field at the end":  {aHeader, strings.Replace(aRecord, `"key"`, `"colour":1,"key"`, 1)},
		"a set at rest":                {strings.Replace(aRecord, `"get"`, `"set","rest":true`, 1)},
		"a list with a key":            {strings.Replace(aRecord, `"get"`, `"list"`, 1)},
		"items of a get":               {strings.Replace(aRecord, `"key"`, `"items":[{"key":"k"}],"key"`, 1)},
		"a limit of a get":             {strings.Replace(aRecord, `"key"`, `"limit":1,"key"`, 1)},
		"a txn without its steps":      {strings.Replace(aRecord, `"get","key":"k"`, `"txn"`, 1)},
		"a txn of a list":              {txnRecordOf(`{"then":[{"request":"list","key":"k"}]}`)},
		"a txn that sets nothing":      {txnRecordOf(`{"then":[{"request":"set","key":"k"}]}`)},
		"a condition about two things": {txnRecordOf(`{"if":[{"key":"k","exists":true,"revision":1}]}`)},
		"a condition about nothing":    {txnRecordOf(`{"if":[{"key":"k"}]}`)},
		"an event of no kind":          {strings.Replace(aRecord, `"get","key":"k"`, `"watch","events":[{"event":"heartbeat"}]`, 1)},
		"an event of no key":           {strings.Replace(aRecord, `"get","key":"k"`, `"watch","events":[{"event":"set"}]`, 1)},
		"a line that is much too long": {aRecord, strings.Repeat("x", maxLine+1)},
	} {
		if r, err := Read(strings.NewReader(strings.Join(lines, "\n"))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	if _, err := Decode(strings.NewReader(aHeader + "\n" + aRecord[:20])); !errors.Is(err, ErrFormat) {
		t.Errorf("Decode of a cut history: %v", err)
	}
}
