package view

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Neighbours is what a replica knows of the links between it and the other replicas. Delivery
// needs that every two members of a view hear each other, and only they can tell: the
// master may reach both of them.
//
// Whatever arrives from another replica shows that its link to here works: of whatever epoch
// it is, and though nothing else may come of it. So that silence means something when nobody
// has anything to say, a replica answers each heartbeat of its master with a BEAT to those
// others to which it has sent nothing since the last one (rule H1). It tells the master, with
// each REPORT and HELLO, for how long it has not heard each of them; what follows from that
// the master decides (package membership).
type Neighbours struct {
	Self lamport.Node

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
func (h *Neighbours) find(n lamport.Node) (int, bool) {
	return slices.BinarySearchFunc(h.peers, n, func(p neighbour, n lamport.Node) int { return int(p.node) - int(n) })
}

// know makes n a neighbour.
func (h *Neighbours) know(n lamport.Node, now uint64) *neighbour {
	i, ok := h.find(n)
	if !ok {
		h.peers = slices.Insert(h.peers, i, neighbour{node: n, heard: now})
	}
	return &h.peers[i]
}

// Hear takes note of a message from another replica.
func (h *Neighbours) Hear(from lamport.Node, now uint64) {
	_, known := h.find(from)
	full := len(h.peers) >= mostNeighbours
	hasRoom := known || !full
	if from != h.Self && hasRoom {
		h.know(from, now).heard = now
	}
}

// Heartbeat takes note of a heartbeat of the master that this replica obeys: the turn ends
// with a BEAT.
func (h *Neighbours) Heartbeat() { h.due = true }

// acquaint makes the replicas of the cluster neighbours, and forgets who was one of others.
func (h *Neighbours) acquaint(r *message.Record, now uint64) {
	for _, n := range r.Configured {
		if n != h.Self {
			h.know(n, now)
		}
	}
	h.peers = slices.DeleteFunc(h.peers, func(p neighbour) bool {
		return !r.Configures(p.node) && now-p.heard > strangerTicks
	})
}

// Heard is what the master is told: for how many ticks each neighbour was not heard.
func (h *Neighbours) Heard(now uint64) []message.Heard {
	if len(h.peers) == 0 {
		return nil
	}
	list := make([]message.Heard, len(h.peers))
	for i, p := range h.peers {
		list[i] = message.Heard{Node: p.node, Silent: now - p.heard}
	}
	return list
}

// Told takes note that the turn sends something to nodes.
func (h *Neighbours) Told(nodes []lamport.Node) {
	for _, n := range nodes {
		if i, ok := h.find(n); ok {
			h.peers[i].told = true
		}
	}
}

// Beat ends a turn: if a heartbeat has come in it, Beat returns the neighbours to which nothing
// was sent since the last one. r is the record of the epoch that the replica knows.
func (h *Neighbours) Beat(r *message.Record, now uint64) (to []lamport.Node) {
	if !h.due {
		return nil
	}
	h.due = false
	h.acquaint(r, now)
	for i := range h.peers {
		p := &h.peers[i]
		if !p.told {
			to = append(to, p.node)
		}
		p.told = false
	}
	return to
}
