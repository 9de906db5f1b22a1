package mutants

// ofSuccession are the mutants of which of several masters leads. They are hunted by tests of
// package succession.
var ofSuccession = []Mutant{
	{Name: "what others hear of a master that leads is not believed", Rule: "M2", Edits: []Edit{
		{"master/succession/machine.go", `	isQuiet := m.heardLeader() == nil && !m.hearsay()`,
			`	isQuiet := m.heardLeader() == nil && (MUTANT || !m.hearsay())`},
	}},
	{Name: "all masters that stand by take over at once", Rule: "M3", Edits: []Edit{
		{"master/succession/machine.go", `m.fresh(p) && p.beat.Name < m.cfg.Name {`, `m.fresh(p) && p.beat.Name < m.cfg.Name && !MUTANT {`},
	}},
	{Name: "a master that is outranked goes on", Rule: "M4", Edits: []Edit{
		{"master/succession/machine.go", `		case b.Role.leads() && b.outranks(&self):`, `		case !MUTANT && b.Role.leads() && b.outranks(&self):`},
	}},
	{Name: "masters that were deposed are as patient as before", Rule: "M5", Edits: []Edit{
		{"master/succession/machine.go", `	m.deposed++
`, `	if !MUTANT {
		m.deposed++
	}
`},
	}},
	{Name: "the next master begins before the one before has ended", Rule: "M6", Edits: []Edit{
		{"master/succession/hand.go", `	if m.ready && m.released {`, `	if m.ready && (m.released || MUTANT) {`},
	}},
	{Name: "doors are closed before the next master's are open", Rule: "M6", Edits: []Edit{
		{"master/succession/hand.go", `	isReady := b.Role == Coming && b.Ready`, `	isReady := b.Role == Coming && (b.Ready || MUTANT)`},
	}},
	{Name: "a master that forms no view counts as one that leads", Rule: "M7", Edits: []Edit{
		{"master/succession/machine.go", `		leads := p.beat.Role.leads() && !p.beat.Unable && m.fresh(p)`,
			`		leads := p.beat.Role.leads() && (MUTANT || !p.beat.Unable) && m.fresh(p)`},
	}},
	{Name: "the end of an earlier process is taken for that of the one that is there", Rule: "M8", Edits: []Edit{
		{"master/succession/machine.go", `	if p == nil || p.beat.Life != life || p.beat.Role == Gone {`,
			`	if p == nil || (p.beat.Life != life && !MUTANT) || p.beat.Role == Gone {`},
	}},
	{Name: "a beat that comes late is believed", Rule: "M6", Edits: []Edit{
		{"master/succession/machine.go", `old.beat.Life == b.Life && b.Number < old.beat.Number {`,
			`old.beat.Life == b.Life && b.Number < old.beat.Number && !MUTANT {`},
	}},
}
