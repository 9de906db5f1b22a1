package history

import (
	"encoding/binary"
	"slices"

	"quartet/bus/model"
)

// SequentialSearch judges models 1 and 2 over all keys without positions: it looks for any one
// order that respects every session's own and explains every get, condition, sum and txn. Weak
// writes, and writes of unknown outcome, take effect at most once, after what their session had
// done before. Txns of model 1 also keep real time. Revisions are compared where they are known;
// that of a write which told none is any above the one before.
//
// The search is exponential; when the budget of steps runs out the verdict is undecided.
func SequentialSearch(h []Operation, budget Budget) Verdict { return searched(sequential, h, budget) }

// searched is [SequentialSearch] for the check of a name.
func searched(check string, h []Operation, budget Budget) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(check, "%v", err)
	}
	j.budget = budget

	seen := make(map[string]bool) // keys of which something was seen
	for _, o := range j.ops {
		if !o.Model.Strong() || o.floating() {
			continue
		}
		for i := range j.parts[o] {
			p := &j.parts[o][i]
			seen[p.key] = seen[p.key] || p.sight.tells()
			if p.sight.kind == sawValue && !j.written(p.key, p.sight.value) && !o.wrote(p.key, p.sight.value) {
				return j.unwritten(check, o, p.key, p.sight.value)
			}
		}
	}

	// All that is judged, and what may explain it, is to be put in order.
	var ops []*Operation
	for _, o := range j.ops {
		judged := o.Model.Strong() && !o.floating() && !prefixed(o.Type)
		explains := o.floating() && slices.ContainsFunc(Written(o), func(key string) bool { return seen[key] })
		if judged || explains {
			ops = append(ops, o)
		}
	}

	switch newSearch(j, ops, budget.steps()).run() {
	case Passed:
		return passed(check)
	case Undecided:
		if budget.isCancelled() {
			return notWaitedFor(check)
		}
		return undecided(check, "no decision within %d steps", budget.steps())
	}

	ops = shrink(ops, 200, func(part []*Operation) bool {
		return newSearch(j, part, min(budget.steps(), 20_000)).run() == Violated
	})
	return violated(check, ops,
		"no one order of these operations that keeps each session's own explains what the gets returned")
}

// search is a depth-first search for an order, with a memory of the states that lead
// nowhere.
type search struct {
	*judged
	ops     []*Operation
	touches [][]string // by operation: its keys
	after   [][]int    // by operation: the operations that must stand before it
	done    []bool     // placed in the order
	left    int        // operations that must still be placed
	holds   map[string]content
	dead    map[string]bool // states that lead nowhere
	steps   int             // that the budget still allows
	keys    []string
}

// newSearch returns a search for an order of ops, within so many steps.
func newSearch(j *judged, ops []*Operation, steps int) *search {
	s := &search{
		judged: j, ops: ops, after: make([][]int, len(ops)), done: make([]bool, len(ops)),
		touches: make([][]string, len(ops)), holds: make(map[string]content), dead: make(map[string]bool), steps: steps,
	}
	keys := make(map[string]bool)
	for i, o := range ops {
		s.touches[i] = j.touched(o)
		for _, key := range s.touches[i] {
			keys[key] = true
		}

		if !o.floating() {
			s.left++
		}

		for k, p := range ops {
			if k != i && !p.floating() && mustPrecede(p, o, k < i) {
				s.after[i] = append(s.after[i], k)
			}
		}
	}
	s.keys = sortedKeys(keys)
	return s
}

// mustPrecede reports whether p stands before o in every order. (A write that floats binds nothing
// that comes after it.)
func mustPrecede(p, o *Operation, listed bool) bool {
	txn := p.Type == model.Txn || o.Type == model.Txn
	timed := txn && p.Model == model.Linearizable && o.Model == model.Linearizable && p.Return < o.Call
	sameSession := p.session() == o.session()
	inOrder := sameSession && p.precedes(o, listed)
	return timed || inOrder
}

// precedes reports whether o ended before p of the same session began; listed, that it stands
// before p in the history, decides where both happened at one instant.
func (o *Operation) precedes(p *Operation, listed bool) bool {
	atOnce := o.Return == p.Call && listed
	return o.Return < p.Call || atOnce
}

// frame holds what undoes a step.
type frame struct {
	op    int
	old   map[string]content // what the step changed
	way   int                // which of the ways to do it was taken
	reads []int              // reads that were placed before the step
}

// run returns Passed once an order is found, Violated if there is none, and Undecided where the
// budget ends before.
func (s *search) run() Result {
	var stack []frame
	next := 0
	reads := s.takeReads()
	if s.left == 0 {
		return Passed
	}

	way := 0
	for {
		i := s.candidate(next)

		// Nothing can be placed: go back a step.
		if i < 0 {
			if len(stack) == 0 {
				return Violated
			}
			s.dead[s.state()] = true
			f := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			s.undo(reads)
			s.unset(f)
			next, way, reads = f.op, f.way+1, f.reads
			continue
		}
		if i != next {
			way = 0
		}

		old, ok := s.set(i, way)
		if !ok && way+1 < len(s.ways(s.ops[i])) {
			next, way = i, way+1
			continue
		}
		if !ok {
			next, way = i+1, 0
			continue
		}
		if s.steps--; s.steps < 0 || s.budget.isCancelled() {
			return Undecided
		}

		f := frame{op: i, old: old, way: way, reads: reads}
		reads = s.takeReads()
		if s.left == 0 {
			return Passed
		}

		if s.dead[s.state()] {
			s.undo(reads)
			s.unset(f)
			next, way, reads = i, way+1, f.reads
			continue
		}

		stack = append(stack, f)
		next, way = 0, 0
	}
}

// at returns what a key holds.
func (s *search) at(key string) content {
	if c, ok := s.holds[key]; ok {
		return c
	}
	return nothingYet
}

// fits reports whether the sights of operation i, which changes nothing, are of what there is.
func (s *search) fits(i int) bool {
	o := s.ops[i]
	if o.Type == model.Txn && !s.branches(o) {
		return false
	}
	for _, key := range s.touches[i] {
		undone := o.Refused()
		if _, ok := s.at(key).done(of(key, s.parts[o]), undone, o.Return); !ok {
			return false
		}
	}
	return true
}

// branches reports whether a txn may take the branch that it took.
func (s *search) branches(o *Operation) bool {
	if o.Txn == nil || o.Results == nil || o.Results.Succeeded {
		return true // that its conditions held is part of what it saw
	}
	for i := range o.Txn.If {
		c := s.at(o.Txn.If[i].Key)
		see := checkSight(&o.Txn.If[i])
		mayHaveEnded := c.found && o.Return >= c.ends
		unsure := see.hasRevision && !c.known
		if _, ok := c.fits(&see); !ok || mayHaveEnded || unsure {
			return true
		}
	}
	return false
}

// changes reports whether an operation is placed as a step of the search: it may change something.
func (o *Operation) changes() bool { return o.Writes() && !o.Refused() }

// takeReads places everything that is due, changes nothing and saw what there is. Placing it at
// once never spoils an order.
func (s *search) takeReads() []int {
	var taken []int
	for progress := true; progress; {
		progress = false
		for i, o := range s.ops {
			if o.changes() || s.done[i] || !s.ready(i) || !s.fits(i) {
				continue
			}
			s.done[i] = true
			s.left--
			taken = append(taken, i)
			progress = true
		}
	}
	return taken
}

// undo takes reads out of the order.
func (s *search) undo(reads []int) {
	for _, i := range reads {
		s.done[i] = false
		s.left++
	}
}

// ready reports whether all operations are placed that must stand before operation i.
func (s *search) ready(i int) bool {
	for _, k := range s.after[i] {
		if !s.done[k] {
			return false
		}
	}
	return true
}

// candidate returns the first write from next on that may be placed now, -1 if there is none. A
// floating write is of use only to an operation that is due.
func (s *search) candidate(next int) int {
	for i := next; i < len(s.ops); i++ {
		o := s.ops[i]
		if !o.changes() || s.done[i] || !s.ready(i) {
			continue
		}
		if !o.floating() || s.wanted(i) {
			return i
		}
	}
	return -1
}

// wanted reports whether an operation that is due saw something else than there is, of a key that
// floating write i may have written.
func (s *search) wanted(write int) bool {
	for i, o := range s.ops {
		due := !o.floating() && !s.done[i] && s.ready(i)
		if !due || s.fits(i) {
			continue
		}
		for _, key := range s.touches[i] {
			if slices.Contains(s.touches[write], key) {
				return true
			}
		}
	}
	return false
}

// ways lists how an operation may have been done.
func (s *search) ways(o *Operation) [][]part {
	if o.floating() {
		return attempts(o)
	}
	return [][]part{s.parts[o]}
}

// set places operation i, a write, in one of its ways. It returns what its keys held before.
func (s *search) set(i, way int) (old map[string]content, ok bool) {
	o := s.ops[i]
	ways := s.ways(o)
	certainTxn := o.Type == model.Txn && !o.floating()
	otherBranch := certainTxn && !s.branches(o)
	if way >= len(ways) || otherBranch {
		return nil, false
	}
	until := o.Return
	if o.floating() {
		until = never
	}

	old = make(map[string]content)
	next := make(map[string]content)
	for _, key := range s.touches[i] {
		c := s.at(key)
		if next[key], ok = c.done(of(key, ways[way]), false, until); !ok {
			return nil, false
		}
		old[key] = c
	}

	for key, c := range next {
		s.holds[key] = c
	}
	s.done[i] = true
	if !o.floating() {
		s.left--
	}
	return old, true
}

// unset takes a frame's write out of the order again.
func (s *search) unset(f frame) {
	for key, c := range f.old {
		s.holds[key] = c
	}
	s.done[f.op] = false
	if !s.ops[f.op].floating() {
		s.left++
	}
}

// state names what has been placed and what every key holds.
func (s *search) state() string {
	b := make([]byte, (len(s.done)+7)/8, len(s.done)/8+8+16*len(s.keys))
	for i, d := range s.done {
		if d {
			b[i/8] |= 1 << (i % 8)
		}
	}

	for _, k := range s.keys {
		c := s.at(k)
		b = append(b, flags(c.found, c.known))
		b = binary.AppendUvarint(b, c.revision)
		b = binary.AppendVarint(b, c.ends)
		b = binary.AppendVarint(b, c.since)
		b = binary.AppendUvarint(b, uint64(len(c.value)))
		b = append(b, c.value...)
	}
	return string(b)
}

// flags is a byte with a bit for each of up to eight flags.
func flags(set ...bool) (b byte) {
	for i, f := range set {
		if f {
			b |= 1 << i
		}
	}
	return b
}
