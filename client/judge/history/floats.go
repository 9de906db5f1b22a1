package history

import (
	"cmp"
	"slices"

	"quartet/bus/model"
)

// Bounds of the search for floating writes that explain one sight.
const (
	deepestFloats = 4    // one after the other
	mostFloats    = 5000 // tries
)

// afterFloats finds floating writes that explain what operation o at position p saw of a key, and
// places them: each takes effect once. It returns what the key holds then.
func (r *replay) afterFloats(o *Operation, key string, s sights, p uint64) (content, bool) {
	h := r.now[key]
	if r.isKnown(s) || p < h.position {
		return h.content, false
	}

	// Of the positions above that of what stands there, up to o's, some must be free, or of some
	// nothing is told but a revision.
	free := p - h.position - r.occupied(h.position, p)
	vague := r.vagueSlots(h.position, p)
	places := free + uint64(len(vague))
	if places == 0 {
		return h.content, false
	}

	// A plain write says it alone; what depends on what it finds may come after others.
	candidates, deepest := r.candidates(key, s), uint64(1)
	if r.depends[key] {
		candidates, deepest = r.shuffled(r.floats[key]), min(places, deepestFloats)
	}

	tries := mostFloats
	var search func(c content, depth uint64) (content, []*Operation, bool)
	search = func(c content, depth uint64) (content, []*Operation, bool) {
		for _, f := range candidates {
			usable := r.floor[f] < p && f.Call <= r.until(o)
			if !usable {
				continue
			}
			if slices.Contains(r.used[f], key) && !r.spare(f, p) {
				continue
			}
			if isOneTooMany := depth >= free; isOneTooMany && !r.takeVague(f, vague, false) {
				continue
			}
			if tries--; tries < 0 {
				return c, nil, false
			}
			for _, next := range r.afterFloat(c, key, f, r.until(o)) {
				if as, fits := next.seenAll(s, r.until(o)); fits {
					return as, []*Operation{f}, true
				}
				if depth+1 >= deepest {
					continue
				}

				r.used[f] = append(r.used[f], key)
				as, more, fits := search(next, depth+1)
				r.used[f] = r.used[f][:len(r.used[f])-1]
				if fits {
					return as, append(more, f), true
				}
			}
		}
		return c, nil, false
	}

	c, fs, ok := search(h.content, 0)
	for i, f := range fs {
		if isOneTooMany := uint64(len(fs)-1-i) >= free; isOneTooMany {
			r.takeVague(f, vague, true)
		}
		r.used[f] = append(r.used[f], key)
		r.guessed = r.guessed || f.Type == model.Txn
		r.placed[write{key, s.value()}] = o
	}
	return c, ok
}

// isKnown reports whether what an operation saw has a revision at whose place it is known what was
// done.
func (r *replay) isKnown(s sights) bool {
	return slices.ContainsFunc(s, func(s *sight) bool {
		isOfValue := s.hasRevision && s.kind == sawValue
		if !isOfValue {
			return false
		}
		return r.at[s.revision] != nil || r.placedAt(s.revision)
	})
}

// vagueSlots are the places above from, up to and including to, of which only a revision is told,
// and which no floating write was chosen for.
func (r *replay) vagueSlots(from, to uint64) []*slot {
	var list []*slot
	i, _ := slices.BinarySearchFunc(r.slots, from+1, func(s slot, p uint64) int { return cmp.Compare(s.position, p) })
	for ; i < len(r.slots) && r.slots[i].position <= to; i++ {
		if s := &r.slots[i]; s.opaque && s.op == nil {
			list = append(list, s)
		}
	}
	return list
}

// takeVague reports whether a floating write may be what was done at one of the vague places, and,
// if asked to, chooses it.
func (r *replay) takeVague(f *Operation, vague []*slot, choose bool) bool {
	if len(r.used[f]) > 0 {
		return false
	}
	for _, s := range vague {
		if s.op != nil || !r.explains(f, s.position, s.told) {
			continue
		}
		if choose {
			s.op = f
			r.used[f] = append(r.used[f], s.told[0].key)
		}
		return true
	}
	return false
}

// afterFloat returns what a key may hold after a floating write.
func (r *replay) afterFloat(c content, key string, f *Operation, until int64) []content {
	var list []content
	for _, parts := range attempts(f) {
		for _, from := range [...]content{c, c.ended()} {
			impossible := from != c && c.ends > until
			next, ok := from.done(of(key, parts), false, until)
			if ok && !impossible && next != from {
				list = append(list, next)
			}
		}
	}
	return list
}

// spare frees a floating write that was chosen for a place above p, if another one may stand there.
func (r *replay) spare(f *Operation, p uint64) bool {
	s, g := r.another(f, p)
	if g == nil {
		return false
	}
	r.exchange(s, g)
	return true
}

// another returns the place above p that a floating write was chosen for, and another one that may
// stand there, or nil.
func (r *replay) another(f *Operation, p uint64) (*slot, *Operation) {
	at, placed := r.spot[f]
	if !placed || at <= p {
		return nil, nil
	}
	s := r.slotAt(at)
	for _, g := range r.candidates(s.told[0].key, sights{&s.told[0].sight}) {
		if g != f && len(r.used[g]) == 0 && r.explains(g, at, s.told) {
			return s, g
		}
	}
	return nil, nil
}

// placedAt reports whether a floating write, or an end, stands at position p.
func (w *order) placedAt(p uint64) bool {
	return w.occupied(p-1, p) > 0
}

// misread explains an operation that saw of a key what did not stand there.
func (r *replay) misread(o *Operation, key string, s *sight, p uint64, h *shown) Verdict {
	who := o.Type.Word()
	both := []*Operation{h.op, o}
	single := o.Type.HasKey()
	if s.kind == sawContradiction {
		what := "what the answer to a %s says contradicts itself"
		if single && o.Refused() {
			what = "a %s without a condition was refused as if one did not hold"
		}
		if single && o.Refused() && o.HasIf {
			what = "a %s was refused, and its answer says that its condition held"
		}
		return violated(r.check, both, what, who)
	}

	conditional := single && o.HasIf
	switch {
	case conditional && o.Refused():
		if r.conditionHeld(o, s, h) {
			return violated(r.check, both, "the condition of a %s held at position %d, and it was refused", who, p)
		}
	case conditional && o.If == 0 && h.found:
		return violated(r.check, both,
			"a %s was done at position %d only if there was no value, and there was %q", who, p, h.value)
	case conditional && o.If != 0 && h.known && h.revision != o.If:
		return violated(r.check, both,
			"a %s was done at position %d only if the revision was %d, and it was %d", who, p, o.If, h.revision)
	}

	early := h.ends != never && r.until(o) < h.ends
	switch {
	case s.kind == sawNothing && h.found && early:
		return violated(r.check, both, "the %s at position %d found nothing before the TTL of %q was over", who, p, h.value)
	case s.kind == sawNothing && h.found && h.op != nil:
		return violated(r.check, both, "the %s at position %d found nothing after the other at %d had %q",
			who, p, h.position, h.value)
	case s.kind == sawNumber || s.kind == sawNoNumber:
		return violated(r.check, both, "an add at position %d came to what it cannot: it found %s", p, held(h.value, h.found))
	case s.kind != sawValue && s.hasRevision:
		return violated(r.check, both, "the %s at position %d saw revision %d of %s, which had %d", who, p, s.revision, key, h.revision)
	case s.kind != sawValue:
		return violated(r.check, both, "the %s at position %d saw of %s what was not there: it held %s",
			who, p, key, held(h.value, h.found))
	}
	return r.misreadValue(o, key, s, p, h)
}

// conditionHeld reports whether the condition of an operation that was refused held.
func (r *replay) conditionHeld(o *Operation, s *sight, h *shown) bool {
	toNothing := o.If == 0 && !h.found
	toRevision := s.kind != sawNoNumber && h.known && o.If == h.revision
	return toNothing || toRevision
}

// misreadValue explains a value that was not there.
func (r *replay) misreadValue(o *Operation, key string, s *sight, p uint64, h *shown) Verdict {
	before, who := h.op, o.Type.Word()
	if !r.written(key, s.value) && !o.wrote(key, s.value) {
		return r.unwritten(r.check, o, key, s.value)
	}

	writes := r.writes[write{key, s.value}]
	gone := r.gone[write{key, s.value}]
	ops := append([]*Operation{o, before, r.placed[write{key, s.value}]}, writes...)
	ofOther := h.found && h.value == s.value && s.hasRevision && h.known
	late := len(writes) > 0 && !writes[0].floating() && writes[0].Position > p
	switch {
	case ofOther:
		return violated(r.check, ops, "the %s at position %d saw revision %d of %s, which had %d", who, p, s.revision, key, h.revision)
	case gone != nil:
		return violated(r.check, append(ops, gone),
			"in the order of positions %q was no longer the value of %s at position %d: it had been overwritten by position %d",
			s.value, key, p, r.placeOf(gone))
	case late:
		return violated(r.check, ops, "the %s at position %d returned a value that was written at position %d",
			who, p, writes[0].Position)
	}
	return violated(r.check, ops, "in the order of positions %q cannot have been the value of %s at position %d",
		s.value, key, p)
}
