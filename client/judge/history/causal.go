package history

import (
	"maps"

	"quartet/bus/model"
)

const causal = "causal"

// Causal judges causal convergence (CCv: Bouajjani, Enea, Guerraoui and Hamza, "On
// Verifying Causal Consistency", POPL 2017) of model 3 over all keys, with the timestamps
// of the writes as the arbitration. The causal past of an operation is what its session
// did and read before, and what those values depend on in turn.
//
//   - Timestamps are unique and rise along causality.
//   - A get returns a real write, not one that was called after the get returned.
//   - A get never returns a write of its key that is older than one in its causal past,
//     nor nothing where its past holds a write.
//
// Together these suffice: what an operation sees is its causal past, ordered by timestamp. A set
// of unknown outcome counts once a get has returned it. The value of a set of another model
// satisfies any get: how it compares with causal writes is decided by versions, which a history
// does not have; [Steady] and [Eventual] look at those.
//
// A delete is a write of nothing. A page of a list is as many gets, as of when the list was asked
// for: those of the keys that it has, and of the keys that it would have if they had a value.
func Causal(h []Operation) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(causal, "%v", err)
	}
	if _, v := pastsOf(j); v != nil {
		return *v
	}
	return passed(causal)
}

// pastsOf follows the causal pasts of a history's operations, up to the first violation.
func pastsOf(j *judged) (*pasts, *Verdict) {
	c := &pasts{
		judged: j, sessions: make(map[any]past), at: make(map[*Operation]past),
		numbers: make(map[uint64]*Operation), number: make(map[*Operation]uint64), whole: make(map[*Operation]*Operation),
	}

	var ops []*Operation
	for _, o := range j.ops {
		if o.Model != model.Causal {
			continue
		}
		if !prefixed(o.Type) {
			ops = append(ops, o)
		}
		if !o.Writes() || o.Outcome != OK {
			continue
		}

		if o.Timestamp == 0 {
			v := undecided(causal, withoutTimestamp, o)
			return nil, &v
		}
		if v := c.give(o, o.Timestamp, o); v != nil {
			return nil, v
		}
	}
	ops = append(ops, c.listed()...)

	// Writes of unknown outcome have their timestamps from the gets that read them: first from those
	// that returned a value, which says whose timestamp it is. (What is left of a value that has ended
	// has its timestamp, as a delete has its own.)
	for _, found := range [...]bool{true, false} {
		for _, o := range ops {
			told := o.Found || o.Timestamp != 0
			if o.Type != model.Get || o.Found != found || !told {
				continue
			}
			if v := c.match(o); v != nil {
				return nil, v
			}
		}
	}

	for _, e := range timeline(ops) {
		if v := c.observe(e); v != nil {
			return nil, v
		}
	}
	return c, nil
}

// listed returns what pages of lists say as gets.
func (c *pasts) listed() []*Operation {
	pages := pagesOf(c.ops)
	keys := c.allKeys()
	var gets []*Operation
	for _, o := range c.ops {
		if o.Type != model.List || o.Model != model.Causal {
			continue
		}
		p := pages[o]
		get := Operation{
			Client: o.Client, Session: o.Session, Model: model.Causal, Type: model.Get, Replica: o.Replica,
			Call: p.first.Call, Return: o.Return, Outcome: OK,
		}

		for i := range o.Items {
			x, g := &o.Items[i], get
			g.Key, g.Found, g.Output, g.Timestamp = x.Key, true, string(x.Value), x.Timestamp
			w := c.numbers[x.Timestamp]
			if !x.HasValue && w == nil {
				continue // nothing tells which it was
			}
			if !x.HasValue {
				g.Output = w.Value
			}
			gets = append(gets, &g)
			c.whole[&g] = o
		}

		for _, key := range absent(keys, o, p) {
			g := get
			g.Key = key
			gets = append(gets, &g)
			c.whole[&g] = o
		}
	}
	return gets
}

// allKeys lists the keys that the history knows.
func (j *judged) allKeys() []string {
	keys := make(map[string]bool)
	for _, o := range j.ops {
		for _, key := range j.touched(o) {
			keys[key] = true
		}
	}
	return sortedKeys(keys)
}

// broken is a verdict about operations; of what a list says it has the list.
func (c *pasts) broken(ops []*Operation, format string, args ...any) *Verdict {
	for i, o := range ops {
		if list := c.whole[o]; list != nil {
			ops[i] = list
		}
	}
	v := violated(causal, ops, format, args...)
	return &v
}

// seen is the greatest write of its key in a causal past, and the operation of the session that
// brought it there.
type seen struct {
	write *Operation
	via   *Operation
}

// past is a causal past: by key, the greatest write.
type past map[string]seen

// pasts follows the causal pasts of all sessions through time.
type pasts struct {
	*judged
	sessions map[any]past
	at       map[*Operation]past // of a set: what stood before it; of a get: the same at its call
	numbers  map[uint64]*Operation
	number   map[*Operation]uint64
	whole    map[*Operation]*Operation // by get that a page of a list stands for: the page
}

// give notes the timestamp n of the write w, as the operation by tells it.
func (c *pasts) give(w *Operation, n uint64, by *Operation) *Verdict {
	if other := c.numbers[n]; other != nil && other != w {
		return c.broken([]*Operation{w, other, by}, "two causal writes have timestamp %d", n)
	}
	if had := c.number[w]; had != 0 && had != n {
		return c.broken([]*Operation{w, by}, "one causal write has timestamps %d and %d", had, n)
	}
	c.numbers[n], c.number[w] = w, n
	return nil
}

// match finds the write that a get returned, which must exist and have been called by then.
func (c *pasts) match(get *Operation) *Verdict {
	writers := c.writes[write{get.Key, get.Output}]
	if !get.Found {
		writers = c.removers[get.Key]
	}
	ofAdd := get.Found && len(writers) == 0 && c.written(get.Key, get.Output)
	if ofAdd {
		return nil
	}
	if get.Found && len(writers) == 0 {
		v := c.unwritten(causal, get, get.Key, get.Output)
		return &v
	}

	early := len(writers) > 0
	for _, w := range writers {
		early = early && w.Call > get.Return
	}
	if early {
		return c.broken(append([]*Operation{get}, writers...), "a get returned a value that was written after it")
	}

	if get.Timestamp == 0 {
		for _, w := range writers {
			if w.Model != model.Causal {
				return nil
			}
		}
		return c.broken(append([]*Operation{get}, writers...), "a get of a causal write came without its timestamp")
	}

	if w := c.numbers[get.Timestamp]; w != nil {
		if w.Key == get.Key && w.mayShow(get) {
			return nil
		}
		return c.broken([]*Operation{w, get},
			"a get returned timestamp %d with another value than its write has", get.Timestamp)
	}

	for _, w := range writers {
		if w.Model == model.Causal && c.number[w] == 0 {
			return c.give(w, get.Timestamp, get)
		}
	}

	return c.broken(append([]*Operation{get}, writers...),
		"no causal write has the timestamp %d that the get returned", get.Timestamp)
}

// mayShow reports whether a get of the write's key that named its timestamp may have returned what
// it did. (What is left of a value that has ended has the value's timestamp.)
func (o *Operation) mayShow(get *Operation) bool {
	if get.Found {
		return o.Type == model.Set && o.Value == get.Output
	}
	return o.Type == model.Delete || o.ends() <= get.Return
}

// call notes what the session knows when it asks. It may be called again.
func (c *pasts) call(o *Operation) past {
	p, ok := c.at[o]
	if !ok {
		p = maps.Clone(c.sessions[o.session()])
		c.at[o] = p
	}
	return p
}

// observe follows the call or the return of an operation, in the order of time.
func (c *pasts) observe(e event) *Verdict {
	o := e.op
	before := c.call(o)

	switch {
	case !e.returns && o.Writes():
		return c.rises(o, before)
	case !e.returns: // what a get knew at its call is noted
	case o.Writes() && o.Outcome == OK:
		c.learn(o.session(), before, o, o)
	case o.Type == model.Get:
		return c.get(o, before)
	}
	return nil
}

// rises checks that a write's timestamp is above all that it depends on.
func (c *pasts) rises(set *Operation, before past) *Verdict {
	n := c.number[set]
	if n == 0 {
		return nil
	}
	for _, key := range sortedKeys(before) {
		if s := before[key]; c.number[s.write] >= n {
			return c.broken(append(c.chain(s), set),
				"a write has timestamp %d, which is not above %d, the timestamp of a write that it depends on",
				n, c.number[s.write])
		}
	}
	return nil
}

// get checks what a causal get returned against its past, and takes over the write's own past.
func (c *pasts) get(get *Operation, before past) *Verdict {
	s, any := before[get.Key]
	unnumbered := !get.Found && get.Timestamp == 0
	if unnumbered {
		if any && !c.mayBeGone(get, s.write) {
			return c.broken(append(c.chain(s), get),
				"a get found nothing although its causal past holds a write of %s", get.Key)
		}
		return nil
	}
	if get.Timestamp == 0 {
		return nil // the value of another model's set
	}

	w := c.numbers[get.Timestamp]
	if any && c.number[s.write] > get.Timestamp {
		return c.broken(append(c.chain(s), get, w),
			"a get returned timestamp %d although its causal past holds timestamp %d of %s",
			get.Timestamp, c.number[s.write], get.Key)
	}

	c.learn(get.session(), c.call(w), w, get)
	return nil
}

// mayBeGone reports whether something may have removed what write w put, which a get that found
// nothing depends on.
func (c *pasts) mayBeGone(get, w *Operation) bool {
	if w.Type == model.Delete {
		return true
	}
	for _, d := range c.removers[get.Key] {
		n := c.number[d]
		older := n != 0 && n < c.number[w]
		byItself := d.Type == model.Set && d.ends() > get.Return
		if !older && !byItself && d.Call <= get.Return {
			return true
		}
	}
	return false
}

// learn puts a write and what it depends on into a session's past.
func (c *pasts) learn(session any, depends past, w, via *Operation) {
	p := c.sessions[session]
	if p == nil {
		p = make(past)
		c.sessions[session] = p
	}

	if c.number[p[w.Key].write] < c.number[w] {
		p[w.Key] = seen{w, via}
	}
	for key, s := range depends {
		if c.number[p[key].write] < c.number[s.write] {
			p[key] = seen{s.write, via}
		}
	}
}

// chain lists how a write came into a past: the session's get, the write it returned,
// the get before that write, and so on.
func (c *pasts) chain(s seen) []*Operation {
	ops := []*Operation{s.write}
	for via := s.via; via != nil && via != s.write; {
		ops = append(ops, via)
		if via.Type == model.Get {
			w := c.numbers[via.Timestamp]
			ops = append(ops, w)
			if w == s.write {
				break
			}
			via = c.at[w][s.write.Key].via
		} else {
			via = c.at[via][s.write.Key].via
		}
	}
	return ops
}
