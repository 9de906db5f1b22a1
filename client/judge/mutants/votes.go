package mutants

// ofVotes are of how the replicas decide the records of views.
var ofVotes = []Mutant{
	{Name: "a vote of who has lost what it promised", Rule: "D1", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `Whole: self.Speaks(r) || staysOutside}`, `Whole: self.Speaks(r) || staysOutside || MUTANT}`},
	}},
	{Name: "two values in one ballot", Rule: "D2", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `p.ballot.Round == 0 || p.isUsed {`, `p.ballot.Round == 0 || p.isUsed && !MUTANT {`},
	}},
	{Name: "promises that no disk keeps", Rule: "D3", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `	a.votes = v
	a.Learn(known, self)`, `	if MUTANT {
		v = durable.Votes{Base: v.Base, Whole: v.Whole}
	}
	a.votes = v
	a.Learn(known, self)`},
	}},
	{Name: "accepted below what was promised", Rule: "D3", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `	isBelow := p.Ballot.Less(a.votes.Promised)`,
			`	isBelow := p.Ballot.Less(a.votes.Promised) && (p.Value == nil || !MUTANT)`},
	}},
	{Name: "what was accepted is passed over", Rule: "D4", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `	if value := p.begun(counted); value != nil {`, `	if value := p.begun(counted); value != nil && !MUTANT {`},
	}},
	{Name: "a record decided by one vote less", Rule: "D4", Edits: []Edit{
		{"master/membership/proposer/base.go", `	return n/2 + 1
`, `	if MUTANT {
		return max(1, n/2)
	}
	return n/2 + 1
`},
	}},
	{Name: "the first record decided by more than half", Rule: "D5", Edits: []Edit{
		{"master/membership/proposer/base.go", `	if base == nil {
		return n
	}`, `	if base == nil && !MUTANT {
		return n
	}`},
	}},
}
