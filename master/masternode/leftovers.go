package masternode

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"quartet/bus/host/lock"
)

// settled is how old a directory is at least that is taken for a killed master's: a master that
// starts at this moment has made its directory, and has not locked it yet.
const settled = time.Minute

// sweep removes the temporary directories of masters that were killed and whose address was a free
// port: no later master finds the same directory, so nobody else would. One whose lock is held is
// in use; whose it is, is asked as in [runDir.ours].
func sweep(own string, now time.Time) (removed []string) {
	pattern := filepath.Join(os.TempDir(), fmt.Sprintf("quartet-%d-*_-1-[0-9]*", os.Getuid()))
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil // TMPDIR holds a bracket
	}

	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || dir == own || !info.IsDir() || now.Sub(info.ModTime()) < settled {
			continue
		}
		if made, known := info.Sys().(*syscall.Stat_t); known && int(made.Uid) != os.Getuid() {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, lockFile)); err != nil {
			continue // no master
		}

		held, err := lock.Take(filepath.Join(dir, lockFile), 0, lock.Holder{PID: os.Getpid()})
		if err != nil {
			continue
		}
		if os.RemoveAll(dir) == nil {
			removed = append(removed, dir)
		}
		held.Release()
	}
	return removed
}
