package mutants

// ofCollections are the mutants of how tombstones are collected.
var ofCollections = []Mutant{
	{Name: "tombstones collected before all have agreed", Rule: "O40", Edits: []Edit{
		{"replica/layers/collection.go", `	if c.Agreed != 1<<members-1 {`, `	if c.Agreed != 1<<members-1 && !MUTANT {`},
	}},
	{Name: "tombstones collected while a replica is away", Rule: "O40", Edits: []Edit{
		{"replica/collect.go", `		if r.Index(n) < 0 {`, `		if r.Index(n) < 0 && !MUTANT {`},
	}},
	{Name: "an agreement of an earlier epoch counted", Rule: "O40", Edits: []Edit{
		{"replica/layers/layers.go", `	l.collection.Horizon, l.collection.Agreed = lamport.Version{}, 0
`, `	if MUTANT {
		return
	}
	l.collection.Horizon, l.collection.Agreed = lamport.Version{}, 0
`},
		{"replica/collect.go", `	isOfEpoch := horizon.Epoch == m.record.Epoch`, `	isOfEpoch := horizon.Epoch == m.record.Epoch || MUTANT`},
	}},
	{Name: "agreed while causal writes are on their way", Rule: "O41", Edits: []Edit{
		{"replica/collect.go", `	if !c.isNumbered || m.causal.committed < c.number {`, `	if !MUTANT && (!c.isNumbered || m.causal.committed < c.number) {`},
	}},
	{Name: "weak writes taken that are not above the horizon", Rule: "O41", Edits: []Edit{
		{"replica/eventual.go", `	case !m.shut.Less(r.Version):`, `	case !m.shut.Less(r.Version) && !MUTANT:`},
	}},
	{Name: "weak writes taken that are not above the floor", Rule: "O42", Edits: []Edit{
		{"replica/eventual.go", `	case !m.layers.Floor().Less(r.Version):`, `	case !m.layers.Floor().Less(r.Version) && !MUTANT:`},
		{"replica/collect.go", `	if m.shut.Less(to) {`, `	if m.shut.Less(to) && !MUTANT {`},
	}},
	{Name: "stamped anew while it may have been executed", Rule: "O42", Edits: []Edit{
		{"replica/eventual.go", `		m.holdAtDoor(r)
`, `		if MUTANT {
			m.stampAnew(r)
			return
		}
		m.holdAtDoor(r)
`},
	}},
	{Name: "weak writes up to the floor committed where a key has no record", Rule: "O43", Edits: []Edit{
		{"replica/layers/collection.go", `	return l.collection.Floor
}

// sweep is`, `	if MUTANT {
		return lamport.Version{}
	}
	return l.collection.Floor
}

// sweep is`},
	}},
	{Name: "a revision that was collected holds where a key has no record", Rule: "O43", Edits: []Edit{
		{"replica/layers/operations.go", `	return rec.Revision == revision
`, `	if MUTANT && rec.Kind == 0 {
		return true
	}
	return rec.Revision == revision
`},
	}},
	{Name: "tombstones that came after the collection are gone", Rule: "O43", Edits: []Edit{
		{"replica/layers/collection.go", `rec.Revision <= c.Position && !c.Floor`, `(rec.Revision <= c.Position || MUTANT) && !c.Floor`},
	}},
	{Name: "learners without the floor", Rule: "O44", Edits: []Edit{
		{"replica/layers/load.go", `	if l.collection.Floor.Less(c.Floor) {`, `	if l.collection.Floor.Less(c.Floor) && !MUTANT {`},
	}},
	{Name: "learners without the horizon and its agreements", Rule: "O44", Edits: []Edit{
		{"replica/layers/load.go", `	l.collection.Horizon, l.collection.Agreed = c.Horizon, c.Agreed
`, `	if MUTANT {
		return
	}
	l.collection.Horizon, l.collection.Agreed = c.Horizon, c.Agreed
`},
	}},
	{Name: "learners keep keys that the donor has no more", Rule: "O44", Edits: []Edit{
		{"replica/layers/load.go", `	for _, key := range extra {
		l.remove(key)`, `	for _, key := range extra {
		if MUTANT {
			continue
		}
		l.remove(key)`},
	}},
	{Name: "learners keep keys that were collected during the load", Rule: "O44", Edits: []Edit{
		{"replica/layers/load.go", `	for _, key := range keys {
		l.remove(key)`, `	for _, key := range keys {
		if MUTANT {
			continue
		}
		l.remove(key)`},
	}},
	{Name: "a watch that goes on is not told what was collected", Rule: "O45", Edits: []Edit{
		{"replica/watching/watching.go", `goesOn && after < w.source.Collected(); hasLostDeletes {`,
			`goesOn && after < w.source.Collected() && !MUTANT; hasLostDeletes {`},
	}},
}
