package history

import (
	"cmp"
	"slices"

	"quartet/bus/model"
)

const sequential = "sequential"

// Sequential judges models 1 and 2 over all keys by the order that the recorded
// positions claim, and a pass is a proof: it is one order that respects every session's
// own and explains every get.
//
//   - An ordered operation ([Operation.Ordered]) stands at its position; no two share one.
//   - A get at position p reads what stands after p.
//   - Within a session positions never fall, and an ordered operation is above all that
//     the session has seen.
//
// An ordered operation that returned before another was called is below it. The same holds for
// linearizable gets, except that they may share a position with what they read and with each
// other.
//   - A weak set, or one of unknown outcome, takes effect at most once, above what its
//     session had seen when it asked, at a position that nothing else has.
//
// A history whose positions claim an order that explains nothing is violated even if
// another order would do: sessions rely on positions. Without positions the verdict is
// undecided; see [SequentialSearch].
func Sequential(h []Operation) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(sequential, "%v", err)
	}
	w := witness{
		judged: j, floor: make(map[*Operation]uint64),
		floats: make(map[write][]*Operation), placed: make(map[write]*Operation),
	}
	for _, o := range j.ops {
		switch {
		case o.floating():
			w.floats[write{o.Key, o.Value}] = append(w.floats[write{o.Key, o.Value}], o)
		case o.Model.Strong() && o.Ordered() && o.Position == 0:
			return undecided(sequential, "%s was recorded without a position", o)
		case o.Model.Strong():
			w.strong = append(w.strong, o)
			if o.Ordered() {
				w.ordered = append(w.ordered, o)
			}
		}
	}

	byPosition(w.strong)
	byPosition(w.ordered)

	for _, check := range []func() *Verdict{w.positions, w.sessions, w.realTime, w.reads} {
		if v := check(); v != nil {
			return *v
		}
	}
	return passed(sequential)
}

// witness is the order that the positions claim.
type witness struct {
	*judged
	strong  []*Operation           // answered operations of models 1 and 2, by position
	ordered []*Operation           // those of strong with a position of their own
	floor   map[*Operation]uint64  // by floating set: the position that its session had seen at its call
	floats  map[write][]*Operation // floating sets that are not placed yet
	placed  map[write]*Operation   // by floating set that is placed: the get that showed it
}

// byPosition sorts by position, sets first: a get at a set's position reads it.
func byPosition(ops []*Operation) {
	slices.SortStableFunc(ops, func(a, b *Operation) int {
		if c := cmp.Compare(a.Position, b.Position); c != 0 {
			return c
		}
		return cmp.Compare(a.Type, b.Type)
	})
}

// positions checks that no two ordered operations share a position.
func (w *witness) positions() *Verdict {
	for i := 1; i < len(w.ordered); i++ {
		if a, b := w.ordered[i-1], w.ordered[i]; a.Position == b.Position {
			v := violated(sequential, []*Operation{a, b}, "two operations have position %d", a.Position)
			return &v
		}
	}
	return nil
}

// sessions checks each session's own order, and notes for floating sets what their
// session had seen when it asked.
func (w *witness) sessions() *Verdict {
	last := make(map[any]*Operation)
	for _, e := range timeline(w.ops) {
		o := e.op
		s := o.session()
		seen := last[s]
		switch {
		case e.returns:
			strong := o.Model.Strong() && o.Outcome == OK
			further := seen == nil || seen.Position <= o.Position
			if strong && further {
				last[s] = o
			}
		case seen == nil: // its session has seen nothing
		case o.floating():
			w.floor[o] = seen.Position
		case !o.Model.Strong(): // it has no position
		case o.Position < seen.Position, o.Ordered() && o.Position == seen.Position:
			v := violated(sequential, []*Operation{seen, o},
				"the session had seen position %d and was then served at position %d", seen.Position, o.Position)
			return &v
		}
	}
	return nil
}

// realTime checks that no operation stands behind another that was called after it returned.
func (w *witness) realTime() *Verdict {
	var below *Operation  // of the operations that must have been called before o returned, the one called last
	var beside *Operation // the same of the linearizable gets at o's position
	for _, o := range w.strong {
		if o.Type == model.Get && o.Model != model.Linearizable {
			continue
		}
		if beside != nil && beside.Position < o.Position {
			below, beside = laterCall(below, beside), nil
		}

		if below != nil && o.Return < below.Call {
			v := violated(sequential, []*Operation{o, below},
				"the first of these returned before the second was called, and has the higher position, or stands behind it at the same")
			return &v
		}

		if o.Ordered() {
			below = laterCall(below, o)
		} else {
			beside = laterCall(beside, o)
		}
	}
	return nil
}

// laterCall returns the operation that was called later; a may be nil.
func laterCall(a, b *Operation) *Operation {
	if a == nil || b.Call > a.Call {
		return b
	}
	return a
}

// reads runs through the order and compares each get with what stands there.
func (w *witness) reads() *Verdict {
	type shown struct {
		op    *Operation // the last that showed the value of the key
		value string
		found bool
	}
	now := make(map[string]shown)
	gone := make(map[write]*Operation) // values that have been overwritten, and by what

	for _, o := range w.strong {
		cur := now[o.Key]
		if o.Type == model.Set {
			if cur.found {
				gone[write{o.Key, cur.value}] = o
			}
			delete(gone, write{o.Key, o.Value})
			now[o.Key] = shown{op: o, value: o.Value, found: true}
			continue
		}

		if o.Found == cur.found && o.Output == cur.value {
			now[o.Key] = shown{op: o, value: cur.value, found: cur.found}
			continue
		}

		if !o.Found {
			v := violated(sequential, []*Operation{cur.op, o},
				"the get at position %d found nothing after the other at %d had %q",
				o.Position, cur.op.Position, cur.value)
			return &v
		}

		if !w.placeFloat(o, cur.op) {
			v := w.misread(o, cur.op, gone[write{o.Key, o.Output}])
			return &v
		}
		if cur.found {
			gone[write{o.Key, cur.value}] = o
		}
		now[o.Key] = shown{op: o, value: o.Output, found: true}
	}
	return nil
}

// placeFloat finds a floating set that explains get, and places it: it takes effect once. before
// is the operation that last showed the key's value; nil: none.
func (w *witness) placeFloat(get, before *Operation) bool {
	var from uint64
	if before != nil {
		from = before.Position
	}

	// Of the positions above from, up to the get's, one must be free of other operations.
	if get.Position-from <= w.occupied(from, get.Position) {
		return false
	}

	floats := w.floats[write{get.Key, get.Output}]
	for i, f := range floats {
		if w.floor[f] < get.Position && f.Call <= get.Return {
			w.floats[write{get.Key, get.Output}] = slices.Delete(floats, i, i+1)
			w.placed[write{get.Key, get.Output}] = get
			return true
		}
	}
	return false
}

// occupied counts the ordered operations above from, up to and including to.
func (w *witness) occupied(from, to uint64) uint64 {
	after := func(p uint64) int {
		i, _ := slices.BinarySearchFunc(w.ordered, p, func(o *Operation, p uint64) int {
			if o.Position <= p {
				return -1
			}
			return 1
		})
		return i
	}
	return uint64(after(to) - after(from))
}

// misread explains a get that returned a value which its key did not hold there.
func (w *witness) misread(get, before, gone *Operation) Verdict {
	writes := w.writes[write{get.Key, get.Output}]
	if len(writes) == 0 {
		return w.unwritten(sequential, get)
	}

	ops := append([]*Operation{get, before, w.placed[write{get.Key, get.Output}]}, writes...)
	wr := writes[0]
	switch {
	case gone != nil:
		return violated(sequential, append(ops, gone),
			"in the order of positions %q was no longer the value of %s at position %d: it had been overwritten by position %d",
			get.Output, get.Key, get.Position, gone.Position)
	case !wr.floating() && wr.Position > get.Position:
		return violated(sequential, ops, "the get at position %d returned a value that was written at position %d",
			get.Position, wr.Position)
	}
	return violated(sequential, ops, "in the order of positions %q cannot have been the value of %s at position %d",
		get.Output, get.Key, get.Position)
}
