package history

import (
	"cmp"
	"slices"

	"quartet/bus/model"
)

// told is that something had a revision.
type told struct {
	key      string
	sight    sight
	by       *Operation
	at       int64 // by then it had happened
	end      bool  // a value ended by itself
	revision uint64
}

// tales lists what the history tells of the revisions of keys.
func (w *order) tales() []told {
	var list []told
	add := func(o *Operation, key string, s sight, at int64, end bool) {
		if s.hasRevision && s.revision > 0 {
			list = append(list, told{key: key, sight: s, by: o, at: at, end: end, revision: s.revision})
		}
	}

	for _, o := range w.ops {
		for i := range w.parts[o] {
			p := &w.parts[o][i]
			add(o, p.key, p.sight, o.Return, false)
		}
		for i := range o.Items {
			add(o, o.Items[i].Key, itemSight(&o.Items[i]), o.Return, false)
		}
		for i := range o.Events {
			e := &o.Events[i]
			at := o.Return
			if e.At != 0 {
				at = e.At
			}
			add(o, e.Key, e.sight(), at, e.Kind == EventExpire)
		}
	}
	slices.SortStableFunc(list, func(a, b told) int { return cmp.Compare(a.revision, b.revision) })
	return list
}

// itemSight is what an item of a list saw.
func itemSight(x *model.Item) sight {
	s := sight{kind: sawSomething, hasRevision: x.Revision > 0, revision: x.Revision}
	if x.HasValue {
		s.kind, s.value = sawValue, string(x.Value)
	}
	return s
}

// sight is what an event saw.
func (e *Event) sight() sight {
	s := sight{hasRevision: e.Revision > 0, revision: e.Revision}
	switch e.Kind {
	case EventValue, EventSet:
		s.kind, s.value = sawValue, e.Value
	case EventDelete, EventExpire:
		s.kind = sawNothing
	case EventCaughtUp:
		s.hasRevision = false
	}
	return s
}

// place gives floating writes and ends of values the places that were told.
func (w *order) place() {
	for _, o := range w.ordered {
		w.slots = append(w.slots, slot{position: o.Position, op: o})
	}

	tales := w.tales()
	w.reached = w.milestones(tales)
	for i := range tales {
		tales[i].at = min(tales[i].at, w.reachedBy(tales[i].revision))
	}

	var open []slot // of which it is not known what stands there
	for from := 0; from < len(tales); {
		to := from
		for to < len(tales) && tales[to].revision == tales[from].revision {
			to++
		}
		if p := tales[from].revision; w.at[p] == nil {
			open = append(open, slot{position: p, told: tales[from:to]})
		}
		from = to
	}

	w.match(open)
	for i := range open {
		s := &open[i]
		ends := s.op == nil && w.endsThere(s.told)
		if s.op != nil || s.opaque || ends {
			w.slots = append(w.slots, *s)
		}
	}
	slices.SortStableFunc(w.slots, func(a, b slot) int { return cmp.Compare(a.position, b.position) })
}

// match gives as many slots as it can each a floating write that may stand there, no two the same,
// by augmenting paths (Kuhn, "The Hungarian Method for the Assignment Problem", 1955).
func (w *order) match(open []slot) {
	candidates := make([][]*Operation, len(open))
	taken := make(map[*Operation]int) // by floating write: the slot
	var find func(i int, tried map[*Operation]bool) bool
	find = func(i int, tried map[*Operation]bool) bool {
		for _, f := range candidates[i] {
			if tried[f] {
				continue
			}
			tried[f] = true
			if k, isTaken := taken[f]; !isTaken || find(k, tried) {
				taken[f] = i
				return true
			}
		}
		return false
	}

	for i := range open {
		s := &open[i]
		for _, f := range w.candidates(s.told[0].key, sights{&s.told[0].sight}) {
			if w.explains(f, s.position, s.told) {
				candidates[i] = append(candidates[i], f)
			}
		}
		likely := w.chance == nil || w.chance.IntN(2) == 0
		if likely {
			slices.SortStableFunc(candidates[i], func(a, b *Operation) int { return cmp.Compare(len(Written(a)), len(Written(b))) })
		}

		if s.vague() {
			s.opaque = len(candidates[i]) > 0 || w.endsThere(s.told)
			continue
		}
		find(i, make(map[*Operation]bool))
	}

	for f, i := range taken {
		s := &open[i]
		s.op = f
		w.used[f], w.spot[f] = Written(f), s.position
		for k := range s.told {
			w.placed[write{s.told[k].key, s.told[k].sight.value}] = s.told[k].by
		}
	}
}

// vague reports whether nothing tells what was done at a place: only a revision was seen.
func (s *slot) vague() bool {
	return !slices.ContainsFunc(s.told, func(t told) bool {
		return t.sight.ofValue() || t.sight.kind == sawNothing || t.key != s.told[0].key
	})
}

// endsThere reports whether what is told of a position may be the end of a value.
func (w *order) endsThere(group []told) bool {
	for i := range group {
		t := &group[i]
		nothing := !t.sight.ofValue()
		possible := t.end || w.mayEnd(t) // an end that cannot be is told as such
		if !nothing || !possible || t.key != group[0].key {
			return false
		}
	}
	return true
}

// mayEnd reports whether a value of the key may have ended by itself by when it was told.
func (w *order) mayEnd(t *told) bool {
	return slices.ContainsFunc(w.removers[t.key], func(o *Operation) bool {
		return slices.ContainsFunc(o.everything(w.judged), func(p part) bool {
			return p.key == t.key && p.deed.kind == puts && p.deed.ends <= t.at
		})
	})
}

// everything lists what an operation did, or may have done.
func (o *Operation) everything(j *judged) []part {
	if o.Outcome == OK && !o.floating() {
		return j.parts[o]
	}
	var all []part
	for _, parts := range attempts(o) {
		all = append(all, parts...)
	}
	return all
}

// explains reports whether floating write f may be what is told of position p.
func (w *order) explains(f *Operation, p uint64, group []told) bool {
	if w.floor[f] >= p || f.Call > w.reachedBy(p) {
		return false
	}
	for i := range group {
		t := &group[i]
		wrote := slices.ContainsFunc(f.everything(w.judged), func(x part) bool {
			return x.key == t.key && x.deed.mayLeave(&t.sight)
		})
		if t.end || f.Call > t.at || !wrote {
			return false
		}
	}
	return true
}

// reachedBy is the earliest moment by which position p had surely been reached.
func (w *order) reachedBy(p uint64) int64 {
	i, _ := slices.BinarySearchFunc(w.reached, p, func(m milestone, p uint64) int { return cmp.Compare(m.position, p) })
	if i == len(w.reached) {
		return never
	}
	return w.reached[i].by
}

// milestone says that a position, and all below it, had been reached by a moment.
type milestone struct {
	position uint64
	by       int64
}

// milestones lists when positions had been reached, by position: those of answers, and revisions
// that something told.
func (w *order) milestones(tales []told) []milestone {
	list := make([]milestone, 0, len(w.strong)+len(tales))
	for i := range tales {
		list = append(list, milestone{tales[i].revision, tales[i].at})
	}
	for _, o := range w.strong {
		if o.Ordered() || o.Model == model.Linearizable {
			list = append(list, milestone{o.Position, o.Return})
		}
	}
	slices.SortStableFunc(list, func(a, b milestone) int { return cmp.Compare(a.position, b.position) })
	for i := len(list) - 2; i >= 0; i-- {
		list[i].by = min(list[i].by, list[i+1].by)
	}
	return list
}

// mayLeave reports whether a deed may leave what s saw.
func (d *deed) mayLeave(s *sight) bool {
	c := content{ends: never, opaque: d.kind == adds}
	switch d.kind {
	case leaves:
		return false
	case puts:
		c.value, c.found = d.value, true
	}

	if d.kind == adds && s.kind == sawNothing {
		return false
	}
	if d.kind == adds && s.kind == sawValue {
		_, isNumber := (&content{value: s.value, found: true}).num()
		return isNumber
	}
	value := *s
	value.hasRevision, value.hasOther = false, false
	_, ok := c.fits(&value)
	return ok
}
