package replicanode

import (
	"quartet/bus/host/room"
	"quartet/bus/link"
	"quartet/bus/message"
	"quartet/replica"
	"quartet/replica/disk"
)

// Figures are what a replica's loop says of itself when it is asked.
type Figures struct {
	replica.Stats
	Views   uint64        // that this process has seen to begin
	Full    bool          // sets are refused for want of room on the disk
	Storage *disk.Figures // nil: in memory
	Traffic link.Traffic
}

// figures answers a probe.
func (n *node) figures() Figures {
	f := Figures{
		Stats: n.machine.Stats(), Views: n.views, Full: n.refuses != room.None,
		Traffic: link.Traffic{
			Counters: n.link.Counters(), Kinds: n.link.Kinds(), Waiting: n.inbox.Len(), Dropped: n.inbox.Dropped(), Again: n.sent.again,
		},
	}
	f.Traffic.Refused = f.Refused
	if n.disk != nil {
		s := n.disk.Figures()
		f.Storage = &s
	}
	return f
}

// Why says why a replica does not work in the view, or "".
func (f *Figures) Why() string {
	if f.Phase == message.PhaseMember {
		return ""
	}
	return phaseText[f.Phase]
}

// phaseText says what a replica does.
var phaseText = map[message.Phase]string{
	message.PhaseBoot:     "waiting for the first view",
	message.PhaseMember:   "member: works in the view",
	message.PhaseWedged:   "wedged: waits for the next view",
	message.PhaseLearning: "learning: outside of the view, and being loaded",
	message.PhaseCaught:   "caught: outside of the view, loaded, and waiting to be let in",
}
