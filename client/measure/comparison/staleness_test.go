package comparison_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/client/measure/comparison"
)

func set(value string, call, end int64) history.Operation {
	return history.Operation{Model: model.Eventual, Type: model.Set, Key: "k", Value: value, Call: call, Return: end, Outcome: history.OK}
}

func get(value string, call, end int64) history.Operation {
	return history.Operation{
		Model: model.Eventual, Type: model.Get, Key: "k", Output: value, Found: value != "", Call: call, Return: end,
		Outcome: history.OK,
	}
}

func ended(o history.Operation, how history.Outcome) history.Operation {
	o.Outcome = how
	return o
}

func of(key string, o history.Operation) history.Operation {
	o.Key = key
	return o
}

func one(n int64) comparison.Quantiles { return comparison.Quantiles{P50: n, P99: n, Max: n} }

func TestStale(t *testing.T) {
	type h = []history.Operation
	a, b, c := set("a", 10, 20), set("b", 30, 40), set("c", 50, 60)
	behind := func(versions, time int64) comparison.Staleness {
		return comparison.Staleness{Judged: 1, Stale: 1, Behind: one(versions), Outdated: one(time)}
	}
	fresh := comparison.Staleness{Judged: 1}

	for name, test := range map[string]struct {
		h    h
		want comparison.Staleness
	}{
		"nothing":                     {nil, comparison.Staleness{}},
		"no gets":                     {h{a, b}, comparison.Staleness{}},
		"the newest":                  {h{a, b, get("b", 45, 46)}, fresh},
		"one behind":                  {h{a, b, get("a", 45, 46)}, behind(1, 5)},
		"two behind, since the first": {h{a, b, c, get("a", 70, 75)}, behind(2, 30)},
		"recorded in another order":   {h{get("a", 70, 75), c, b, a}, behind(2, 30)},
		"the newer one is acknowledged as it asks": {h{a, b, get("a", 40, 46)}, fresh},
		"the newer one is not yet acknowledged":    {h{a, b, get("a", 35, 46)}, fresh},
		"one newer, one not yet acknowledged":      {h{a, b, c, get("a", 55, 75)}, behind(1, 15)},
		"concurrent sets":                          {h{set("a", 10, 31), b, get("a", 45, 46)}, fresh},
		"one began as the other was acknowledged":  {h{set("a", 10, 30), b, get("a", 45, 46)}, fresh},
		"two that are concurrent, both newer":      {h{a, set("b", 25, 60), set("c", 30, 40), get("a", 70, 75)}, behind(2, 30)},
		"of two the later returns first":           {h{a, set("b", 25, 60), set("c", 30, 40), get("a", 50, 75)}, behind(1, 10)},
		"read while it is being set":               {h{a, b, get("b", 32, 33)}, fresh},
		"no value before any set":                  {h{a, get("", 5, 6)}, fresh},
		"no value after a set":                     {h{a, b, get("", 45, 46)}, behind(2, 25)},
		"no value while it is being set":           {h{a, get("", 15, 46)}, fresh},
		"the newer one of unknown outcome":         {h{a, ended(b, history.Unknown), get("a", 45, 46)}, fresh},
		"the newer one refused":                    {h{a, ended(b, history.Fail), get("a", 45, 46)}, fresh},
		"the older one of unknown outcome":         {h{ended(a, history.Unknown), b, get("a", 45, 46)}, fresh},
		"a get that was refused":                   {h{a, b, ended(get("", 45, 46), history.Fail)}, comparison.Staleness{}},
		"a get without an answer":                  {h{a, b, ended(get("", 45, 46), history.Unknown)}, comparison.Staleness{}},
		"sets of other keys":                       {h{a, of("other", b), get("a", 45, 46)}, fresh},
		"a value of another key":                   {h{a, of("other", b), get("b", 45, 46)}, comparison.Staleness{Foreign: 1}},
		"a value of nobody's":                      {h{a, get("z", 45, 46)}, comparison.Staleness{Foreign: 1}},
		"a value from the future":                  {h{a, c, get("c", 45, 46)}, comparison.Staleness{Foreign: 1}},
		"a value that was refused":                 {h{a, ended(b, history.Fail), get("b", 45, 46)}, comparison.Staleness{Foreign: 1}},
		"a value twice: may be the newer": {
			h{a, b, set("a", 50, 60), get("a", 65, 66)}, comparison.Staleness{Judged: 1, Doubted: 1},
		},
		"a value twice: may be the one under way": {
			h{a, b, set("a", 50, 60), get("a", 55, 56)}, comparison.Staleness{Judged: 1, Doubted: 1},
		},
		"a value twice: the newer was not yet": {h{a, b, set("a", 50, 60), get("a", 45, 46)}, behind(1, 5)},
		"a value twice: stale by either":       {h{a, b, set("a", 41, 45), c, get("a", 65, 66)}, behind(1, 5)},
		"a value twice, once of unknown outcome": {
			h{a, b, ended(set("a", 41, 42), history.Unknown), get("a", 65, 66)},
			comparison.Staleness{Judged: 1, Doubted: 1},
		},
	} {
		if diff := cmp.Diff(test.want, comparison.Stale(test.h)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	rest := get("a", 45, 46)
	rest.Rest, rest.Replica = true, "r1"
	if got := comparison.Stale(h{a, b, rest}); got != (comparison.Staleness{}) {
		t.Errorf("at rest: %+v", got)
	}
}

func TestQuantiles(t *testing.T) {
	h := []history.Operation{set("first", 1, 2)}
	for i := range int64(200) { // the get after set i is i+1 behind
		h = append(h, set(fmt.Sprint(i), 10+10*i, 12+10*i), get("first", 15+10*i, 16+10*i))
	}
	want := comparison.Staleness{
		Judged: 200, Stale: 200,
		Behind: comparison.Quantiles{P50: 100, P99: 198, Max: 200}, Outdated: comparison.Quantiles{P50: 993, P99: 1973, Max: 1993},
	}
	if diff := cmp.Diff(want, comparison.Stale(h)); diff != "" {
		t.Error(diff)
	}
}

// naive judges by the definition, word by word.
func naive(h []history.Operation) (s comparison.Staleness, behind, outdated int64) {
	for _, g := range h {
		if g.Type != model.Get || g.Outcome != history.OK {
			continue
		}

		// missed are the sets that are surely newer than one that returned then.
		missed := func(returned int64) (n, first int64) {
			for _, b := range h {
				if b.Type == model.Set && b.Outcome == history.OK && b.Key == g.Key && b.Call > returned && b.Return < g.Call {
					if n++; first == 0 || b.Return < first {
						first = b.Return
					}
				}
			}
			return n, first
		}

		const endless = 1 << 40
		newest, oldest, writers := int64(-1), int64(endless), 0
		for _, a := range h {
			if a.Type == model.Set && a.Outcome != history.Fail && a.Key == g.Key && g.Found && a.Value == g.Output && a.Call <= g.Return {
				returned := a.Return
				if a.Outcome == history.Unknown {
					returned = endless
				}
				newest, oldest, writers = max(newest, returned), min(oldest, returned), writers+1
			}
		}

		if g.Found && writers == 0 {
			s.Foreign++
			continue
		}
		if !g.Found {
			newest, oldest = -1, -1
		}

		s.Judged++
		if n, first := missed(newest); n > 0 {
			s.Stale++
			behind, outdated = max(behind, n), max(outdated, g.Call-first)
		} else if n, _ = missed(oldest); n > 0 {
			s.Doubted++
		}
	}
	return s, behind, outdated
}

// On histories at random, with few keys and values, the search agrees with the definition.
func TestStaleAgreesWithItsDefinition(t *testing.T) {
	stale := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		values := []string{"", "a", "b", "c", "d", "e", "f"}[:2+rng.IntN(6)]
		var h []history.Operation
		for range 1 + rng.IntN(60) {
			value, call := values[rng.IntN(len(values))], 1+rng.Int64N(200)
			o := get(value, call, call+rng.Int64N(40))
			if rng.IntN(2) == 0 {
				o = set(value, call, call+rng.Int64N(40))
			}
			if rng.IntN(8) == 0 {
				o = ended(o, history.Outcome(1+rng.IntN(3)))
			}
			h = append(h, of([]string{"k", "l"}[rng.IntN(2)], o))
		}

		want, behind, outdated := naive(h)
		got := comparison.Stale(h)
		if got.Behind.Max != behind || got.Outdated.Max != outdated {
			t.Fatalf("seed %d: %+v, want %d versions, %d behind", seed, got, behind, outdated)
		}

		got.Behind, got.Outdated = comparison.Quantiles{}, comparison.Quantiles{}
		if got != want {
			t.Fatalf("seed %d: got %+v, want %+v\n%v", seed, got, want, h)
		}
		stale += got.Stale
	}
	if stale < 100 {
		t.Errorf("only %d stale gets: the histories are no test", stale)
	}
}
