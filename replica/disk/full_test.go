package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"quartet/bus/testkit"
	"quartet/replica/durable"
)

const smallDisk = 96 << 20

// smallDisks are disks of 96 MiB: a real one, and one in memory that counts.
func smallDisks(t *testing.T, test func(*testing.T, Options, others)) {
	o := Options{BootID: "boot 1", MinFree: 32 << 20, memTable: 4 << 20, Window: 1000}
	dir := t.TempDir()
	t.Run("mounted", func(t *testing.T) {
		testkit.MountDisk(t, dir, smallDisk)
		o, file := o, filepath.Join(dir, "others")
		o.Dir = filepath.Join(dir, "r1")

		take := func(leave int64) { testkit.FillDisk(t, file, uint64(leave)) }
		grow := func() {
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", 2*smallDisk)); err != nil {
				t.Fatal(err)
			}
		}

		test(t, o, others{take, func() { _ = os.Remove(file) }, grow, true})
	})
	t.Run("in memory", func(t *testing.T) {
		fs := &counting{FS: vfs.NewMem()}
		fs.left.Store(smallDisk)
		o, taken := o, int64(0)
		o.Dir, o.fs = "/r1", fs

		take := func(leave int64) {
			n := max(fs.left.Load()-leave, 0)
			fs.left.Add(-n)
			taken += n
		}
		test(t, o, others{take, func() { fs.left.Add(taken); taken = 0 }, func() { fs.left.Add(smallDisk) }, false})
	})
}

// others use the same disk.
type others struct {
	take func(leave int64) // more and more, until so many bytes are left
	give func()            // all that they took
	grow func()            // the disk, to twice its size
	real bool              // each write needs room
}

// counting is a file system with so much room.
type counting struct {
	vfs.FS
	left atomic.Int64
}

func (c *counting) file(category vfs.DiskWriteCategory, f vfs.File, err error) (vfs.File, error) {
	early := category != writesFlush && category != writesCompaction
	if err != nil || early { // logs and manifest have their room before they need it
		return f, err
	}
	return &countingFile{f, c}, nil
}

func (c *counting) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, category)
	return c.file(category, f, err)
}

func (c *counting) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, to, category)
	return c.file(category, f, err)
}

func (c *counting) Remove(name string) error {
	info, err := c.Stat(name)
	if err != nil {
		return err
	}
	if err := c.FS.Remove(name); err != nil {
		return err
	}
	c.left.Add(info.Size())
	return nil
}

func (c *counting) GetDiskUsage(string) (vfs.DiskUsage, error) {
	left := uint64(max(c.left.Load(), 0))
	return vfs.DiskUsage{AvailBytes: left, TotalBytes: smallDisk, UsedBytes: smallDisk - left}, nil
}

type countingFile struct {
	vfs.File
	c *counting
}

func (f *countingFile) Write(p []byte) (int, error) {
	if f.c.left.Add(-int64(len(p))) < 0 {
		f.c.left.Add(int64(len(p)))
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

// fill commits turns as long as there is room for new writes.
func fill(t *testing.T, d *Disk, w *world) {
	t.Helper()
	w.names, w.value, w.clears = 1<<30, 100_000, 0
	for turns := 0; ; turns++ {
		err := d.Room()
		if errors.Is(err, ErrFull) && turns > 20 {
			return
		}
		if err != nil {
			t.Fatalf("turn %d: %v", turns, err)
		}
		mustCommit(t, d, w.turn(d))
	}
}

// A disk that fills up: new writes are refused before anything breaks, what is under way
// goes on, gets go on, and when there is room, all goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	smallDisks(t, func(t *testing.T, o Options, others others) {
		others.take(smallDisk * 3 / 4)
		d, _ := mustOpen(t, o)
		w := newWorld(1, 1000)
		fill(t, d, w)

		others.give()
		others.take(0) // and somebody else takes all that was left
		w.value = 100
		for range 30 { // what a replica has to say when nobody asks it for anything
			mustCommit(t, d, w.turn(d))
		}

		for key, want := range w.keys {
			if got, ok := d.Get(key); !ok || !same(got, want) {
				t.Fatalf("on the full disk %q is %v", key, ok)
			}
		}
		testkit.Await(t, "deletes find no room either", func() bool {
			others.take(0) // what the engine's compactions have given back meanwhile, too
			return errors.Is(d.Room(), ErrFullest)
		})
		if err := d.Room(); !errors.Is(err, ErrFull) {
			t.Errorf("Room: %v", err)
		}

		others.give()
		testkit.Await(t, "there is room again", func() bool { return d.Room() == nil })
		for range 100 {
			mustCommit(t, d, w.turn(d))
		}

		mustClose(t, d)
		d, saved := mustOpen(t, o)
		if diff := w.snapshot().differs(d, saved); diff != "" {
			t.Error(diff)
		}
		mustClose(t, d)
	})
}

// Who goes on writing although there is no room gets an error in the end; it does not hang
// and nothing that was committed is lost.
func TestFullDiskThatIsNotHeeded(t *testing.T) {
	t.Parallel()
	smallDisks(t, func(t *testing.T, o Options, others others) {
		d, _ := mustOpen(t, o)
		w := newWorld(2, 1000)
		fill(t, d, w)

		var before, after snapshot
		var err error
		for err == nil {
			before = w.snapshot()
			turn := w.turn(d)
			after = w.snapshot()
			err = d.Commit(turn)
		}

		if !errors.Is(err, ErrFull) || errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if again := d.Commit(&durable.Turn{}); !errors.Is(again, ErrFull) {
			t.Errorf("it is forgotten: %v", again)
		}
		if err := d.Close(); !errors.Is(err, ErrFull) {
			t.Errorf("Close: %v", err)
		}

		others.take(0)
		elsewhere := o // a new store
		elsewhere.Dir += "2"
		if d, _, err := Open(t.Context(), elsewhere); err == nil {
			mustClose(t, d)
			if others.real {
				t.Error("it opens on a full disk")
			}
		} else if !errors.Is(err, ErrFull) || errors.Is(err, ErrDamaged) {
			t.Errorf("Open on a full disk: %v", err)
		}

		others.give()
		others.grow()
		d, saved := mustOpen(t, o)
		diff := before.differs(d, saved)
		if saved.State.Position == after.saved.State.Position { // the turn that failed may be there
			diff = after.differs(d, saved)
		}
		if diff != "" {
			t.Error(diff)
		}
		mustClose(t, d)
	})
}
