// Package room is about the last free bytes of a disk: what they are for, and which of them are
// kept. It promises that a process which starts on a full disk finds the room that starting takes.
package room

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Levels are what must be free on a disk for something to be done, in bytes. Each leaves the ones
// below it for what matters more.
type Levels struct {
	// Sets is the least for clients' sets, and all else that may leave a value.
	Sets uint64
	// Cleanup is the least for what makes room again or rearranges data: deletes by clients, and
	// the compactions of a replica's storage. What is left below it is for what is under way: the
	// record of the views, logs of the storage and the tables that they become.
	Cleanup uint64
	// Reserve is the size of each process's [Reserve].
	Reserve uint64
}

// The levels of a large disk, and which part of a small one they are.
const (
	setsMost, setsShare       = 64 << 20, 8
	cleanupMost, cleanupShare = 16 << 20, 32
	reserveMost, reserveShare = 24 << 20, 32
)

// LevelsOf returns the levels of a disk of so many bytes.
func LevelsOf(total uint64) Levels {
	return Levels{
		Sets:    min(setsMost, total/setsShare),
		Cleanup: min(cleanupMost, total/cleanupShare),
		Reserve: min(reserveMost, total/reserveShare),
	}
}

// Refused says which of clients' writes find no room.
type Refused uint8

// What is refused, the next level with the one before it.
const (
	None    Refused = iota
	Sets            // and all else that may leave a value
	Deletes         // too
)

// Refuses says what is to be refused with so many bytes free, where was is refused so far: it is
// taken again once an eighth more is free, so that a disk at the limit does not flap. Sets leave
// missing bytes beside their level. need is what must be free for a part of it to be taken again,
// or, where nothing is refused, for sets.
func (l Levels) Refuses(was Refused, free, missing uint64) (now Refused, need uint64) {
	sets, deletes := l.Sets, l.Cleanup
	if was >= Sets {
		sets += sets / 8
	}
	if was >= Deletes {
		deletes += deletes / 8
	}
	sets += missing

	switch {
	case free < deletes:
		return Deletes, deletes
	case free < sets:
		return Sets, sets
	}
	return None, sets
}

// Text is so many bytes in words, with digits enough to tell what is left of a small disk from what
// is wanted of it.
func Text(bytes uint64) string {
	if bytes >= 16<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// Usage is how full a disk is, in bytes.
type Usage struct {
	Free  uint64 // that this process may use
	Total uint64
}

// Look asks the file system of dir or, where dir is still to be made, of the folder above it.
func Look(dir string) (Usage, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	for above := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && above != dir; above = filepath.Dir(dir) {
		dir = above
		err = syscall.Statfs(dir, &s)
	}
	if err != nil {
		return Usage{}, fmt.Errorf("the room on the disk of %s: %w", dir, err)
	}
	return Usage{Free: s.Bavail * uint64(s.Bsize), Total: s.Blocks * uint64(s.Bsize)}, nil
}
