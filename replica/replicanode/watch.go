package replicanode

import (
	"errors"
	"fmt"

	"quartet/bus/host/room"
	"quartet/bus/message"
	"quartet/replica/disk"
)

// lookRoom asks the disk for its room: without, sets, then deletes, too, are refused until there is
// some again.
func (n *node) lookRoom() error {
	if n.disk == nil {
		return nil
	}
	why := n.disk.Room()
	if err := n.disk.Err(); err != nil {
		n.log.Error("replica stops: its disk fails", "error", err)
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if refused := refusedBy(why); refused != n.refuses {
		n.refuses = refused
		n.noteRoom(refused, why)
	}
	return nil
}

// refusedBy is which writes are refused for what a disk says of its room.
func refusedBy(why error) room.Refused {
	isForSets := errors.Is(why, disk.ErrFull) && !errors.Is(why, disk.ErrFullest)
	switch {
	case why == nil:
		return room.None
	case isForSets:
		return room.Sets
	default:
		return room.Deletes
	}
}

// noteRoom tells the machine which writes it is to refuse, and logs it.
func (n *node) noteRoom(refused room.Refused, why error) {
	switch {
	case refused == room.None:
		n.log.Info("there is room on the disk: sets are taken again")
		n.machine.Full("", "")
	case refused == room.Sets:
		n.log.Error("sets are refused: the disk is full", "error", why)
		n.machine.Full(fmt.Sprintf("the disk of replica %s is full; gets and deletes go on", n.opts.ID), "")
	case errors.Is(why, disk.ErrFull):
		n.log.Error("sets and deletes are refused: the disk is full", "error", why)
		said := fmt.Sprintf("the disk of replica %s is full, for deletes, too; gets go on", n.opts.ID)
		n.machine.Full(said, said)
	default:
		n.log.Error("sets and deletes are refused: the room on the disk is not known", "error", why)
		said := fmt.Sprintf("replica %s cannot tell how much room its disk has; gets go on", n.opts.ID)
		n.machine.Full(said, said)
	}
}

// condition is what is logged when it changes.
type condition struct {
	phase  message.Phase
	epoch  uint64
	reason string
}

// tell logs a change of the view, or of the part that this replica has in it.
func (n *node) tell() {
	r := n.machine.Record()
	now := condition{phase: n.machine.Stats().Phase, epoch: r.Epoch, reason: n.machine.Reason()}
	if now == n.seen {
		return
	}
	if now.epoch > n.seen.epoch {
		n.views++
	}
	if now.reason != "" && now.reason != n.seen.reason {
		n.log.Error("what this replica holds counts for nothing until it is loaded by the others: "+now.reason, "epoch", r.Epoch)
	}
	n.seen = now
	members := make([]string, len(r.Members))
	for i, m := range r.Members {
		members[i] = m.Node.String()
	}
	n.log.Info(phaseText[now.phase], "epoch", r.Epoch, "members", members,
		"incarnation", n.machine.Incarnation(), "position", n.machine.Stats().Position)
}

// watch logs messages that the machine refused, at most once a tick.
func (n *node) watch() {
	if refused := n.machine.Stats().Refused; refused != n.refused {
		n.log.Warn("messages refused: of another epoch or incarnation, or against a rule", "new", refused-n.refused, "all", refused)
		n.refused = refused
	}
}
