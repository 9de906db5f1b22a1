package replica

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

// load is how a learner gets the state (rule F6). It pulls pieces from members, one at a
// time: first the table of executed requests and all keys in their order, and with every
// piece what changed since the last, so that the members go on working meanwhile. What it
// has then is a prefix of the order, or soon becomes one. Once members are wedged it pulls
// the rest from one of them, with what that one holds and has not delivered, and so
// becomes its copy: as good as itself for the record that ends the epoch, because each
// member held everything that was delivered anywhere when it wedged.
type load struct {
	nonce   uint64
	asked   bool
	askedAt uint64 // tick
	donor   uint64 // counts; the donor is a member of the view by it
	misses  uint64 // donors in a row that have not answered

	scanned bool
	cursor  string
	caught  bool // with the newest piece nothing was missing
	partial bool // some keys may be ahead of the table

	final     bool // members are wedged: the rest is to be had
	fresh     bool // there is news that makes it worth to ask at once
	copied    bool
	place     lamport.Timestamp
	committed uint64
	held      []uint64
	queue     []*message.Data
	number    uint64
	writes    []message.CausalWrite
	last      *message.Chunk // that made the copy complete
}

const (
	// pullAgain is how many ticks a donor is given.
	pullAgain = 10
	// pullIdle is how many ticks a learner that has caught up lets pass.
	pullIdle = 5
	// pullMisses is after how many silent donors in a row a scan that none of them can go
	// on with begins anew: the donor that it began with was further than all that are left.
	pullMisses = 9
)

// whole reports whether a learner's committed layer is a prefix of the order, be it the
// empty one.
func (m *Machine) whole() bool {
	return m.load.scanned && !m.load.partial || m.layers.Empty()
}

// beginLoad makes the machine a learner. What it has delivered is a prefix of the order,
// since everything that was delivered anywhere is inside the cut: so it needs only what
// came later, if the members still know that.
func (m *Machine) beginLoad() {
	if l := m.load; l != nil { // the epoch ended before it was let in: it goes on
		m.load = &load{nonce: l.nonce, donor: l.donor, scanned: l.scanned, cursor: l.cursor, committed: l.committed, partial: l.partial}
		return
	}
	m.load = &load{scanned: m.layers.Entries() > 0, committed: m.causal.committed}
	if !m.load.scanned {
		m.restartLoad()
	}
}

func (m *Machine) restartLoad() {
	l := m.load
	nonce, donor, final := l.nonce, l.donor, l.final
	*l = load{nonce: nonce, donor: donor, final: final}
	m.layers.Restart()
}

// pull asks for the next piece when it is time.
func (m *Machine) pull(out *Output) {
	l := m.load
	if l == nil || l.copied {
		return
	}
	waited, idle := m.ticks-l.askedAt, uint64(pullIdle)
	if l.final {
		idle = 1 // the donor is not wedged yet
	}
	switch {
	case l.asked && waited < pullAgain, !l.asked && l.caught && waited < idle && !(l.final && l.fresh):
		return
	case l.asked:
		l.donor++
		if l.misses++; l.misses >= pullMisses && !l.scanned {
			l.misses = 0
			m.restartLoad()
		}
	}
	to := m.donorOf(l.donor)
	if to == 0 {
		return
	}
	m.pulls++
	l.nonce = m.pulls
	l.asked, l.askedAt, l.fresh = true, m.ticks, false
	out.send(&message.Pull{
		Header: m.header(), Nonce: l.nonce, Entry: m.layers.Entries(), Cursor: l.cursor, Scanned: l.scanned,
		Wedged: l.final, Held: l.held, Number: l.number,
	}, to)
}

func (m *Machine) donorOf(n uint64) lamport.Node {
	var others []lamport.Node
	for _, member := range m.record.Members {
		if member.Node != m.cfg.Self {
			others = append(others, member.Node)
		}
	}
	if len(others) == 0 {
		return 0
	}
	return others[n%uint64(len(others))]
}

// chunk takes the piece that was asked for.
func (m *Machine) chunk(c *message.Chunk) {
	l := m.load
	if !l.asked || c.Nonce != l.nonce || l.copied {
		return // it came late: the piece was asked for again
	}
	l.asked, l.misses = false, 0
	switch {
	case c.Restart:
		m.restartLoad()
		return
	case len(c.Entries) > 0 && !m.layers.Load(c.First, c.Entries):
		m.refused++
		return
	}
	m.lastRID = max(m.lastRID, c.LastRID)
	for i := range c.Records {
		m.layers.LoadKey(&c.Records[i])
	}
	if m.layers.Entries() >= c.Last && c.Position >= m.layers.Position() {
		// Only a complete table says that the layer has come as far as its donor's. Until
		// then some keys may be ahead of it; what comes later leaves them as they are, or
		// is executed again with the same outcome.
		l.place, l.committed = c.Place, c.Committed
		m.layers.Reached(c.Position, c.Order)
	}
	if c.Scanned {
		l.scanned = true
	} else if !l.scanned {
		l.cursor = c.Cursor
	}
	l.partial = m.layers.Entries() < c.Last
	l.caught = l.scanned && !l.partial
	m.turn.Changed = true
	if c.Wedged {
		l.fresh = true // if this was not all, the next piece is to be had at once
	}
	if c.Wedged && (l.caught || m.cfg.Mutant.UnloadedJoiner) {
		m.copyRest(c)
	}
}

// copyRest takes what a wedged member holds and has not delivered.
func (m *Machine) copyRest(c *message.Chunk) {
	l := m.load
	if l.held == nil {
		l.held = make([]uint64, len(m.record.Members))
	}
	for _, d := range c.Data {
		i := m.record.Index(d.From)
		if i < 0 || d.Seq <= l.held[i] {
			continue
		}
		l.held[i] = d.Seq
		l.queue = append(l.queue, d)
	}
	for i := range c.Writes {
		if w := c.Writes[i]; w.Number == max(l.number, l.committed)+1 {
			l.number = w.Number
			l.writes = append(l.writes, w)
		}
	}
	if !c.Done && !m.cfg.Mutant.UnloadedJoiner || len(c.Contiguous) != len(m.record.Members) {
		return
	}
	l.copied, l.last = true, c
	// One donor may have delivered what another has told of: it is in the layer then.
	l.queue = slices.DeleteFunc(l.queue, func(d *message.Data) bool { return !l.place.Less(abcast.PlaceOf(d)) })
	m.rest = &abcast.Remains{View: m.record.View, Contiguous: c.Contiguous, Queue: l.queue, Place: l.place}
	m.rest.Sort()
	m.replaceCausal()
	if m.cfg.Durable {
		m.turn.Data = append(m.turn.Data, l.queue...)
	}
}

// replaceCausal throws the learner's own causal log away, and takes the donor's.
func (m *Machine) replaceCausal() {
	l := m.load
	m.dropCausal()
	m.causal.marks = message.Marks{Last: l.committed, Safe: min(l.last.Safe, l.last.Watermark)}
	m.prepared.high = max(m.prepared.high, l.last.Watermark) // what the donor holds comes in
	m.causalWrites(l.writes)
}

// dropCausal forgets all causal writes that are not committed.
func (m *Machine) dropCausal() {
	c := &m.causal
	m.layers.ForgetCausal()
	clear(c.log)
	m.voidKept(0)
	c.committed, c.marker = m.load.committed, m.load.committed
	c.watermark, c.safe = c.committed, c.committed
	c.marks = message.Marks{Last: c.committed}
}
