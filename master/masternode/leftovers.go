package masternode

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"quartet/bus/host/lock"
)

// sweep removes the temporary directories of masters that were killed and whose address was a free
// port: no later master finds the same directory, so nobody else would. One whose lock is held is
// in use; whose it is, is asked as in [runDir.ours].
func sweep(own string) (removed []string) {
	pattern := filepath.Join(os.TempDir(), fmt.Sprintf("quartet-%d-*_-1-[0-9]*", os.Getuid()))
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil // TMPDIR holds a bracket
	}

	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || dir == own || !info.IsDir() {
			continue
		}
		if made, known := info.Sys().(*syscall.Stat_t); known && int(made.Uid) != os.Getuid() {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, lockFile)); err != nil {
			continue // a master that has just begun, or no master
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
