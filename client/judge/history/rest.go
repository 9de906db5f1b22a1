package history

import (
	"fmt"
	"reflect"
	"slices"

	"quartet/bus/model"
)

const (
	steady    = "steady"
	onlyOnce  = "only once"
	converged = "converged"
	eventual  = "eventual"
)

// Steady judges the gets of models 3 and 4: no replica, on one key, shows a value, then another,
// then the first again. Versions at a replica only rise, so a value that has gone stays away; a
// value that comes back was written twice. Gets that overlap have no order, and values that
// several sets wrote say nothing, nor does no value where something may have removed one twice.
//
// One thing is allowed by the contract and refused here: after the crash of a master, a
// weak set that is sent again may show once more in passing.
func Steady(h []Operation) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(steady, "%v", err)
	}
	type register struct{ replica, key string }
	gets := make(map[register][]*Operation)
	var registers []register
	for _, o := range j.ops { // by call
		if o.Type != model.Get || o.Model.Strong() || o.Replica == "" {
			continue
		}
		again := j.adders[o.Key] || len(j.writes[write{o.Key, o.Output}]) > 1
		if !o.Found {
			again = len(j.removers[o.Key]) > 0
		}
		if again {
			continue // it may have been written, or removed, again
		}
		at := register{o.Replica, o.Key}
		if gets[at] == nil {
			registers = append(registers, at)
		}
		gets[at] = append(gets[at], o)
	}

	for _, at := range registers {
		if a, b, c := comesBack(gets[at]); a != nil {
			return violated(steady, []*Operation{a, b, c},
				"replica %s showed a value of %s, then another, then the first again", at.replica, at.key)
		}
	}
	return passed(steady)
}

// comesBack finds gets a, b, c, each of which returned before the next was called, so that a and c
// agree and b does not.
func comesBack(gets []*Operation) (a, b, c *Operation) {
	same := func(a, b *Operation) bool { return a.Found == b.Found && a.Output == b.Output }
	earliest := func(from []*Operation, limit int64, fits func(*Operation) bool) *Operation {
		var best *Operation
		for _, o := range from {
			sooner := best == nil || o.Return < best.Return
			if o.Call > limit && fits(o) && sooner {
				best = o
			}
		}
		return best
	}

	first := make(map[string]bool)
	for _, x := range gets {
		name := fmt.Sprintf("%t%s", x.Found, x.Output)
		if first[name] {
			continue
		}
		first[name] = true

		a = earliest(gets, -1<<63, func(o *Operation) bool { return same(o, x) })
		if a == nil {
			continue
		}
		if b = earliest(gets, a.Return, func(o *Operation) bool { return !same(o, a) }); b == nil {
			continue
		}
		if c = earliest(gets, b.Return, func(o *Operation) bool { return same(o, a) }); c != nil {
			return a, b, c
		}
	}
	return nil, nil, nil
}

// Effect is one execution of a write, as the replicas' common order has it.
type Effect struct {
	Identity string // of the request; "" if it had none
	ID       uint64 // rID
	Key      string
	Value    string
	Position uint64
}

// OnlyOnce judges that no write takes effect twice: the sendings of one identity are answered
// alike, no two writes share a number, and among effects, which may be nil where they are not
// known, no request appears twice. With effects, every write that was done is among them, and none
// that was refused.
func OnlyOnce(h []Operation, effects []Effect) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(onlyOnce, "%v", err)
	}
	if v := answeredAlike(h); v != nil {
		return *v
	}

	done := make(map[request]Effect)
	for _, e := range effects {
		n := requestOf(e.Identity, e.ID)
		if first, again := done[n]; again {
			return violated(onlyOnce, j.writes[write{e.Key, e.Value}],
				"request %q (#%d) took effect at position %d and again at %d", e.Identity, e.ID, first.Position, e.Position)
		}
		done[n] = e
	}

	if effects == nil {
		return passed(onlyOnce)
	}

	executed := make(map[request]bool)
	for _, o := range j.ops {
		if !o.Writes() || o.Refused() {
			continue
		}
		executed[requestOf(o.Identity, o.ID)] = true

		changed := o.Type != model.Txn || len(j.wrote(o)) > 0
		if _, ok := done[requestOf(o.Identity, o.ID)]; !ok && changed && o.Outcome == OK {
			return violated(onlyOnce, []*Operation{o}, "a %s was answered and never took effect", o.Type.Word())
		}
	}

	for _, o := range j.failed {
		name := requestOf(o.Identity, o.ID)
		_, did := done[name]
		written := executed[name] || len(j.writes[write{o.Key, o.Value}]) > 0 // another sending, perhaps
		named := o.Identity != "" || o.ID != 0
		if did && !written && named {
			return violated(onlyOnce, []*Operation{o}, "a %s was refused as not executed and took effect", o.Type.Word())
		}
	}
	return passed(onlyOnce)
}

// request names a request, whichever of its sendings.
type request struct {
	identity string
	id       uint64
}

// requestOf names a request by its identity or, if it has none, by its rID.
func requestOf(identity string, id uint64) request {
	if identity != "" {
		return request{identity: identity}
	}
	return request{id: id}
}

// answeredAlike compares the answers to the sendings of one identity, and the numbers of
// different writes. The rID of an eventual one may differ: after the crash of a master one
// replica may answer for the second sending before it hears of the first.
func answeredAlike(h []Operation) *Verdict {
	type number struct {
		causal bool
		n      uint64
	}
	byIdentity := make(map[string]*Operation)
	byNumber := make(map[number]*Operation)
	for i := range h {
		o := &h[i]
		if !o.Writes() || o.Outcome != OK {
			continue
		}

		if first := byIdentity[o.Identity]; o.Identity != "" && first != nil {
			if !first.sameOutcome(o) {
				v := violated(onlyOnce, []*Operation{first, o}, "two sendings of one %s were answered with two outcomes", o.Type.Word())
				return &v
			}
			continue
		}
		byIdentity[o.Identity] = o

		n := number{causal: o.Model == model.Causal, n: o.Position}
		if n.causal {
			n.n = o.Timestamp
		}
		if n.n == 0 || o.Model == model.Eventual {
			continue // eventual writes have no number
		}

		if other := byNumber[n]; other != nil {
			v := violated(onlyOnce, []*Operation{other, o}, "two writes have number %d", n.n)
			return &v
		}
		byNumber[n] = o
	}
	return nil
}

// sameOutcome reports whether two answers to one request say the same.
func (o *Operation) sameOutcome(p *Operation) bool {
	otherID := o.ID != p.ID && o.Model != model.Eventual
	sameNumbers := o.Position == p.Position && o.Timestamp == p.Timestamp && o.Revision == p.Revision
	sameAnswer := o.Refused() == p.Refused() && o.Output == p.Output && reflect.DeepEqual(o.Results, p.Results)
	return sameNumbers && sameAnswer && !otherID
}

// Converged judges stores at rest, by replica: all hold the same keys and values.
func Converged(stores map[string]map[string]string) Verdict {
	replicas := sortedKeys(stores)
	for _, r := range replicas {
		first, other := stores[replicas[0]], stores[r]
		for _, pair := range [][2]map[string]string{{first, other}, {other, first}} {
			for _, key := range sortedKeys(pair[0]) {
				a, okA := first[key]
				b, okB := other[key]
				if a != b || okA != okB {
					return violated(converged, nil, "replica %s has %s under %s, replica %s has %s",
						replicas[0], held(a, okA), key, r, held(b, okB))
				}
			}
		}
	}
	return passed(converged)
}

// held says what a key holds, for people.
func held(value string, ok bool) string {
	if !ok {
		return "nothing"
	}
	return fmt.Sprintf("%q", value)
}

// Eventual judges the values at rest against the writes of all models: every value was written
// under its key by a write that was not refused, no key is without one whose set was answered,
// unless something removed it, and of two writes that did not overlap the later one stays: what was
// deleted does not come back.
func Eventual(h []Operation, final map[string]string) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(eventual, "%v", err)
	}
	keys := j.allKeys()
	for key := range final {
		keys = append(keys, key)
	}
	slices.Sort(keys)

	for _, key := range slices.Compact(keys) {
		value, found := final[key]
		if v := j.stays(key, value, found); v != nil {
			return *v
		}
	}
	return passed(eventual)
}

// stays judges what one key holds at rest.
func (j *judged) stays(key, value string, found bool) *Verdict {
	var v Verdict
	writers := j.removers[key]
	if found {
		writers = j.writes[write{key, value}]
	}

	if found && !j.written(key, value) {
		for _, f := range j.failed {
			ofSet := f.Key == key && f.Value == value
			if ofSet || f.wrote(key, value) {
				v = violated(eventual, []*Operation{f}, "a set was refused as not executed, and its value stayed")
				return &v
			}
		}
		v = violated(eventual, nil, "%s holds %q, which nobody wrote", key, value)
		return &v
	}

	mayBeSum := found && len(writers) == 0 // of adds of unknown outcome
	if mayBeSum {
		return nil
	}
	for _, o := range j.writers[key] {
		matters := found || o.Type != model.Delete
		if !matters || o.Outcome != OK {
			continue
		}
		if v := j.overwrites(o, key, found, writers); v != nil {
			return v
		}
	}
	return nil
}

// overwrites reports that a write of the key was answered, and called after all that can have left
// what the key holds.
func (j *judged) overwrites(o *Operation, key string, found bool, writers []*Operation) *Verdict {
	for _, w := range writers {
		stays := w.Outcome != OK || w.Return >= o.Call
		if stays {
			return nil
		}
	}

	ops := append([]*Operation{o}, writers...)
	var v Verdict
	switch {
	case !found && len(writers) == 0:
		v = violated(eventual, ops, "a set was answered, and its key holds nothing")
	case !found:
		v = violated(eventual, ops, "%s holds nothing, and a %s of it was called after all that removed it", key, o.Type.Word())
	case o.Type == model.Delete:
		v = violated(eventual, ops, "%s came back: it holds a value that had been answered before it was deleted", key)
	default:
		v = violated(eventual, ops, "%s holds a value that had been answered before a later set was called", key)
	}
	return &v
}
