package peers

import "golang.org/x/sys/unix"

// isTmpfs reports whether the folder is in memory: an fsync there costs nothing.
func isTmpfs(dir string) (bool, error) {
	var about unix.Statfs_t
	if err := unix.Statfs(dir, &about); err != nil {
		return false, err
	}
	return about.Type == unix.TMPFS_MAGIC, nil
}
