package layers_test

import (
	"strings"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/layers"
	"quartet/replica/store"
)

// strong commits a write of model 1 at the next position, and returns what it came to.
func strong(l *layers.Layers, r model.Request) layers.Outcome {
	l.Count(1)
	position := l.Position()
	return l.CommitStrong(&message.Request{RID: position, Request: r, Wall: 1000}, at(10*position), position)
}

func conditional(r model.Request, revision uint64) model.Request {
	r.HasIf, r.If = true, revision
	return r
}

func lasting(r model.Request, ttl uint64) model.Request {
	r.TTL = ttl
	return r
}

func setOf(value string) model.Request { return model.NewSet(model.Linearizable, "k", []byte(value)) }

func deletion() model.Request {
	return model.Request{Model: model.Linearizable, Type: model.Delete, Key: "k"}
}

func addition(number string) model.Request {
	return model.Request{Model: model.Linearizable, Type: model.Add, Key: "k", Value: []byte(number)}
}

// Each line is an operation on one key, the next position each, and what it comes to: code (0 is
// OK), the revision that is told of a failure, the result, and what stands at the key then.
func TestO3O4OperationsAtTheirPlaces(t *testing.T) {
	l := fresh()
	for i, step := range []struct {
		request  model.Request
		code     model.Code
		told     uint64
		result   string
		kind     store.Kind
		value    string
		revision uint64
		expires  uint64
	}{
		{conditional(setOf("a"), 7), model.Failed, 0, "", 0, "", 0, 0},
		{conditional(setOf("a"), 0), 0, 0, "", store.KindValue, "a", 2, 0},
		{conditional(setOf("b"), 0), model.Failed, 2, "", store.KindValue, "a", 2, 0},
		{addition("1"), model.Failed, 2, "", store.KindValue, "a", 2, 0},
		{conditional(deletion(), 3), model.Failed, 2, "", store.KindValue, "a", 2, 0},
		{conditional(deletion(), 2), 0, 0, "", store.KindTombstone, "", 6, 0},
		{conditional(deletion(), 2), model.Failed, 0, "", store.KindTombstone, "", 6, 0},
		{conditional(setOf("7"), 6), 0, 0, "", store.KindValue, "7", 8, 0}, // a tombstone has a revision, too
		{deletion(), 0, 0, "", store.KindTombstone, "", 9, 0},
		{deletion(), 0, 0, "", store.KindTombstone, "", 10, 0},
		{conditional(addition("-5"), 0), 0, 0, "-5", store.KindValue, "-5", 11, 0},
		{addition("+12"), 0, 0, "7", store.KindValue, "7", 12, 0},
		{lasting(setOf("9223372036854775800"), 500), 0, 0, "", store.KindValue, "9223372036854775800", 13, 1500},
		{addition("7"), 0, 0, "9223372036854775807", store.KindValue, "9223372036854775807", 14, 1500}, // the end stays
		{addition("1"), model.Failed, 14, "", store.KindValue, "9223372036854775807", 14, 1500},
		{setOf("-9223372036854775808"), 0, 0, "", store.KindValue, "-9223372036854775808", 16, 0}, // the end is gone
		{addition("-1"), model.Failed, 16, "", store.KindValue, "-9223372036854775808", 16, 0},
		{addition(" 1"), model.Failed, 16, "", store.KindValue, "-9223372036854775808", 16, 0},
	} {
		o := strong(l, step.request)
		if o.Code != step.code || o.Revision != step.told || string(o.Result) != step.result || o.Position != uint64(i+1) {
			t.Errorf("operation %d comes to %+v", i+1, o)
		}
		if again, ok := l.Executed(&message.Request{RID: uint64(i + 1)}); !ok || again.Code != o.Code || again.Revision != o.Revision {
			t.Errorf("operation %d is remembered as %+v, %t", i+1, again, ok)
		}

		rec, _ := l.Committed("k")
		if rec.Kind != step.kind || string(rec.Value) != step.value || rec.Revision != step.revision || rec.Expires != step.expires {
			t.Fatalf("after operation %d there is %+v", i+1, rec)
		}
	}
}

// A weak write that loses moves nothing; one that wins has its own revision. A delete is seen
// before it is committed, and a set with a lower version does not bring the key back.
func TestO1O2WeakWritesAndDeletes(t *testing.T) {
	l := fresh()
	strong(l, setOf("a"))
	first, _ := l.Committed("k")
	l.CommitWeak(set(20, "k", 5), 0, 2)
	if rec, _ := l.Committed("k"); rec.Revision != first.Revision || string(rec.Value) != "a" {
		t.Errorf("a weak write that loses leaves %+v", rec)
	}

	gone := set(21, "k", 50)
	gone.Type, gone.Value = model.Delete, nil
	l.Hold(gone, 3)
	if rec, committed := l.Newest("k"); rec.Kind != store.KindTombstone || rec.Number != 3 || committed {
		t.Errorf("a tentative delete shows %+v, committed: %t", rec, committed)
	}
	l.CommitWeak(gone, 3, 3)
	l.CommitWeak(set(22, "k", 40), 0, 4)
	rec, committed := l.Newest("k")
	if rec.Kind != store.KindTombstone || rec.Revision != 3 || !committed || l.Keys() != 0 {
		t.Errorf("after the delete there is %+v, committed: %t, and %d keys", rec, committed, l.Keys())
	}
}

// An end concerns the revision that it names. It leaves the value's version: what was stamped
// later wins over it, and what was stamped earlier loses.
func TestO6AnEndNamesItsRevision(t *testing.T) {
	l := fresh()
	strong(l, lasting(setOf("a"), 500))
	strong(l, setOf("b"))
	l.End("k", 1, 3)
	l.End("k", 2, 4)
	if rec, _ := l.Committed("k"); string(rec.Value) != "b" || rec.Revision != 2 {
		t.Errorf("an earlier deadline, or none, ends a value: %+v", rec)
	}

	strong(l, lasting(setOf("c"), 500))
	before, entries := l.Entries(), 0
	var due []string
	l.Due(1499, func(key string, _ uint64) bool { due = append(due, key); return true })
	if len(due) > 0 {
		t.Errorf("due before their time: %v", due)
	}
	l.Due(1500, func(key string, revision uint64) bool {
		l.End(key, revision, 6)
		return false
	})
	rec, _ := l.Committed("k")
	if rec.Kind != store.KindTombstone || rec.Revision != 6 || rec.Version != at(30) || rec.Expires != 0 {
		t.Errorf("the end leaves %+v", rec)
	}
	l.EachEntry(before+1, func(x message.Executed) bool {
		entries++
		if x.Key != "k" || x.RID != 0 {
			t.Errorf("the end is remembered as %+v", x)
		}
		return true
	})
	if entries != 1 {
		t.Errorf("%d entries tell of the end", entries)
	}

	l.CommitWeak(set(20, "k", 29), 0, 7)
	if rec, _ := l.Committed("k"); rec.Kind != store.KindTombstone {
		t.Errorf("a set that was stamped before the value brings the key back: %+v", rec)
	}
	l.CommitWeak(set(21, "k", 31), 0, 8)
	if rec, _ := l.Committed("k"); string(rec.Value) != "21" || rec.Revision != 8 {
		t.Errorf("a set that was stamped after the value loses to its end: %+v", rec)
	}
}

// What is tentative keeps all that it says until it is submitted again.
func TestO2TentativeWritesKeepWhatTheySay(t *testing.T) {
	l := fresh()
	lasts := set(1, "a", 5)
	lasts.TTL, lasts.Wall = 500, 1000
	gone := set(2, "b", 6)
	gone.Type, gone.Value = model.Delete, nil
	l.Accept(lasts)
	l.Accept(gone)
	if rec, _ := l.Newest("a"); rec.Expires != 1500 {
		t.Errorf("a tentative value shows %+v", rec)
	}

	var again []*message.Request
	l.EachEventual(func(r *message.Request) { again = append(again, r) })
	if len(again) != 2 || again[0].TTL != 500 || again[0].Wall != 1000 || again[1].Type != model.Delete {
		t.Errorf("submitted again are %+v", again)
	}
}

// txn commits a transaction at the next position, and returns its code and results.
func txn(t *testing.T, l *layers.Layers, x model.Transaction) (model.Code, model.Results) {
	t.Helper()
	value, err := codec.AppendTransaction(nil, &x)
	if err != nil {
		t.Fatal(err)
	}
	o := strong(l, model.Request{Model: model.Sequential, Type: model.Txn, Value: value})
	results, err := codec.ParseResults(o.Result)
	if err != nil {
		t.Fatal(err)
	}
	return o.Code, results
}

// A transaction is done as a whole, at one position, and its steps see what earlier ones left; or
// nothing of it is done.
func TestO8ATransactionIsDoneOrNot(t *testing.T) {
	l := fresh()
	strong(l, setOf("7"))
	code, r := txn(t, l, model.Transaction{
		If: []model.Check{
			{Key: "k", HasRevision: true, Revision: 1}, {Key: "other", HasExists: true}, {Key: "k", HasValue: true, Value: []byte("7")},
		},
		Then: []model.Step{
			{Type: model.Add, Key: "k", Value: []byte("3")}, {Type: model.Get, Key: "k"},
			{Type: model.Set, Key: "other", Value: []byte("x"), TTL: 500}, {Type: model.Delete, Key: "third"},
		},
	})
	if code != 0 || !r.Succeeded || r.Failed != -1 || len(r.Results) != 4 ||
		string(r.Results[1].Value) != "10" || r.Results[1].Revision != 2 {
		t.Errorf("it comes to %d, %+v", code, r)
	}
	for key, want := range map[string]store.Kind{"k": store.KindValue, "other": store.KindValue, "third": store.KindTombstone} {
		if rec, _ := l.Committed(key); rec.Kind != want || rec.Revision != 2 {
			t.Errorf("at %s there is %+v", key, rec)
		}
	}
	keys := map[string]bool{}
	l.EachEntry(2, func(x message.Executed) bool { keys[x.Key] = true; return true })
	if len(keys) != 3 {
		t.Errorf("the table knows of %v", keys)
	}

	code, r = txn(t, l, model.Transaction{
		If: []model.Check{{Key: "other", HasExists: true}},
		Else: []model.Step{
			{Type: model.Set, Key: "k", Value: []byte("y")}, {Type: model.Add, Key: "other", Value: []byte("1")},
			{Type: model.Delete, Key: "k"},
		},
	})
	if code != model.Failed || r.Succeeded || r.Failed != 1 {
		t.Errorf("a sum that is none comes to %d, %+v", code, r)
	}
	if rec, _ := l.Committed("k"); string(rec.Value) != "10" || rec.Revision != 2 {
		t.Errorf("a transaction that failed leaves %+v", rec)
	}
}

// What could not be done names the revision that the key has, as nothing is changed: not that of
// an earlier step.
func TestO8ATransactionThatFailsTellsTheRevisionThatIsThere(t *testing.T) {
	l := fresh()
	strong(l, setOf("7"))
	step := func(is model.Type, value string, conditions ...uint64) model.Step {
		s := model.Step{Type: is, Key: "k"}
		if is == model.Set || is == model.Add {
			s.Value = []byte(value)
		}
		if len(conditions) > 0 {
			s.HasIf, s.If = true, conditions[0]
		}
		return s
	}
	isMuch := strings.Repeat("v", model.MaxKeyValue/2+1)

	for name, test := range map[string]struct {
		first, second model.Step
		revision      uint64
	}{
		"set before":         {step(model.Set, "x"), step(model.Set, "y", 9), 1},
		"deleted before":     {step(model.Delete, ""), step(model.Delete, "", 9), 1},
		"a number no longer": {step(model.Set, "x"), step(model.Add, "1"), 1},
		"read":               {step(model.Get, ""), step(model.Set, "y", 0), 1},
		"too much is read":   {step(model.Set, isMuch), step(model.Get, ""), 1},
	} {
		failing := model.Transaction{Then: []model.Step{test.first, test.second}}
		if strings.HasPrefix(name, "too much") {
			failing.Then = append(failing.Then, test.second)
		}
		code, r := txn(t, l, failing)
		isLast := r.Failed == len(failing.Then)-1
		if code != model.Failed || !isLast || r.FailedRevision() != test.revision {
			t.Errorf("%s: %d, %+v", name, code, r)
		}
	}

	code, r := txn(t, l, model.Transaction{Then: []model.Step{
		{Type: model.Set, Key: "none", Value: []byte("x")}, {Type: model.Add, Key: "none", Value: []byte("1")},
	}})
	if code != model.Failed || r.FailedRevision() != 0 {
		t.Errorf("of a key without a value: %d, %+v", code, r)
	}
}
