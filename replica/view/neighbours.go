package replica

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

// hearing is what a replica knows of the links between it and the other replicas. Delivery
// needs that every two members of a view hear each other, and only they can tell: the
// master may reach both of them.
//
// Whatever arrives from another replica shows that its link to here works: of whatever epoch
// it is, and though nothing else may come of it. So that silence means something when nobody
// has anything to say, a replica answers each heartbeat of its master with a BEAT to those
// others to which it has sent nothing since the last one (rule H1). It tells the master, with
// each REPORT and HELLO, for how long it has not heard each of them; what follows from that
// the master decides (package membership).
type hearing struct {
	peers []neighbour // rising by node
	due   bool        // a heartbeat has come in this turn
}

// neighbour is another replica.
type neighbour struct {
	node  lamport.Node
	heard uint64 // tick of the last message from it, or of when it became known
	told  bool   // something was sent to it since the last heartbeat
}

const (
	// mostNeighbours is how many replicas a message can tell of.
	mostNeighbours = 64
	// strangerTicks is how long a replica outside of the cluster is remembered after its last
	// message: one that is loaded before it is let in sends something all the time.
	strangerTicks = 3000
)

// find returns the place of n among the neighbours, and whether it is one.
func (h *hearing) find(n lamport.Node) (int, bool) {
	return slices.BinarySearchFunc(h.peers, n, func(p neighbour, n lamport.Node) int { return int(p.node) - int(n) })
}

// know makes n a neighbour.
func (h *hearing) know(n lamport.Node, now uint64) *neighbour {
	i, ok := h.find(n)
	if !ok {
		h.peers = slices.Insert(h.peers, i, neighbour{node: n, heard: now})
	}
	return &h.peers[i]
}

// hear takes note of a message from another replica.
func (m *Machine) hear(from lamport.Node) {
	h := &m.hearing
	_, known := h.find(from)
	if from == m.cfg.Self || !known && len(h.peers) >= mostNeighbours {
		return
	}
	h.know(from, m.ticks).heard = m.ticks
}

// acquaint makes the replicas of the cluster neighbours, and forgets who was one of others.
func (m *Machine) acquaint() {
	h := &m.hearing
	for _, n := range m.record.Configured {
		if n != m.cfg.Self {
			h.know(n, m.ticks)
		}
	}
	h.peers = slices.DeleteFunc(h.peers, func(p neighbour) bool {
		return !m.record.Configures(p.node) && m.ticks-p.heard > strangerTicks
	})
}

// heardOf is what the master is told.
func (m *Machine) heardOf() []message.Heard {
	if len(m.hearing.peers) == 0 {
		return nil
	}
	list := make([]message.Heard, len(m.hearing.peers))
	for i, p := range m.hearing.peers {
		list[i] = message.Heard{Node: p.node, Silent: m.ticks - p.heard}
	}
	return list
}

// beat ends a turn: it notes whom the turn sends something to, and, if a heartbeat has come,
// sends a BEAT to the other neighbours.
func (m *Machine) beat(out *Output) {
	h := &m.hearing
	h.note(out.Sends)
	if !h.due {
		return
	}
	h.due = false
	m.acquaint()
	var to []lamport.Node
	for i := range h.peers {
		p := &h.peers[i]
		if !p.told && !m.cfg.Mutant.NoBeats {
			to = append(to, p.node)
		}
		p.told = false
	}
	if len(to) > 0 {
		out.send(&message.Beat{Header: m.header()}, to...)
	}
}

func (h *hearing) note(sends []abcast.Send) {
	for _, s := range sends {
		for _, n := range s.To {
			if i, ok := h.find(n); ok {
				h.peers[i].told = true
			}
		}
	}
}
