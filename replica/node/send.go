package node

import (
	"quartet/replica/lamport"
	"quartet/replica/message"
)

// send publishes a message. A failure is a lost message, which the protocol repairs;
// it is logged when failing begins and ends.
func (n *node) send(msg message.Message, to []lamport.Node) {
	err := n.link.Send(msg, to...)
	if failing := err != nil; failing != n.failing {
		n.failing = failing
		if failing {
			n.log.Warn("cannot send; what is lost will be asked for again", "error", err)
		} else {
			n.log.Info("sending again")
		}
	}
}
