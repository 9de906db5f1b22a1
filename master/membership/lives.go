package membership

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// goneMost bounds the list of replaced processes of a replica.
const goneMost = 16

// Refuses reports whether a HELLO comes from a process that is not taken for its replica, and
// answers it (rule F10): a process that a later one has replaced is to end; a new process under an
// incarnation that is not new goes on above the newest incarnation that is known. Incarnations are
// drawn from the clock of a machine, which may be set back; lives are not.
func (m *Machine) Refuses(h *message.Hello, out *Output) bool {
	if m.foreign(h) {
		m.refer(h, out)
		return true
	}
	r := m.Replica(h.From)
	if r == nil || h.Past.Life == 0 {
		return false
	}
	replaced := slices.Contains(r.gone, h.Past.Life)
	newest := h.Incarnation >= m.newestOf(h.From)
	known := r.Life == h.Past.Life && !r.fresh
	ours := newest || known
	if ours && !replaced {
		return false
	}
	out.send(&message.Outdated{Header: m.header(), Newest: m.newestOf(h.From), Life: h.Past.Life, Replaced: replaced}, h.From)
	return true
}

// speaks reports whether a HELLO comes from the process that speaks as the replica, or from a new
// one, which does so from now on. What a dead process had sent may come late; only a living one
// answers a heartbeat that its predecessor has not, and that was sent after that one had spoken:
// the dead one may have answered heartbeats that the process after it was not sent.
func (m *Machine) speaks(r *Replica, h *message.Hello) bool {
	life := h.Past.Life
	if r.Life == life {
		r.fresh = false
		return true
	}
	answers := h.Master == m.cfg.Incarnation && h.Nonce > max(r.nonce, r.since)
	if r.Life != 0 && !r.fresh && !answers {
		return false
	}
	if r.Life != 0 {
		if len(r.gone) >= goneMost {
			r.gone = slices.Clone(r.gone[1:])
		}
		r.gone = append(slices.Clip(r.gone), r.Life)
	}
	// What its disk holds may be something else than what the one before has told.
	r.stranger = ""
	r.Life, r.Back, r.state, r.fresh, r.since = life, "", nil, false, m.asks
	return true
}

// newestOf is the greatest incarnation of a replica that is known.
func (m *Machine) newestOf(n lamport.Node) uint64 {
	var newest uint64
	if i := m.record.Index(n); i >= 0 {
		newest = m.record.Members[i].Incarnation
	}
	if r := m.Replica(n); r != nil {
		newest = max(newest, r.Incarnation)
	}
	return newest
}
