package mutants

// ofDisksPutBack are of the cut where disks were put back to a moment before, and of the operator
// who is asked where a record is lost as well; and of what goes on while the record is away.
var ofDisksPutBack = []Mutant{
	{Name: "the cut lowered for whoever was started again", Rule: "F15", Edits: []Edit{
		{"master/membership/change.go", `	return named != 0 && r.state.Proof.Life != named`,
			`	return named != 0 && r.state.Proof.Life != named && !MUTANT`},
	}},
	{Name: "the least that any holds, if all were started again", Rule: "F15", Edits: []Edit{
		{"master/membership/change.go", `	return combined(held(c.survivors), maxOf)`, `	if MUTANT {
		return combined(held(c.survivors), minOf)
	}
	return combined(held(c.survivors), maxOf)`},
	}},
	{Name: "what was brought not on disk before it is told", Rule: "F15", Edits: []Edit{{"replica/fetch.go", `	if m.cfg.Durable {`,
		`	if m.cfg.Durable && !MUTANT {`}}},
	{Name: "an operator who is not heeded", Rule: "F11", Edits: []Edit{
		{"master/membership/membership.go", `	isUndecidable := m.isMute && m.stage == reading
`, `	if MUTANT {
		return
	}
	isUndecidable := m.isMute && m.stage == reading
`},
	}},
	{Name: "weak requests left with a replica that is silent", Rule: "W2", Edits: []Edit{
		{"master/moveon.go", `	if len(away) == 0 {
`, `	if len(away) == 0 || MUTANT {
`},
	}},
}
