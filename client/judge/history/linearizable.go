package history

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"quartet/bus/model"
)

const linearizable = "linearizable"

// Linearizable judges model 1, against all writes of its keys, key by key (linearizability is a
// property of each key by itself; sequential and causal consistency are not). The state of a key is
// its value and its revision: the revisions that answers tell rise with each write, a condition
// held if and only if the answer says so, a sum is that of what stood there.
//
// A write of models 1 and 2 takes effect between call and return, and so does what a txn did with
// one key ([Transactions] judges it as a whole). A weak write, or one of unknown outcome, takes
// effect at most once at any time after its call. A value with a TTL may end by itself at any time
// after its call and the TTL. When the budget runs out the verdict is undecided.
func Linearizable(h []Operation, budget Budget) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(linearizable, "%v", err)
	}
	j.budget = budget
	deadline := time.Now().Add(budget.time())

	byKey := make(map[string][]*Operation)
	for _, o := range j.ops {
		if !o.Writes() && o.Model != model.Linearizable {
			continue
		}
		for _, key := range j.touched(o) {
			byKey[key] = append(byKey[key], o)
		}
	}

	late := ""
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		ops := byKey[key]
		if v := j.unwrittenOf(key, ops); v != nil {
			return *v
		}

		result := j.registerLinearizable(key, ops, time.Until(deadline))
		switch {
		case budget.isCancelled():
			return notWaitedFor(linearizable)
		case result == porcupine.Illegal:
			return j.notLinearizable(key, ops, deadline)
		case result == porcupine.Unknown:
			late = key
		}
	}

	if late != "" {
		return undecided(linearizable, "no decision about key %s within %v", late, budget.time())
	}
	return passed(linearizable)
}

// unwrittenOf finds an operation that saw a value of the key which nobody wrote.
func (j *judged) unwrittenOf(key string, ops []*Operation) *Verdict {
	for _, o := range ops {
		for _, p := range of(key, j.parts[o]) {
			if p.sight.kind == sawValue && !j.written(key, p.sight.value) && !o.wrote(key, p.sight.value) {
				v := j.unwritten(linearizable, o, key, p.sight.value)
				return &v
			}
		}
	}
	return nil
}

// wrote reports whether a txn that was taken back wrote a value before it saw it.
func (o *Operation) wrote(key, value string) bool {
	if o.Type != model.Txn {
		return false
	}
	for _, parts := range attempts(o) {
		for i := range parts {
			p := &parts[i]
			if p.key == key && p.deed.kind == puts && p.deed.value == value {
				return true
			}
		}
	}
	return false
}

// access is the input of Porcupine's model: what an operation saw and did of one key. There is more
// than one list of steps where it is not known which was done.
type access struct {
	lists   [][]part
	undone  bool
	mayMiss bool // it may as well have done nothing
	until   int64
}

// after returns what a key may hold after an access: nothing of it where the access cannot be.
func (a *access) after(c content) []content {
	var next []content
	add := func(n content, ok bool) {
		if ok && !slices.Contains(next, n) {
			next = append(next, n)
		}
	}

	for _, parts := range a.lists {
		add(c.done(parts, a.undone, a.until))
		if mayHaveEnded := c.found && a.until >= c.ends; mayHaveEnded {
			add(c.ended().done(parts, a.undone, a.until))
		}
	}
	if a.mayMiss {
		add(c, a.until >= c.since)
	}
	return next
}

// certainModel is for keys of which each access leads to one content; of several the first is as
// good as any other.
var certainModel = porcupine.Model{
	Init: func() any { return nothingYet },
	Step: func(state, input, _ any) (bool, any) {
		next := input.(*access).after(state.(content))
		if len(next) == 0 {
			return false, state
		}
		return true, next[0]
	},
}

// uncertainModel is for keys that adds or txns of unknown outcome may have written, since what they
// did depends on what they found, and for those of which a value may have ended unseen.
var uncertainModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{nothingYet} },
	Step: func(state, input, _ any) []any {
		var next []any
		for _, c := range input.(*access).after(state.(content)) {
			next = append(next, c)
		}
		return next
	},
}

// modelOf returns the model for the operations of one key.
func (j *judged) modelOf(ops []*Operation) porcupine.Model {
	for _, o := range ops {
		depends := o.Type == model.Add || o.Type == model.Txn
		ends := slices.ContainsFunc(o.everything(j), func(p part) bool {
			return p.deed.kind == puts && p.deed.ends != never
		})
		depends = depends && o.floating()
		if ends || depends {
			return uncertainModel.ToModel()
		}
	}
	return certainModel
}

// cancellable is a model by which nothing may happen any more once the judging was cancelled: so
// Porcupine comes to an end soon, and what it says then is worth nothing.
func (j *judged) cancellable(m porcupine.Model) porcupine.Model {
	step := m.Step
	m.Step = func(state, input, output any) (bool, any) {
		if j.budget.isCancelled() {
			return false, state
		}
		return step(state, input, output)
	}
	return m
}

// registerLinearizable asks Porcupine about the operations of one key.
func (j *judged) registerLinearizable(key string, ops []*Operation, timeout time.Duration) porcupine.CheckResult {
	if timeout <= 0 {
		return porcupine.Unknown
	}
	history := j.registerHistory(key, ops, nil)
	if history == nil {
		return porcupine.Ok
	}
	return porcupine.CheckOperationsTimeout(j.cancellable(j.modelOf(ops)), history, timeout)
}

// reads is what the operations of a key tell of the writes that float.
type reads struct {
	first   map[string]int64 // by value: when the first had returned that saw it
	nothing bool             // some saw no value
	vague   bool             // some saw what may be of any write
}

// readsOf gathers what the operations of a key have seen.
func (j *judged) readsOf(key string, ops []*Operation) (r reads, any bool) {
	r.first = make(map[string]int64)
	claims := make(map[uint64]bool)
	for _, o := range ops {
		for _, p := range of(key, j.parts[o]) {
			if p.deed.claimed {
				claims[p.deed.revision] = true
			}
		}
	}

	for _, o := range ops {
		for _, p := range of(key, j.parts[o]) {
			s := &p.sight
			any = any || s.tells() || p.deed.claimed

			ofKnown := s.hasRevision && claims[s.revision]
			addsUntold := p.deed.kind == adds // of a txn that was refused later: there was a number, or nothing
			any = any || addsUntold
			switch {
			case addsUntold:
				r.vague = true
			case s.kind == sawValue:
				t, read := r.first[s.value]
				if !read || o.Return < t {
					r.first[s.value] = o.Return
				}
			case s.kind == sawNothing:
				r.nothing = true
			case s.tells() && !ofKnown:
				r.vague = true
			}
		}
	}
	return r, any
}

// registerHistory returns what Porcupine is asked of the operations of one key; nil if nothing can
// be wrong. each, which may be nil, is called with each operation that is part of the question.
//
// A floating write that nothing saw can always stand at the very end, unseen: it is left out. A
// floating set that was returned, and alone wrote its value, stands before the end of the first
// get that returned it; giving it that return keeps the search small and changes nothing.
func (j *judged) registerHistory(key string, ops []*Operation, each func(*Operation, *porcupine.Operation)) []porcupine.Operation {
	r, any := j.readsOf(key, ops)
	if !any {
		return nil
	}

	history := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		p := porcupine.Operation{Call: o.Call, Return: o.Return}
		a := &access{undone: o.Refused() && o.Type == model.Txn, until: o.Return}
		p.Input = a

		if !o.floating() {
			a.lists = [][]part{of(key, j.parts[o])}
		} else if !j.floats(key, o, a, &p, &r) {
			continue
		}

		if each != nil {
			each(o, &p)
		}
		history = append(history, p)
	}
	return history
}

// floats fills in the access of a floating write. It reports whether the write can matter.
func (j *judged) floats(key string, o *Operation, a *access, p *porcupine.Operation, r *reads) bool {
	matters := r.vague || j.depends[key] // what depends on what it finds may have found any of them
	alone := false
	for _, parts := range attempts(o) {
		parts = of(key, parts)
		if len(parts) == 0 {
			continue
		}
		a.lists = append(a.lists, parts)

		for i := range parts {
			switch d := &parts[i].deed; d.kind {
			case adds:
				matters = true
			case removes:
				matters = matters || r.nothing
			case puts:
				_, read := r.first[d.value]
				mayEnd := r.nothing && d.ends != never
				matters = matters || read || mayEnd
				alone = read && len(j.writes[write{key, d.value}]) == 1 && o.Type == model.Set && !j.adders[key]
			}
		}
	}

	a.mayMiss, a.until, p.Return = true, math.MaxInt64, math.MaxInt64
	if alone {
		a.mayMiss, p.Return = false, max(p.Call, r.first[o.Value])
	}
	return matters
}

// notLinearizable cuts the counterexample down: first to the shortest beginning of the
// history that fails, then by taking away what it does not need.
func (j *judged) notLinearizable(key string, ops []*Operation, deadline time.Time) Verdict {
	fails := func(ops []*Operation) bool {
		result := j.registerLinearizable(key, ops, min(time.Second, time.Until(deadline)))
		return result == porcupine.Illegal && !j.budget.isCancelled()
	}

	var ends []int64
	for _, o := range ops {
		if !o.floating() {
			ends = append(ends, o.Return)
		}
	}
	slices.Sort(ends)

	// The shortest beginning that fails, by bisection: a longer one fails, too.
	low, high := 0, len(ends)-1
	for low < high {
		if mid := (low + high) / 2; fails(j.until(ops, ends[mid])) {
			high = mid
		} else {
			low = mid + 1
		}
	}

	if high >= 0 {
		if cut := j.until(ops, ends[high]); fails(cut) {
			ops = cut
		}
	}

	ops = shrink(ops, 1000, fails)
	return violated(linearizable, ops,
		"no order of these operations on key %s, each between its call and its return, explains what the gets returned", key)
}

// until returns what was known at time t: what had returned, and writes that had been called, those
// that had not returned as of unknown outcome; and what wrote a value that was seen by then,
// however late it was called.
func (j *judged) until(ops []*Operation, t int64) []*Operation {
	seen := make(map[*Operation]bool)
	for _, o := range ops {
		if o.Return > t {
			continue
		}
		for _, p := range j.parts[o] {
			for _, w := range j.writes[write{p.key, p.sight.value}] {
				seen[w] = seen[w] || p.sight.kind == sawValue
			}
		}
	}

	var cut []*Operation
	for _, o := range ops {
		called := o.changes() && o.Call <= t
		switch {
		case o.Return <= t:
			cut = append(cut, o)
		case called:
			p := *o
			p.Outcome = Unknown
			cut = append(cut, &p)
		case seen[o]:
			cut = append(cut, o)
		}
	}
	return cut
}
