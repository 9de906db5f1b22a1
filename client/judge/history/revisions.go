package history

import (
	"cmp"
	"slices"

	"quartet/bus/model"
)

const revisions = "revisions"

// Revisions judges what answers, items and events of all models tell of revisions:
//
//   - A write of models 1 and 2 that was done has its position as its revision.
//   - One revision of a key has one value, and one end.
//   - Two keys share a revision only if one txn wrote both.
//   - Of two strong writes of a key the one that was called after the other had returned has the
//     higher revision.
func Revisions(h []Operation) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(revisions, "%v", err)
	}

	for _, check := range []func() *Verdict{j.ownRevisions, j.oneChange, j.rising} {
		if v := check(); v != nil {
			return *v
		}
	}
	return passed(revisions)
}

// ownRevisions compares the revisions of writes with their positions.
func (j *judged) ownRevisions() *Verdict {
	for _, o := range j.ops {
		done := o.Ordered() && o.Outcome == OK && !o.Refused()
		if done && o.HasRevision && o.Position != 0 && o.Revision != o.Position {
			v := violated(revisions, []*Operation{o}, "a write at position %d has revision %d", o.Position, o.Revision)
			return &v
		}
	}
	return nil
}

// about is what was told of one revision of one key.
type about struct {
	key      string
	sight    sight
	expires  uint64
	ends     bool // expires is told, even if it is 0
	by       *Operation
	revision uint64
}

// abouts lists what was told of revisions, in their order. (What builds of before revisions had
// left all has revision 1: that says nothing.)
func (j *judged) abouts() []about {
	var list []about
	add := func(a about) {
		if a.sight.hasRevision && a.revision > 1 {
			list = append(list, a)
		}
	}

	for _, o := range j.ops {
		for i := range j.parts[o] {
			p := &j.parts[o][i]
			own := o.Type == model.Txn && o.HasRevision && p.sight.revision == o.Revision
			if own {
				continue // what its own steps had left by then
			}
			a := about{key: p.key, sight: p.sight, by: o, revision: p.sight.revision}
			a.ends, a.expires = o.Type == model.Get, o.Expires
			add(a)

			if d := &p.deed; d.claimed && o.Type != model.Txn {
				s := sight{kind: sawNothing, hasRevision: true}
				if d.kind == puts {
					s.kind, s.value = sawValue, d.value
				}
				add(about{key: p.key, sight: s, by: o, revision: d.revision})
			}
		}

		for i := range o.Items {
			x := &o.Items[i]
			add(about{key: x.Key, sight: itemSight(x), expires: x.Expires, ends: true, by: o, revision: x.Revision})
		}
		for i := range o.Events {
			e := &o.Events[i]
			add(about{key: e.Key, sight: e.sight(), by: o, revision: e.Revision})
		}
	}

	slices.SortStableFunc(list, func(a, b about) int { return cmp.Compare(a.revision, b.revision) })
	return list
}

// oneChange compares all that is told of each revision.
func (j *judged) oneChange() *Verdict {
	several := make(map[uint64]bool) // of txns: they write several keys
	for _, o := range j.ops {
		if o.Type == model.Txn && o.Outcome == OK {
			several[o.Position] = true
		}
	}
	unknownTxns := slices.ContainsFunc(j.ops, func(o *Operation) bool { return o.Type == model.Txn && o.Outcome != OK })

	list := j.abouts()
	var first *about // of a revision
	most := make(map[string]*about)
	for i := range list {
		a := &list[i]
		if first == nil || first.revision != a.revision {
			first = a
			clear(most)
		}
		shared := a.key != first.key && !several[a.revision] && !unknownTxns
		if shared {
			v := violated(revisions, []*Operation{first.by, a.by}, "%s and %s both have revision %d", first.key, a.key, a.revision)
			return &v
		}

		told := most[a.key]
		if told == nil {
			most[a.key] = a
			continue
		}
		if v := told.differs(a); v != nil {
			return v
		}
		if a.tells() > told.tells() {
			most[a.key] = a
		}
	}
	return nil
}

// tells says how much is told.
func (a *about) tells() int {
	n := 0
	if a.sight.kind != sawAnything {
		n++
	}
	if a.sight.kind == sawValue || a.sight.kind == sawNothing {
		n++
	}
	if a.ends {
		n++
	}
	return n
}

// differs compares what was told of one revision of one key.
func (a *about) differs(b *about) *Verdict {
	ops := []*Operation{a.by, b.by}
	oneNothing := a.sight.kind == sawNothing && b.sight.ofValue()
	otherNothing := b.sight.kind == sawNothing && a.sight.ofValue()
	bothValues := a.sight.kind == sawValue && b.sight.kind == sawValue

	switch {
	case bothValues && a.sight.value != b.sight.value:
		v := violated(revisions, ops, "revision %d of %s has the value %q, and %q", a.revision, a.key, a.sight.value, b.sight.value)
		return &v
	case oneNothing, otherNothing:
		v := violated(revisions, ops, "revision %d of %s is a value, and is none", a.revision, a.key)
		return &v
	case a.ends && b.ends && a.expires != b.expires:
		v := violated(revisions, ops, "revision %d of %s ends at two times", a.revision, a.key)
		return &v
	}
	return nil
}

// rising compares the revisions of a key's writes that did not overlap.
func (j *judged) rising() *Verdict {
	type end struct {
		o        *Operation
		revision uint64
	}
	highest := make(map[string]end) // by key: of the writes that have returned

	for _, e := range timeline(j.ops) {
		o := e.op
		done := o.Ordered() && o.Outcome == OK && !o.Refused() && o.HasRevision
		if !done {
			continue
		}

		for _, key := range j.wrote(o) {
			last := highest[key]
			if e.returns {
				if o.Revision > last.revision {
					highest[key] = end{o, o.Revision}
				}
				continue
			}

			if last.o != nil && o.Revision <= last.revision {
				v := violated(revisions, []*Operation{last.o, o},
					"%s had revision %d, and a later write has revision %d", key, last.revision, o.Revision)
				return &v
			}
		}
	}
	return nil
}
