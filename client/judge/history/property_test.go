package history

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/model"
)

// Whatever a correct store does is accepted, by the search without positions too.
func TestAcceptsWhatACorrectStoreDoes(t *testing.T) {
	for seed := range uint64(300) {
		for _, models := range [][]model.Consistency{
			{model.Linearizable}, {model.Sequential}, {model.Causal},
			{model.Linearizable, model.Sequential}, {model.Linearizable, model.Sequential, model.Eventual},
		} {
			h := newExecutor(seed, 3, models...).run(40)
			for _, v := range All(h, Budget{}) {
				if v.Check != steady && !v.OK() { // the executor's replicas jump to what a session needs
					t.Fatalf("seed %d, %v: %s", seed, models, v)
				}
			}
			short := withoutPositions(newExecutor(seed, 3, models...).run(18))
			if v := SequentialSearch(short, Budget{}); !v.OK() {
				t.Fatalf("seed %d, %v, without positions: %s", seed, models, v)
			}
		}
	}
}

// withoutPositions returns the history as a recorder has it that is told no positions.
func withoutPositions(h []Operation) []Operation {
	h = slices.Clone(h)
	for i := range h {
		h[i].Position = 0
	}
	return h
}

// A mutation spoils one operation so that the history is wrong whatever else it holds.
type mutation struct {
	name   string
	models []model.Consistency
	check  string
	apply  func(r *rand.Rand, h []Operation) bool
}

var mutations = []mutation{
	{
		"a linearizable get returns what an answered set had overwritten before the get",
		[]model.Consistency{model.Linearizable}, linearizable, staleGet,
	},
	{"a get returns what nobody wrote", []model.Consistency{model.Linearizable, model.Sequential}, sequential, thinAir},
	{"a causal get returns what nobody wrote", []model.Consistency{model.Causal}, causal, thinAir},
	{"a sequential get returns an older value than its position has", []model.Consistency{model.Sequential}, sequential, olderValue},
	{
		"two ordered operations change places across time", []model.Consistency{model.Linearizable, model.Sequential},
		sequential, swapPositions,
	},
	{"a causal get misses a write that its session had seen", []model.Consistency{model.Causal}, causal, forgets},
	{"a causal write is numbered below what it depends on", []model.Consistency{model.Causal}, causal, renumber},
}

func TestCatchesMutations(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			spoilt := 0
			for seed := range uint64(200) {
				h := newExecutor(seed, 3, m.models...).run(60)
				if !m.apply(rand.New(rand.NewPCG(seed, 2)), h) {
					continue
				}
				spoilt++
				for _, v := range All(h, Budget{}) {
					if v.Check == m.check && v.Result != Violated {
						t.Fatalf("seed %d: %s", seed, v)
					}
					if v.Result == Violated && len(v.Operations) == 0 {
						t.Fatalf("seed %d: no counterexample: %s", seed, v)
					}
				}
			}
			if spoilt < 50 {
				t.Errorf("only %d of 200 histories could be spoilt", spoilt)
			}
		})
	}
}

// pick applies f to random pairs until it succeeds.
func pick(r *rand.Rand, h []Operation, f func(a, b *Operation) bool) bool {
	for range 2000 {
		if f(&h[r.IntN(len(h))], &h[r.IntN(len(h))]) {
			return true
		}
	}
	return false
}

// staleGet has a get return what was overwritten by a set that had ended before the get began.
func staleGet(r *rand.Rand, h []Operation) bool {
	return pick(r, h, func(get, old *Operation) bool {
		if get.Type != model.Get || old.Type != model.Set || old.Key != get.Key || old.Outcome != OK {
			return false
		}
		for i := range h {
			if w := &h[i]; w.Type == model.Set && w.Outcome == OK && w.Key == get.Key && old.Return < w.Call && w.Return < get.Call {
				get.Output, get.Found = old.Value, true
				return true
			}
		}
		return false
	})
}

// thinAir has a get return what nobody wrote.
func thinAir(r *rand.Rand, h []Operation) bool {
	return pick(r, h, func(get, _ *Operation) bool {
		if get.Type == model.Get {
			get.Output, get.Found = "thin air", true
		}
		return get.Type == model.Get
	})
}

// olderValue has a get return what was overwritten at or before its own position.
func olderValue(r *rand.Rand, h []Operation) bool {
	return pick(r, h, func(get, old *Operation) bool {
		if get.Type != model.Get || old.Type != model.Set || old.Key != get.Key || old.Outcome != OK {
			return false
		}
		for i := range h {
			if w := &h[i]; w.Type == model.Set && w.Key == get.Key && old.Position < w.Position && w.Position <= get.Position {
				get.Output, get.Found = old.Value, true
				return true
			}
		}
		return false
	})
}

// swapPositions gives two ordered operations of which one ended before the other the position of
// the other.
func swapPositions(r *rand.Rand, h []Operation) bool {
	return pick(r, h, func(a, b *Operation) bool {
		if !a.Ordered() || !b.Ordered() || a.Outcome != OK || b.Outcome != OK || a.Return >= b.Call {
			return false
		}
		a.Position, b.Position = b.Position, a.Position
		return true
	})
}

// forgets has a get find nothing although its session had read or written its key.
func forgets(r *rand.Rand, h []Operation) bool {
	return pick(r, h, func(seen, get *Operation) bool {
		if get.Type != model.Get || seen.Session != get.Session || seen.Key != get.Key || seen.Return > get.Call ||
			seen.Outcome != OK || seen.Timestamp == 0 {
			return false
		}
		get.Output, get.Found, get.Timestamp = "", false, 0
		return true
	})
}

// renumber gives a causal write and one that its session made before the number of the other.
func renumber(r *rand.Rand, h []Operation) bool {
	return pick(r, h, func(seen, set *Operation) bool {
		if set.Type != model.Set || set.Outcome != OK || seen.Type != model.Set || seen.Outcome != OK ||
			seen.Session != set.Session || seen.Return > set.Call {
			return false
		}
		for i := range h { // gets that name the numbers go along
			for _, pair := range [][2]*Operation{{seen, set}, {set, seen}} {
				if h[i].Type == model.Get && h[i].Found && h[i].Output == pair[0].Value {
					h[i].Timestamp = pair[1].Timestamp
				}
			}
		}
		seen.Timestamp, set.Timestamp = set.Timestamp, seen.Timestamp
		return true
	})
}

// The search without positions and the check with them agree where positions are
// those of a correct store and one get was spoilt: what the search calls violated has no
// order at all, so the witness must fail too.
func TestSearchAgreesWithWitness(t *testing.T) {
	violations := 0
	for seed := range uint64(400) {
		h := newExecutor(seed, 3, model.Linearizable, model.Sequential).run(15)
		r := rand.New(rand.NewPCG(seed, 3))
		pick(r, h, func(get, set *Operation) bool {
			if get.Type != model.Get || set.Type != model.Set || get.Key != set.Key || get.Output == set.Value {
				return false
			}
			get.Output, get.Found = set.Value, true
			return true
		})

		search, witness := SequentialSearch(withoutPositions(h), Budget{}), Sequential(h)
		stricter := !witness.OK() || search.OK() // what positions prove is found by the search, too
		if !stricter || search.Result == Undecided {
			t.Fatalf("seed %d:\n%s\n%s", seed, search, witness)
		}

		if search.Result == Violated {
			violations++
		}
	}
	if violations < 40 {
		t.Errorf("only %d of 400 had no order at all", violations)
	}
}
