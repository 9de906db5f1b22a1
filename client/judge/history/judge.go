package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"quartet/bus/model"
)

// checker is a checker that needs nothing but the history.
type checker struct {
	name   string
	judge  func([]Operation, Budget) Verdict
	judges func(*Operation) bool // the operations that it says something of
}

func checkers() []checker {
	strong := func(o *Operation) bool { return o.Model.Strong() }
	isCausal := func(o *Operation) bool { return o.Model == model.Causal }
	set := func(o *Operation) bool { return o.Type == model.Set }
	simple := func(judge func([]Operation) Verdict) func([]Operation, Budget) Verdict {
		return func(h []Operation, _ Budget) Verdict { return judge(h) }
	}
	return []checker{
		{linearizable, Linearizable, func(o *Operation) bool { return o.Model == model.Linearizable }},
		{sequential, sequentialEither, strong},
		{causal, simple(Causal), isCausal},
		{sessions, simple(Sessions), func(o *Operation) bool { return strong(o) || isCausal(o) }},
		{steady, simple(Steady), func(o *Operation) bool { return !strong(o) && o.Type == model.Get }},
		{onlyOnce, simple(func(h []Operation) Verdict { return OnlyOnce(h, nil) }), set},
		{converged, simple(Agreed), func(o *Operation) bool { return o.Rest }},
		{eventual, simple(Settled), func(o *Operation) bool { return o.Rest }},
	}
}

// sequentialEither searches for an order where the history has no positions.
func sequentialEither(h []Operation, budget Budget) Verdict {
	v := Sequential(h)
	if v.Result == Undecided {
		v = SequentialSearch(h, budget)
	}
	return v
}

// Judge judges a recording by every checker that it has something for. A counterexample
// is made as small as can be, and explained; that has the budget's time once more.
//
// A value that was read before any set of the recording wrote it is an error if the recording is
// whole. If the recording is open, the value is taken for that of a set of unknown outcome from
// before. Where one key has several such values, other programs wrote it meanwhile, and what they
// may have caused is undecided.
func Judge(r *Recording, budget Budget) []Verdict {
	if len(r.Operations) == 0 {
		return []Verdict{undecided("history", "it holds no operation")}
	}

	h, foreign := r.Operations, map[string]int(nil)
	if len(r.Headers) > 1 {
		h = restless(h)
	}
	if r.Open() {
		h, foreign = withEarlier(h)
	}

	began := time.Now()
	var verdicts []Verdict
	for _, c := range checkers() {
		judged := 0
		for i := range h {
			if c.judges(&h[i]) {
				judged++
			}
		}
		if judged == 0 { // the recording has nothing for it
			continue
		}

		v := c.judge(h, budget)
		if v.Result == Violated {
			again := func(part []Operation) Verdict {
				return c.judge(part, Budget{Time: time.Second, Steps: 20_000})
			}
			v = reduce(v, h, began.Add(2*budget.time()), again)
			v.explain(again)
		}
		v = v.doubted(foreign)
		v.Judged = judged
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// before names the client of the sets that an open history is taken to have missed.
const before = "(before)"

// withEarlier puts a set of unknown outcome before the history for every value that a get returned
// before any set of that value was called. It also returns the number of these sets, by key.
func withEarlier(h []Operation) ([]Operation, map[string]int) {

	// The earliest call of a set of each value.
	first := make(map[write]int64) // call of a set
	start := h[0].Call
	for i := range h {
		o := &h[i]
		start = min(start, o.Call)
		if o.Type != model.Set || o.Outcome == Fail {
			continue
		}
		if t, known := first[write{o.Key, o.Value}]; !known || o.Call < t {
			first[write{o.Key, o.Value}] = o.Call
		}
	}

	missed := make(map[write]*Operation)
	count := make(map[string]int)
	for i := range h {
		o := &h[i]
		w := write{o.Key, o.Output}
		if o.Type != model.Get || o.Outcome != OK || !o.Found {
			continue
		}

		if t, known := first[w]; known && t <= o.Return {
			continue
		}

		if missed[w] == nil {
			count[o.Key]++
			missed[w] = &Operation{
				Client: before, Model: model.Eventual, Type: model.Set, Key: o.Key, Value: o.Output,
				Call: start - 1, Return: start - 1, Outcome: Unknown,
			}
		}

		if o.Model == model.Causal && o.Timestamp != 0 {
			missed[w].Model = model.Causal
		}
	}

	all := slices.Clone(h)
	for _, o := range missed {
		all = append(all, *o)
	}
	slices.SortStableFunc(all[len(h):], func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	return all, count
}

// doubted makes a violation undecided if sets that the history lacks may have caused it.
func (v Verdict) doubted(foreign map[string]int) Verdict {
	if v.Result != Violated {
		return v
	}
	for i := range v.Operations {
		if key := v.Operations[i].Key; foreign[key] > 1 {
			v.Result = Undecided
			v.Reason = fmt.Sprintf("others wrote %s while this was recorded"+
				" (%d values that no set of the history wrote before they were read); else it would be: %s",
				key, foreign[key], v.Reason)
			return v
		}
	}
	return v
}
