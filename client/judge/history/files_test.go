package history

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/model"
)

const folder = "../../../testdata/histories"

type rejection struct {
	check, reason string
	operations    int
}

// files says which checkers reject which recorded history, with a word that the reason
// must hold and how many operations the counterexample has. What is not named passes.
var files = map[string][]rejection{
	"linearizable-good":         nil,
	"fenced-good":               nil,
	"fenced-stale":              {{linearizable, "no order", 3}, {sequential, "higher position", 2}},
	"fenced-against-time":       {{linearizable, "no order", 2}, {sequential, "higher position", 2}},
	"linearizable-stale-read":   {{linearizable, "no order of these operations on key x", 3}},
	"linearizable-unknown-late": nil,
	"linearizable-unknown-twice": {
		{linearizable, "no order", 4}, {sequential, "overwritten by position 3", 4},
	},
	"refused-and-read":               {{linearizable, "refused", 2}, {sequential, "refused", 2}},
	"retry-joined":                   nil,
	"retry-two-outcomes":             {{onlyOnce, "two outcomes", 2}},
	"sequential-good":                nil,
	"sequential-two-orders":          {{sequential, "no one order", 6}},
	"sequential-no-positions":        nil,
	"sequential-session-back":        {{sequential, "had seen position 1", 2}, {sessions, "monotonic reads", 2}},
	"sequential-two-at-one-position": {{sequential, "two operations have position 1", 2}, {onlyOnce, "number 1", 2}},
	"order-against-time":             {{sequential, "higher position", 2}},
	"weak-write-good":                nil,
	"weak-write-back-in-time":        {{linearizable, "no order", 3}, {sequential, "found nothing", 2}},
	"causal-good":                    nil,
	"causal-effect-without-cause":    {{causal, "causal past holds a write of x", 5}},
	"causal-own-write-missed":        {{causal, "causal past holds timestamp 2", 3}, {sessions, "read your writes", 2}},
	"causal-number-against-cause":    {{causal, "not above 5", 3}, {sessions, "writes follow reads", 2}},
	"causal-number-given-twice":      {{causal, "another value", 2}},
	"causal-unknown-read":            nil,
	"eventual-a-b-a":                 {{steady, "the first again", 3}},
	"eventual-good":                  nil,
}

// load returns a history of the folder that is read as documentation, too.
func load(t *testing.T, name string) []Operation {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	h, err := Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(h) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return h
}

func TestRecordedHistories(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil || len(found) != len(files) {
		t.Fatalf("%d files in %s, %d in the table (%v)", len(found), folder, len(files), err)
	}

	for name, rejected := range files {
		t.Run(name, func(t *testing.T) {
			h := load(t, name)
			verdicts := make(map[string]Verdict)
			for _, v := range All(h, Budget{}) {
				verdicts[v.Check] = v
			}

			for _, r := range rejected {
				v := verdicts[r.check]
				delete(verdicts, r.check)
				if v.Result != Violated || !strings.Contains(v.Reason, r.reason) || len(v.Operations) != r.operations {
					t.Errorf("want %s violated, %q, %d operations; got %s", r.check, r.reason, r.operations, v)
				}
			}

			for _, v := range verdicts {
				if !v.OK() {
					t.Errorf("rejected by %s", v)
				}
			}
		})
	}
}

func TestEncodeDecode(t *testing.T) {
	for name := range files {
		h := load(t, name)
		h[0].Value, h[0].Output = "\xff\x00<&>\n", "\xfe"
		var b bytes.Buffer
		if err := Encode(&b, h); err != nil {
			t.Fatal(err)
		}
		back, err := Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, back); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := `{"model":"causal","type":"get","key":"k","call":1,"return":2,"outcome":"ok"}`
	for name, line := range map[string]string{
		"not JSON":         `{`,
		"unknown field":    strings.Replace(good, `"key"`, `"colour":1,"key"`, 1),
		"two records":      good + good,
		"unknown model":    strings.Replace(good, "causal", "strict", 1),
		"unknown type":     strings.Replace(good, `"get"`, `"watch"`, 1),
		"unknown outcome":  strings.Replace(good, `"ok"`, `"maybe"`, 1),
		"no key":           strings.Replace(good, `"k"`, `""`, 1),
		"return before":    strings.Replace(good, `"call":1`, `"call":3`, 1),
		"number too large": strings.Replace(good, `"call":1`, `"call":1e30`, 1),
	} {
		_, err := Decode(strings.NewReader("# comment\n\n" + good + "\n" + line))
		if !errors.Is(err, ErrFormat) || !strings.HasPrefix(err.Error(), "line 4:") {
			t.Errorf("%s: %v", name, err)
		}
	}

	if h, err := Decode(strings.NewReader(good)); err != nil || len(h) != 1 {
		t.Errorf("%v %v", h, err)
	}
}

// An unknown verdict is no pass, and is what a budget that is too small brings.
func TestBudget(t *testing.T) {
	if v := Linearizable(load(t, "linearizable-good"), Budget{Time: 1}); v.Result != Undecided || v.OK() {
		t.Errorf("linearizable without time: %s", v)
	}
	if v := SequentialSearch(load(t, "sequential-two-orders"), Budget{Steps: 1}); v.Result != Undecided || v.OK() {
		t.Errorf("sequential without steps: %s", v)
	}
	if v := Sequential(load(t, "sequential-no-positions")); v.Result != Undecided {
		t.Errorf("sequential without positions: %s", v)
	}

	noNumber := load(t, "causal-good")
	noNumber[0].Timestamp = 0
	if v := Causal(noNumber); v.Result != Undecided {
		t.Errorf("causal without a timestamp: %s", v)
	}

	bad := load(t, "retry-joined")
	bad[0].Value = "other"
	for _, v := range All(bad, Budget{}) {
		if v.Result == Passed {
			t.Errorf("one identity for two requests: %s", v)
		}
	}
}

// A check that would search for hours ends soon after it was cancelled, and says so.
func TestCancelled(t *testing.T) {
	var h []Operation
	strong := func(client string, typ model.Type, value string, call, end int64) {
		o := Operation{Model: model.Linearizable, Type: typ, Key: "k", Client: client, Session: client, Call: call, Return: end, Outcome: OK}
		if typ == model.Set {
			o.Value = value
		} else {
			o.Output, o.Found = value, true
		}
		h = append(h, o)
	}
	const writers = 40 // at once: there are more orders of them than anybody can try
	for i := range writers {
		strong(fmt.Sprint("w", i), model.Set, fmt.Sprint(i), 0, 1000)
	}
	strong("a", model.Get, "1", 10, 20)
	strong("a", model.Get, "2", 30, 40)
	strong("a", model.Get, "1", 50, 60)

	checks := map[string]func(Budget) Verdict{
		linearizable: func(b Budget) Verdict { return Linearizable(h, b) },
		sequential:   func(b Budget) Verdict { return SequentialSearch(h, b) },
		"all": func(b Budget) Verdict {
			all := Judge(&Recording{Operations: h}, b)
			return all[len(all)-1]
		},
	}
	for name, check := range checks {
		cancelled := make(chan struct{})
		time.AfterFunc(time.Millisecond, func() { close(cancelled) })
		v := check(Budget{Time: time.Minute, Steps: math.MaxInt, Cancelled: cancelled})
		if v.Result != Undecided || !strings.Contains(v.Reason, "cancelled") {
			t.Errorf("%s: %s", name, v)
		}
	}
}

func TestAtRest(t *testing.T) {
	h := load(t, "weak-write-good")
	for _, c := range []struct {
		name  string
		final map[string]string
		ok    bool
	}{
		{"the last set stays", map[string]string{"x": "strong"}, true},
		{"a set that was over before stays", map[string]string{"x": "weak"}, false},
		{"nothing stays", map[string]string{}, false},
		{"nobody wrote it", map[string]string{"x": "made up"}, false},
		{"nobody wrote the key", map[string]string{"x": "strong", "y": "strong"}, false},
	} {
		if v := Eventual(h, c.final); v.OK() != c.ok {
			t.Errorf("%s: %s", c.name, v)
		}
	}

	a := map[string]string{"x": "1", "y": "2"}
	for name, b := range map[string]map[string]string{
		"another value": {"x": "1", "y": "3"}, "one less": {"x": "1"}, "one more": {"x": "1", "y": "2", "z": ""},
	} {
		if v := Converged(map[string]map[string]string{"r1": a, "r2": a, "r3": b}); v.Result != Violated {
			t.Errorf("%s: %s", name, v)
		}
	}

	if v := Converged(map[string]map[string]string{"r1": a, "r2": a}); !v.OK() {
		t.Error(v)
	}
}

func TestOnlyOnceWithEffects(t *testing.T) {
	h := load(t, "retry-joined")
	once := []Effect{{Identity: "c1-1", ID: 1, Key: "x", Value: "a", Position: 1}}
	if v := OnlyOnce(h, once); !v.OK() {
		t.Error(v)
	}
	if v := OnlyOnce(h, append(once, Effect{Identity: "c1-1", ID: 7, Key: "x", Value: "a", Position: 9})); v.Result != Violated {
		t.Errorf("twice: %s", v)
	}
	if v := OnlyOnce(h, []Effect{}); v.Result != Violated {
		t.Errorf("never: %s", v)
	}
	refused := load(t, "refused-and-read")
	if v := OnlyOnce(refused, []Effect{{ID: 1, Key: "x", Value: "a", Position: 1}}); v.Result != Violated {
		t.Errorf("refused: %s", v)
	}
}
