package history

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/model"
)

// withoutTimestamps returns the history as a recorder has it that is told no timestamps.
func withoutTimestamps(h []Operation) []Operation {
	h = slices.Clone(h)
	for i := range h {
		h[i].Timestamp = 0
	}
	return h
}

// What a correct store does is accepted by the values alone, too, and what is spoilt is found.
func TestCausalByValues(t *testing.T) {
	spoilt := 0
	for seed := range uint64(300) {
		h := newExecutor(seed, 3, model.Causal).run(60)
		if v := CausalByValues(withoutTimestamps(h)); !v.OK() {
			t.Fatalf("seed %d: %s", seed, v)
		}
		for _, apply := range []func(*rand.Rand, []Operation) bool{thinAir, forgets} {
			wrong := slices.Clone(h)
			if !apply(rand.New(rand.NewPCG(seed, 2)), wrong) {
				continue
			}
			if v := CausalByValues(withoutTimestamps(wrong)); v.Result != Violated || len(v.Operations) == 0 {
				t.Fatalf("seed %d: %s", seed, v)
			}
			spoilt++
		}
	}
	if spoilt < 100 {
		t.Errorf("only %d histories were spoilt", spoilt)
	}
}

// Each of the bad patterns by itself, and what stands beside it and is none.
func TestPatternsOfCausalByValues(t *testing.T) {
	at := int64(0)
	op := func(session string, kind model.Type, key, value string) Operation {
		at += 10
		o := Operation{Model: model.Causal, Type: kind, Key: key, Session: session, Call: at, Return: at + 5, Outcome: OK}
		if kind == model.Get {
			o.Output, o.Found = value, value != ""
		} else {
			o.Value = value
		}
		return o
	}
	set := func(s, key, value string) Operation { return op(s, model.Set, key, value) }
	get := func(s, key, value string) Operation { return op(s, model.Get, key, value) }
	unknown := func(o Operation) Operation { o.Outcome = Unknown; return o }

	for _, c := range []struct {
		name string
		want Result
		h    []Operation
	}{
		{"read of what nobody wrote", Violated, []Operation{get("a", "x", "1")}},
		{"two values that are the same", Undecided, []Operation{set("a", "x", "1"), set("b", "x", "1"), get("c", "x", "1")}},
		{"nothing after a write of its session", Violated, []Operation{set("a", "x", "1"), get("a", "x", "")}},
		{"nothing before it is known", Passed, []Operation{set("a", "x", "1"), get("b", "x", "")}},
		{"nothing after a delete", Passed, []Operation{set("a", "x", "1"), op("b", model.Delete, "x", ""), get("a", "x", "")}},
		{"older than what its session wrote", Violated, []Operation{set("a", "x", "1"), set("a", "x", "2"), get("a", "x", "1")}},
		{"a cause without its effect's cause", Violated, []Operation{
			set("a", "x", "1"), set("a", "x", "2"), set("a", "y", "3"), get("b", "y", "3"), get("b", "x", "1"),
		}},
		{"concurrent writes, seen in two orders", Violated, []Operation{
			set("a", "x", "1"), set("b", "x", "2"), get("c", "x", "1"), get("c", "x", "2"), get("d", "x", "2"), get("d", "x", "1"),
		}},
		{"concurrent writes, seen in one order", Passed, []Operation{
			set("a", "x", "1"), set("b", "x", "2"), get("c", "x", "1"), get("c", "x", "2"), get("d", "x", "1"), get("d", "x", "2"),
		}},
		{"a write of unknown outcome that comes late", Passed, []Operation{
			unknown(set("a", "x", "1")), set("a", "x", "2"), get("a", "x", "2"), get("a", "x", "1"),
		}},
	} {
		if v := CausalByValues(c.h); v.Result != c.want {
			t.Errorf("%s: %s, want %s", c.name, v, c.want)
		}
		if v := causalEither(c.h); v.Result != c.want {
			t.Errorf("%s, of a history without timestamps: %s, want %s", c.name, v, c.want)
		}
	}
}
