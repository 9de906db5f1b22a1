package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Rule F15: what a wedged member lacks of the cut that its master wants, the others bring to it.

// fetch is the newest question for DATA of a wedged replica.
type fetch struct {
	of    lamport.Node
	first uint64
	at    uint64 // tick
	asks  uint64 // counts those that were in vain; the member that is asked goes by it
}

// lacking is the index of the first member of whose DATA less is held than the master wants; -1:
// there is none.
func (m *Machine) lacking() int {
	if m.rest == nil {
		return -1
	}
	for i, n := range m.prepared.cut {
		if m.rest.Contiguous[i] < n {
			return i
		}
	}
	return -1
}

// ask asks for what is missing here.
func (m *Machine) ask(out *Output) {
	m.askCausal(out)
	m.askData(out)
}

// askData asks one member after the other for DATA that are missing: at once for the next ones, and
// again where no answer came. Whoever holds them has them in its queue: had it delivered one, it
// would remember that this replica had told it so, and this one would be no survivor (rule F9).
func (m *Machine) askData(out *Output) {
	i := m.lacking()
	if i < 0 {
		return
	}
	f, of, first := &m.prepared.fetch, m.rest.View.Members[i].Node, m.rest.Contiguous[i]+1
	switch isNew := f.of != of || f.first != first; {
	case isNew: // what was missing before has come
	case m.ticks-f.at < causalAskAgain: // the answer may be on its way
		return
	default:
		f.asks++
	}

	var peers []lamport.Node
	for _, member := range m.rest.View.Members {
		if member.Node != m.cfg.Self {
			peers = append(peers, member.Node)
		}
	}
	if len(peers) == 0 {
		return
	}
	f.of, f.first, f.at = of, first, m.ticks
	to := peers[f.asks%uint64(len(peers))]
	out.send(&message.Gap{Header: m.header(), Of: of, First: first, Last: m.prepared.cut[i]}, to)
}

// bring answers a question for DATA with those that this wedged member holds and has not delivered.
func (m *Machine) bring(g *message.Gap, out *Output) {
	if data := m.rest.Between(g.Of, g.First, g.Last); len(data) > 0 {
		out.send(&message.Fill{Header: m.header(), Data: data}, g.From)
	}
}

// brought takes DATA that the master wants this wedged replica to hold. They are held before the
// STATE that counts them leaves, as what was received while it worked.
func (m *Machine) brought(data []*message.Data) {
	var fresh []*message.Data
	for _, d := range data {
		if m.rest.Take(d, m.prepared.cut) {
			fresh = append(fresh, d)
		}
	}
	if len(fresh) == 0 {
		return
	}

	if !m.learner.Loads() { // a copy sees them when it enters a view
		m.receive(fresh)
	}
	if m.cfg.Durable {
		m.turn.Data = append(m.turn.Data, fresh...)
	}
	m.turn.Changed = true
}
