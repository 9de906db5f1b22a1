package masternode

import (
	"time"

	"quartet/bus/host/room"
	"quartet/bus/trouble"
)

// A set of the causal model is numbered here and comes to every replica, so no replica can
// refuse it: the door asks for room, too.
const roomEvery = 100 * time.Millisecond

// roomLeft is whether the file system of the data has any.
type roomLeft struct {
	next time.Time // when it is asked again
	why  string    // sets are refused; "": they are not
	free uint64    // bytes, when it was asked last
	need uint64    // bytes, below which sets are refused
}

// lookRoom asks the file system, ten times a second at the most.
func (n *node) lookRoom(now time.Time) {
	if n.opts.Memory || now.Before(n.room.next) {
		return
	}
	n.room.next = now.Add(roomEvery)
	usage, err := room.Look(n.dir.path)
	free := usage.Free
	n.room.free = free

	was := n.room.why
	need := room.LevelsOf(usage.Total).Sets
	if was != "" {
		need += need / 8 // so that a disk at the limit does not flap
	}
	need += n.dir.spare.Missing(usage.Total)
	n.room.need = need

	switch {
	case err != nil:
		n.room.why = trouble.RoomUnknown.Say(err)
	case free < need:
		n.room.why = trouble.DiskFull.Say(free>>20, need>>20)
	default:
		n.room.why = ""
	}

	switch {
	case was == "" && n.room.why != "":
		n.opts.Log.Error("sets are refused", "reason", n.room.why, "dir", n.dir.path)
	case was != "" && n.room.why == "":
		n.opts.Log.Info("there is room on the disk: sets are taken again")
	}

	if n.room.why == "" && n.dir.spare != nil {
		if err := n.dir.spare.Keep(); err != nil {
			n.opts.Log.Warn("room on the disk", "error", err)
		}
	}
}
