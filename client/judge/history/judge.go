package history

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"quartet/bus/model"
)

// checker is a checker that needs nothing but the history.
type checker struct {
	name   string
	judge  func([]Operation, Budget) Verdict
	judges func(*Operation) bool // the operations that it says something of
}

// checkers returns all of them, in the order in which they are told of.
func checkers() []checker {
	strong := func(o *Operation) bool { return o.Model.Strong() }
	isCausal := func(o *Operation) bool { return o.Model == model.Causal }
	writes := func(o *Operation) bool { return o.Writes() }
	ofType := func(t model.Type) func(*Operation) bool { return func(o *Operation) bool { return o.Type == t } }
	getAtRest := func(o *Operation) bool { return o.Rest && o.Type == model.Get }
	simple := func(judge func([]Operation) Verdict) func([]Operation, Budget) Verdict {
		return func(h []Operation, _ Budget) Verdict { return judge(h) }
	}

	return []checker{
		{linearizable, Linearizable, func(o *Operation) bool { return o.Model == model.Linearizable && !prefixed(o.Type) }},
		{sequential, sequentialEither, func(o *Operation) bool { return strong(o) && !prefixed(o.Type) }},
		{transactions, transactionsEither, ofType(model.Txn)},
		{lists, simple(Lists), ofType(model.List)},
		{watches, simple(Watches), ofType(model.Watch)},
		{revisions, simple(Revisions), (*Operation).tellsRevisions},
		{ends, func(h []Operation, b Budget) Verdict { return Ends(h, b.EndWithin) }, func(o *Operation) bool { return o.TTL > 0 }},
		{causal, simple(causalEither), func(o *Operation) bool { return isCausal(o) && o.Type != model.Watch }},
		{sessions, simple(Sessions), func(o *Operation) bool { return strong(o) || isCausal(o) }},
		{steady, simple(Steady), func(o *Operation) bool { return !strong(o) && o.Type == model.Get }},
		{onlyOnce, simple(func(h []Operation) Verdict { return OnlyOnce(h, nil) }), writes},
		{converged, simple(Agreed), getAtRest},
		{eventual, simple(Settled), getAtRest},
	}
}

// tellsRevisions reports whether a reply, or events, said anything of revisions.
func (o *Operation) tellsRevisions() bool {
	many := len(o.Items) > 0 || len(o.Events) > 0 || o.Results != nil
	return o.HasRevision || many
}

// sequentialEither searches for an order where the history has no positions.
func sequentialEither(h []Operation, budget Budget) Verdict {
	v := Sequential(h)
	if v.rule == withoutPosition {
		v = SequentialSearch(h, budget)
	}
	return v
}

// transactionsEither does the same for txns.
func transactionsEither(h []Operation, budget Budget) Verdict {
	v := Transactions(h)
	if v.rule == withoutPosition {
		v = searched(transactions, h, budget)
	}
	return v
}

// Judge judges a recording by every checker that it has something for. A counterexample
// is made as small as can be, and explained; that has the budget's time once more. If the budget is
// cancelled the last verdict says so, and checks after that are not begun.
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
		notAsked := c.name == ends && budget.EndWithin == 0
		if judged == 0 || notAsked { // the recording has nothing for it
			continue
		}

		if budget.isCancelled() {
			return append(verdicts, notWaitedFor(c.name))
		}
		v := c.judge(h, budget)
		if v.Result == Violated {
			again := func(part []Operation) Verdict {
				if budget.isCancelled() {
					return notWaitedFor(c.name)
				}
				few := budget
				few.Time, few.Steps = time.Second, 20_000
				return c.judge(part, few)
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

// notRecorded is the value of such a set of which only its revision was seen.
const notRecorded = "(not recorded)"

// withEarlier puts a set of unknown outcome before the history for every value, and every revision,
// that something saw before any write of it was called. It also returns the number of these sets,
// by key.
func withEarlier(h []Operation) ([]Operation, map[string]int) {
	first, claimed, start := firstWrites(h)

	missed := make(map[write]*Operation)
	count := make(map[string]int)
	miss := func(o *Operation, key, value string, timestamp uint64) {
		w := write{key, value}
		if missed[w] == nil {
			count[key]++
			missed[w] = &Operation{
				Client: before, Model: model.Eventual, Type: model.Set, Key: key, Value: value,
				Call: start - 1, Return: start - 1, Outcome: Unknown,
			}
		}
		if o.Model == model.Causal && timestamp != 0 {
			missed[w].Model = model.Causal
		}
	}

	for i := range h {
		o := &h[i]
		for _, s := range sightsOf(o) {
			t, known := first[write{s.key, s.value}]
			early := !known || t > o.Return
			switch {
			case s.kind == sawValue && early:
				miss(o, s.key, s.value, s.timestamp)
			case s.kind == sawAnything || s.kind == sawSomething:
				if s.hasRevision && !claimed[keyRevision{s.key, s.revision}] {
					miss(o, s.key, notRecorded, 0)
				}
			}
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

// keyRevision is a revision of a key.
type keyRevision struct {
	key      string
	revision uint64
}

// firstWrites returns the earliest call of a write of each value, the revisions that some operation
// claims or saw with a value, and the earliest call of all.
func firstWrites(h []Operation) (first map[write]int64, claimed map[keyRevision]bool, start int64) {
	first, claimed, start = make(map[write]int64), make(map[keyRevision]bool), h[0].Call
	note := func(o *Operation, parts []part) {
		for i := range parts {
			p := &parts[i]
			if p.deed.claimed {
				claimed[keyRevision{p.key, p.deed.revision}] = true
			}
			if p.deed.kind != puts {
				continue
			}
			w := write{p.key, p.deed.value}
			if t, known := first[w]; !known || o.Call < t {
				first[w] = o.Call
			}
		}
	}

	for i := range h {
		o := &h[i]
		start = min(start, o.Call)
		if o.Outcome == OK {
			note(o, partsOf(o))
		}
		if o.Writes() && o.Outcome != Fail {
			for _, parts := range attempts(o) {
				if o.Type != model.Add {
					note(o, parts)
				}
			}
		}
		for _, s := range sightsOf(o) {
			if s.hasRevision && s.kind == sawValue {
				claimed[keyRevision{s.key, s.revision}] = true
			}
		}
	}
	return first, claimed, start
}

// keySight is what an operation saw of a key.
type keySight struct {
	sight
	key       string
	timestamp uint64
}

// sightsOf lists all that an operation saw of keys. The number that an add found is the value of
// which it is the decimal.
func sightsOf(o *Operation) []keySight {
	var list []keySight
	if o.Outcome == OK {
		for _, p := range partsOf(o) {
			if p.sight.kind == sawNumber && p.sight.number != 0 {
				p.sight.kind, p.sight.value = sawValue, strconv.FormatInt(p.sight.number, 10)
			}
			list = append(list, keySight{p.sight, p.key, o.Timestamp})
		}
	}
	for i := range o.Items {
		list = append(list, keySight{itemSight(&o.Items[i]), o.Items[i].Key, o.Items[i].Timestamp})
	}
	for i := range o.Events {
		if e := &o.Events[i]; e.Kind == EventSet || e.Kind == EventValue {
			list = append(list, keySight{e.sight(), e.Key, 0})
		}
	}
	return list
}

// doubted makes a violation undecided if sets that the history lacks may have caused it.
func (v Verdict) doubted(foreign map[string]int) Verdict {
	if v.Result != Violated {
		return v
	}
	for i := range v.Operations {
		keys := []string{v.Operations[i].Key}
		for _, s := range sightsOf(&v.Operations[i]) {
			keys = append(keys, s.key)
		}
		for _, key := range keys {
			if foreign[key] > 1 {
				v.Result = Undecided
				v.Reason = fmt.Sprintf("others wrote %s while this was recorded"+
					" (%d values that no set of the history wrote before they were read); else it would be: %s",
					key, foreign[key], v.Reason)
				return v
			}
		}
	}
	return v
}
