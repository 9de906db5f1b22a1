package history

import (
	"strconv"

	"quartet/bus/model"
)

// partsOf returns what an operation that was answered saw and did, step by step. What a txn of
// which a step could not be done did is taken back: see [Operation.Refused].
func partsOf(o *Operation) []part {
	switch o.Type {
	case model.Get:
		return []part{{key: o.Key, sight: found(o.Found, o.Output, o.HasRevision, o.Revision)}}
	case model.Set, model.Delete, model.Add:
		p := part{key: o.Key}
		if o.Refused() {
			p.sight = refusedSight(o)
			return []part{p}
		}
		p.sight, p.deed = doneSingle(o, o.Output)
		p.deed.claimed, p.deed.revision = o.HasRevision, o.Revision
		return []part{p}
	case model.Txn:
		return partsOfTransaction(o)
	}
	return nil
}

// found is the sight of a get.
func found(is bool, value string, hasRevision bool, revision uint64) sight {
	if !is {
		return sight{kind: sawNothing}
	}
	return sight{kind: sawValue, value: value, hasRevision: hasRevision && revision > 0, revision: revision}
}

// doneSingle returns what a set, a delete, or an add with its sum, saw if it was done, and did.
func doneSingle(o *Operation, sum string) (s sight, d deed) {
	switch {
	case o.HasIf && o.If == 0:
		s.kind = sawNothing
	case o.HasIf:
		s.hasRevision, s.revision = true, o.If
	}

	switch o.Type {
	case model.Set:
		d = deed{kind: puts, value: o.Value, ends: o.ends()}
	case model.Delete:
		d = deed{kind: removes}
	case model.Add:
		d = deed{kind: puts, value: sum, ends: never, keepsEnd: true}
		before, ok := addedTo(o.Value, sum)
		createsFromNothing := s.kind == sawNothing
		switch {
		case !ok, createsFromNothing && before != 0:
			s.kind = sawContradiction
		case !createsFromNothing:
			s.kind, s.number = sawNumber, before
		}
	}
	return s, d
}

// addedTo returns the number that an add of delta made sum of.
func addedTo(delta, sum string) (int64, bool) {
	d, err := strconv.ParseInt(delta, 10, 64)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(sum, 10, 64)
	if err != nil {
		return 0, false
	}
	before := n - d
	back, fits := plus(before, d)
	return before, fits && back == n
}

// refusedSight is what a set, delete or add saw whose condition did not hold, or which could not be
// added.
func refusedSight(o *Operation) sight {
	var s sight
	now, told := o.Revision, o.HasRevision
	exists := told && now > 0
	delta, _ := strconv.ParseInt(o.Value, 10, 64)

	switch {
	case o.Type == model.Add && !o.HasIf:
		s = sight{kind: sawNoNumber, number: delta}
	case !o.HasIf:
		s.kind = sawContradiction
	case o.Type == model.Add && exists && now == o.If: // the condition held
		s = sight{kind: sawNoNumber, number: delta}
	case o.Type == model.Add && !told: // either of the two
	case o.If == 0:
		s.kind = sawSomething
	case exists && now == o.If:
		s.kind = sawContradiction
	case exists:
		s.kind = sawSomething
	case told:
		s.kind = sawNothing
	default:
		s.hasOther, s.other = true, o.If
	}

	if !told || s.kind == sawContradiction {
		return s
	}
	if now > 0 {
		s.hasRevision, s.revision = true, now
	} else if s.kind != sawNothing {
		s.kind = sawContradiction // it says that there is no value
	}
	return s
}

// ends returns the earliest moment at which a value that o sets may end by itself.
func (o *Operation) ends() int64 { return o.endsAfter(o.TTL) }

// endsAfter returns the earliest moment at which a value of o with a TTL, in milliseconds, may end.
func (o *Operation) endsAfter(ttl uint64) int64 {
	switch {
	case ttl == 0:
		return never
	case o.Ends != 0:
		return o.Ends
	}
	const msec = 1_000_000 // in nanoseconds
	return o.Call + int64(min(ttl, model.MaxTTL))*msec
}

// partsOfTransaction takes from its results what a txn saw and did.
func partsOfTransaction(o *Operation) []part {
	t, r := o.Txn, o.Results
	if t == nil || r == nil {
		return nil
	}
	var parts []part
	steps := t.Else
	if r.Succeeded {
		steps = t.Then
		parts = checkParts(t.If)
	}

	last := len(steps)
	if o.Refused() {
		last = min(r.Failed+1, last)
	}
	wrote := make(map[string]bool)
	for i := range last {
		s := stepOperation(&steps[i])
		s.Model, s.Outcome, s.Call, s.Ends = o.Model, OK, o.Call, o.Ends
		s.HasRevision, s.Revision = o.HasRevision, o.Revision

		fails := o.Refused() && i == r.Failed
		p := stepPart(s, r, i, fails)
		if fails && mayBeTooMuch(steps[:i+1], r) {
			p.sight = sight{kind: sawSomething}
		}
		p.deed.again = wrote[p.key]
		wrote[p.key] = wrote[p.key] || p.deed.kind != leaves
		parts = append(parts, p)
	}
	return parts
}

// stepPart is what step i of a txn saw and did.
func stepPart(s *Operation, r *model.Results, i int, fails bool) part {
	p := part{key: s.Key}
	if fails {
		s.HasRevision = false // what it says is the txn's
		s.Code = uint16(model.Failed)
		p.sight = refusedSight(s)
		return p
	}

	var result model.Result
	told := i < len(r.Results)
	if told {
		result = r.Results[i]
	}

	switch {
	case s.Type == model.Get && !told:
	case s.Type == model.Get:
		p.sight = found(result.Code == model.OK, string(result.Value), result.Revision > 0, result.Revision)
	case s.Type == model.Add && !told: // of a txn that was not done
		delta, _ := strconv.ParseInt(s.Value, 10, 64)
		p.deed = deed{kind: adds, number: delta}
	default:
		p.sight, p.deed = doneSingle(s, string(result.Value))
		p.deed.claimed, p.deed.revision = s.HasRevision && told, s.Revision
	}
	return p
}

// mayBeTooMuch reports whether the last of some steps of a txn is a get that may have been refused
// because what is read comes to more than an answer holds: one value alone does not.
func mayBeTooMuch(steps []model.Step, r *model.Results) bool {
	last := len(steps) - 1
	if steps[last].Type != model.Get {
		return false
	}
	for i := range last {
		hasValue := steps[i].Type == model.Get || steps[i].Type == model.Add
		isEmpty := i < len(r.Results) && len(r.Results[i].Value) == 0
		if hasValue && !isEmpty {
			return true
		}
	}
	return false
}

// checkParts are the conditions of a txn that all held.
func checkParts(checks []model.Check) []part {
	var parts []part
	for i := range checks {
		parts = append(parts, part{key: checks[i].Key, sight: checkSight(&checks[i])})
	}
	return parts
}

// checkSight is what a condition that holds has seen.
func checkSight(c *model.Check) sight {
	switch {
	case c.HasRevision && c.Revision == 0, c.HasExists && !c.Exists:
		return sight{kind: sawNothing}
	case c.HasRevision:
		return sight{hasRevision: true, revision: c.Revision}
	case c.HasExists:
		return sight{kind: sawSomething}
	}
	return sight{kind: sawValue, value: string(c.Value)}
}

// attempts returns what a write that had no answer may have done: one list of steps or, of a txn,
// one for each of its branches.
func attempts(o *Operation) [][]part {
	if o.Type != model.Txn {
		return [][]part{{attempt(o)}}
	}
	if o.Txn == nil {
		return nil
	}

	var lists [][]part
	for i, steps := range [...][]model.Step{o.Txn.Then, o.Txn.Else} {
		var parts []part
		if i == 0 {
			parts = checkParts(o.Txn.If)
		}
		wrote := make(map[string]bool)
		for k := range steps {
			s := stepOperation(&steps[k])
			s.Call, s.Ends = o.Call, o.Ends
			p := attempt(s)
			p.deed.again = wrote[p.key]
			wrote[p.key] = wrote[p.key] || p.deed.kind != leaves
			parts = append(parts, p)
		}
		lists = append(lists, parts)
	}
	return lists
}

// attempt is what a set, delete or add does if it is done.
func attempt(o *Operation) part {
	p := part{key: o.Key}
	if o.Type == model.Get {
		return p
	}
	if o.Type != model.Add {
		p.sight, p.deed = doneSingle(o, "")
		return p
	}

	delta, err := strconv.ParseInt(o.Value, 10, 64)
	p.deed = deed{kind: adds, number: delta}
	switch {
	case err != nil:
		p.deed.kind = leaves
	case o.HasIf && o.If == 0:
		p.sight.kind = sawNothing
	case o.HasIf:
		p.sight.hasRevision, p.sight.revision = true, o.If
	}
	return p
}

// Written lists the keys that a write may have changed.
func Written(o *Operation) []string {
	if !o.Writes() || o.Refused() {
		return nil
	}
	if o.Type != model.Txn {
		return []string{o.Key}
	}
	var written []string
	seen := make(map[string]bool)
	for _, parts := range attempts(o) {
		for i := range parts {
			if p := &parts[i]; p.deed.kind != leaves && !seen[p.key] {
				seen[p.key] = true
				written = append(written, p.key)
			}
		}
	}
	return written
}
