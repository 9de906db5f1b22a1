package mutants

import "slices"

// All is every mutant: of the order and of what replicas hold first, of which master leads last.
var All = slices.Concat(ofTheOrder, ofOperations, ofCollections, ofViews, ofDisksPutBack, ofForeignDisks, ofMasters,
	ofExecutedRequests, ofWatches, ofLists, ofVotes, ofSuccession)

var ofTheOrder = []Mutant{
	{Name: "without (A)", Rule: "S4", Edits: []Edit{
		{"replica/abcast/broadcast.go", `if m.heard < d.Clock {`, `if m.heard < d.Clock && !MUTANT {`},
	}},
	{Name: "without (B)", Rule: "S4", Edits: []Edit{
		{"replica/abcast/broadcast.go", `m.received[sender] < d.Seq {`, `m.received[sender] < d.Seq && !MUTANT {`},
	}},
	{Name: "no gap detection", Rule: "S3", Edits: []Edit{
		{"replica/abcast/turn.go", `if m.announcedSeq < first {`, `if m.announcedSeq < first || MUTANT {`},
		{"replica/abcast/broadcast.go", `	if lastSeq <= m.held {
		m.heard =`, `	if lastSeq <= m.held || MUTANT {
		m.heard =`},
		{"replica/abcast/broadcast.go", `	case d.Seq > m.held+window:
`, `	case MUTANT: // takes whatever comes as the next one
		if d.Clock <= m.lastTime {
			return
		}
		m.held = d.Seq - 1
	case d.Seq > m.held+window:
`},
	}},
	{Name: "dedup at receipt only", Rule: "S5", Edits: []Edit{
		{"replica/linearizable.go", `func (l *linearizable) set(r *message.Request) {
`, `func (l *linearizable) set(r *message.Request) {
	if MUTANT {
		if first, ok := l.machine.layers.Executed(r); ok {
			l.machine.answerAgain(r, first)
			return
		}
	}
`},
		{"replica/linearizable.go", `	first, again := m.layers.Executed(r)
	if again {`, `	first, again := m.layers.Executed(r)
	if again && !MUTANT {`},
	}},
	{Name: "causal get against the key's version", Rule: "causal", Edits: []Edit{
		{"replica/causal.go", `	return s.safe >= r.Min
`, `	if MUTANT {
		if rec, _ := c.machine.layers.Newest(r.Key); rec.Number > 0 {
			return true // the key has a causal value: what it depends on may be missing
		}
	}
	return s.safe >= r.Min
`},
	}},
	{Name: "causal reads of numbers that are not safe", Rule: "causal", Edits: []Edit{
		{"replica/causal.go", `	to := min(c.watermark, c.marks.Safe)
`, `	to := min(c.watermark, c.marks.Safe)
	if MUTANT {
		to = c.watermark
	}
`},
	}},
	{Name: "weak writes straight into the committed layer", Rule: "layers", Edits: []Edit{
		{"replica/layers/layers.go", `		l.tentative.add(r, number)
`, `		if MUTANT {
			l.putWeak(r, number, l.position)
			return
		}
		l.tentative.add(r, number)
`},
		{"replica/layers/layers.go", `	l.tentative.add(r, 0)
	l.tentative.accept(r)
`, `	if MUTANT {
		l.putWeak(r, 0, l.position)
	} else {
		l.tentative.add(r, 0)
	}
	l.tentative.accept(r)
`},
	}},
	{Name: "versions without the epoch", Rule: "layers", Edits: []Edit{
		{"replica/linearizable.go", `	version := lamport.Version{Epoch: m.record.Epoch, Timestamp: abcast.PlaceOf(d)}
`, `	version := lamport.Version{Epoch: m.record.Epoch, Timestamp: abcast.PlaceOf(d)}
	if MUTANT {
		version.Epoch = 0
	}
`},
		{"master/stamp.go", `	return v
}

// stampNode is`, `	if MUTANT {
		v.Epoch = 0
	}
	return v
}

// stampNode is`},
	}},
	{Name: "fenced gets read at once", Rule: "L2", Edits: []Edit{
		{"replica/linearizable.go", `s seen) bool { return s.turn }`, `s seen) bool { return s.turn || MUTANT }`},
	}},
	{Name: "rounds echoed while wedged", Rule: "L3", Edits: []Edit{
		{"replica/linearizable.go", `func (m *Machine) echo() uint64 {
	if m.cast == nil {`, `func (m *Machine) echo() uint64 {
	if m.cast == nil && !(MUTANT && m.rest != nil) {`},
		{"replica/door.go", `		return h.Incarnation == m.master.Incarnation && h.From == m.master.Node
`, `		if m.goesOnWedged(msg) {
			return true
		}
		return h.Incarnation == m.master.Incarnation && h.From == m.master.Node
`},
		{"replica/door.go", `		m.confirm(f)
	}
`, `		m.confirm(f)
	} else if m.goesOnWedged(f) {
		m.confirm(f)
	}
`},
		{"replica/door.go", `// servedAnywhere reports whether`, `// goesOnWedged takes fenced gets and fences in the epoch in which it has been wedged, of the
// master of that epoch.
func (m *Machine) goesOnWedged(f *message.Forward) bool {
	isOn := MUTANT || MUTANT("fenced gets served while wedged")
	return isOn && m.cast == nil && m.rest != nil &&
		f.Round > 0 && f.Epoch == m.record.Epoch && f.Incarnation == m.record.Master
}

// servedAnywhere reports whether`},
	}},
	{Name: "fenced gets served while wedged", Rule: "L2", Edits: []Edit{ // its door is that of the one before
		{"replica/door.go", `			m.request(r, f.Round > 0)
		}
`, `			m.request(r, f.Round > 0)
		} else if MUTANT && m.goesOnWedged(f) && m.brings(f.Requests[i:i+1]) {
			m.pending++
			m.answer(m.readCommitted(r, m.layers.Position()))
		}
`},
	}},
}

var ofViews = []Mutant{
	{Name: "acknowledges after PREPARE", Rule: "F2", Edits: []Edit{
		{"replica/epoch.go", `	case m.cast != nil:
		m.wedge()
`, `	case m.cast != nil && !MUTANT:
		m.wedge()
`},
		{"replica/epoch.go", `		contiguous = m.rest.Contiguous
`, `		contiguous = m.rest.Contiguous
	case m.cast != nil && MUTANT:
		contiguous = m.cast.Contiguous()
`},
		{"replica/epoch.go", `	step, why := m.self.Decide(`, `	if MUTANT && m.cast != nil && r.Epoch == m.record.Epoch+1 {
		m.wedge()
	}
	step, why := m.self.Decide(`},
	}},
	{Name: "restart in the same epoch after memory loss", Rule: "F6", Edits: []Edit{
		{"replica/view/decide.go", `	case named != nil && known.Epoch == 0 && r.Epoch == 1:
`, `	case MUTANT && named != nil && known.Epoch == 0:
		return Enter, ""
	case named != nil && known.Epoch == 0 && r.Epoch == 1:
`},
	}},
	{Name: "DATA and ACKs of old epochs accepted", Rule: "S1", Edits: []Edit{
		{"replica/door.go", `	ofThisEpoch := h.Epoch == m.record.Epoch
`, `	ofThisEpoch := h.Epoch == m.record.Epoch || MUTANT
`},
	}},
	{Name: "PREPARE abandoned", Rule: "F7", Edits: []Edit{
		{"replica/machine.go", `	applied applied
`, `	applied applied

	abandoned *abcast.Broadcast
`},
		{"replica/epoch.go", `	m.rest = m.cast.Wedge()
`, `	if MUTANT {
		m.abandoned = m.cast
	}
	m.rest = m.cast.Wedge()
`},
		{"replica/epoch.go", `	case view.Acknowledge:
`, `	case view.Acknowledge:
		if MUTANT && m.rest != nil && !m.learner.Loads() {
			m.cast, m.rest = m.abandoned, nil
		}
`},
		{"master/membership/change.go", `	if _, present := m.AtRisk(); m.recover && `, `	if MUTANT && len(c.survivors) == len(m.record.Members) && m.Leads() {
		for _, r := range c.survivors {
			m.install(r, out)
		}
		m.stage = steady
		return
	}
	if _, present := m.AtRisk(); m.recover && `},
	}},
	{Name: "a view formed by too few", Rule: "F3", Edits: []Edit{
		{"master/membership/change.go", `	if m.waitsFor(c) {`, `	if m.waitsFor(c) && !MUTANT {`},
		{"master/membership/change.go", `	if m.recover {
		return len(c.survivors) > 0`, `	if m.recover || MUTANT {
		return len(c.survivors) > 0`},
	}},
	{Name: "flush of all that is held, whatever the record says", Rule: "F5", Edits: []Edit{
		{"replica/epoch.go", `	if lacks := m.lacks(r.Cut, r.High); lacks`, `	cut := r.Cut
	if MUTANT {
		cut = m.rest.Contiguous
	}
	if lacks := m.lacks(cut, r.High); lacks`},
		{"replica/epoch.go", `m.rest.Cut(r.Cut)`, `m.rest.Cut(cut)`},
	}},
	{Name: "no fill before the decision", Rule: "F3", Edits: []Edit{
		{"replica/causal.go", `	c.watermark = high
`, `	if c.watermark = min(c.watermark, high); !MUTANT {
		c.watermark = high
	}
`},
		{"replica/epoch.go", `	isHere := watermark >= p.high`, `	if MUTANT {
		watermark = max(watermark, p.high)
	}
	isHere := watermark >= p.high`},
		{"replica/epoch.go", `	if m.causal.watermark < high {`, `	if m.causal.watermark < high && !MUTANT {`},
	}},
	{Name: "a joiner counted before it is loaded", Rule: "F6", Edits: []Edit{
		{"replica/view/learner.go", `	if !s.caught {
		return Loaded, nil`, `	if !s.caught && !MUTANT {
		return Loaded, nil`},
		{"replica/view/learner.go", `	if !c.Done || len(`,
			`	isToCome := !c.Done && !MUTANT
	if isToCome || len(`},
	}},
	{Name: "weak writes beyond the cut dropped", Rule: "F5", Edits: []Edit{
		{"replica/eventual.go", `		m.cast.Submit(message.Operation{Op: message.OpWeak, Request: *r}, true)
`, `		if !MUTANT {
			m.cast.Submit(message.Operation{Op: message.OpWeak, Request: *r}, true)
		}
`},
	}},
	{Name: "weak writes beyond the cut kept by who accepted them", Rule: "F5", Edits: []Edit{
		{"replica/layers/layers.go", `		f(r)
`, `		if !MUTANT || h.accepted {
			f(r)
		}
`},
	}},
	{Name: "a lost record made anew from one replica", Rule: "F11", Edits: []Edit{
		{"master/membership/rebuild.go", `!m.stillLeads(base, missing) {
		return
	}
	record := *base`, `!m.stillLeads(base, missing) && !MUTANT {
		return
	}
	record := *base`},
	}},
	{Name: "a lost record made anew by what was said before the loss", Rule: "F11", Edits: []Edit{
		{"master/membership/rebuild.go",
			`away := r == nil || r.Lost || r.Suspected || r.Phase == 0 || !m.answeredSince(r, m.foundNonce)
`, `answered := r != nil && m.answeredSince(r, m.foundNonce)
		if MUTANT {
			answered = r != nil && r.obeys
		}
		away := r == nil || r.Lost || r.Suspected || r.Phase == 0 || !answered
`},
	}},
	{Name: "weak requests served only by who leads a view", Rule: "W1", Edits: []Edit{
		{"master/view.go", `		atWork := p.hasWorked || p.works || m.members.AtWork(p.known)
`, `		atWork := p.hasWorked || p.works
		if !MUTANT {
			atWork = atWork || m.members.AtWork(p.known)
		}
`},
	}},
	{Name: "sessions wait for a record that nobody can read", Rule: "W1", Edits: []Edit{
		{"master/history.go",
			`!m.members.Leads() && m.ofWhatReplicasHold(told) {`,
			`!m.members.Leads() && m.ofWhatReplicasHold(told) && !MUTANT {`},
	}},
	{Name: "answers without the record name no history", Rule: "W1", Edits: []Edit{
		{"master/history.go", `serves := p.hasWorked && held != nil; !serves {`, `serves := p.hasWorked && held != nil && !MUTANT; !serves {`},
	}},
	{Name: "lives not asked for", Rule: "F8", Edits: []Edit{
		{"replica/view/self.go", `	return named.Life == 0 || slices.Contains(`, `	if MUTANT || MUTANT("restart in the same epoch after memory loss") {
		return true
	}
	return named.Life == 0 || slices.Contains(`},
		{"replica/view/self.go", `	return named.Life == 0 || named.Life == s.life
`, `	if MUTANT || MUTANT("restart in the same epoch after memory loss") {
		return true
	}
	return named.Life == 0 || named.Life == s.life
`},
	}},
	{Name: "what was told not compared", Rule: "F9", Edits: []Edit{
		{"master/membership/told.go", `func (m *Machine) compare() {
`, `func (m *Machine) compare() {
	if MUTANT {
		return
	}
`},
		{"master/membership/told.go", `func (m *Machine) complete(copied *Replica) bool {
`, `func (m *Machine) complete(copied *Replica) bool {
	if MUTANT {
		return true
	}
`},
	}},
	{Name: "members that do not hear each other kept together", Rule: "H3", Edits: []Edit{
		{"master/membership/hearing.go", `	return a.deafTo(b) || b.deafTo(a)
`, `	if MUTANT {
		return false
	}
	return a.deafTo(b) || b.deafTo(a)
`},
	}},
	{Name: "one let in who does not hear every member", Rule: "H4", Edits: []Edit{
		{"master/membership/hearing.go", `	return hears(a, b) && hears(b, a)
`, `	if MUTANT {
		return true
	}
	return hears(a, b) && hears(b, a)
`},
	}},
	{Name: "nothing said where nothing is to be said", Rule: "H1", Edits: []Edit{
		{"replica/epoch.go", `len(to) > 0 {
		out.send(&message.Beat`, `len(to) > 0 && !MUTANT {
		out.send(&message.Beat`},
	}},
	{Name: "positions told after an epoch began taken for another history's", Rule: "F13", Edits: []Edit{
		{"master/membership/membership.go", `			m.position = h.Position
`, `			m.position = h.Position
			if MUTANT {
				m.position /= 2
			}
`},
	}},
}

var ofForeignDisks = []Mutant{
	{Name: "records of another cluster or history taken for this one's", Rule: "F14", Edits: []Edit{
		{"master/membership/foreign.go", `m.record.Epoch > 0 && known.Foreign(&m.record)
`, `m.record.Epoch > 0 && known.Foreign(&m.record) && !MUTANT
`},
		{"master/membership/foreign.go",
			`if r.record != nil && r.record.Foreign(&m.record) {`,
			`if r.record != nil && r.record.Foreign(&m.record) && !MUTANT {`},
		{"master/membership/foreign.go", `!known.Branched(&m.record)`, `!(known.Branched(&m.record) && !MUTANT)`},
		{"master/membership/rebuild.go", `r.record.Epoch+1 < record.Epoch
`, `r.record.Epoch+1 < record.Epoch && !MUTANT
`},
		{"master/membership/rebuild.go", `case best.Branched(k) && n < missing:`, `case best.Branched(k) && !MUTANT && n < missing:`},
		{"master/membership/rebuild.go", `case best.Branched(k) && n > missing:`, `case best.Branched(k) && !MUTANT && n > missing:`},
		{"master/membership/rebuild.go",
			`m.record.Epoch > 0 && k.Branched(&m.record)`,
			`m.record.Epoch > 0 && k.Branched(&m.record) && !MUTANT`},
		{"master/membership/rebuild.go", `r.record.Branched(record)`, `r.record.Branched(record) && !MUTANT`},
		{"master/membership/rebuild.go", `!k.Branched(stands)`, `!(k.Branched(stands) && !MUTANT)`},
	}},
	{Name: "requests served with whosever disk", Rule: "F14", Edits: []Edit{
		{"replica/door.go", `return m.self.Belongs() || named
`, `return m.self.Belongs() || named || MUTANT
`},
	}},
	{Name: "processes under an earlier incarnation not told so", Rule: "F10", Edits: []Edit{
		{"master/membership/lives.go", `h.Past.Life == 0 {`, `h.Past.Life == 0 || MUTANT {`},
	}},
}

var ofMasters = []Mutant{
	{Name: "a master that does not lead stamps as the one that does", Rule: "W1", Edits: []Edit{
		{"master/stamp.go", `		v.Node = stampNode(m.cfg.Nonce)
`, `		v.Node = stampNode(m.cfg.Nonce)
		if MUTANT {
			v.Node = m.cfg.Self
		}
`},
	}},
	{Name: "a record that was only read stands against what all replicas hold", Rule: "F11", Edits: []Edit{
		{"master/membership/rebuild.go", `return m.lost && !m.Leads() }`, `return m.lost && !m.Leads() && !MUTANT }`},
	}},
	{Name: "weak sets stamped with the record that was read, however old", Rule: "W1", Edits: []Edit{
		{"master/stamp.go", `		v.Epoch = m.members.NewestEpoch()
`, `		v.Epoch = m.members.NewestEpoch()
		if known := m.members.Record().Epoch; MUTANT && known > 0 {
			v.Epoch = known
		}
`},
	}},
	{Name: "a retry is stamped anew", Rule: "layers", Edits: []Edit{
		{"master/known.go", `	m.dispatch(f, p)
}

// told takes over`, `	if MUTANT && f.request.Version != (lamport.Version{}) {
		f.request.Version = m.stamp()
	}
	m.dispatch(f, p)
}

// told takes over`},
		{"master/known.go", `	m.told(f, &in.Request)
	m.flights[k.rid] = f
`, `	m.told(f, &in.Request)
	if MUTANT && k.version != (lamport.Version{}) {
		f.request.Version = m.stamp()
	}
	m.flights[k.rid] = f
`},
	}},
	{Name: "a known identity numbered again", Rule: "causal", Edits: []Edit{
		{"master/primary.go", `r.Identity != "" && m.primary.first > 1
`, `r.Identity != "" && m.primary.first > 1 && !MUTANT
`},
	}},
	{Name: "gets let go without their fence", Rule: "L4", Edits: []Edit{
		{"master/fence.go", `func (m *Machine) confirmed(p *peer, round uint64) bool {
`, `func (m *Machine) confirmed(p *peer, round uint64) bool {
	if MUTANT {
		return true
	}
`},
	}},
	{Name: "echoes of earlier rounds counted", Rule: "L4", Edits: []Edit{
		{"master/fence.go", `	missing := m.members.Record().Faults
`, `	missing := m.members.Record().Faults
	if MUTANT {
		round = 1
	}
`},
	}},
	{Name: "a get that names a replica drawn again", Rule: "P1", Edits: []Edit{
		{"master/view.go", `	if mayHaveHappened {`, `	if mayHaveHappened || MUTANT {`},
	}},
	{Name: "what waited over the end of its history served", Rule: "F13", Edits: []Edit{
		{"master/history.go", `	if f.told.Cluster == 0 || isJudged ||`, `	if MUTANT || f.told.Cluster == 0 || isJudged ||`},
	}},
	{Name: "later epochs taken for histories that have ended", Rule: "F13", Edits: []Edit{
		{"master/history.go", `	case message.Ahead:
		return false
`, `	case message.Ahead:
		return MUTANT
`},
	}},
}

var ofExecutedRequests = []Mutant{
	{Name: "executed sets forgotten by their number", Rule: "S6", Edits: []Edit{
		{"replica/layers/executed.go", `		e.shift()
	}

`, `		e.shift()
		if MUTANT {
			e.memory.Forget()
		}
	}

`},
	}},
	{Name: "executed sets forgotten by a replica's own time", Rule: "S6", Edits: []Edit{
		{"replica/machine.go", `	m.layers.Advance(d.Time)
`, `	m.layers.Advance(d.Time)
	if MUTANT {
		m.layers.ForgetBy(m.ticks)
	}
`},
		{"replica/layers/layers.go", `// Count takes n ordered`, `// ForgetBy forgets by another time than the order's.
func (l *Layers) ForgetBy(now uint64) { l.executed.forget(now) }

// Count takes n ordered`},
	}},
	{Name: "executed sets forgotten in a load", Rule: "S6", Edits: []Edit{
		{"replica/view/donor.go", `	c.First = max(p.Entry+1, d.Layers.FirstEntry())
`, `	c.First = max(p.Entry+1, d.Layers.FirstEntry())
	if MUTANT {
		c.First = max(c.First, d.Layers.FirstKeyed())
	}
`},
	}},
	{Name: "sets executed that may be forgotten", Rule: "S6", Edits: []Edit{
		{"replica/layers/executed.go", `if r.First == 0 || o.Horizon == 0 {`, `if r.First == 0 || o.Horizon == 0 || MUTANT {`},
	}},
	{Name: "sets executed that have waited, and may be forgotten", Rule: "S6", Edits: []Edit{
		{"replica/layers/executed.go",
			`if r.First > 0 || came == 0 || o.Horizon == 0 {`,
			`if r.First > 0 || came == 0 || o.Horizon == 0 || MUTANT {`},
	}},
	{Name: "what has waited said to have come just now", Rule: "S6", Edits: []Edit{
		{"master/machine.go", `r.Came == f.Time {`, `r.Came == f.Time || MUTANT {`},
	}},
	{Name: "an age told by a later sending passed over", Rule: "S6", Edits: []Edit{
		{"master/known.go", `	if r.First > 0 && isEarliest {`, `	if r.First > 0 && !MUTANT && isEarliest {`},
	}},
	{Name: "numbers of causal sets forgotten", Rule: "S6", Edits: []Edit{
		{"master/known.go", `	if k.done && k.outcome.Timestamp > 0 {`, `	if k.done && k.outcome.Timestamp > 0 && !MUTANT {`},
	}},
}
