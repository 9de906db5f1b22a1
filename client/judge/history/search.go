package history

import (
	"encoding/binary"

	"quartet/bus/model"
)

// SequentialSearch judges models 1 and 2 over all keys without positions: it looks for any one
// order that respects every session's own and explains every get. Weak sets, and sets of unknown
// outcome, take effect at most once, after what their session had done before. The search is
// exponential; when the budget of steps runs out the verdict is undecided.
func SequentialSearch(h []Operation, budget Budget) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(sequential, "%v", err)
	}

	read := make(map[write]bool)
	for _, o := range j.ops {
		if o.Model.Strong() && o.Type == model.Get && o.Found {
			if len(j.writes[write{o.Key, o.Output}]) == 0 {
				return j.unwritten(sequential, o)
			}
			read[write{o.Key, o.Output}] = true
		}
	}

	var ops []*Operation
	for _, o := range j.ops {
		judged := o.Model.Strong() && !o.floating()
		explains := o.floating() && read[write{o.Key, o.Value}]
		if judged || explains {
			ops = append(ops, o)
		}
	}

	s := newSearch(ops, budget.steps())
	switch s.run() {
	case Passed:
		return passed(sequential)
	case Undecided:
		return undecided(sequential, "no decision within %d steps", budget.steps())
	}

	ops = shrink(ops, 200, func(part []*Operation) bool {
		return newSearch(part, min(budget.steps(), 20_000)).run() == Violated
	})
	return violated(sequential, ops,
		"no one order of these operations that keeps each session's own explains what the gets returned")
}

// search is a depth-first search for an order, with a memory of the states that lead
// nowhere.
type search struct {
	ops   []*Operation
	after [][]int // by operation: the operations that must stand before it
	done  []bool  // placed in the order
	left  int     // operations that must still be placed
	value map[string]string
	dead  map[string]bool // states that lead nowhere
	steps int             // that the budget still allows
	keys  []string
}

func newSearch(ops []*Operation, steps int) *search {
	s := &search{
		ops: ops, after: make([][]int, len(ops)), done: make([]bool, len(ops)),
		value: make(map[string]string), dead: make(map[string]bool), steps: steps, keys: keys(ops),
	}
	for i, o := range ops {
		if !o.floating() {
			s.left++
		}
		for k, p := range ops {
			// An unknown or weak set binds nothing that comes after it.
			if k != i && !p.floating() && p.session() == o.session() && p.precedes(o, k < i) {
				s.after[i] = append(s.after[i], k)
			}
		}
	}
	return s
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
	old   string
	had   bool
	next  int   // the candidate to try next when the search comes back
	reads []int // gets that were placed before the step
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
			next, reads = f.next, f.reads
			continue
		}

		if s.steps--; s.steps < 0 {
			return Undecided
		}

		f := frame{op: i, next: i + 1, reads: reads}
		f.old, f.had = s.value[s.ops[i].Key]
		s.set(i)
		reads = s.takeReads()
		if s.left == 0 {
			return Passed
		}

		if s.dead[s.state()] {
			s.undo(reads)
			s.unset(f)
			next, reads = f.next, f.reads
			continue
		}

		stack = append(stack, f)
		next = 0
	}
}

// takeReads places every get that is due and sees its value. A get changes nothing, so placing it
// at once never spoils an order.
func (s *search) takeReads() []int {
	var taken []int
	for progress := true; progress; {
		progress = false
		for i, o := range s.ops {
			if o.Type != model.Get || s.done[i] || !s.ready(i) {
				continue
			}
			v, ok := s.value[o.Key]
			agrees := !ok || v == o.Output
			if ok == o.Found && agrees {
				s.done[i] = true
				s.left--
				taken = append(taken, i)
				progress = true
			}
		}
	}
	return taken
}

// undo takes gets out of the order.
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

// candidate returns the first set from next on that may be placed now, -1 if there is none. A
// floating set is of use only to a get that is due.
func (s *search) candidate(next int) int {
	for i := next; i < len(s.ops); i++ {
		o := s.ops[i]
		if o.Type != model.Set || s.done[i] || !s.ready(i) {
			continue
		}
		if !o.floating() || s.wanted(o) {
			return i
		}
	}
	return -1
}

// wanted reports whether a get that is due returned the set's value.
func (s *search) wanted(set *Operation) bool {
	for i, o := range s.ops {
		due := o.Type == model.Get && !s.done[i] && s.ready(i)
		if due && o.Key == set.Key && o.Found && o.Output == set.Value {
			return true
		}
	}
	return false
}

// set places operation i, a set.
func (s *search) set(i int) {
	o := s.ops[i]
	s.value[o.Key] = o.Value
	s.done[i] = true
	if !o.floating() {
		s.left--
	}
}

// unset takes a frame's set out of the order again.
func (s *search) unset(f frame) {
	o := s.ops[f.op]
	if f.had {
		s.value[o.Key] = f.old
	} else {
		delete(s.value, o.Key)
	}
	s.done[f.op] = false
	if !o.floating() {
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
		v, ok := s.value[k]
		if !ok {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(append(b, 1), uint64(len(v)))
		b = append(b, v...)
	}
	return string(b)
}
