//go:build network

package network

import (
	"os"
	"path/filepath"
	"testing"

	"quartet/bus/testkit"
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
	testkit.MountDisk(t, dir, diskBytes)
}

// filling is the file of somebody else that takes all the room of a disk.
func (c *cluster) filling(node int) string { return filepath.Join(c.disk(node), "others") }

// fill takes all the room that a node's disk has left.
func (c *cluster) fill(t testing.TB, node int) {
	t.Helper()
	testkit.FillDisk(t, c.filling(node), 0)
}

// empty gives the room back.
func (c *cluster) empty(t testing.TB, node int) {
	t.Helper()
	if err := os.Remove(c.filling(node)); err != nil {
		t.Fatal(err)
	}
}
