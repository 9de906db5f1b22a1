package history

import (
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"quartet/bus/model"
)

// Whatever spoils a history, the counterexample that is told is violated by itself, holds
// every set whose value it shows, and is small.
func TestCounterexamplesStandAlone(t *testing.T) {
	largest := 0
	for _, m := range mutations {
		for seed := range uint64(15) {
			h := newExecutor(seed, 3, m.models...).run(120)
			if !m.apply(rand.New(rand.NewPCG(seed, 2)), h) {
				continue
			}
			for _, v := range Judge(&Recording{Operations: h}, Budget{Time: 5 * time.Second}) {
				if v.Result != Violated {
					continue
				}

				again := Judge(&Recording{Operations: v.Operations}, Budget{Time: 5 * time.Second})
				i := slices.IndexFunc(again, func(w Verdict) bool { return w.Check == v.Check && w.Result == Violated })
				if i < 0 {
					t.Fatalf("%s, seed %d: by itself it is not violated: %s", m.name, seed, v)
				}

				written := func(in []Operation, get Operation) bool {
					return slices.ContainsFunc(in, func(p Operation) bool {
						return p.Type == model.Set && p.Key == get.Key && p.Value == get.Output
					})
				}
				shown := func(o Operation) bool {
					return o.Type == model.Get && o.Found && written(h, o) && !written(v.Operations, o)
				}

				if slices.ContainsFunc(v.Operations, shown) {
					t.Fatalf("%s, seed %d: a set is missing: %s", m.name, seed, v)
				}
				largest = max(largest, len(v.Operations))
			}
		}
	}
	if largest == 0 || largest > 9 {
		t.Errorf("the largest counterexample has %d operations", largest)
	}
}

// A stale get in the middle of ten thousand operations is told in three.
func TestReducesLargeHistories(t *testing.T) {
	var h []Operation
	at := int64(0)
	step := func(o Operation) {
		o.Model, o.Outcome, o.Call, o.Return, o.ID = model.Linearizable, OK, at, at+5, uint64(len(h)+1)
		o.Position, o.Session, o.Client = o.ID, "s", "c"
		at += 10
		h = append(h, o)
	}

	for i := range 5000 {
		value := strings.Repeat("v", i%7) + string(rune('0'+i%10)) + time.Duration(i).String()
		step(Operation{Type: model.Set, Key: "x", Value: value})
		step(Operation{Type: model.Get, Key: "x", Output: value, Found: true})
	}

	// One get in the middle returns what was there before.
	h[6001].Output = h[5998].Value
	began := time.Now()
	for _, v := range Judge(&Recording{Operations: h}, Budget{Time: 20 * time.Second}) {
		stale := v.Check == linearizable || v.Check == sequential
		told := len(v.Operations) == 3 && v.Culprit == 3 && len(v.Allowed) == 1
		if stale != (v.Result == Violated) {
			t.Errorf("%s", v)
		}
		if stale && !told {
			t.Errorf("%s; culprit %d, allowed %v", v, v.Culprit, v.Allowed)
		}
	}

	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %s", d)
	}
}

// A history that may lack sets: values from before are no violation, and what others did
// meanwhile makes none either; a history that is whole knows better.
func TestOpenHistories(t *testing.T) {
	for seed := range uint64(60) {
		for _, models := range [][]model.Consistency{
			{model.Linearizable}, {model.Sequential}, {model.Causal}, {model.Linearizable, model.Eventual},
		} {
			whole := newExecutor(seed, 3, models...).run(60)
			part := whole[20:] // what a recorder saw that began in the middle
			for _, v := range Judge(&Recording{Operations: part, Headers: []Header{{Open: true}}}, Budget{}) {
				if v.Result == Violated && v.Check != steady { // the executor's replicas jump to what a session needs
					t.Fatalf("seed %d, %v: %s", seed, models, v)
				}
			}
		}
	}

	thinAir := []Operation{
		{
			Model: model.Linearizable, Type: model.Get, Key: "x", Output: "a", Found: true, Call: 1, Return: 2,
			Outcome: OK,
		},
	}
	if v := Judge(&Recording{Operations: thinAir}, Budget{}); v[0].Result != Violated {
		t.Errorf("a whole history: %s", v[0])
	}

	if v := Judge(&Recording{}, Budget{}); len(v) != 1 || v[0].OK() {
		t.Errorf("an empty history: %v", v)
	}
}

// Where several programs recorded, what one saw at rest is so only if no other set the key
// later.
func TestAtRestAmongSeveralPrograms(t *testing.T) {
	set := func(value string, call int64) Operation {
		return Operation{
			ID: uint64(call), Model: model.Linearizable, Type: model.Set, Key: "x", Value: value, Call: call,
			Return: call + 5, Outcome: OK,
		}
	}
	rest := func(replica, value string, call int64) Operation {
		return Operation{
			Model: model.Eventual, Type: model.Get, Key: "x", Output: value, Found: true, Replica: replica, Rest: true,
			Call: call, Return: call + 5, Outcome: OK,
		}
	}
	h := []Operation{set("1", 10), rest("r1", "1", 20), rest("r2", "1", 20), set("2", 30), rest("r1", "2", 40), rest("r2", "2", 40)}
	late := append(slices.Clone(h[:5]), rest("r2", "1", 40))
	during := append(slices.Clone(h), rest("r2", "1", 32))

	for name, test := range map[string]struct {
		h       []Operation
		headers int
		want    Result
	}{
		"one after the other": {h, 2, Passed}, "one saw what the other was setting": {during, 2, Passed},
		"a replica is behind": {late, 2, Violated}, "one program": {h, 1, Violated},
	} {
		worst := Passed
		for _, v := range Judge(&Recording{Operations: test.h, Headers: make([]Header, test.headers)}, Budget{}) {
			if v.Result != Passed {
				worst = v.Result
			}
		}
		if worst != test.want {
			t.Errorf("%s: %s", name, worst)
		}
	}
}

// Pictures are well formed, whatever the values hold, and writing that fails is told.
func TestPictures(t *testing.T) {
	h := load(t, "causal-effect-without-cause")
	h[0].Value = "<script>&\"\x01\xff"
	h[1].Output = h[0].Value
	verdicts := Judge(&Recording{Operations: h}, Budget{})
	verdicts = append(verdicts, Judge(&Recording{Operations: load(t, "linearizable-stale-read")}, Budget{})...)

	for _, v := range verdicts {
		if v.Result != Violated {
			continue
		}
		var b strings.Builder
		if err := v.Picture(&b, true); err != nil {
			t.Fatal(err)
		}

		if v.PictureKind() == "svg" {
			dec := xml.NewDecoder(strings.NewReader(b.String()))
			for {
				if _, err := dec.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%s: %v\n%s", v.Check, err, b.String())
				}
			}
		}

		for i := range v.Operations {
			if !strings.Contains(b.String(), v.Operations[i].Key) {
				t.Errorf("%s: %s is not in the picture", v.Check, v.Operations[i])
			}
		}

		if strings.Contains(b.String(), "<script>&") {
			t.Error("a value is not escaped")
		}
		if err := v.Picture(failing{}, false); err == nil {
			t.Error("a picture that cannot be written is no error")
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no") }

// A get is refused in a txn only where what is read before it, and what it would read, may come to
// more than an answer holds.
func TestATxnThatReadsTooMuch(t *testing.T) {
	get := model.Step{Type: model.Get, Key: "k"}
	value := strings.Repeat("v", model.MaxKeyValue/2+1)
	for name, test := range map[string]struct {
		steps   []model.Step
		results []model.Result
		key     string
		right   bool
	}{
		"two of one key, told":    {[]model.Step{get, get}, []model.Result{{Code: model.OK, Value: []byte(value), Revision: 1}}, "k", true},
		"two of one key":          {[]model.Step{get, get}, nil, "k", true},
		"one alone":               {[]model.Step{get}, nil, "k", false},
		"behind a set":            {[]model.Step{{Type: model.Set, Key: "a", Value: []byte("x")}, get}, nil, "k", false},
		"behind one that is none": {[]model.Step{{Type: model.Get, Key: "a"}, get}, []model.Result{{Code: model.NotFound}}, "k", false},
		"of no value":             {[]model.Step{get, get}, nil, "b", false},
		"a delete":                {[]model.Step{get, {Type: model.Delete, Key: "k"}}, nil, "k", false},
	} {

		last := len(test.steps) - 1
		test.results = append(test.results[:len(test.results):len(test.results)], model.Result{Code: model.Failed, Revision: 1})
		if len(test.results) <= last {
			test.results = nil
		}

		h := []Operation{
			{ID: 1, Client: "c", Model: model.Linearizable, Type: model.Set, Key: test.key, Value: value, Outcome: OK, Code: 200,
				Return: 1, Position: 1, HasRevision: true, Revision: 1},
			{ID: 2, Client: "c", Model: model.Linearizable, Type: model.Txn, Outcome: OK, Code: uint16(model.Failed), Call: 2, Return: 3,
				Position: 2, Txn: &model.Transaction{Then: test.steps},
				Results: &model.Results{Succeeded: true, Failed: last, Results: test.results}},
		}

		isRight := true
		for _, v := range Judge(&Recording{Operations: h}, Budget{Time: 5 * time.Second}) {
			isRight = isRight && v.Result == Passed
		}
		if isRight != test.right {
			t.Errorf("%s: %v", name, Judge(&Recording{Operations: h}, Budget{Time: 5 * time.Second}))
		}
	}
}
