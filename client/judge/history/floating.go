package history

import (
	"cmp"
	"slices"
	"strconv"

	"quartet/bus/model"
)

// float executes a floating write at the place that was told of it. Where several may have been
// what was told, and the one that was chosen cannot have been done there, it is another one.
func (r *replay) float(s *slot) *Verdict {
	t := &s.told[0]
	others := r.candidates(t.key, sights{&t.sight})
	sureFirst := [...]bool{true, false} // what needs nothing untold comes first
	if r.chance != nil && r.chance.IntN(4) == 0 {
		sureFirst = [...]bool{false, true}
	}
	for _, sure := range sureFirst {
		for _, f := range slices.Concat([]*Operation{s.op}, others) {
			if f != s.op && !r.mayExchange(s, f) {
				continue
			}
			for _, parts := range attempts(f) {
				saved := r.save(parts)
				if r.floatAs(f, parts, s, sure) {
					r.exchange(s, f)
					r.note(s, saved)
					return nil
				}
				for key, was := range saved {
					*r.holds(key) = was
				}
			}
		}
	}

	if !r.judges(t.by) {
		return nil
	}
	v := violated(r.check, []*Operation{s.op, t.by, r.holds(t.key).op},
		"%s has revision %d of a write of unknown outcome, which cannot have been done there", t.key, s.position)
	return &v
}

// mayExchange reports whether floating write f may stand at a slot in place of what does, and that
// where f does.
func (r *replay) mayExchange(s *slot, f *Operation) bool {
	if !r.explains(f, s.position, s.told) {
		return false
	}
	p, placed := r.spot[f]
	switch {
	case !placed:
		return len(r.used[f]) == 0
	case p <= s.position:
		return false
	}
	other := r.slotAt(p)
	return r.explains(s.op, p, other.told)
}

// exchange lets floating write f stand at a slot.
func (r *replay) exchange(s *slot, f *Operation) {
	old := s.op
	if f == old {
		return
	}
	delete(r.spot, old)
	r.used[old] = nil
	if p, placed := r.spot[f]; placed {
		r.slotAt(p).op = old
		r.spot[old], r.used[old] = p, Written(old)
	}
	s.op = f
	r.spot[f], r.used[f] = s.position, Written(f)
}

// anotherFloat lets another floating set or delete stand where one does that nobody has looked at
// since, if that one explains what is seen of the key now: of the place only a revision was told.
// It returns what the key holds then.
func (r *replay) anotherFloat(key string, h *shown, seen sights, until int64) (content, bool) {
	at, placed := r.spot[h.op]
	isThere := placed && h.known && h.revision == at && h.position == at
	if !isThere || !h.op.isPlain() {
		return content{}, false
	}

	s := r.slotAt(at)
	for _, f := range r.floats[key] {
		if f == h.op || !f.isPlain() || !r.mayExchange(s, f) {
			continue
		}
		d := attempt(f).deed
		d.claimed, d.revision = true, at
		c, ok := content{revision: at - 1, ends: never, since: h.since}.written(&d)
		if !ok {
			continue
		}
		if as, fits := c.seenAll(seen, until); fits {
			r.exchange(s, f)
			r.changedBy(f, key, at, &c)
			return as, true
		}
	}
	return content{}, false
}

// isPlain reports whether what a write leaves depends on nothing that it finds.
func (o *Operation) isPlain() bool {
	overwrites := o.Type == model.Set || o.Type == model.Delete
	return overwrites && !o.HasIf
}

// changedBy notes what the write that now stands at a place left there.
func (r *replay) changedBy(f *Operation, key string, at uint64, c *content) {
	for i := len(r.changes) - 1; i >= 0 && r.changes[i].position >= at; i-- {
		if x := &r.changes[i]; x.position == at && x.key == key {
			x.value, x.found, x.by = c.value, c.found, f
		}
	}
}

// slotAt returns the slot at a position that has one.
func (r *replay) slotAt(p uint64) *slot {
	i, _ := slices.BinarySearchFunc(r.slots, p, func(s slot, p uint64) int { return cmp.Compare(s.position, p) })
	return &r.slots[i]
}

// floatAs tries one of the ways in which a floating write can have been done. sure: as far as
// everything is told, and no value has ended meanwhile.
func (r *replay) floatAs(f *Operation, parts []part, s *slot, sure bool) bool {
	for i := range parts {
		p := &parts[i]
		h := r.holds(p.key)
		unsure := !sure && r.unsure(p.key, f, s.told[0].at)
		c, ok := h.fits(&p.sight)
		if !ok && !sure {
			c, ok = h.seen(&p.sight, s.told[0].at)
		}
		if !ok && !unsure {
			return false
		}
		if p.deed.kind == leaves {
			continue
		}

		d := p.deed
		d.claimed, d.revision = true, s.position
		c, ok = c.written(&d)
		mayBeAnother := !ok || r.chance != nil
		sumOfUntold := mayBeAnother && unsure && d.kind == adds
		switch {
		case sumOfUntold:
			c = content{opaque: true, found: true, known: true, revision: s.position, ends: never, since: h.since}
		case !ok:
			return false
		}

		if h.found {
			r.gone[write{p.key, h.value}] = f
		}
		next := shown{content: c, op: f, position: s.position}
		told := slices.ContainsFunc(s.told, func(t told) bool { return t.key == p.key })
		if f.Type == model.Txn && !told {
			was := h.content
			next.was = &was
		}
		*h = next
	}

	for i := range s.told {
		t := &s.told[i]
		h := r.holds(t.key)
		as, ok := h.fits(&t.sight)
		sumOfUntold := !sure && r.unsure(t.key, f, t.at) && addsTo(t.key, parts)
		switch {
		case h.opaque && ok:
			h.content = as
		case ok:
		case sumOfUntold && t.sight.kind == sawNumber:
			h.value, h.found = strconv.FormatInt(t.sight.number, 10), true
		case sumOfUntold && t.sight.isNumber():
			h.value, h.found = t.sight.value, t.sight.kind == sawValue
		default:
			return false
		}
	}
	return true
}

// addsTo reports whether steps add to a key.
func addsTo(key string, parts []part) bool {
	return slices.ContainsFunc(parts, func(p part) bool { return p.key == key && p.deed.kind == adds })
}

// unsure reports whether floating writes other than f whose place nothing tells, or the end of a
// value, may have changed a key.
func (r *replay) unsure(key string, f *Operation, at int64) bool {
	untold := slices.ContainsFunc(r.floats[key], func(g *Operation) bool {
		return g != f && len(r.used[g]) == 0 && g.Call <= at
	})
	return untold || len(r.removers[key]) > 0
}
