package masternode

import (
	"time"

	"quartet/bus/host/room"
	"quartet/bus/model"
	"quartet/bus/trouble"
)

// roomEvery is how often the master asks how much room the disk has, as the replicas do of theirs:
// a write of the causal model is numbered here and comes to every replica, so no replica can
// refuse it.
const roomEvery = 100 * time.Millisecond

// roomLeft is whether the file system of the data has any.
type roomLeft struct {
	next    time.Time    // when it is asked again
	refused room.Refused // which writes are
	why     string       // they are refused; "": none are
	free    uint64       // bytes, when it was asked last
	need    uint64       // bytes, below which as much is refused; while nothing is, sets
}

// refuses says why a request that writes is refused for want of room; "": it is not.
func (r *roomLeft) refuses(t model.Type) string {
	level := room.Sets
	if t == model.Delete {
		level = room.Deletes
	}
	if r.refused < level {
		return ""
	}
	return r.why
}

// lookRoom asks the file system, ten times a second at the most.
func (n *node) lookRoom(now time.Time) {
	if n.opts.Memory || now.Before(n.room.next) {
		return
	}
	n.room.next = now.Add(roomEvery)
	usage, err := room.Look(n.dir.path)
	free, was := usage.Free, n.room.refused
	refused, need := room.LevelsOf(usage.Total).Refuses(was, free, n.dir.spare.Missing(usage.Total))
	if err != nil {
		refused = room.Deletes
	}
	n.room.refused, n.room.free, n.room.need = refused, free, need

	switch {
	case err != nil:
		n.room.why = trouble.RoomUnknown.Say(err)
	case refused == room.Deletes:
		n.room.why = trouble.DiskFullest.Say(room.Text(free), room.Text(need))
	case refused == room.Sets:
		n.room.why = trouble.DiskFull.Say(room.Text(free), room.Text(need))
	default:
		n.room.why = ""
	}

	switch {
	case was == refused:
	case refused == room.None:
		n.opts.Log.Info("there is room on the disk: sets are taken again")
	case refused < was:
		n.opts.Log.Info("there is a little room on the disk: deletes are taken again", "reason", n.room.why, "dir", n.dir.path)
	case refused == room.Sets:
		n.opts.Log.Error("sets are refused", "reason", n.room.why, "dir", n.dir.path)
	default:
		n.opts.Log.Error("sets and deletes are refused", "reason", n.room.why, "dir", n.dir.path)
	}

	if refused == room.None && n.dir.spare != nil {
		if err := n.dir.spare.Keep(); err != nil {
			n.opts.Log.Warn("room on the disk", "error", err)
		}
	}
}
