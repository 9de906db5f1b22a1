package model_test

import (
	"errors"
	"strings"
	"testing"

	"quartet/bus/model"
)

// The codes are the public contract's: a change here is a breaking change.
func TestCodesOfTheContract(t *testing.T) {
	for i, word := range []string{"linearizable", "sequential", "causal", "eventual"} {
		c := model.Consistency(i + 1)
		if c.Word() != word || c.String() != strings.ToUpper(word) || !c.Valid() || model.All[i] != c {
			t.Errorf("consistency %d: %q %q valid %t", i+1, c.Word(), c, c.Valid())
		}
		for _, text := range []string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], string(rune('1' + i))} {
			if got, err := model.ParseConsistency(text); err != nil || got != c {
				t.Errorf("ParseConsistency(%q) = %v, %v", text, got, err)
			}
		}
	}
	for i, word := range []string{"set", "get", "delete", "list", "watch", "txn", "add"} {
		c := model.Type(i + 1)
		if c.Word() != word || c.String() != strings.ToUpper(word) || !c.Valid() || model.Types[i] != c {
			t.Errorf("type %d: %q %q valid %t", i+1, c.Word(), c, c.Valid())
		}
		for _, text := range []string{word, strings.ToUpper(word), string(rune('1' + i))} {
			if got, err := model.ParseType(text); err != nil || got != c {
				t.Errorf("ParseType(%q) = %v, %v", text, got, err)
			}
		}
	}
}

func TestUnknownWordsAndCodes(t *testing.T) {
	for _, bad := range []string{"", "0", "5", "01", "linear", "linearizable ", "set", "1.0", "-1"} {
		if c, err := model.ParseConsistency(bad); !errors.Is(err, model.ErrConsistency) || c != 0 {
			t.Errorf("ParseConsistency(%q) = %v, %v", bad, c, err)
		}
	}
	for _, bad := range []string{"", "0", "8", "01", "del", "deletes", "sets", "causal"} {
		if c, err := model.ParseType(bad); !errors.Is(err, model.ErrType) || c != 0 {
			t.Errorf("ParseType(%q) = %v, %v", bad, c, err)
		}
	}
	for _, c := range []model.Consistency{0, 5, 255} {
		if c.Valid() || c.Strong() || !strings.Contains(c.Word(), "consistency(") {
			t.Errorf("consistency %d: valid %t, strong %t, %q", uint8(c), c.Valid(), c.Strong(), c.Word())
		}
	}
	for _, c := range []model.Type{0, 8, 255} {
		if c.Valid() || !strings.Contains(c.Word(), "request(") {
			t.Errorf("type %d: valid %t, %q", uint8(c), c.Valid(), c.Word())
		}
	}
}

func TestWhatIsStrong(t *testing.T) {
	for c, strong := range map[model.Consistency]bool{
		model.Linearizable: true, model.Sequential: true, model.Causal: false, model.Eventual: false,
	} {
		if c.Strong() != strong {
			t.Errorf("%v strong: %t", c, c.Strong())
		}
	}
}

func TestWhatACodeSaysOfExecution(t *testing.T) {
	for _, test := range []struct {
		code            model.Code
		executed, known bool
	}{
		{model.OK, true, true}, {model.NotFound, true, true}, {model.Unknown, false, false},
		{model.Malformed, false, true}, {model.Conflict, false, true}, {model.TooLarge, false, true},
		{model.TooEarly, false, true}, {model.Unavailable, false, true}, {model.Failed, false, true}, {model.Gone, false, true},
	} {
		if executed, known := test.code.Executed(); executed != test.executed || known != test.known {
			t.Errorf("%d: executed %t, known %t", test.code, executed, known)
		}
	}
}

// What each type is, in one table: nothing of it follows from another.
func TestTypes(t *testing.T) {
	for _, test := range []struct {
		t                    model.Type
		writes, hasKey, weak bool
	}{
		{model.Set, true, true, true}, {model.Get, false, true, true}, {model.Delete, true, true, true},
		{model.List, false, false, true}, {model.Watch, false, false, true},
		{model.Txn, true, false, false}, {model.Add, true, true, false},
	} {
		if test.t.Writes() != test.writes || test.t.HasKey() != test.hasKey {
			t.Errorf("%v: writes %t, has a key %t", test.t, test.t.Writes(), test.t.HasKey())
		}
		for _, c := range model.All {
			if in := test.t.In(c); in != (test.weak || c.Strong()) {
				t.Errorf("%v in %v: %t", test.t, c, in)
			}
		}
	}
}

// The first outcome of a write is an answer, 412 among them; nothing else is.
func TestWhatIsAnswered(t *testing.T) {
	for code := range model.Code(1000) {
		want := code == model.OK || code == model.NotFound || code == model.Failed
		if code.Answered() != want {
			t.Errorf("%d: answered %t", code, code.Answered())
		}
	}
}

// Digests tell conditions and ends apart; those of requests without stand on disks, and stay.
func TestDigests(t *testing.T) {
	set := model.Request{Model: model.Linearizable, Type: model.Set, Key: "k", Value: []byte("v")}
	if d := set.Digest(); d != 0x63c8edb53f99f2fe {
		t.Errorf("the digest of a plain set is %#x", d)
	}

	seen := map[uint64]model.Request{}
	for _, change := range []func(*model.Request){
		func(*model.Request) {},
		func(r *model.Request) { r.HasIf = true },
		func(r *model.Request) { r.HasIf, r.If = true, 1 },
		func(r *model.Request) { r.TTL = 1 },
		func(r *model.Request) { r.HasIf, r.TTL = true, 1 },
		func(r *model.Request) { r.Type = model.Delete },
		func(r *model.Request) { r.Type = model.Add },
		func(r *model.Request) { r.Model = model.Sequential },
	} {
		r := set
		change(&r)
		if other, found := seen[r.Digest()]; found {
			t.Errorf("%+v and %+v have one digest", r, other)
		}
		seen[r.Digest()] = r
	}
}

// A transaction writes where any step of either list does.
func TestTransactionsThatWrite(t *testing.T) {
	get, set := model.Step{Type: model.Get}, model.Step{Type: model.Set}
	for _, test := range []struct {
		transaction model.Transaction
		writes      bool
	}{
		{model.Transaction{}, false},
		{model.Transaction{If: make([]model.Check, 1), Then: []model.Step{get}, Else: []model.Step{get}}, false},
		{model.Transaction{Then: []model.Step{get, set}}, true},
		{model.Transaction{Else: []model.Step{get, {Type: model.Delete}}}, true},
		{model.Transaction{Then: []model.Step{{Type: model.Add}}}, true},
	} {
		if got := test.transaction.Writes(); got != test.writes {
			t.Errorf("%+v: %t", test.transaction, got)
		}
	}
}
