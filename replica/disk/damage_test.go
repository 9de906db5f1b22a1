package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/bus/codec"
	"quartet/replica/durable"
)

// stopped returns a store with tables, logs and a manifest of some length, and what must
// be in it.
func stopped(t *testing.T, clean bool) (*vfs.MemFS, snapshot) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	w := newWorld(7, 50)
	w.value = 3000
	d, _ := mustOpen(t, inMemory(fs))
	for i := range 300 {
		mustCommit(t, d, w.turn(d))
		if i == 200 { // tables, and logs after them
			if err := d.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := w.snapshot()
	if clean {
		mustClose(t, d)
	}
	return killed(fs), want
}

// killed returns the file system as kill -9 leaves it.
func killed(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// files lists the files of a store by their paths, the mark file too.
func files(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List("/r1/engine")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"/r1/mark"}
	for _, name := range names {
		if name != "LOCK" {
			all = append(all, path.Join("/r1/engine", name))
		}
	}
	slices.Sort(all)
	return all
}

// content returns the bytes of a file.
func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite replaces the bytes of a file, and syncs it.
func overwrite(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close(), syncDir(fs, path.Dir(name))); err != nil {
		t.Fatal(err)
	}
}

// What a newer version has written is not damaged: nobody is told to throw it away.
func TestWhatIsNewerIsNotDamaged(t *testing.T) {
	d := &Disk{fault: &fault{}}
	for name, b := range map[string][]byte{
		"the state": {layoutNewest + 1}, "the past": {pastLayout + 1},
		"the record": appendPast(nil, 1, &durable.State{}, &past{record: []byte{0x92, 100, 0}}),
	} {
		_, _, err := decodeState(b, codec.NewDecoder())
		if name != "the state" {
			_, err = decodePast(b, &durable.State{}, codec.NewDecoder())
		}
		if err = d.openError(err); !errors.Is(err, codec.ErrNewer) || errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), "start the version that wrote it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is done to a file: the store does not open, with the sentence that says what to
// do, or it has all that it must have.
func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		fs, want := stopped(t, clean)
		noticed := map[string]int{}
		rnd := rand.New(rand.NewPCG(3, 3))

		check := func(what, name string, spoil func(fs vfs.FS)) {
			t.Helper()
			spoilt := killed(fs)
			spoil(spoilt)
			if served(t, fmt.Sprintf("clean=%t %s %s", clean, what, name), spoilt, want) {
				return
			}
			kind := strings.Trim(path.Ext(name), ".")
			if !slices.Contains([]string{"sst", "log"}, kind) {
				kind = strings.TrimRight(path.Base(name), "0123456789.-")
			}

			noticed[what+" "+kind]++
		}

		tables := 0
		for _, name := range slices.Backward(files(t, fs)) { // the older ones may have been replaced
			if path.Ext(name) == ".sst" {
				if tables++; tables > 4 {
					continue // they are all alike
				}
			}
			b := content(t, fs, name)
			offsets := []int{0, len(b) / 3, len(b) / 2, len(b) - 2, len(b) - 1}
			for range 4 {
				offsets = append(offsets, rnd.IntN(max(len(b), 1)))
			}

			for _, at := range offsets {
				if at < 0 || at >= len(b) {
					continue
				}
				check("flip", name, func(fs vfs.FS) {
					spoilt := slices.Clone(b)
					spoilt[at] ^= 1 << rnd.IntN(8)
					overwrite(t, fs, name, spoilt)
				})
			}

			check("half", name, func(fs vfs.FS) { overwrite(t, fs, name, b[:len(b)/2]) })
			check("empty", name, func(fs vfs.FS) { overwrite(t, fs, name, nil) })
			check("gone", name, func(fs vfs.FS) {
				if err := errors.Join(fs.Remove(name), syncDir(fs, path.Dir(name))); err != nil {
					t.Fatal(err)
				}
			})
		}

		t.Logf("clean=%t: noticed %v", clean, noticed)
		for _, kind := range []string{"sst", "log", "MANIFEST", "mark"} {
			for _, what := range []string{"flip", "gone"} {
				if noticed[what+" "+kind] == 0 {
					t.Errorf("clean=%t: %s of %s was never noticed", clean, what, kind)
				}
			}
		}
	}
}

// served opens a spoilt store and reports whether it opens; if so it must have everything.
func served(t *testing.T, what string, fs vfs.FS, want snapshot) bool {
	t.Helper()
	d, saved, err := Open(t.Context(), inMemory(fs))
	if err != nil {
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "move this directory away") {
			t.Errorf("%s: %v", what, err)
		}
		return false
	}
	if diff := want.differs(d, saved); diff != "" {
		t.Errorf("%s: it opens, and %s", what, diff)
	}
	if err := d.Close(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return true
}

// What the engine itself would find in order.
func TestWhatIsMissingIsNoticed(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d, _ := mustOpen(t, inMemory(fs))
	w := newWorld(9, 50)
	for w.state.Watermark < w.state.Committed+3 || len(w.data) == 0 || len(w.weak) == 0 || len(w.executed) < 50 ||
		d.lastMark < 1 || w.state.Position < 40 {
		mustCommit(t, d, w.turn(d))
	}
	want := w.snapshot()
	committed, entries := w.state.Committed, w.state.Entries
	var someEntry []byte
	if err := d.scan(t.Context(), numberKey(prefixExecuted, entries-20), func(key, _ []byte) error {
		if someEntry == nil {
			someEntry = slices.Clone(key)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	mustClose(t, d)

	someData := func() []byte {
		for id := range w.data {
			return dataKey(id.From, id.Seq)
		}
		return nil
	}()
	someWeak := func() []byte {
		for id := range w.weak {
			return weakKey(id)
		}
		return nil
	}()

	gone := func(key []byte) func(*pebble.DB) error {
		return func(db *pebble.DB) error { return db.Delete(key, pebble.Sync) }
	}
	is := func(key []byte, value string) func(*pebble.DB) error {
		return func(db *pebble.DB) error { return db.Set(key, []byte(value), pebble.Sync) }
	}

	for name, change := range map[string]func(*pebble.DB) error{
		"the state is gone":             gone(stateKey),
		"the state is cut short":        is(stateKey, "\x03"),
		"the state is nothing":          is(stateKey, ""),
		"the record is gone":            gone(pastKey),
		"the record is nothing":         is(pastKey, ""),
		"the record is of another turn": is(pastKey, "\x01\x7f\x01\x00\x00\x00"),
		"a causal write is gone":        gone(numberKey(prefixWrite, committed+2)),
		"the first causal write":        gone(numberKey(prefixWrite, committed+1)),
		"the last causal write":         gone(numberKey(prefixWrite, w.state.Watermark)),
		"a causal write is spoilt":      is(numberKey(prefixWrite, committed+2), "\x01what"),
		"an entry of the table":         gone(someEntry),
		"the last entry of the table":   gone(numberKey(prefixExecuted, entries)),
		"an entry that nobody counted":  is(numberKey(prefixExecuted, entries+1), "\x01"),
		"an entry is spoilt":            is(numberKey(prefixExecuted, entries), "\x01what"),
		"a DATA is spoilt":              is(someData, "\x01what"),
		"a DATA of tomorrow":            is(someData, "\x02what"),
		"a weak write is spoilt":        is(someWeak, ""),
		"a marker is gone":              gone(numberKey(prefixLog, d.lastMark)),
	} {
		spoilt := killed(fs)
		db, err := pebble.Open("/r1/engine", &pebble.Options{
			FS: spoilt, Logger: engineLog{log: slog.New(slog.DiscardHandler), g: &guard{fault: newFault()}},
			FormatMajorVersion: pebble.FormatTableFormatV6,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(change(db), db.Close()); err != nil {
			t.Fatal(err)
		}
		if served(t, name, spoilt, want) {
			t.Errorf("%s: it is served", name)
		}
	}
	if !served(t, "as it was", killed(fs), want) {
		t.Error("as it was, it does not open")
	}
}

// A block that has gone bad since Open: nothing more is committed, so nothing that was
// read wrongly leaves.
func TestDamageWhileItRuns(t *testing.T) {

	fs, want := stopped(t, true)
	d, _ := mustOpen(t, inMemory(fs))
	if err := d.db.Compact(context.Background(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}

	levels, err := d.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range slices.Concat(levels...) {
		b, err := fs.UnsafeGetFileDataBuffer(fmt.Sprintf("/r1/engine/%06d.sst", uint64(table.BackingSSTNum)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(b) * 9 / 10 {
			b[i] ^= 0xff
		}
	}

	for key := range want.keys {
		d.Get(key)
	}

	if err := d.Commit(&durable.Turn{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Commit: %v", err)
	}
	if err := d.Room(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Room: %v", err)
	}
	if err := d.Close(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Close: %v", err)
	}
}

// A canceled Open leaves the directory as it was.
func TestOpenIsCanceled(t *testing.T) {
	fs, want := stopped(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Open(ctx, inMemory(fs)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
	if !served(t, "after a canceled Open", fs, want) {
		t.Error("it does not open")
	}
}
