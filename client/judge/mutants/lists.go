package mutants

// ofLists are of what lists show.
var ofLists = []Mutant{
	{Name: "a page of what there is by then", Rule: "O30", Edits: []Edit{
		{"replica/layers/snapshot.go", `	if before, changed := s.past.at(key, s.number); changed {`,
			`	if before, changed := s.past.at(key, s.number); changed && !MUTANT {`},
	}},
	{Name: "what was tentative is not noted", Rule: "O30", Edits: []Edit{
		{"replica/layers/changes.go", `	if len(l.newestPast.open) > 0 {`, `	if len(l.newestPast.open) > 0 && !MUTANT {`},
	}},
	{Name: "only keys of the store are listed", Rule: "O30", Edits: []Edit{
		{"replica/layers/snapshot.go", `	if o.more = s.past.removed != nil || s.tentative != nil; o.more {`, `	if o.more = s.past.removed != nil || s.tentative != nil; MUTANT {
		o.more = false
	}
	if o.more {`},
	}},
	{Name: "a list begins before its turn", Rule: "O31", Edits: []Edit{
		{"replica/discipline.go", `	case d.mayAnswer(r, m.seen(false)):
		m.serve(r)`, `	case MUTANT && r.Type == model.List:
		m.serve(r)
	case d.mayAnswer(r, m.seen(false)):
		m.serve(r)`},
	}},
	{Name: "a list goes on with another process's list", Rule: "O32", Edits: []Edit{
		{"replica/listing/listing.go", `	if p.Replica != l.cfg.Self || p.Life != l.cfg.Life {`, `	if isAnotherLife := p.Life != l.cfg.Life && !MUTANT; p.Replica != l.cfg.Self || isAnotherLife {`},
	}},
	{Name: "a page asked for again is the newest", Rule: "O32", Edits: []Edit{
		{"replica/listing/listing.go", `	l.ask(r, at, p.Page)
	return Refusal{}`, `	if MUTANT {
		p.Page = at.base + uint64(len(at.starts)) - 1
	}
	l.ask(r, at, p.Page)
	return Refusal{}`},
	}},
}
