package history

import (
	"slices"

	"quartet/bus/model"
)

// replay runs through an order and compares what operations saw with what stands there.
type replay struct {
	*order
	judges func(*Operation) bool // of the others what they did counts, and not what they saw

	now     map[string]*shown
	gone    map[write]*Operation // values that have been overwritten, and by what
	changes []change             // that have a position
	guessed bool                 // a floating txn was taken for the cause of one thing that it did
	keys    []string             // all, in order, for lists
}

// shown is what a key holds, and the operation that last showed it.
type shown struct {
	content
	op       *Operation
	position uint64
	was      *content // what it may still hold: a txn of unknown outcome was guessed to have changed it
}

// change is one that the order has at a position.
type change struct {
	position uint64
	key      string
	value    string
	found    bool
	ended    bool // by itself
	idle     bool // there was no value before, either
	opaque   bool
	by       *Operation
	told     []told
}

// newReplay returns a replay of the order w, in which the operations that judges names are judged.
func newReplay(w *order, judges func(*Operation) bool) *replay {
	r := &replay{
		order: w, judges: judges, now: make(map[string]*shown), gone: make(map[write]*Operation),
	}

	keys := make(map[string]bool)
	for _, o := range w.ops {
		for _, key := range w.touched(o) {
			keys[key] = true
		}
		for i := range o.Items {
			keys[o.Items[i].Key] = true
		}
		for i := range o.Events {
			keys[o.Events[i].Key] = true
		}
	}
	delete(keys, "")
	r.keys = sortedKeys(keys)
	return r
}

// run returns the first violation.
func (r *replay) run() *Verdict {
	reads := slices.DeleteFunc(slices.Clone(r.strong), (*Operation).Ordered)
	next := 0
	before := func(p uint64) *Verdict { // reads below position p
		for ; next < len(reads) && reads[next].Position < p; next++ {
			if v := r.read(reads[next]); v != nil {
				return v
			}
		}
		return nil
	}

	for i := range r.slots {
		s := &r.slots[i]
		if v := before(s.position); v != nil {
			return v
		}
		if v := r.fill(s); v != nil {
			return v
		}
	}
	return before(1<<64 - 1)
}

// holds returns what a key holds; it may be changed.
func (r *replay) holds(key string) *shown {
	s := r.now[key]
	if s == nil {
		s = &shown{content: nothingYet}
		r.now[key] = s
	}
	return s
}

// fill executes what stands at a place.
func (r *replay) fill(s *slot) *Verdict {
	switch {
	case s.opaque:
		r.unknown(s)
		return nil
	case s.op == nil:
		return r.end(s)
	case s.op.floating():
		return r.float(s)
	}

	o := s.op
	parts := r.parts[o]
	judged := r.judges(o)
	if judged && o.Type == model.Txn {
		if v := r.branch(o); v != nil {
			return v
		}
	}

	saved := r.save(parts)
	for i := range parts {
		p := &parts[i]
		if judged {
			if v := r.see(o, p.key, sightsAt(parts, i), s.position); v != nil {
				return v
			}
		}
		if v := r.write(o, p, s); v != nil {
			return v
		}
	}

	undone := o.Refused() && o.Type == model.Txn
	if undone {
		for key, was := range saved {
			*r.holds(key) = was
		}
		return nil
	}
	r.note(s, saved)
	return nil
}

// save returns what the keys of parts hold.
func (r *replay) save(parts []part) map[string]shown {
	saved := make(map[string]shown, len(parts))
	for i := range parts {
		saved[parts[i].key] = *r.holds(parts[i].key)
	}
	return saved
}

// write does a deed at a place.
func (r *replay) write(o *Operation, p *part, s *slot) *Verdict {
	h := r.holds(p.key)
	if p.deed.kind == leaves {
		return nil
	}

	next, ok := h.writtenBy(&p.deed, r.until(o))
	sum := !ok && p.deed.kind == adds
	switch {
	case sum && r.judges(o) && !r.unsure(p.key, o, r.until(o)):
		v := violated(r.check, []*Operation{h.op, o}, "a txn at position %d was done past an add to %s, which is no number",
			s.position, held(h.value, h.found))
		return &v
	case sum:
		next, ok = content{opaque: true, found: true, ends: never, since: h.since, revision: h.revision}, true
	}
	if !ok && r.judges(o) {
		v := violated(r.check, []*Operation{h.op, o}, "%s has revision %d at position %d, not above %d, which it had before",
			p.key, p.deed.revision, s.position, h.revision)
		return &v
	}
	if !ok { // whoever judges it says so
		next = content{value: p.deed.value, found: p.deed.kind == puts, ends: p.deed.ends, known: p.deed.claimed, revision: p.deed.revision}
	}

	if h.found {
		r.gone[write{p.key, h.value}] = o
	}
	if next.found {
		delete(r.gone, write{p.key, next.value})
	}
	*h = shown{content: next, op: o, position: s.position}
	return nil
}

// note keeps the changes of a place: of each key the last.
func (r *replay) note(s *slot, before map[string]shown) {
	for _, key := range sortedKeys(before) {
		was, is := before[key], r.holds(key)
		if was.position == s.position || is.position != s.position {
			continue
		}
		r.changes = append(r.changes, change{
			position: s.position, key: key, value: is.value, found: is.found, opaque: is.opaque,
			idle: !is.found && !was.found, by: s.op, told: s.told,
		})
	}
}

// unknown lets a key hold what nothing told, of a known revision.
func (r *replay) unknown(s *slot) {
	t := &s.told[0]
	h := r.holds(t.key)
	next := content{opaque: true, found: true, known: true, revision: s.position, ends: never, since: h.since}
	*h = shown{content: next, op: t.by, position: s.position}
	r.changes = append(r.changes, change{position: s.position, key: t.key, opaque: true, by: t.by, told: s.told})
}

// end ends a value by itself.
func (r *replay) end(s *slot) *Verdict {
	t := &s.told[0]
	h := r.holds(t.key)
	was := *h

	ends := h.found && h.ends <= t.at
	explained := ends || r.untoldEnd(t) || r.exchangedEnd(t, h)
	if !explained && r.judges(t.by) {
		v := r.earlyEnd(t, h)
		return &v
	}
	if h.found {
		r.gone[write{t.key, h.value}] = t.by
	}
	next := h.ended()
	if !ends { // what stood there was overwritten before
		next.since = h.since
	}
	next.known, next.revision = true, s.position
	*h = shown{content: next, op: t.by, position: s.position}
	r.changes = append(r.changes, change{
		position: s.position, key: t.key, ended: true, idle: !was.found, by: t.by, told: s.told,
	})
	return nil
}

// untoldEnd reports whether a floating write whose place nothing tells may have put a value that
// ended, and takes it for the cause.
func (r *replay) untoldEnd(t *told) bool {
	for _, f := range r.floats[t.key] {
		if !r.mayEndAs(f, t) {
			continue
		}
		if len(r.used[f]) == 0 || r.spare(f, t.revision) {
			r.used[f] = []string{t.key}
			return true
		}
	}
	return false
}

// exchangedEnd reports whether what a key holds was put there by a floating write in whose place
// one may stand whose value ended, and lets that stand there. (A list without values tells a
// revision, and not of what.)
func (r *replay) exchangedEnd(t *told, h *shown) bool {
	p, placed := r.spot[h.op]
	if !placed {
		return false
	}
	s := r.slotAt(p)
	for _, f := range r.floats[t.key] {
		other, isPlaced := r.spot[f]
		may := isPlaced && other < p && r.mayEndAs(f, t) && r.explains(f, p, s.told)
		if may && r.explains(h.op, other, r.slotAt(other).told) {
			r.exchange(s, f)
			return true
		}
	}
	return false
}

// mayEndAs reports whether a floating write put a value that may have ended by when it was told.
func (r *replay) mayEndAs(f *Operation, t *told) bool {
	return f.Call <= t.at && slices.ContainsFunc(f.everything(r.judged), func(p part) bool {
		return p.key == t.key && p.deed.kind == puts && p.deed.ends <= t.at
	})
}

// earlyEnd says why a value cannot have ended by itself.
func (r *replay) earlyEnd(t *told, h *shown) Verdict {
	ops := []*Operation{h.op, t.by}
	switch {
	case !h.found:
		return violated(r.check, ops, "%s ended by itself at position %d, and held nothing", t.key, t.revision)
	case h.ends == never:
		return violated(r.check, ops, "%s ended by itself at position %d: it was a value without an end", t.key, t.revision)
	}
	return violated(r.check, ops, "%s ended by itself at position %d, before its TTL was over", t.key, t.revision)
}

// read compares what a read at its position saw.
func (r *replay) read(o *Operation) *Verdict {
	if !r.judges(o) {
		return nil
	}
	switch o.Type {
	case model.List:
		return r.page(o)
	case model.Txn:
		if v := r.branch(o); v != nil {
			return v
		}
	}

	parts := r.parts[o]
	for i := range parts {
		if v := r.see(o, parts[i].key, sightsAt(parts, i), o.Position); v != nil {
			return v
		}
	}
	return nil
}

// see compares what an operation at position p saw of a key, all at one moment.
func (r *replay) see(o *Operation, key string, s sights, p uint64) *Verdict {
	if len(s) == 0 {
		return nil
	}
	h := r.holds(key)
	if c, ok := h.seenAll(s, r.until(o)); ok {
		*h = shown{content: c, op: o, position: p}
		return nil
	}

	if c, ok := r.anotherFloat(key, h, s, r.until(o)); ok {
		*h = shown{content: c, op: o, position: p}
		return nil
	}

	if h.was != nil {
		if c, ok := h.was.seenAll(s, r.until(o)); ok {
			*h = shown{content: c, op: o, position: p}
			return nil
		}
	}

	before := h.op
	if c, ok := r.afterFloats(o, key, s, p); ok {
		if h.found && before != nil {
			r.gone[write{key, h.value}] = o
		}
		*h = shown{content: c, op: o, position: p}
		return nil
	}
	v := r.misread(o, key, h.firstWrong(s, r.until(o)), p, h)
	if r.guessed {
		v.Result = Undecided
	}
	return &v
}

// until is when an operation had seen what it saw.
func (r *replay) until(o *Operation) int64 { return r.asked(o).Return }

// branch checks that a txn took the branch that its conditions say.
func (r *replay) branch(o *Operation) *Verdict {
	if o.Txn == nil || o.Results == nil || o.Results.Succeeded {
		return nil // that they held is part of what it saw
	}

	ops := []*Operation{o}
	for i := range o.Txn.If {
		c := &o.Txn.If[i]
		h := r.holds(c.Key)
		s := checkSight(c)
		if _, ok := h.fits(&s); !ok {
			return nil
		}

		unknown := s.hasRevision && !h.known
		mayHaveEnded := h.found && r.until(o) >= h.ends
		if h.opaque || unknown || mayHaveEnded || r.mayFloat(o, c.Key) {
			return nil
		}
		ops = append(ops, h.op)
	}
	v := violated(r.check, ops, "all conditions of a txn held at its position %d, and it did not take them to hold", o.Position)
	return &v
}

// mayFloat reports whether a floating write may have changed the key before o: it was not needed
// before.
func (r *replay) mayFloat(o *Operation, key string) bool {
	return slices.ContainsFunc(r.floats[key], func(f *Operation) bool {
		p, placed := r.spot[f]
		before := placed && p <= o.Position
		return !before && f.Call <= r.until(o) && r.floor[f] < o.Position
	})
}
