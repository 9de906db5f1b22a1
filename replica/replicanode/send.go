package replicanode

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
)

// send publishes a message. A failure is a lost message, which the protocol repairs;
// it is logged when failing begins and ends.
func (n *node) send(msg message.Message, to []lamport.Node) {
	if d, ok := msg.(*message.Data); ok {
		n.sent.note(d)
	}
	n.noteSend(n.link.Send(msg, to...))
}

// noteSend logs when sending begins and ceases to fail.
func (n *node) noteSend(err error) {
	if failing := err != nil; failing != n.failing {
		n.failing = failing
		if failing {
			n.log.Warn("cannot send; what is lost will be asked for again", "error", err)
		} else {
			n.log.Info("sending again")
		}
	}
}

// sent tells DATA that leave for the first time from those that are sent again.
type sent struct {
	epoch, seq uint64 // the newest
	again      uint64 // how many were not
}

func (s *sent) note(d *message.Data) {
	switch {
	case d.Epoch > s.epoch:
		s.epoch, s.seq = d.Epoch, d.Seq
	case d.Epoch == s.epoch && d.Seq > s.seq:
		s.seq = d.Seq
	default:
		s.again++
	}
}
