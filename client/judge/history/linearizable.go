package history

import (
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"quartet/bus/model"
)

const linearizable = "linearizable"

// Linearizable judges the gets of model 1, against all sets of their keys, key by key
// (linearizability is a property of each key by itself; sequential and causal
// consistency are not).
//
// A set of models 1 and 2 takes effect between call and return. A weak set, or a set of unknown
// outcome, takes effect at most once at any time after its call. When the budget runs out the
// verdict is undecided.
func Linearizable(h []Operation, budget Budget) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(linearizable, "%v", err)
	}
	deadline := time.Now().Add(budget.time())

	byKey := make(map[string][]*Operation)
	for _, o := range j.ops {
		if o.Type == model.Set || o.Model == model.Linearizable {
			byKey[o.Key] = append(byKey[o.Key], o)
		}
	}
	late := ""
	for _, key := range keys(j.ops) {
		ops := byKey[key]
		for _, o := range ops {
			if o.Type == model.Get && o.Found && len(j.writes[write{key, o.Output}]) == 0 {
				return j.unwritten(linearizable, o)
			}
		}

		switch registerLinearizable(ops, time.Until(deadline)) {
		case porcupine.Illegal:
			return notLinearizable(key, ops, deadline)
		case porcupine.Unknown:
			late = key
		}
	}

	if late != "" {
		return undecided(linearizable, "no decision about key %s within %v", late, budget.time())
	}
	return passed(linearizable)
}

// step is the input of Porcupine's model: a set of value, or a get that returned it. Values are
// numbered; 0 is no value.
type step struct {
	set   bool
	value int
}

var registerModel = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, _ any) (bool, any) {
		if s := input.(step); s.set {
			return true, s.value
		} else {
			return state.(int) == s.value, state
		}
	},
}

// registerLinearizable asks Porcupine about the operations of one key.
func registerLinearizable(ops []*Operation, timeout time.Duration) porcupine.CheckResult {
	if timeout <= 0 {
		return porcupine.Unknown
	}
	history := registerHistory(ops, nil)
	if history == nil {
		return porcupine.Ok
	}
	return porcupine.CheckOperationsTimeout(registerModel, history, timeout)
}

// registerHistory returns what Porcupine is asked of the operations of one key; nil if there are
// no gets, without which nothing can be wrong. each, which may be nil, is called with each
// operation that is part of the question.
// A floating set that no get returned can always stand at the very end, unseen: it is left out. A
// floating set that was returned, and alone wrote its value, stands before the end of the first
// get that returned it; giving it that return keeps the search small and changes nothing.
func registerHistory(ops []*Operation, each func(*Operation, *porcupine.Operation)) []porcupine.Operation {
	number := make(map[string]int)
	writers := make(map[string]int)
	firstRead := make(map[string]int64)
	gets := 0
	for _, o := range ops {
		if o.Type == model.Set {
			if number[o.Value] == 0 {
				number[o.Value] = len(number) + 1
			}
			writers[o.Value]++
			continue
		}

		gets++
		t, read := firstRead[o.Output]
		earlier := !read || o.Return < t
		if o.Found && earlier {
			firstRead[o.Output] = o.Return
		}
	}
	if gets == 0 {
		return nil
	}

	history := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		p := porcupine.Operation{Call: o.Call, Return: o.Return}
		switch {
		case o.Type == model.Get && !o.Found:
			p.Input = step{}
		case o.Type == model.Get:
			p.Input = step{value: number[o.Output]}
		default:
			p.Input = step{set: true, value: number[o.Value]}
		}

		if o.floating() {
			end, read := firstRead[o.Value]
			if !read {
				continue
			}
			if writers[o.Value] > 1 {
				end = math.MaxInt64 // which of them was read is not known
			}
			p.Return = max(p.Call, end)
		}

		if each != nil {
			each(o, &p)
		}
		history = append(history, p)
	}
	return history
}

// notLinearizable cuts the counterexample down: first to the shortest beginning of the
// history that fails, then by taking away what it does not need.
func notLinearizable(key string, ops []*Operation, deadline time.Time) Verdict {
	fails := func(ops []*Operation) bool {
		return registerLinearizable(ops, min(time.Second, time.Until(deadline))) == porcupine.Illegal
	}

	var ends []int64
	for _, o := range ops {
		if o.Type == model.Get {
			ends = append(ends, o.Return)
		}
	}
	slices.Sort(ends)

	// The shortest beginning that fails, by bisection: a longer one fails, too.
	low, high := 0, len(ends)-1
	for low < high {
		if mid := (low + high) / 2; fails(until(ops, ends[mid])) {
			high = mid
		} else {
			low = mid + 1
		}
	}

	if high >= 0 {
		if cut := until(ops, ends[high]); fails(cut) {
			ops = cut
		}
	}

	ops = shrink(ops, 1000, fails)
	return violated(linearizable, ops,
		"no order of these operations on key %s, each between its call and its return, explains what the gets returned", key)
}

// until returns what was known at time t: gets that had returned and sets that had been called,
// those that had not returned as of unknown outcome.
func until(ops []*Operation, t int64) []*Operation {
	var cut []*Operation
	for _, o := range ops {
		switch {
		case o.Return <= t:
			cut = append(cut, o)
		case o.Type == model.Set && o.Call <= t:
			p := *o
			p.Outcome = Unknown
			cut = append(cut, &p)
		}
	}
	return cut
}
