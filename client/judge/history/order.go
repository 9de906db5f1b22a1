package history

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"quartet/bus/model"
)

// order is the one order that the positions and revisions of a history claim.
//
//   - An ordered operation ([Operation.Ordered]) stands at its position; no two share one.
//   - A read at position p (a get, a txn of gets alone, a page of a list) reads what stands after
//     p.
//   - A weak write, or one of unknown outcome, stands at the revision under which something saw
//     what it wrote. What was told without a revision may be of a floating write that stands at any
//     free position before: it takes effect at most once, above what its session had seen when it
//     asked.
type order struct {
	*judged
	check   string
	strong  []*Operation // answered operations of models 1 and 2, by position
	ordered []*Operation // those of strong with a position of their own
	at      map[uint64]*Operation
	slots   []slot // by position
	reached []milestone
	chance  *rand.Rand // of what to choose; nil: the likeliest

	floor  map[*Operation]uint64    // by floating write: the position that its session had seen at its call
	floats map[string][]*Operation  // by key: floating writes that may have written it
	sets   map[write][]*Operation   // of them the sets, by what they set
	others map[string][]*Operation  // and the other ones
	ending map[string][]*Operation  // the sets with a TTL
	used   map[*Operation][]string  // floating writes that have taken effect, and on which keys
	pages  map[*Operation]*pageFrom // of lists
	placed map[write]*Operation     // by floating write that was placed: the operation that showed it
	spot   map[*Operation]uint64    // of floating writes that were placed by revision
}

// slot is a place in the order at which keys changed.
type slot struct {
	position uint64
	op       *Operation // nil: a value ended by itself, or
	opaque   bool       // nothing tells what was done there
	told     []told     // of a floating write, or an end: what was told of it
}

// withoutPosition says that a history has no positions, which an order is made of.
const withoutPosition = "%s was recorded without a position"

// Bounds of how often an order is looked for where writes of unknown outcome depend on what they
// find, and there is a choice of which stands where. The first that explains everything will do.
const (
	leastOrders = 24
	mostOrders  = 2000
	orderWork   = 200_000 // operations: a short history is looked through more often than a long one
)

// orders is how often an order of a history is looked for.
func orders(h []Operation) uint64 {
	return uint64(min(max(orderWork/max(len(h), 1), leastOrders), mostOrders))
}

// inOrder judges h by the order that it claims. Where the likeliest orders explain less than
// everything, and there are writes of unknown outcome, a witness is looked for.
func inOrder(check string, h []Operation, judge func(*order) *Verdict) Verdict {
	var first *Verdict
	most := orders(h)
	for try := range most {
		w, why := newOrder(check, h, try)
		if why != nil {
			return *why
		}
		v := judge(w)
		if v == nil {
			return passed(check)
		}
		if first == nil {
			first = v
		}

		asks := try == min(leastOrders, most)-1 || len(w.depends) == 0
		if asks && w.findWitness(func(h []Operation) bool {
			x, why := newOrder(check, h, 0)
			return why == nil && judge(x) == nil
		}) {
			return passed(check)
		}
		if len(w.depends) == 0 {
			break
		}
		if try == most-1 {
			return w.unsureOf(*first)
		}
	}
	return *first
}

// unsureOf makes a violation undecided where writes of unknown outcome that depend on what they
// find may have done what explains it: not every way in which they can have been done was tried.
func (w *order) unsureOf(v Verdict) Verdict {
	for i := range v.Operations {
		for _, key := range v.Operations[i].keys() {
			if w.depends[key] && v.Result == Violated {
				v.Result = Undecided
				v.Reason = "a condition, a sum or a txn of unknown outcome may explain it; else it would be: " + v.Reason
				return v
			}
		}
	}
	return v
}

// newOrder returns the order; why says what it lacks. Each try chooses otherwise where there is a
// choice.
func newOrder(check string, h []Operation, try uint64) (w *order, why *Verdict) {
	j, err := prepare(h)
	if err != nil {
		v := undecided(check, "%v", err)
		return nil, &v
	}
	w = &order{
		judged: j, check: check, at: make(map[uint64]*Operation), floor: make(map[*Operation]uint64),
		floats: make(map[string][]*Operation), used: make(map[*Operation][]string), placed: make(map[write]*Operation),
		spot: make(map[*Operation]uint64), sets: make(map[write][]*Operation), others: make(map[string][]*Operation),
		ending: make(map[string][]*Operation),
	}
	w.pages = pagesOf(j.ops)
	if try > 0 {
		w.chance = rand.New(rand.NewPCG(try, 0))
	}

	for _, o := range j.ops {
		nowhere := o.Refused() && o.Position == 0
		switch {
		case o.floating():
			w.addFloat(o)
		case !o.Model.Strong(), o.Type == model.Watch, nowhere:
		case o.Ordered() && o.Position == 0:
			v := undecided(check, withoutPosition, o)
			return nil, &v
		default:
			w.strong = append(w.strong, o)
		}
	}

	byPosition(w.strong)
	for _, o := range w.strong {
		if o.Ordered() {
			w.ordered = append(w.ordered, o)
			if w.at[o.Position] == nil {
				w.at[o.Position] = o
			}
		}
	}

	if v := w.sessions(); v != nil && check == sequential {
		return nil, v
	}
	w.place()
	return w, nil
}

// addFloat notes a floating write.
func (w *order) addFloat(o *Operation) {
	for _, key := range Written(o) {
		w.floats[key] = append(w.floats[key], o)
		if o.Type == model.Set {
			w.sets[write{key, o.Value}] = append(w.sets[write{key, o.Value}], o)
			if o.TTL > 0 {
				w.ending[key] = append(w.ending[key], o)
			}
			continue
		}
		w.others[key] = append(w.others[key], o)
	}
}

// candidates lists the floating writes that may have left what s saw.
func (w *order) candidates(key string, s sights) []*Operation {
	list := w.floats[key]
	for _, one := range s {
		switch one.kind {
		case sawNothing:
			return w.shuffled(slices.Concat(w.others[key], w.ending[key]))
		case sawValue:
			return w.shuffled(slices.Concat(w.sets[write{key, one.value}], w.others[key]))
		}
	}
	return w.shuffled(list)
}

// shuffled brings a list into an order by chance, where there is one.
func (w *order) shuffled(list []*Operation) []*Operation {
	if w.chance == nil || len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	w.chance.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	return list
}

// byPosition sorts by position, writes first: a get at a set's position reads it.
func byPosition(ops []*Operation) {
	slices.SortStableFunc(ops, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.rank(), b.rank()))
	})
}

// rank is the place of an operation among those of its position.
func (o *Operation) rank() int {
	if o.Writes() {
		return 0
	}
	return 1
}

// sessions checks each session's own order, and notes for floating writes what their
// session had seen when it asked.
func (w *order) sessions() *Verdict {
	var first *Verdict
	last := make(map[any]*Operation)
	for _, e := range timeline(w.ops) {
		o := e.op
		if w.ofNoPlace(o) {
			continue
		}

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
			if first == nil {
				v := violated(w.check, []*Operation{seen, o},
					"the session had seen position %d and was then served at position %d", seen.Position, o.Position)
				first = &v
			}
		}
	}
	return first
}

// ofNoPlace reports whether an operation has no place in its session's order.
func (w *order) ofNoPlace(o *Operation) bool {
	switch {
	case o.floating(), o.Type == model.Get:
		return false
	case o.Type == model.Watch:
		return true
	case o.Type == model.List && w.pages[o].first != o: // it has the place of the first page
		return true
	}
	return o.Position == 0
}

// positions checks that no two ordered operations share a position.
func (w *order) positions() *Verdict {
	for i := 1; i < len(w.ordered); i++ {
		if a, b := w.ordered[i-1], w.ordered[i]; a.Position == b.Position {
			v := violated(w.check, []*Operation{a, b}, "two operations have position %d", a.Position)
			return &v
		}
	}
	return nil
}

// realTime checks that no operation stands behind another that was called after it returned.
func (w *order) realTime() *Verdict {
	ops := w.timed()
	var below *Operation  // of the operations that must have been called before o returned, the one called last
	var beside *Operation // the same of the linearizable reads at o's position
	for _, o := range ops {
		p := w.placeOf(o)
		if beside != nil && w.placeOf(beside) < p {
			below, beside = w.laterCall(below, beside), nil
		}

		if below != nil && !o.floating() && w.asked(o).Return < w.asked(below).Call {
			v := violated(w.check, []*Operation{o, below},
				"the first of these returned before the second was called, and has the higher position, or stands behind it at the same")
			return &v
		}

		if o.Writes() {
			below = w.laterCall(below, o)
		} else {
			beside = w.laterCall(beside, o)
		}
	}
	return nil
}

// timed lists, by position, the operations whose place is between their call and their return, and
// floating writes that were placed: they are not before their call.
func (w *order) timed() []*Operation {
	var ops []*Operation
	for _, o := range w.strong {
		forOthers := o.Type == model.List && w.check != lists
		timed := o.Ordered() || o.Model == model.Linearizable
		if timed && !forOthers {
			ops = append(ops, o)
		}
	}
	for f := range w.spot {
		ops = append(ops, f)
	}
	slices.SortFunc(ops, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(w.placeOf(a), w.placeOf(b)), cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Call, b.Call))
	})
	return ops
}

// placeOf is the position of an operation, also of a floating write that was placed.
func (w *order) placeOf(o *Operation) uint64 {
	if p, placed := w.spot[o]; placed {
		return p
	}
	return o.Position
}

// asked is the operation whose call and return an operation's place lies between: of a page of a
// list that is the first page.
func (w *order) asked(o *Operation) *Operation {
	if p := w.pages[o]; p != nil {
		return p.first
	}
	return o
}

// laterCall returns the operation that was called later; a may be nil.
func (w *order) laterCall(a, b *Operation) *Operation {
	if a == nil || w.asked(b).Call > w.asked(a).Call {
		return b
	}
	return a
}

// occupied counts the places above from, up to and including to, at which something is.
func (w *order) occupied(from, to uint64) uint64 {
	after := func(p uint64) int {
		i, _ := slices.BinarySearchFunc(w.slots, p, func(s slot, p uint64) int {
			if s.position <= p {
				return -1
			}
			return 1
		})
		return i
	}
	return uint64(after(to) - after(from))
}

// sortedKeys returns the keys of a map, in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
