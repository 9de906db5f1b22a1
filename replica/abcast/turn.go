package abcast

import (
	"quartet/replica/lamport"
	"quartet/replica/message"
)

// Flush stamps and numbers the operations that were submitted and appends their DATA
// to sends; the ACK rides on it. It is called once a turn, before [Broadcast.Next].
func (b *Broadcast) Flush(sends []Send) []Send {
	for first := 0; first < len(b.outgoing); {
		next, size := first, 0
		for next < len(b.outgoing) && next-first < batchOps && size < batchBytes {
			size += opBytes(&b.outgoing[next])
			next++
		}
		sends = b.send(b.outgoing[first:next:next], sends)
		first = next
	}
	b.outgoing = nil // its memory now belongs to the DATA
	return sends
}

func (b *Broadcast) send(ops []message.Operation, sends []Send) []Send {
	time := b.clock.Increment()
	b.lastSeq++
	d := &message.Data{Header: b.header(), Seq: b.lastSeq, Ops: ops}
	b.members[b.self].held = b.lastSeq
	d.Received, d.Acked = b.received(), b.takeAcked()
	b.queue.insert(entry{at: lamport.Timestamp{Time: time, Node: b.cfg.Self}, data: d})
	if len(b.peers) == 0 {
		b.sentBase = b.lastSeq
		return sends
	}
	b.sent = append(b.sent, d)
	return append(sends, Send{To: b.peers, Msg: d})
}

// Settle ends a turn: it drops own DATA that all have received, and appends to sends
// the ACK that is due and requests for what is missing.
func (b *Broadcast) Settle(sends []Send) []Send {
	b.trim()
	for b.ackDue || len(b.acked) > 0 {
		sends = b.ack(false, sends)
	}
	for i := range b.members {
		sends = b.ask(&b.members[i], sends)
	}
	return sends
}

// Tick counts time. With work waiting and no progress it asks the others for ACKs:
// theirs may have been lost, or our last DATA; this ACK announces it.
func (b *Broadcast) Tick(sends []Send) []Send {
	b.ticks++
	if len(b.queue) == 0 && len(b.sent) == 0 {
		b.progress = b.ticks
		return sends
	}
	if b.ticks-b.progress >= solicitAfter && len(b.peers) > 0 {
		b.progress = b.ticks
		sends = b.ack(true, sends)
	}
	return sends
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

func (b *Broadcast) ack(solicit bool, sends []Send) []Send {
	a := &message.Ack{Header: b.header(), Received: b.received(), Solicit: solicit, Acked: b.takeAcked()}
	return append(sends, Send{To: b.peers, Msg: a})
}

// ask requests what is missing of m's DATA, up to the first that is held beyond the gap:
// at once when the gap is seen, then again every askAgain ticks for as long as it stays.
// Whatever is ahead was announced as well, so the announcement alone shows every gap.
func (b *Broadcast) ask(m *member, sends []Send) []Send {
	first := m.held + 1
	if m.announcedSeq < first || b.cfg.Mutant == WithoutGaps {
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

// received is the ACK part of a message; whatever carries it settles what was due.
func (b *Broadcast) received() message.Received {
	r := message.Received{LastSeq: b.lastSeq, Received: make([]uint64, len(b.members))}
	for i := range b.members {
		r.Received[i] = b.members[i].held
	}
	b.ackDue = false
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
	const overhead, read = 64, 20
	r := &op.Request
	return overhead + len(r.Key) + len(r.Value) + len(r.Identity) + read*len(op.Reads)
}
