package mutants

// ofOperations are the mutants of what writes leave: revisions, tombstones, conditions, ends.
var ofOperations = []Mutant{
	{Name: "one position for all that a marker commits", Rule: "O1", Edits: []Edit{
		{"replica/causal.go", `	if !m.hasRevisions() || n <= committed {`, `	if !m.hasRevisions() || n <= committed || MUTANT {`},
	}},
	{Name: "a weak write that loses takes no position", Rule: "O1", Edits: []Edit{
		{"replica/layers/commit.go", `	if above := l.above(&old, ok); !above.Less(r.Version) {
`, `	if above := l.above(&old, ok); !above.Less(r.Version) {
		if MUTANT {
			l.position--
		}
		if MUTANT("a weak write that loses moves the revision") && ok {
			old.Revision = revision
			l.put(r.Key, old)
		}
`},
	}},
	{Name: "a weak write that loses moves the revision", Rule: "O1", Edits: []Edit{ // the place is that of the one before
		{"replica/layers/commit.go", `// putWeak is what of a weak write`, `// putWeak is what, of a weak write,`},
	}},
	{Name: "a weak write that wins leaves the revision", Rule: "O1", Edits: []Edit{
		{"replica/layers/commit.go", `	if left, _, done := alter(&step, old, &by); done {
`, `	if left, _, done := alter(&step, old, &by); done {
		if MUTANT && ok {
			left.Revision = old.Revision
		}
`},
	}},
	{Name: "a delete leaves nothing", Rule: "O2", Edits: []Edit{
		{"replica/layers/commit.go", `	l.touch(key)
	l.store.Put(key, rec)
`, `	l.touch(key)
	if MUTANT && rec.Kind == store.KindTombstone {
		l.store.Remove(key)
		return
	}
	l.store.Put(key, rec)
`},
	}},
	{Name: "a delete is not seen before it is committed", Rule: "O2", Edits: []Edit{
		{"replica/layers/tentative.go", `	if h.deletes {
		rec.Kind = store.KindTombstone`, `	if h.deletes && !MUTANT {
		rec.Kind = store.KindTombstone`},
	}},
	{Name: "a delete that is submitted again as a set", Rule: "O2", Edits: []Edit{
		{"replica/layers/tentative.go", `	if h.deletes {
		r.Type = model.Delete`, `	if h.deletes && !MUTANT {
		r.Type = model.Delete`},
	}},
	{Name: "a condition checked where the request arrives", Rule: "O3", Edits: []Edit{
		{"replica/linearizable.go", `	m.cast.Submit(message.Operation{Op: message.OpStrong, Request: *r}, true)
`, `	if MUTANT && r.HasIf {
		rec, _ := m.layers.Committed(r.Key)
		if !layers.Holds(r.If, rec) {
			m.fail(r, model.Failed, "its condition does not hold")
			return
		}
	}
	m.cast.Submit(message.Operation{Op: message.OpStrong, Request: *r}, true)
`},
		{"replica/layers/operations.go", `	if s.HasIf && !holds(s.If, old) {`, `	if s.HasIf && !MUTANT && !holds(s.If, old) {`},
		{"replica/linearizable.go", `	"quartet/replica/abcast"
`, `	"quartet/replica/abcast"
	"quartet/replica/layers"
`},
		{"replica/layers/operations.go", `// holds reports whether a key`, `// Holds is holds.
func Holds(revision uint64, rec store.Record) bool { return holds(revision, rec) }

// holds reports whether a key`},
	}},
	{Name: "a condition evaluated again for a repetition", Rule: "O3", Edits: []Edit{
		{"replica/layers/layers.go",
			`func (l *Layers) Executed(r *message.Request) (Outcome, bool) { return l.executed.lookup(r) }`,
			`func (l *Layers) Executed(r *message.Request) (Outcome, bool) {
	if MUTANT && r.HasIf {
		return Outcome{}, false
	}
	return l.executed.lookup(r)
}`},
	}},
	{Name: "a condition that failed is not remembered", Rule: "O3", Edits: []Edit{
		{"replica/layers/commit.go", `		o.Code, o.Revision = model.Failed, revisionOf(old)
`, `		o.Code, o.Revision = model.Failed, revisionOf(old)
		if MUTANT {
			return o
		}
`},
	}},
	{Name: "an add takes the end of a value away", Rule: "O4", Edits: []Edit{
		{"replica/layers/operations.go", `		left.Value, left.Expires = sum, old.Expires
`, `		left.Value, left.Expires = sum, old.Expires
		if MUTANT {
			left.Expires = 0
		}
`},
	}},
	{Name: "a replica's own clock ends values", Rule: "O5", Edits: []Edit{
		{"replica/linearizable.go", `	if rec.Kind != store.KindValue {
		return model.Answer{RID: r.RID, Code: model.NotFound`, `	if isOver := MUTANT && rec.Expires > 0 && rec.Expires <= m.wall; isOver {
		rec.Kind = store.KindTombstone
	}
	if rec.Kind != store.KindValue {
		return model.Answer{RID: r.RID, Code: model.NotFound`},
	}},
	{Name: "ends that were proposed are not proposed again", Rule: "O5", Edits: []Edit{
		{"replica/epoch.go", `		began: m.layers.Position(),
`, `		began: m.layers.Position(),
		ends:  m.endsKept(),
`},
		{"replica/ends.go", `// proposeEnds orders`, `// endsKept is what was proposed in the epoch before.
func (m *Machine) endsKept() map[string]uint64 {
	if MUTANT {
		return m.ends
	}
	return nil
}

// proposeEnds orders`},
	}},
	{Name: "values that end three seconds late", Rule: "O5", Edits: []Edit{
		{"replica/ends.go", `	m.layers.Due(m.wall, func`, `	wall := m.wall
	if MUTANT {
		wall -= min(wall, 3000)
	}
	m.layers.Due(wall, func`},
	}},
	{Name: "an older build's epoch executed by today's rules", Rule: "O1", Edits: []Edit{
		{"replica/machine.go", `return m.record.Level >= message.LevelRevisions }`,
			`return m.record.Level >= message.LevelRevisions || MUTANT }`},
	}},
	{Name: "an end that names no revision", Rule: "O6", Edits: []Edit{
		{"replica/layers/commit.go", `	ends := rec.Kind == store.KindValue && rec.Revision == named && rec.Expires > 0
`, `	if MUTANT {
		named = rec.Revision
	}
	ends := rec.Kind == store.KindValue && rec.Revision == named && rec.Expires > 0
`},
	}},
	{Name: "an end that wins over weak writes stamped later", Rule: "O6", Edits: []Edit{
		{"replica/layers/commit.go", `	l.commit(message.ChangeExpire, key, store.Record{
`, `	if MUTANT {
		rec.Version.Time += 1 << 30
	}
	l.commit(message.ChangeExpire, key, store.Record{
`},
	}},
	{Name: "an end that a learner is not told of", Rule: "O7", Edits: []Edit{
		{"replica/layers/commit.go", `	l.enter(done{key: key,`, `	if MUTANT {
		key = ""
	}
	l.enter(done{key: key,`},
	}},
	{Name: "learners without revisions", Rule: "O7", Edits: []Edit{
		{"replica/view/donor.go", `		Revision: rec.Revision,`, `		Revision: func() uint64 {
			if MUTANT {
				return 1
			}
			return rec.Revision
		}(),`},
	}},
	{Name: "learners without ends", Rule: "O7", Edits: []Edit{
		{"replica/view/donor.go", ` Expires: rec.Expires,`, ` Expires: func() uint64 {
			if MUTANT {
				return 0
			}
			return rec.Expires
		}(),`},
	}},
	{Name: "learners without tombstones", Rule: "O7", Edits: []Edit{
		{"replica/view/donor.go", `	d.Layers.EachKey(c.Cursor, func(key string, rec store.Record) bool {
`, `	d.Layers.EachKey(c.Cursor, func(key string, rec store.Record) bool {
		if MUTANT && rec.Kind == store.KindTombstone {
			return true
		}
`},
	}},
	{Name: "learners without the outcomes of what failed", Rule: "O7", Edits: []Edit{
		{"replica/view/donor.go", `		c.Entries = append(c.Entries, x)
`, `		if MUTANT {
			x.Code, x.Revision, x.Result = 0, 0, nil
		}
		c.Entries = append(c.Entries, x)
`},
	}},
	{Name: "steps of a transaction that do not see what earlier ones left", Rule: "O8", Edits: []Edit{
		{"replica/layers/transaction.go", `		if b.changes[i].key == key {
			return b.changes[i].rec`, `		if b.changes[i].key == key && !MUTANT {
			return b.changes[i].rec`},
	}},
	{Name: "a transaction that stays half done", Rule: "O8", Edits: []Edit{
		{"replica/layers/transaction.go", `			r.Failed, b.changes = i, nil
`, `			kept := b.changes
			r.Failed, b.changes = i, nil
			if MUTANT {
				b.changes = kept
			}
`},
	}},
	{Name: "learners are told of one key of a transaction", Rule: "O8", Edits: []Edit{
		{"replica/layers/transaction.go", `		l.note(b.changes[i].key)
`, `		if MUTANT {
			b.changes[i].key = ""
		}
		l.note(b.changes[i].key)
`},
	}},
}
