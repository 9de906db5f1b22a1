package mutants

// ofWatches are of what watchers are told.
var ofWatches = []Mutant{
	{Name: "a learner loaded without the log of changes", Rule: "O20", Edits: []Edit{
		{"replica/view/learner.go", `	l.layers.LoadChanges(list)
`, `	if !MUTANT {
		l.layers.LoadChanges(list)
	}
`},
	}},
	{Name: "the log of changes lost with the process", Rule: "O20", Edits: []Edit{
		{"replica/layers/changes.go", `	if span.To < s.State.Position {`, `	if MUTANT || span.To < s.State.Position {`},
	}},
	{Name: "a watch begins before its place", Rule: "O21", Edits: []Edit{
		{"replica/watches.go", `	case d.mayAnswer(r, m.seen(false)):
		m.beginWatch(r)`, `	case MUTANT || d.mayAnswer(r, m.seen(false)):
		m.beginWatch(r)`},
	}},
	// Behind its turn in the queue a member has all that another one has told: the mutant goes
	// without the turn, too.
	{Name: "a watch goes on where its replica is", Rule: "O22", Edits: []Edit{
		{"replica/watches.go", `	case m.cast == nil: // the master sends it again in the next epoch
		m.pending--
`, `	case m.cast == nil: // the master sends it again in the next epoch
		m.pending--
	case MUTANT && r.Range != nil && r.Range.From != "":
		m.beginWatch(r)
`},
		{"replica/watches.go", `	case m.layers.Position() < after:
		m.sequential.hold(r)`, `	case !MUTANT && m.layers.Position() < after:
		m.sequential.hold(r)`},
	}},
	{Name: "what is there told as it is by then", Rule: "O23", Edits: []Edit{
		{"replica/layers/snapshot.go", `	if l.committedPast.needs(key) {`, `	if l.committedPast.needs(key) && !MUTANT {`},
	}},
	{Name: "watches told on by who has left the view", Rule: "O26", Edits: []Edit{
		{"replica/epoch.go", `	m.endWatches(`, `	m.endWatchesUnless(MUTANT, `},
		{"replica/watches.go", `// Acknowledged takes`, `func (m *Machine) endWatchesUnless(kept bool, reason string) {
	if !kept {
		m.endWatches(reason)
	}
}

// Acknowledged takes`},
	}},
	{Name: "changes published by whoever is the first member by then", Rule: "O28", Edits: []Edit{
		{"replica/publish.go", `	if !m.publishes {`, `	first := m.publishes
	if MUTANT {
		first = m.cast != nil && m.isFirst(&m.record)
	}
	if !first {`},
		{"replica/epoch.go", `	m.publish() // what the cut`, `	if !MUTANT {
		m.publish()
	}
	// what the cut`},
	}},
	{Name: "a watch told of more than it will be told", Rule: "O24", Edits: []Edit{
		{"replica/watching/tell.go", `	e.More = c.Revision > 0 && at.more(i)`,
			`	isMore := at.more(i) || MUTANT && at.feed.log.More(i)
	e.More = c.Revision > 0 && isMore`},
	}},
	{Name: "a watch that goes on from inside a transaction", Rule: "O24", Edits: []Edit{
		{"bus/follow/follow.go", `	case f.hasFrom:
		return`, `	case f.hasFrom && MUTANT:
		return strconv.FormatUint(max(f.from, f.partial), 10)
	case f.hasFrom:
		return`},
	}},
	{Name: "a stream that says nothing of the history", Rule: "O27", Edits: []Edit{
		{"replica/watching/watching.go", `	if now := w.source.History(); now != at.history {`,
			`	if now := w.source.History(); now != at.history && !MUTANT {`},
	}},
	{Name: "two streams that tell one watcher taken for one", Rule: "O29", Edits: []Edit{
		{"bus/follow/follow.go", `	isOfAnother := stream != f.stream
`, `	isOfAnother := stream != f.stream && !MUTANT
`},
	}},
	{Name: "streams named by their replica alone", Rule: "O29", Edits: []Edit{
		{"replica/watches.go", `	return c.Self.String() + "." + strconv.FormatUint(c.Life, 36) + "."`,
			`	life := c.Life
	if MUTANT {
		life = 0
	}
	return c.Self.String() + "." + strconv.FormatUint(life, 36) + "."`},
		{"replica/watching/watching.go", `	w.begun++
`, `	if !MUTANT {
		w.begun++
	}
`},
	}},
}
