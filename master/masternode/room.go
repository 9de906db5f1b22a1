package masternode

import (
	"syscall"
	"time"

	"quartet/bus/trouble"
)

// A set of the causal model is numbered here and comes to every replica, so no replica can
// refuse it: the door asks for room, too.
const (
	minFree   = 64 << 20 // bytes, as for a replica's disk: see replica/disk
	freeShare = 8        // or, on a small disk, this part of it
	roomEvery = 100 * time.Millisecond
)

// room is whether the file system of the data has any.
type room struct {
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
	free, total, err := freeBytes(n.dir.path)
	n.room.free = free
	was := n.room.why
	need := min(uint64(minFree), total/freeShare)
	n.room.need = need
	if was != "" {
		need += need / 8 // so that a disk at the limit does not flap
	}
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
}

// freeBytes returns how many bytes of dir's file system are free, and how many it has.
func freeBytes(dir string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}
