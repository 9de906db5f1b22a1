package testkit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// MountDisk makes the folder dir a disk of its own, of so many bytes (a tmpfs), until the test
// ends; that needs root, without which the test fails. What has files open there must have closed
// them by then: the test fails if this process has one still after [Patience]. A server that was
// shut down may close its last file a moment later, and so may a process that is being killed.
func MountDisk(t testing.TB, dir string, bytes int) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Fatalf("this test mounts a small disk, as root: %v", err)
	}
	t.Cleanup(func() {
		Eventually(t, Patience, "all files on the disk are closed", func() error { return noneOpen(dir) })
		// Detached, it goes with its last user: a plain unmount would be refused for a process
		// that looks at it in passing.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// noneOpen fails if this process has a file open below dir.
func noneOpen(dir string) error {
	const open = "/proc/self/fd"
	entries, err := os.ReadDir(open)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The descriptor of this very listing is closed by now, others may be.
		file, err := os.Readlink(filepath.Join(open, e.Name()))
		if err == nil && strings.HasPrefix(file, dir+"/") {
			return fmt.Errorf("%s is open", file)
		}
	}
	return nil
}

// FillDisk writes to the end of a file until its disk has only so many bytes of room left; 0: until
// a write is refused. Nothing is written if there is no more than that. Who removes the file gives
// the room back.
func FillDisk(t testing.TB, file string, leave uint64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if leave == 0 {
		if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk does not fill up: %v", err)
		}
		return
	}

	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &disk); err != nil {
		t.Fatal(err)
	}
	free := disk.Bavail * uint64(disk.Bsize)
	if free <= leave {
		return
	}
	// Others that write to the disk may have taken the room since it was looked at.
	if _, err := io.CopyN(f, zeros{}, int64(free-leave)); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// zeros are as many zeros as anybody reads.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
