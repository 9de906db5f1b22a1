package replica

import (
	"quartet/bus/message"
	"quartet/replica/view"
)

// pull asks a member for the next piece, when it is time.
func (m *Machine) pull(out *Output) {
	if p, to := m.learner.Pull(m.ticks); p != nil {
		p.Header = m.header()
		out.send(p, to)
	}
}

// chunk takes the piece that was asked for.
func (m *Machine) chunk(c *message.Chunk, _ *Output) {
	taken, copied := m.learner.Take(c)
	switch taken {
	case view.Late, view.Restarted:
		return
	case view.Gap:
		m.refused++
		return
	case view.Loaded:
	}

	m.lastRID = max(m.lastRID, c.LastRID)
	m.turn.Changed = true
	if copied == nil {
		return
	}
	m.rest = copied.Rest
	m.replaceCausal(copied)
	if m.cfg.Durable {
		m.turn.Data = append(m.turn.Data, copied.Rest.Queue...)
	}
}

// donate answers a learner with the next piece of this member's state.
func (m *Machine) donate(p *message.Pull, out *Output) {
	if isOutside := m.cast == nil && m.rest == nil; isOutside {
		return
	}

	c := &m.causal
	donor := view.Donor{
		Layers: m.layers, View: &m.record.View, Rest: m.rest, Place: m.place(), Bytes: m.cfg.ChunkBytes,
		Committed: c.committed, Safe: c.safe, Watermark: c.watermark,
		Write: func(n uint64) *message.CausalWrite { return c.log[n] },
	}
	if piece := donor.Chunk(p); piece != nil {
		piece.Header, piece.LastRID = m.header(), m.lastRID
		out.send(piece, p.From)
	}
}

// replaceCausal throws the learner's own causal log away, and takes its donor's.
func (m *Machine) replaceCausal(from *view.Copy) {
	m.dropCausal()
	m.causal.marks = message.Marks{Last: from.Committed, Safe: from.Safe}
	m.prepared.high = max(m.prepared.high, from.Watermark) // what the donor holds comes in
	m.causalWrites(from.Writes)
}

// dropCausal forgets all causal writes that are not committed.
func (m *Machine) dropCausal() {
	m.layers.ForgetCausal()
	m.voidKept(0)

	c, committed := &m.causal, m.learner.Committed()
	clear(c.log)
	c.committed, c.marker = committed, committed
	c.watermark, c.safe = committed, committed
	c.marks = message.Marks{Last: committed}
}
