package masternode

import (
	"quartet/bus"
	"quartet/bus/link"
	"quartet/master/kv"
)

// Figures are what a master's loop says of itself when it is asked.
type Figures struct {
	Status     bus.Status // with what the replicas have reported, some 100 ms old
	Configured int        // replicas of the cluster
	Serving    int        // of them, members of the view that work
	Views      uint64     // that this process has seen to begin
	Unwritable bool       // the record of the views, when it was tried last
	Short      string     // why sets are refused for want of room on the disk; "": they are not
	Free       uint64     // bytes on that disk; 0: with --memory, or not known
	Traffic    link.Traffic
	KeyValue   kv.Counts // of the facade for NATS key-value clients
}

// look answers a probe.
func (n *node) look() Figures {
	s := n.machine.Snapshot()
	f := Figures{
		Status: n.statusOf(&s), Configured: s.Configured, Views: n.views.begun, Short: n.room.why, Free: n.room.free,
		Traffic: link.Traffic{
			Counters: n.link.Counters(), Kinds: n.link.Kinds(), Waiting: n.inbox.Len(), Dropped: n.inbox.Dropped(),
			Refused: n.machine.Refused(), Again: n.machine.Resent(),
		},
	}
	if n.kv != nil {
		f.KeyValue = n.kv.facade.Counts()
	}
	why, _ := n.trouble()
	f.Unwritable = why != ""
	for i := range s.Replicas {
		if s.Replicas[i].Member {
			f.Serving++
		}
	}
	return f
}
