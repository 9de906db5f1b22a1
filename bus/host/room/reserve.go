package room

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the name of a reserve's file.
const Name = "reserve"

// Reserve is a file that holds room on a disk and nothing else. A process that starts where sets
// are refused removes it, and has room for what starting writes: a new log, a table of what the
// last process had in its log, the next record of the views. It is made again once the disk has
// room for it and for sets.
//
// It has one owner: no method may run at the same time as another.
type Reserve struct {
	dir  string
	kept bool // or cannot be
}

// NewReserve returns the reserve of a process whose data stand in dir, as the last process has
// left it.
func NewReserve(dir string) *Reserve { return &Reserve{dir: dir} }

// Begin is called before anything is written in dir, which must exist. With too little room for
// sets it gives the reserve up, and reports whether there was one.
func (r *Reserve) Begin() (freed bool, err error) {
	usage, err := Look(r.dir)
	if err != nil {
		return false, err
	}
	levels := LevelsOf(usage.Total)
	if usage.Free >= levels.Sets {
		r.kept = r.has(levels.Reserve)
		return false, nil
	}

	err = os.Remove(r.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("the reserve for starts on a full disk cannot be given up: %w", err)
	}
	return true, nil
}

// Keep makes the file if it is not there and the disk has room for it and for sets, with an eighth
// more, so that it does not come and go at the limit. It may take as long as it takes to write as
// much, and is cheap while the file is there. If it cannot be made for another reason it is not
// tried again, and the error says why.
func (r *Reserve) Keep() error {
	if r.kept {
		return nil
	}
	usage, err := Look(r.dir)
	if err != nil {
		return nil // whoever refuses sets for want of room says so
	}
	levels := LevelsOf(usage.Total)
	if usage.Free < levels.Sets+levels.Sets/8+levels.Reserve {
		return nil
	}

	err = r.make(levels.Reserve)
	if isFull := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT); isFull {
		return nil // somebody else was faster
	}
	if r.kept = true; err != nil {
		return fmt.Errorf("no reserve for starts on a full disk can be kept in %s: %w", r.dir, err)
	}
	return nil
}

// Missing is how many bytes of a disk of so many the reserve still needs. Sets leave them: else
// they would take the room that a start on a full disk has just been given. A nil Reserve needs
// none.
func (r *Reserve) Missing(total uint64) uint64 {
	if r == nil || r.kept {
		return 0
	}
	return LevelsOf(total).Reserve
}

func (r *Reserve) path() string { return filepath.Join(r.dir, Name) }

// has reports whether the file holds as much room as it should: a copy of a directory may have
// the file without its blocks.
func (r *Reserve) has(size uint64) bool {
	info, err := os.Stat(r.path())
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(s.Blocks)*512 >= size
}

func (r *Reserve) make(size uint64) error {
	f, err := os.Create(r.path())
	if err != nil {
		return err
	}
	err = errors.Join(allocate(f, int64(size)), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(r.path()))
	}
	return nil
}

// zeros fills f where the file system cannot be asked for room.
func zeros(f *os.File, size int64) error {
	block := make([]byte, 64<<10)
	for left := size; left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
			return err
		}
	}
	return f.Sync()
}
