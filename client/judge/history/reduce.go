package history

import (
	"cmp"
	"slices"
	"time"

	"quartet/bus/model"
)

// shrink returns a smaller part of ops that still fails, by delta debugging (Zeller and
// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002): keys, then values
// with all that wrote and read them, then single gets, in parts of half of what is left,
// a quarter, and so on. What is left of a correct history without any of these is correct
// again, so what is left of this one is still a counterexample. It stops when tries runs
// out.
func shrink(ops []*Operation, tries int, fails func([]*Operation) bool) []*Operation {
	bounded := func(part []*Operation) bool {
		tries--
		return tries >= 0 && len(part) > 0 && fails(part)
	}
	for before := len(ops) + 1; len(ops) < before; {
		before = len(ops)
		for _, unit := range []func(*Operation) any{byKey, byValue, byGet} {
			ops = without(ops, unit, bounded)
		}
	}
	return ops
}

// byKey, byValue and byGet are the units in which operations are taken away; nil: not at all.
func byKey(o *Operation) any { return o.Key }

func byValue(o *Operation) any {
	switch {
	case o.Type == model.Set:
		return write{o.Key, o.Value}
	case o.Found:
		return write{o.Key, o.Output}
	}
	return nil
}

func byGet(o *Operation) any {
	if o.Type == model.Get {
		return o
	}
	return nil
}

// without takes away as many units of ops as it can while the rest fails.
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
	fails := func(part []*Operation) bool {
		return time.Now().Before(deadline) && again(values(part)).Result == Violated
	}
	keys := make(map[string]bool)
	for i := range v.Operations {
		keys[v.Operations[i].Key] = true
	}

	all := pointers(h)
	sameKeys := slices.DeleteFunc(slices.Clone(all), func(o *Operation) bool { return !keys[o.Key] })

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
		if small.Result == Violated { // else the deadline was met
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

// closed adds to ops every set of a value that one of them returned or wrote: without it
// a get would seem to have returned what nobody wrote.
func closed(ops, all []*Operation) []*Operation {
	told, there := make(map[any]bool), make(map[*Operation]bool)
	for _, o := range ops {
		told[byValue(o)], there[o] = true, true
	}

	ops = slices.Clone(ops)
	for _, o := range all {
		if o.Type != model.Set || !told[byValue(o)] || there[o] {
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

func pointers(h []Operation) []*Operation {
	ops := make([]*Operation, len(h))
	for i := range h {
		ops[i] = &h[i]
	}
	return ops
}

func values(ops []*Operation) []Operation {
	h := make([]Operation, len(ops))
	for i, o := range ops {
		h[i] = *o
	}
	return h
}
