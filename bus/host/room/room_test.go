package room

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"quartet/bus/testkit"
)

func TestLevels(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct{ total, sets, cleanup, reserve uint64 }{
		{0, 0, 0, 0},
		{64 * mib, 8 * mib, 2 * mib, 2 * mib},
		{512 * mib, 64 * mib, 16 * mib, 16 * mib},
		{768 * mib, 64 * mib, 16 * mib, 24 * mib},
		{1 << 40, 64 * mib, 16 * mib, 24 * mib},
	} {
		want := Levels{Sets: test.sets, Cleanup: test.cleanup, Reserve: test.reserve}
		if got := LevelsOf(test.total); got != want {
			t.Errorf("of %d MiB: %+v, want %+v", test.total/mib, got, want)
		}
	}
}

// Deletes are taken for longer than sets, and what was refused is taken again a little later than
// it was refused.
func TestRefuses(t *testing.T) {
	levels := Levels{Sets: 64, Cleanup: 16}
	for _, test := range []struct {
		was           Refused
		free, missing uint64
		now           Refused
		need          uint64
	}{
		{None, 64, 0, None, 64},
		{None, 63, 0, Sets, 64},
		{None, 87, 24, Sets, 88}, // sets leave the room of a reserve
		{None, 16, 24, Sets, 88}, // deletes do not
		{None, 15, 0, Deletes, 16},
		{Sets, 71, 0, Sets, 72},
		{Sets, 72, 0, None, 72},
		{Sets, 16, 0, Sets, 72},
		{Sets, 15, 0, Deletes, 16},
		{Deletes, 17, 0, Deletes, 18},
		{Deletes, 18, 0, Sets, 72},
		{Deletes, 72, 0, None, 72},
		{None, 0, 0, Deletes, 16},
	} {
		if now, need := levels.Refuses(test.was, test.free, test.missing); now != test.now || need != test.need {
			t.Errorf("%+v: refuses %d, needs %d", test, now, need)
		}
	}
}

// small is a folder on a disk of its own, of 64 MiB.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	testkit.MountDisk(t, dir, 64<<20)
	return dir
}

func keep(t *testing.T, r *Reserve) {
	t.Helper()
	if err := r.Keep(); err != nil {
		t.Fatal(err)
	}
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	usage, err := Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	return usage.Free
}

// What was kept is there for a start on a full disk, once, and is kept again when there is room.
func TestReserve(t *testing.T) {
	dir := small(t)
	begin := func(want bool) *Reserve {
		t.Helper()
		r := NewReserve(dir)
		if freed, err := r.Begin(); err != nil || freed != want {
			t.Fatalf("a reserve was given up: %t, want %t (%v)", freed, want, err)
		}
		return r
	}

	before := free(t, dir)
	r := begin(false)
	keep(t, r)
	if taken := before - free(t, dir); taken < 2<<20 {
		t.Fatalf("it holds %d bytes", taken)
	}
	keep(t, r) // is nothing new
	if begin(false); before-free(t, dir) < 2<<20 {
		t.Fatal("it is given up although there is room")
	}

	testkit.FillDisk(t, filepath.Join(dir, "others"), 0)
	r = begin(true)
	if now := free(t, dir); now < 2<<20 {
		t.Errorf("a start on the full disk has %d bytes", now)
	}
	keep(t, r)
	if now := free(t, dir); now < 2<<20 {
		t.Errorf("it is kept again without room for it: %d bytes are left", now)
	}
	begin(false)

	if err := os.Remove(filepath.Join(dir, "others")); err != nil {
		t.Fatal(err)
	}
	keep(t, r)
	if begin(false); !r.has(2 << 20) {
		t.Error("it is not kept again although there is room")
	}
}

// The reserve of a copied directory may be a file without room: then it is made anew.
func TestReserveOfACopy(t *testing.T) {
	dir := small(t)
	f, err := os.Create(filepath.Join(dir, Name))
	if err == nil {
		err = errors.Join(f.Truncate(2<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	r := NewReserve(dir)
	if _, err := r.Begin(); err != nil {
		t.Fatal(err)
	}
	if keep(t, r); !r.has(2 << 20) {
		t.Error("it holds no room")
	}
}

// Where a file system cannot be asked for room, the file is written.
func TestZeros(t *testing.T) {
	dir := small(t)
	f, err := os.Create(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := zeros(f, 1<<20+7); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 1<<20+7 {
		t.Errorf("%v, %v", info.Size(), err)
	}
	if err := zeros(f, 128<<20); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than the disk has: %v", err)
	}
}

// What is still to be made will be on the disk of the folder above it.
func TestLookAbove(t *testing.T) {
	dir := small(t)
	want, err := Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Look(filepath.Join(dir, "a", "b")); err != nil || got != want {
		t.Errorf("%+v, want %+v (%v)", got, want, err)
	}
}

// What is left of a small disk differs, in words, from what is wanted of it.
func TestText(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0 KiB", 700 << 10: "700 KiB", 3<<20 + 1<<10: "3073 KiB", 16 << 20: "16 MiB", 64<<20 + 5: "64 MiB",
	} {
		if got := Text(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}
