//go:build network

package network

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// diskBytes is how large the disk of a node is.
const diskBytes = 192 << 20

// disk is where a node has its data: a file system of its own.
func (c *cluster) disk(node int) string { return filepath.Join(c.dir, c.hosts[node]) }

// mount makes a node's disk, which goes with the test of all faults.
func (c *cluster) mount(t testing.TB, node int) {
	t.Helper()
	dir := c.disk(node)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		t.Fatalf("a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// filling is the file of somebody else that takes all the room of a disk.
func (c *cluster) filling(node int) string { return filepath.Join(c.disk(node), "others") }

// fill takes all the room that a node's disk has left.
func (c *cluster) fill(t testing.TB, node int) {
	t.Helper()
	f, err := os.Create(c.filling(node))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk does not fill up: %v", err)
	}
}

// empty gives the room back.
func (c *cluster) empty(t testing.TB, node int) {
	t.Helper()
	if err := os.Remove(c.filling(node)); err != nil {
		t.Fatal(err)
	}
}

// zeros is as many zeros as anybody reads.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
