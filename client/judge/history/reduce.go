package history

import (
	"cmp"
	"slices"
	"time"

	"quartet/bus/model"
)

// shrink returns a smaller part of ops that still fails, by delta debugging (Zeller and
// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002): keys, then values
// with all that wrote and read them, then single reads, in parts of half of what is left,
// a quarter, and so on. What is left of a correct history without any of these is correct
// again, so what is left of this one is still a counterexample. (A value is not taken away of a key
// with more than plain sets and gets: conditions, sums and deletes hang together.) It stops when
// tries runs out.
func shrink(ops []*Operation, tries int, fails func([]*Operation) bool) []*Operation {
	bounded := func(part []*Operation) bool {
		tries--
		return tries >= 0 && len(part) > 0 && fails(part)
	}
	u := unitsOf(ops)
	for before := len(ops) + 1; len(ops) < before; {
		before = len(ops)
		for _, unit := range []func(*Operation) any{u.byKeys, u.byValue, byRead} {
			ops = without(ops, unit, bounded)
		}
	}
	return ops
}

// units says what can be taken away together.
type units struct {
	group map[string]string // by key: the name of its group, the keys that txns tie together
	plain map[string]bool   // keys with plain sets and gets only
}

// unitsOf returns which keys hang together in these operations, and which of them are plain.
func unitsOf(ops []*Operation) units {
	u := units{group: make(map[string]string), plain: make(map[string]bool)}

	// The groups are a union-find structure: find returns the name of a key's group so far.
	var find func(key string) string
	find = func(key string) string {
		if g, ok := u.group[key]; ok && g != key {
			return find(g)
		}
		u.group[key] = key
		return key
	}

	for _, o := range ops {
		keys := o.keys()
		for _, key := range keys {
			if _, known := u.plain[key]; !known {
				u.plain[key] = true
			}
			if !o.plain() {
				u.plain[key] = false
			}
			u.group[find(key)] = find(keys[0])
		}
	}
	for key := range u.group {
		u.group[key] = find(key)
	}
	return u
}

// plain reports whether the operation is a set or a get and nothing else.
func (o *Operation) plain() bool {
	set := o.Type == model.Set && !o.HasIf && o.TTL == 0
	return set || o.Type == model.Get
}

// keys lists the keys that an operation names.
func (o *Operation) keys() []string {
	switch {
	case o.Type.HasKey():
		return []string{o.Key}
	case o.Txn == nil:
		return nil
	}
	var keys []string
	for i := range o.Txn.If {
		keys = append(keys, o.Txn.If[i].Key)
	}
	for _, steps := range [...][]model.Step{o.Txn.Then, o.Txn.Else} {
		for i := range steps {
			keys = append(keys, steps[i].Key)
		}
	}
	return keys
}

// byKeys takes an operation away with all operations on the group of its keys; nil: not at all.
func (u *units) byKeys(o *Operation) any {
	if keys := o.keys(); len(keys) > 0 {
		return u.group[keys[0]]
	}
	return nil
}

// byValue takes an operation away with all that wrote or read its value; nil: not at all.
func (u *units) byValue(o *Operation) any {
	if !u.plain[o.Key] {
		return nil
	}
	return valueOf(o)
}

// valueOf is the value that an operation set or read, under its key; nil: none.
func valueOf(o *Operation) any {
	switch {
	case o.Type == model.Set:
		return write{o.Key, o.Value}
	case o.Found:
		return write{o.Key, o.Output}
	}
	return nil
}

// byRead takes an operation that changes nothing away by itself; nil: not at all.
func byRead(o *Operation) any {
	if o.changes() {
		return nil
	}
	return o
}

// without takes away as many units of ops as it can while the rest fails: first half of them at
// once, then a quarter, and so on down to one.
func without(ops []*Operation, unit func(*Operation) any, fails func([]*Operation) bool) []*Operation {
	units, known := []any(nil), make(map[any]bool)
	for _, o := range ops {
		if u := unit(o); u != nil && !known[u] {
			known[u] = true
			units = append(units, u)
		}
	}

	for size := (len(units) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < len(units); {
			gone := make(map[any]bool)
			for _, u := range units[from:min(from+size, len(units))] {
				gone[u] = true
			}

			rest := slices.DeleteFunc(slices.Clone(ops), func(o *Operation) bool { return gone[unit(o)] })
			if fails(rest) {
				ops, units = rest, slices.Delete(units, from, min(from+size, len(units)))
				continue
			}
			from += size
		}
	}
	return ops
}

// reduce makes a violated verdict's counterexample one that is violated by itself, and as
// small as can be found before the deadline. again judges a part of the history.
func reduce(v Verdict, h []Operation, deadline time.Time, again func([]Operation) Verdict) Verdict {
	exact := v.Check == watches || v.Check == lists || v.Check == transactions || v.Check == revisions
	still := func(w Verdict) bool { // not by what a part lacks
		lacks := w.rule == nobodyWrote && v.rule != nobodyWrote
		other := exact && w.rule != v.rule
		return w.Result == Violated && !lacks && !other
	}
	fails := func(part []*Operation) bool {
		return time.Now().Before(deadline) && still(again(values(part)))
	}

	all := pointers(h)
	groups := unitsOf(all)
	keys := make(map[any]bool)
	for i := range v.Operations {
		keys[groups.byKeys(&v.Operations[i])] = true
	}
	sameKeys := slices.DeleteFunc(slices.Clone(all), func(o *Operation) bool { return !keys[groups.byKeys(o)] })

	// Where to start, the smallest first: what the checker named as it was recorded, as the
	// checker saw it, all operations on its keys, everything.
	starts := [][]*Operation{
		closed(asRecorded(v.Operations, all), all), closed(pointers(v.Operations), all), sameKeys, all,
	}
	for _, start := range starts {
		if !fails(start) {
			continue
		}

		const tries = 10_000 // the deadline comes first, except for tiny histories
		part := values(shrink(start, tries, fails))
		small := again(part)
		if still(small) { // else the deadline was met
			small.Operations = part
			slices.SortStableFunc(small.Operations, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
			return small
		}
	}
	return v
}

// asRecorded finds the operations of a counterexample in the history: the checker may have joined
// operations, or cut off their ends.
func asRecorded(ops []Operation, all []*Operation) []*Operation {
	type deed struct {
		client, session, key, value, output string
		call                                int64
	}
	name := func(o *Operation) deed { return deed{o.Client, o.Session, o.Key, o.Value, o.Output, o.Call} }

	wanted := make(map[deed]bool)
	for i := range ops {
		wanted[name(&ops[i])] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(o *Operation) bool { return !wanted[name(o)] })
}

// closed adds to ops every write of a value that one of them returned or wrote: without it
// a get would seem to have returned what nobody wrote. Of a key with more than plain sets and gets
// it adds all that changed it, or may have.
func closed(ops, all []*Operation) []*Operation {
	u := unitsOf(all)
	told, there := make(map[any]bool), make(map[*Operation]bool)
	whole := make(map[string]bool)
	for _, o := range ops {
		told[valueOf(o)], there[o] = true, true
		for _, s := range sightsOf(o) {
			told[write{s.key, s.value}] = true
			whole[s.key] = whole[s.key] || !u.plain[s.key]
		}

		for _, key := range o.keys() {
			whole[u.group[key]] = whole[u.group[key]] || !u.plain[key]
		}
	}

	ops = slices.Clone(ops)
	for _, o := range all {
		wanted := told[valueOf(o)] && o.Type == model.Set

		for _, key := range o.keys() {
			ofGroup := whole[key] || whole[u.group[key]]
			ofWhole := ofGroup && o.changes()
			wanted = wanted || ofWhole
		}
		if !wanted || there[o] {
			continue
		}

		same := func(p *Operation) bool { return p.Call == o.Call && p.sameAs(o) }
		if !slices.ContainsFunc(ops, same) {
			ops = append(ops, o)
		}
	}
	return ops
}

// sameAs reports whether two operations were the same request of one session, whenever.
func (o *Operation) sameAs(p *Operation) bool {
	return o.Client == p.Client && o.Session == p.Session && o.Type == p.Type && o.Key == p.Key && o.Value == p.Value
}

// pointers returns the operations of a history by their addresses.
func pointers(h []Operation) []*Operation {
	ops := make([]*Operation, len(h))
	for i := range h {
		ops[i] = &h[i]
	}
	return ops
}

// values returns a history of these operations.
func values(ops []*Operation) []Operation {
	h := make([]Operation, len(ops))
	for i, o := range ops {
		h[i] = *o
	}
	return h
}
