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
	// Sets is the least for clients' sets.
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
