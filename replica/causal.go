package replica

import (
	"fmt"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/layers"
)

// causal: the primary (the master) numbers causal writes 1, 2, 3, … and sends each to
// every replica. A number is held (the watermark), then safe, then committed:
//
//	committed <= safe <= watermark <= the last number given out
//
// Held means without a gap below it. Safe means that f+1 members hold it, so that every
// view that may follow has one that does: only then is it applied to the tentative layer
// and may be read, for a number that nobody safe holds may be voided and given to
// another write. A get carries the minimum acceptable timestamp of its session and is
// compared with the safe watermark. The comparison is with the watermark, never with the
// version of the key: what the key's value depends on must be here too.
type causal struct {
	machine *Machine

	watermark uint64
	safe      uint64
	committed uint64
	marker    uint64 // the greatest number of an OpCommit that this replica submitted
	marks     message.Marks
	log       map[uint64]*message.CausalWrite // above committed, gaps allowed
	waiting   []waiting

	askedFor, askedAt uint64
	asks              uint64 // how often the gap at askedFor was asked for
}

const (
	// causalWindow is how far ahead of a gap causal writes are kept.
	causalWindow = 1 << 16
	// causalAskAgain is how many ticks a request for missing numbers is given.
	causalAskAgain = 2
)

func newCausal(m *Machine) causal {
	return causal{machine: m, log: map[uint64]*message.CausalWrite{}}
}

// marks takes over what the master knows of the numbers. Marks only rise.
func (m *Machine) marks(k message.Marks) {
	c := &m.causal
	c.marks.Last = max(c.marks.Last, k.Last)
	c.marks.Safe = max(c.marks.Safe, k.Safe)
	c.marks.Held = max(c.marks.Held, k.Held)
	m.raiseSafe()
}

// causalWrites receives numbered writes, from the primary or as a fill from a peer. While
// the replica is wedged only those come in that the master has asked it to fetch.
func (m *Machine) causalWrites(writes []message.CausalWrite) {
	c := &m.causal
	for i := range writes {
		w := &writes[i]
		isWrite := w.Request.Model == model.Causal && weakWrite(&w.Request)
		if !isWrite || w.Number > c.watermark+causalWindow {
			m.refused++
			continue
		}
		m.lastRID = max(m.lastRID, w.Request.RID)

		isHere := w.Number <= c.watermark || c.log[w.Number] != nil
		isWanted := m.cast != nil || w.Number <= m.prepared.high
		if isHere || !isWanted {
			continue
		}
		c.log[w.Number] = w
	}

	for c.log[c.watermark+1] != nil {
		c.watermark++
		if m.cfg.Durable {
			m.turn.Writes = append(m.turn.Writes, c.log[c.watermark])
		}
	}

	m.raiseSafe()
}

// raiseSafe applies what has become safe to the tentative layer, in number order.
func (m *Machine) raiseSafe() {
	c := &m.causal
	to := min(c.watermark, c.marks.Safe)
	for c.safe = max(c.safe, c.committed); c.safe < to; {
		w := c.log[c.safe+1]
		if w == nil {
			m.stop(fmt.Sprintf("causal write %d is to be read but is not held here", c.safe+1))
			return
		}
		c.safe++
		m.layers.Hold(&w.Request, c.safe)
	}
}

// void begins the numbering of an epoch: numbers up to its record's high-water are held
// by every member and safe, those above it are void. Nobody can have read them.
func (m *Machine) void(high uint64) {
	c := &m.causal
	for n := range c.log { // the order does not matter
		if n > high {
			delete(c.log, n)
		}
	}
	m.voidKept(high)
	c.watermark = high
	c.marker = c.committed
	c.marks = message.Marks{Last: high, Safe: high, Held: high}
	m.raiseSafe()
}

// set answers a question: the set itself travels as a CausalWrite, from the primary.
func (c *causal) set(r *message.Request) { c.machine.recall(r) }

// mayAnswer reports whether all that the session has seen, or depends on, is safe here. It compares
// with the safe watermark, never with the version of the key.
func (c *causal) mayAnswer(r *message.Request, s seen) bool {
	return s.safe >= r.Min
}

func (c *causal) read(r *message.Request) model.Answer { return c.machine.readWeak(r) }

// wait keeps the get until the safe watermark has come as far, or WaitTicks are over.
func (c *causal) wait(r *message.Request, _ bool) {
	c.waiting = append(c.waiting, waiting{request: r, until: c.machine.ticks + c.machine.cfg.WaitTicks})
}

// serveCausal answers the gets whose minimum has been reached and refuses those that
// have waited for too long.
func (m *Machine) serveCausal() {
	c := &m.causal
	if len(c.waiting) == 0 {
		return
	}
	kept := c.waiting[:0]
	for _, w := range c.waiting {
		switch {
		case c.mayAnswer(w.request, m.seen(false)):
			m.serve(w.request)
		case m.ticks >= w.until: // another replica may have seen more
			m.fail(w.request, model.TooEarly, fmt.Sprintf(
				"replica %s has seen causal writes up to timestamp %d, the request asks for a minimum of %d; ask again later",
				m.cfg.Self, c.safe, w.request.Min))
		default:
			kept = append(kept, w)
		}
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
}

// commitCausal orders "causal writes up to n" for what every member holds. One member
// does it, the first, and one such operation at a time: what came meanwhile is the next.
func (m *Machine) commitCausal() {
	c := &m.causal
	n := min(c.marks.Held, c.watermark)
	if m.record.Members[0].Node != m.cfg.Self || n <= c.marker || c.marker > c.committed {
		return
	}
	c.marker = n
	m.cast.Submit(message.Operation{Op: message.OpCommit, Number: n}, false)
}

// deliverCommit commits the causal writes up to n in number order, by version. Each has a position
// of its own, the last of them that of the marker (rule O1).
func (m *Machine) deliverCommit(n uint64) {
	c := &m.causal
	before, count := m.layers.Position(), m.commits(n)
	for c.committed < n {
		w := c.log[c.committed+1]
		if w == nil {
			m.stop(fmt.Sprintf("causal write %d is to be committed but is not held here", c.committed+1))
			return
		}
		c.committed++
		delete(c.log, c.committed)
		if m.hasRevisions() {
			m.layers.Count(1)
		}
		m.layers.CommitWeak(&w.Request, w.Number, m.revision())
	}
	m.layers.Count(before + count - m.layers.Position())
	c.safe = max(c.safe, n)
}

// commits is how many positions a marker up to n takes: one for each write that it commits, and
// one if there is none, so that no two operations end at one position.
func (m *Machine) commits(n uint64) uint64 {
	committed := m.causal.committed
	if !m.hasRevisions() || n <= committed {
		return 1
	}
	return n - committed
}

// askCausal asks for numbers that are missing: the primary first, then the peers in turn.
// In a wedge it asks for what the master wants it to hold, where the master knows it to be.
func (m *Machine) askCausal(out *Output) {
	c := &m.causal
	want, holder := c.marks.Last, m.master.Node
	if m.cast == nil {
		want, holder = m.prepared.high, m.prepared.holder
	}
	isOfAView := m.cast != nil || m.rest != nil
	if want <= c.watermark || !isOfAView {
		return
	}

	first := c.watermark + 1
	switch {
	case c.askedFor != first: // what was missing before has come
		c.asks = 0
	case m.ticks-c.askedAt < causalAskAgain: // the answer may be on its way
		return
	}

	var ask []lamport.Node
	if holder != 0 && holder != m.cfg.Self {
		ask = append(ask, holder)
	}
	for _, member := range m.record.Members {
		if member.Node != m.cfg.Self && member.Node != holder {
			ask = append(ask, member.Node)
		}
	}
	if len(ask) == 0 {
		return
	}

	to := ask[c.asks%uint64(len(ask))]
	c.asks++
	c.askedFor, c.askedAt = first, m.ticks

	last := first
	for last < want && last-first < message.FillMost && c.log[last+1] == nil {
		last++
	}
	out.send(&message.Gap{Header: m.header(), Causal: true, First: first, Last: last}, to)
}

// fill answers a request for causal numbers with those that are in the log up to the
// watermark. In an epoch a number has one meaning, since one master gives them out.
func (m *Machine) fill(g *message.Gap, out *Output) {
	c := &m.causal
	lookup := func(n uint64) *message.CausalWrite {
		if n > c.watermark {
			return nil
		}
		return c.log[n]
	}
	if writes := message.FillFor(g, lookup); len(writes) > 0 {
		out.send(&message.Fill{Header: m.header(), Writes: writes}, g.From)
	}
}

// recall answers a master that was started again and asks whether a causal set was
// numbered before: with its first number, as a conflict, or that it is not known here.
func (m *Machine) recall(r *message.Request) {
	if first, ok := m.layers.Executed(r); ok {
		m.answerAgain(r, first)
		return
	}
	if first, ok := m.layers.Received(r); ok {
		m.answerAgain(r, first)
		return
	}
	for n := m.causal.committed + 1; n <= m.causal.watermark; n++ {
		if w := m.causal.log[n]; w != nil && w.Request.Identity == r.Identity {
			m.answerAgain(r, layers.Outcome{RID: w.Request.RID, Digest: w.Request.Digest, Timestamp: n})
			return
		}
	}
	if m.layers.TooOld(r, m.forwarded) {
		m.refuseTooOld(r)
		return
	}
	if m.layers.Late(r, r.Came, m.forwarded) {
		m.drop()
		return
	}
	m.answer(model.Answer{RID: r.RID, Code: model.NotFound, Reason: "not numbered yet"})
}
