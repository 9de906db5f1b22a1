package history

import (
	"hash/maphash"
	"slices"

	"quartet/bus/model"
)

// witness looks for one way in which all of a history can have happened, by trying: at each place
// of the order that no answer has taken a floating write was done, or a value ended by itself, or
// nothing happened that a key shows. Whoever finds one has a history without the question: each
// write that was done has its position and its answer.
//
// It is asked where the likeliest order ([replay]) explains less than everything. What it finds is
// judged by the same checker again, so it can make nothing right that is wrong.
type witness struct {
	*order
	points  []point
	writes  []*Operation // floating, at most mostFloating
	enders  bool         // some value may end by itself
	spans   []span
	accepts func([]Operation) bool

	keys   map[string]int
	state  []content // by key
	hash   uint64    // of state
	seed   maphash.Seed
	undo   []changed
	done   []resolution
	taken  uint64            // which of writes are done
	failed map[dead]struct{} // from where there is no way on
	steps  int
	leaves int
}

// Bounds of the search.
const (
	mostFloating  = 64 // the bits of taken
	mostUntold    = 8  // things that happened at places of which nothing is told
	witnessSteps  = 60_000
	mostWitnesses = 20 // that the checker is asked about
)

// point is a place in the order.
type point struct {
	position uint64
	op       *Operation // whose answer has it
	told     []told     // without op: what was told of it
	reads    []*Operation
	starts   []*start
}

// changed is what a key held before a step of the search.
type changed struct {
	key int
	was content
}

// resolution says where a floating write was done, and what its answer would have been.
type resolution struct {
	write  int
	answer Operation
}

// dead is a state of the search.
type dead struct {
	point, left int
	taken, hash uint64
}

// findWitness reports whether there is a way in which everything can have happened that accepts
// accepts.
func (w *order) findWitness(accepts func([]Operation) bool) bool {
	x := &witness{order: w, accepts: accepts, keys: make(map[string]int), seed: maphash.MakeSeed(), steps: witnessSteps}
	for _, o := range w.ops {
		x.enders = x.enders || slices.ContainsFunc(o.everything(w.judged), func(p part) bool { return p.deed.ends != never })
		if o.floating() {
			x.writes = append(x.writes, o)
		}
	}
	if len(x.writes) == 0 || len(x.writes) > mostFloating {
		return false
	}

	for _, key := range newReplay(w, nil).keys {
		x.keys[key] = len(x.state)
		x.state = append(x.state, nothingYet)
	}
	x.watched()
	x.lay()
	for left := range mostUntold + 1 { // what needs the least that is not told comes first
		x.failed = make(map[dead]struct{})
		if x.from(0, left) {
			return true
		}
	}
	return false
}

// pointAt returns the point of a position, which is made if need be. (It is good until the next
// call.)
func (x *witness) pointAt(p uint64) *point {
	i, found := slices.BinarySearchFunc(x.points, p, func(a point, p uint64) int {
		switch {
		case a.position < p:
			return -1
		case a.position > p:
			return 1
		}
		return 0
	})
	if !found {
		x.points = slices.Insert(x.points, i, point{position: p})
	}
	return &x.points[i]
}

// lay lays out the places of the order: those that answers and tales name and, of those between, as
// many as can matter.
func (x *witness) lay() {
	for _, o := range x.strong {
		p := x.pointAt(o.Position)
		if o.Ordered() {
			p.op = o
		} else {
			p.reads = append(p.reads, o)
		}
	}
	for _, t := range x.tales() {
		p := x.pointAt(t.revision)
		t.at = min(t.at, x.reachedBy(t.revision))
		p.told = append(p.told, t)
	}

	var all []point
	last := uint64(0)
	for _, p := range x.points {
		free := uint64(0)
		if p.position > last {
			free = min(p.position-last-1, mostUntold)
		}
		for k := range free {
			all = append(all, point{position: p.position - free + k})
		}
		all = append(all, p)
		last = p.position
	}
	x.points = all
}

// from tries the points from i on, with left things that nothing tells.
func (x *witness) from(i, left int) bool {
	if x.steps--; x.steps < 0 || x.leaves >= mostWitnesses {
		return false
	}
	if i == len(x.points) {
		return x.isAccepted()
	}
	at := dead{i, left, x.taken, x.hash}
	if _, isDead := x.failed[at]; isDead {
		return false
	}

	p := &x.points[i]
	// Position 0 is before everything: reads of an empty store.
	isUntold := p.op == nil && len(p.told) == 0
	isFirst := p.position == 0
	nothing := isUntold || isFirst
	switch {
	case p.op != nil:
		if x.try(i, left, func() bool { return x.execute(p.op, x.parts[p.op], p.position, nil) }) {
			return true
		}
	case nothing && x.try(i, left, func() bool { return true }):
		return true
	case isFirst, nothing && left == 0:
	default:
		if nothing {
			left--
		}
		if x.ends(i, left) || x.floating(i, left) {
			return true
		}
	}
	x.failed[at] = struct{}{}
	return false
}

// try does a step at point i and goes on, or takes it back.
func (x *witness) try(i, left int, step func() bool) bool {
	mark, done, taken := len(x.undo), len(x.done), x.taken
	if step() && x.agrees(&x.points[i]) && x.from(i+1, left) {
		return true
	}
	x.back(mark)
	x.done, x.taken = x.done[:done], taken
	return false
}

// ends tries the ends of values at point i.
func (x *witness) ends(i, left int) bool {
	if !x.enders {
		return false
	}
	p := &x.points[i]
	by := x.reachedBy(p.position)
	for key, k := range x.keys {
		c := x.state[k]
		mayEnd := c.found && c.ends != never && c.ends <= by
		if !mayEnd || x.hides(key, p.position, nil) {
			continue
		}
		if x.try(i, left, func() bool {
			x.put(k, content{known: true, revision: p.position, ends: never})
			return true
		}) {
			return true
		}
	}
	return false
}

// floating tries the floating writes at point i.
func (x *witness) floating(i, left int) bool {
	p := &x.points[i]
	by := x.reachedBy(p.position)
	for n, f := range x.writes {
		isTaken := x.taken&(1<<n) != 0
		isOutside := x.floor[f] >= p.position || f.Call > by
		isAnother := len(p.told) > 0 && !x.explains(f, p.position, p.told)
		if isTaken || isOutside || isAnother {
			continue
		}
		for branch, parts := range attempts(f) {
			if x.try(i, left, func() bool { return x.float(n, parts, branch, p.position) }) {
				return true
			}
		}
	}
	return false
}

// float does floating write n at a position.
func (x *witness) float(n int, parts []part, branch int, position uint64) bool {
	f := x.writes[n]
	takesElse := f.Type == model.Txn && branch == 1
	if takesElse && x.hold(f.Txn.If) {
		return false
	}

	answer := *f
	answer.Outcome, answer.Code, answer.Return = OK, uint16(model.OK), max(f.Call, x.reachedBy(position))
	answer.Model, answer.Client, answer.Session, answer.Identity = model.Sequential, "", "", ""
	answer.Position, answer.HasRevision, answer.Revision = position, true, position
	var results []model.Result
	before := len(x.undo)
	did := x.execute(f, parts, position, func(p *part, c content) {
		r := model.Result{Code: model.OK}
		isRead := p.deed.kind == leaves
		switch {
		case isRead && !c.found:
			r.Code = model.NotFound
		case isRead:
			r.Value, r.Revision = []byte(c.value), c.revision
		case p.deed.kind == adds:
			r.Value, answer.Output = []byte(c.value), c.value
		}
		results = append(results, r)
	})
	if !did || x.hidesAny(before, position, f) {
		return false
	}

	if f.Type == model.Txn {
		if !takesElse {
			results = results[len(f.Txn.If):]
		}
		answer.Results = &model.Results{Succeeded: !takesElse, Failed: -1, Results: results}
	}
	x.taken |= 1 << n
	x.done = append(x.done, resolution{n, answer})
	return true
}

// isAccepted asks whether the history is right if the writes were done as they are now.
func (x *witness) isAccepted() bool {
	x.leaves++
	answers := make(map[*Operation]*Operation)
	for i := range x.done {
		answers[x.writes[x.done[i].write]] = &x.done[i].answer
	}
	h := make([]Operation, len(x.ops))
	for i, o := range x.ops {
		if a := answers[o]; a != nil {
			o = a
		}
		h[i] = *o
	}
	return x.accepts(h)
}

// hold reports whether all conditions hold.
func (x *witness) hold(checks []model.Check) bool {
	for i := range checks {
		s := checkSight(&checks[i])
		if _, ok := x.state[x.keys[checks[i].Key]].fits(&s); !ok {
			return false
		}
	}
	return true
}

// execute does what an operation did, if that can have been. each, which may be nil, is told of
// each step what its key holds then.
func (x *witness) execute(o *Operation, parts []part, position uint64, each func(*part, content)) bool {
	took := o.Outcome == OK && o.Type == model.Txn && o.Results != nil && o.Txn != nil
	if took && !o.Results.Succeeded && x.hold(o.Txn.If) {
		return false
	}

	mark := len(x.undo)
	for i := range parts {
		p := &parts[i]
		k := x.keys[p.key]
		if _, ok := x.state[k].fits(&p.sight); !ok {
			return false
		}
		if p.deed.kind != leaves {
			d := p.deed
			d.claimed, d.revision = true, position
			next, ok := x.state[k].written(&d)
			if !ok {
				return false
			}
			x.put(k, next)
		}
		if each != nil {
			each(p, x.state[k])
		}
	}
	if o.Refused() {
		x.back(mark)
	}
	return true
}

// agrees reports whether what is told of a point, and what was read at it, is what there is.
func (x *witness) agrees(p *point) bool {
	if p.op == nil {
		for i := range p.told {
			t := &p.told[i]
			c := x.state[x.keys[t.key]]
			if _, ok := c.fits(&t.sight); !ok {
				return false
			}
		}
	}

	for _, o := range p.reads {
		if !x.reads(o) {
			return false
		}
	}

	for _, s := range p.starts {
		if !x.starts(s) {
			return false
		}
	}
	return true
}

// reads reports whether a read saw what there is.
func (x *witness) reads(o *Operation) bool {
	sees := func(key string, s sight) bool {
		_, ok := x.state[x.keys[key]].fits(&s)
		return ok
	}
	if o.Type == model.List {
		for i := range o.Items {
			if !sees(o.Items[i].Key, itemSight(&o.Items[i])) {
				return false
			}
		}
		return !slices.ContainsFunc(absent(sortedKeys(x.keys), o, x.pages[o]), func(key string) bool {
			return !sees(key, sight{kind: sawNothing})
		})
	}
	return x.execute(o, x.parts[o], o.Position, nil)
}

// put lets a key hold something.
func (x *witness) put(k int, c content) {
	x.undo = append(x.undo, changed{k, x.state[k]})
	x.set(k, c)
}

// set lets a key hold something, and keeps the hash of the state, in which each key has its share.
func (x *witness) set(k int, c content) {
	of := func(c content) uint64 {
		return maphash.Comparable(x.seed, struct {
			k int
			c content
		}{k, c})
	}
	x.hash ^= of(x.state[k]) ^ of(c)
	x.state[k] = c
}

// back takes back what was done since there were mark changes.
func (x *witness) back(mark int) {
	for len(x.undo) > mark {
		u := x.undo[len(x.undo)-1]
		x.undo = x.undo[:len(x.undo)-1]
		x.set(u.key, u.was)
	}
}
