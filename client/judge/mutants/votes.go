package mutants

// ofVotes are of how the replicas decide the records of views.
var ofVotes = []Mutant{
	{Name: "a vote of who has lost what it promised", Rule: "D1", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `Whole: self.Speaks(r) || staysOutside}`, `Whole: self.Speaks(r) || staysOutside || MUTANT}`},
	}},
	{Name: "a vote of who has missed a record", Rule: "D1", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `r.Epoch == base.Epoch+1
`, `(r.Epoch == base.Epoch+1 || MUTANT)
`},
	}},
	{Name: "a vote of who is set aside", Rule: "D1", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `isOfThisHistory && mayVote && isWhole`, `isOfThisHistory && (mayVote || MUTANT) && isWhole`},
	}},
	{Name: "a vote of whose disk was put back", Rule: "D1", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `	had := a.votes.Whole
`, `	had := a.votes.Whole
	if MUTANT {
		return had
	}
`},
	}},
	{Name: "promises of who has no vote are counted", Rule: "D1", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `isVoter && v.Counts && same`, `isVoter && (v.Counts || MUTANT) && same`},
	}},
	{Name: "promises of whoever answers are counted", Rule: "D1", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `slices.Contains(p.voters(p.base), v.From)`, `(slices.Contains(p.voters(p.base), v.From) || MUTANT)`},
	}},
	{Name: "two masters that share their ballots", Rule: "D2", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `Round: max(above.Round, p.ballot.Round) + 1, Master: p.cfg.Number}
`, `Round: max(above.Round, p.ballot.Round) + 1, Master: p.cfg.Number}
	if MUTANT {
		p.ballot.Master = 1
	}
`},
	}},
	{Name: "whoever was outbid bids no higher", Rule: "D2", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `	if higher, is := p.outbid(); is {`, `	if higher, is := p.outbid(); is && !MUTANT {`},
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
	{Name: "promised below what was promised", Rule: "D3", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `	case !mayTakePart || isBelow || !isMeant: // the VOTE says so
`, `	case !mayTakePart || isBelow && !(MUTANT && p.Value == nil) || !isMeant: // the VOTE says so
`},
	}},
	{Name: "a ballot is not promised with what is accepted", Rule: "D3", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `		a.votes.Promised, a.votes.Accepted, a.votes.Value = p.Ballot, p.Ballot, *p.Value
`, `		promised := a.votes.Promised
		a.votes.Promised, a.votes.Accepted, a.votes.Value = p.Ballot, p.Ballot, *p.Value
		if MUTANT {
			a.votes.Promised = promised
		}
`},
	}},
	{Name: "what was accepted first is finished", Rule: "D4", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `		if best == nil || best.Accepted.Less(v.Accepted) {`, `		if best == nil || best.Accepted.Less(v.Accepted) && !MUTANT {`},
	}},
	{Name: "votes of any ballot are counted", Rule: "D4", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `same(v.Base, p.base) && v.Accepted == p.ballot {`, `same(v.Base, p.base) && (v.Accepted == p.ballot || MUTANT && v.Value != nil) {`},
	}},
	{Name: "answers from before a read began are counted", Rule: "D4", Edits: []Edit{
		{"master/membership/proposer/proposer.go", `p.stage == idle || v.Attempt != p.attempt {`, `p.stage == idle || v.Attempt != p.attempt && !MUTANT {`},
		{"master/membership/proposer/ballot.go", `	p.attempt++
	p.votes = nil
`, `	p.attempt++
	if !MUTANT {
		p.votes = nil
	}
`},
	}},
	{Name: "whoever was outbid has lost", Rule: "D4", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `		p.raise(higher)
		p.otherwise(membership.Unknown, out)
`, `		p.raise(higher)
		if MUTANT {
			p.otherwise(membership.Lost, out)
			return
		}
		p.otherwise(membership.Unknown, out)
`},
	}},
	{Name: "only those who vote are asked", Rule: "D7", Edits: []Edit{
		{"master/membership/proposer/base.go", `append(slices.Clone(p.known), p.voters(p.base)...)`, `slices.Clone(p.voters(p.base))
		if !MUTANT {
			list = append(list, p.known...)
		}`},
	}},
	{Name: "a record of another history is followed", Rule: "D7", Edits: []Edit{
		{"master/membership/proposer/base.go", `		case isOther && isWeaker: // of another history
`, `		case isOther && isWeaker && !MUTANT: // of another history
`},
	}},
	{Name: "a replica learns no record from who asks", Rule: "D7", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `p.Base != nil && isOfThisHistory {`, `p.Base != nil && isOfThisHistory && !MUTANT {`},
	}},
	{Name: "what was promised holds for the next record, too", Rule: "D7", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `	// Of a replica that no record between`, `	if before := a.votes; MUTANT {
		defer func() { a.votes.Promised, a.votes.Accepted, a.votes.Value = before.Promised, before.Accepted, before.Value }()
	}
	// Of a replica that no record between`},
	}},
	{Name: "a record of another history is learned", Rule: "D7", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `r.Epoch > base.Epoch && !contradicts(base, r)`, `r.Epoch > base.Epoch && (!contradicts(base, r) || MUTANT)`},
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
	{Name: "one of several first records is finished", Rule: "D5", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `return !same(v.Value, votes[0].Value) }`, `return v.Value == nil || !MUTANT && !same(v.Value, votes[0].Value) }`},
	}},
	{Name: "a first record is accepted by another process than it names", Rule: "D5", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `p.Base != nil || self.Speaks(p.Value) //`, `p.Base != nil || MUTANT || self.Speaks(p.Value) //`},
	}},
	{Name: "who is taken out is told at once", Rule: "D6", Edits: []Edit{
		{"master/membership/voting.go", `	if !m.cfg.Voting || m.record.Configures(r.Node) {`, `	if !m.cfg.Voting || MUTANT || m.record.Configures(r.Node) {`},
	}},
	{Name: "an operator's record is decided by one", Rule: "D8", Edits: []Edit{
		{"master/membership/proposer/ballot.go", `		enough = len(p.value.Members)
`, `		enough = len(p.value.Members)
		if MUTANT {
			enough = 1
		}
`},
	}},
	{Name: "an operator's record is accepted by whoever is asked", Rule: "D8", Edits: []Edit{
		{"replica/acceptor/acceptor.go", `p.Forced && follows && self.Speaks(p.Value)`, `p.Forced && follows && (self.Speaks(p.Value) || MUTANT)`},
	}},
	{Name: "all vote on what follows an operator's record", Rule: "D8", Edits: []Edit{
		{"bus/message/message.go", `	if len(r.Members) > len(r.Configured)/2 {
		return r.Configured`, `	if len(r.Members) > len(r.Configured)/2 || MUTANT {
		return r.Configured`},
	}},
	{Name: "masters go on above others by one distance", Rule: "F12", Edits: []Edit{
		{"master/membership/incarnation.go", `incarnation + 1 + further(m.cfg.Draw, incarnation)
`, `incarnation + 1 + further(m.cfg.Draw, incarnation)
	if MUTANT {
		m.cfg.Incarnation = incarnation + 1 + m.cfg.Draw
	}
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
