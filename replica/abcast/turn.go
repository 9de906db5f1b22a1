package abcast

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Flush stamps and numbers the operations that were submitted and appends their DATA
// to sends; the ACK rides on it. It is called in every turn, before [Broadcast.Next].
// Operations that nobody waits for (weak ones, answered already) are gathered while the
// last own DATA is on its way to somebody: a message costs its receivers a sleep.
func (b *Broadcast) Flush(sends []Send) []Send {
	b.trim()
	if b.gathers() {
		return sends
	}
	b.urgent = false
	for first := 0; first < len(b.outgoing); {
		left := message.NewBudget()
		next := first + message.Fit(&left, b.outgoing[first:], opBytes)
		sends = b.send(b.outgoing[first:next:next], sends)
		first = next
	}
	if len(b.outgoing) > 0 {
		// Its memory now belongs to the DATA; the next turn's batch is often as large.
		b.outgoing = make([]message.Operation, 0, min(len(b.outgoing), message.MostItems))
	}
	return sends
}

func (b *Broadcast) send(ops []message.Operation, sends []Send) []Send {
	b.clock.Increment() // the header says it: the place of this DATA
	b.lastSeq++
	leaveOut(ops, b.time)
	d := &message.Data{Header: b.header(), Seq: b.lastSeq, Time: b.time, Ops: ops}
	b.members[b.self].held = b.lastSeq
	d.Received, d.Acked = b.received(b.peers), b.takeAcked()
	b.hold(&b.members[b.self], d)
	b.keep(d)
	if len(b.peers) == 0 {
		b.sentBase = b.lastSeq
		return sends
	}
	b.sent = append(b.sent, d)
	return append(sends, Send{To: b.peers, Msg: d})
}

// leaveOut takes the time at which a request came to the master from those operations whose DATA
// says the same.
func leaveOut(ops []message.Operation, time uint64) {
	for i := range ops {
		if r := &ops[i].Request; r.Came == time {
			r.Came = 0
		}
	}
}

// Settle ends a turn: it drops own DATA that all have received, and appends to sends
// the ACK that is due and requests for what is missing.
//
// News of what was received here goes at once to the members of whom a DATA with strong
// operations stands in the queue: they wait for it, with clients behind them. The others
// need it only to deliver what is not theirs, or what nobody waits for, and are told by the
// next DATA, at the next tick, or when they [Broadcast.Hurry]. A broadcast to N members
// then costs N-1 ACKs instead of (N-1)², and all weak writes of a tick share one to each.
// A member that has asked for ACKs is told of others' strong operations at once, too, for a
// second: somebody waits there for what others send (see [Broadcast.Follow]).
//
// A member that waits is always told: if its DATA d with strong operations is not in the
// queue here, then either d was delivered here, and what came before d in the order was
// received here and told while d was in the queue or earlier; or d is yet to come, and the
// ACK for it will tell of all that came before. Gets that wait in a queue for others' DATA
// have Hurry, in each turn anew.
func (b *Broadcast) Settle(sends []Send) []Send {
	b.trim()
	to := b.take(func(m *member) bool { return m.due })
	if len(b.acked) > 0 && len(b.take(func(m *member) bool { return m.owed })) == 0 {
		to = b.peers // rIDs that a DATA of this turn had no room for
	}
	sends = b.ack(to, false, sends)
	for i := range b.members {
		sends = b.ask(&b.members[i], sends)
	}
	return sends
}

// Tick counts a tick of 10 ms. It sends an ACK to the members that are owed one. With work waiting
// and no progress it asks the others for their ACKs: these may have been lost, or our last DATA,
// which this ACK announces.
func (b *Broadcast) Tick(sends []Send) []Send {
	b.ticks++
	if len(b.queue) == 0 && len(b.sent) == 0 {
		b.progress = b.ticks
	}
	if b.ticks-b.progress >= solicitAfter {
		b.progress = b.ticks
		return b.solicit(sends)
	}
	return b.ack(b.take(func(m *member) bool { return m.owed }), false, sends)
}

// Hurry asks for the ACKs that the head of the queue needs here, once a head: for a
// member that serves somebody who waits behind it. With own strong DATA in the queue
// they come by themselves, and so they do for others' while this member [Broadcast.Follow]s.
func (b *Broadcast) Hurry(sends []Send) []Send {
	if len(b.queue) == 0 || b.members[b.self].awaited > 0 || b.queue[0].at == b.hurried {
		return sends
	}
	if b.queue[0].awaited && b.follows() {
		return sends
	}
	b.hurried = b.queue[0].at
	return b.solicit(sends)
}

// Follow asks to be told at once of the strong operations that the others receive, from the first
// that stands in the queue, and again before they forget: for a member that tells somebody of each
// delivery, as watchers. Without it a member delivers others' operations a tick after they do,
// while nothing else is sent.
func (b *Broadcast) Follow(sends []Send) []Send {
	isStrong := func(e entry) bool { return e.awaited }
	if b.follows() || !slices.ContainsFunc(b.queue, isStrong) {
		return sends
	}
	return b.solicit(sends)
}

// follows reports whether the others tell this member of strong operations at once.
func (b *Broadcast) follows() bool { return b.ticks < b.asked }

// solicit asks all others for their ACKs, by one of this member's.
func (b *Broadcast) solicit(sends []Send) []Send {
	b.asked = b.ticks + listenTicks/2
	return b.ack(b.peers, true, sends)
}

// owe notes that the others don't know yet what was just received, and that those wait to hear of
// it whose DATA stand in the queue, and those who listen, if it is strong: also if their DATA are
// delivered before this turn ends.
func (b *Broadcast) owe(isStrong bool) {
	for j := range b.members {
		if m := &b.members[j]; j != b.self {
			hears := isStrong && b.ticks < m.listens
			m.owed = true
			m.due = m.due || m.awaited > 0 || hears
		}
	}
}

// take returns the members for whom want holds, in the order of the view.
func (b *Broadcast) take(want func(*member) bool) []lamport.Node {
	var to []lamport.Node
	for j := range b.members {
		if m := &b.members[j]; j != b.self && want(m) {
			to = append(to, m.node)
		}
	}
	return to
}

func (b *Broadcast) trim() {
	if len(b.sent) == 0 {
		return
	}
	all := b.lastSeq
	for j := range b.members {
		if j != b.self {
			all = min(all, b.members[j].received[b.self])
		}
	}
	if n := all - b.sentBase; all > b.sentBase {
		clear(b.sent[:n])
		b.sent = b.sent[n:]
		b.sentBase = all
	}
}

// ack tells to, and makes more than one ACK of it if there are too many rIDs for one.
func (b *Broadcast) ack(to []lamport.Node, solicit bool, sends []Send) []Send {
	for again := len(to) > 0; again; again = len(b.acked) > 0 {
		a := &message.Ack{Header: b.header(), Received: b.received(to), Solicit: solicit, Acked: b.takeAcked()}
		sends = append(sends, Send{To: to, Msg: a})
		solicit = false
	}
	return sends
}

// ask requests what is missing of m's DATA, up to the first that is held beyond the gap:
// at once when the gap is seen, then again every askAgain ticks for as long as it stays.
// Whatever is ahead was announced as well, so the announcement alone shows every gap.
func (b *Broadcast) ask(m *member, sends []Send) []Send {
	first := m.held + 1
	if m.announcedSeq < first {
		return sends
	}
	if m.askedFor == first && b.ticks-m.askedAt < askAgain {
		return sends
	}
	m.askedFor, m.askedAt = first, b.ticks
	last := first
	for last < m.announcedSeq && last < m.held+resendMost && m.ahead[last+1] == nil {
		last++
	}
	g := &message.Gap{Header: b.header(), First: first, Last: last}
	return append(sends, Send{To: []lamport.Node{m.node}, Msg: g})
}

func (b *Broadcast) header() message.Header {
	return message.Header{From: b.cfg.Self, Incarnation: b.cfg.Incarnation, Epoch: b.cfg.View.Epoch, Clock: b.clock.Now()}
}

// received is the ACK part of a message to some members; it settles what they were owed.
func (b *Broadcast) received(to []lamport.Node) message.Received {
	r := message.Received{LastSeq: b.lastSeq, Received: make([]uint64, len(b.members))}
	for i := range b.members {
		r.Received[i] = b.members[i].held
	}
	for _, n := range to {
		m := &b.members[b.cfg.View.Index(n)]
		m.owed, m.due = false, false
	}
	return r
}

// takeAcked returns what one message may acknowledge; what is left makes further ACKs.
// Without the bound a member that was slow would acknowledge in one header more rIDs
// than the bus carries; on a DATA, which is sent again as it was, that would be for ever.
func (b *Broadcast) takeAcked() []uint64 {
	n := min(len(b.acked), ackedMost)
	acked := b.acked[:n:n]
	if b.acked = b.acked[n:]; len(b.acked) == 0 {
		b.acked = nil // its memory now belongs to the message
	}
	return acked
}

// opBytes is about what an operation takes in a message, its rIDs in the header too.
func opBytes(op *message.Operation) int {
	const read = 20
	return message.ItemBytes + op.Request.Size() + read*len(op.Reads)
}
