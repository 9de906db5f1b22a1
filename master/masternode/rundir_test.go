package masternode

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quartet/bus/server"
)

func openDir(t *testing.T, o *Options) *runDir {
	t.Helper()
	d, err := openRunDir(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.release)
	return d
}

func TestDirectoryIsLocked(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "data")}
	first := openDir(t, &o)
	_, err := openRunDir(&o)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("the second master: %v", err)
	}
	first.release()
	openDir(t, &o)
}

// A master that was killed has told no client an id or a time that its successor tells
// another; one that ended cleanly leaves no hole.
func TestIDsAreReserved(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	d := openDir(t, &o)
	if d.record.NextRID != 1 || d.record.Clock != 0 {
		t.Errorf("a new directory begins with %+v", d.record)
	}
	password := d.record.Password

	rid, clock := uint64(1), uint64(1)
	// What may be told is what reserve has returned for; the disk says so at every moment.
	for range 200 {
		rid, clock = rid+ridBlock/7, clock+clockBlock/13
		if err := d.reserve(rid, clock); err != nil {
			t.Fatal(err)
		}
		if kept := readRecord(t, o.Dir); kept.NextRID <= rid || kept.Clock <= clock {
			t.Fatalf("id %d and time %d may be told, and the disk says %+v", rid, clock, kept)
		}
	}

	d.release()                      // as a kill would, and without settling
	if err := d.save(); err != nil { // a write that was under way must not come later
		t.Fatal(err)
	}

	next := openDir(t, &o)
	if next.record.NextRID <= rid || next.record.NextRID > rid+2*ridBlock || next.record.Clock <= clock ||
		next.record.Password != password {
		t.Errorf("after a kill at id %d, time %d: %+v", rid, clock, next.record)
	}
	if err := next.settle(rid+5, clock+5); err != nil {
		t.Fatal(err)
	}
	next.release()

	last := openDir(t, &o)
	if last.record.NextRID != rid+5 || last.record.Clock != clock+5 {
		t.Errorf("after a clean stop: %+v", last.record)
	}

	if left, _ := filepath.Glob(filepath.Join(o.Dir, "*.json.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A backup that is restored gives out no id that what it has ended gave out.
func TestIDsPassThoseOfAnEndedHistory(t *testing.T) {
	begun := time.Now()
	for name, test := range map[string]struct {
		record            runDir
		elapsed           time.Duration
		least, noMoreThan uint64
	}{
		"new":                        {runDir{fresh: true, record: kept{NextRID: 1, Created: begun.UnixMicro()}}, time.Hour, 1, 1},
		"a day old":                  {runDir{record: kept{NextRID: 500, Created: begun.UnixMicro()}}, 24 * time.Hour, 86_400e6, 86_400e6},
		"busier than that":           {runDir{record: kept{NextRID: 1 << 50, Created: begun.UnixMicro()}}, time.Hour, 1 << 50, 1 << 50},
		"the clock was set back":     {runDir{record: kept{NextRID: 500, Created: begun.UnixMicro()}}, -time.Hour, 500, 500},
		"of a build before":          {runDir{record: kept{NextRID: 500}}, 0, uint64(begun.UnixMicro()), uint64(begun.UnixMicro())},
		"in memory, and still there": {runDir{temporary: true, record: kept{NextRID: 500}}, time.Hour, 500, 500},
	} {
		if got := test.record.firstRID(begun.Add(test.elapsed)); got < test.least || got > test.noMoreThan {
			t.Errorf("%s: %d, want %d to %d", name, got, test.least, test.noMoreThan)
		}
	}
	d := openDir(t, &Options{Dir: t.TempDir()})
	if at := time.UnixMicro(d.record.Created); at.Before(begun.Truncate(time.Microsecond)) || at.After(time.Now()) {
		t.Errorf("a new directory says that its cluster began at %v", at)
	}
}

// A disk that takes nothing more is no reason to stop while there are reserved ids; and a
// record can be written over itself.
func TestReservationOutlastsAFullDisk(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "data")}
	d := openDir(t, &o)
	if err := d.reserve(1, 1); err != nil {
		t.Fatal(err)
	}

	gone := o.Dir + ".gone" // stands for a disk on which no file can be made
	if err := os.Rename(o.Dir, gone); err != nil {
		t.Fatal(err)
	}
	for rid := uint64(1); rid < ridBlock; rid += 100 {
		if err := d.reserve(rid, 1); err != nil {
			t.Fatalf("id %d of %d reserved ones: %v", rid, ridBlock, err)
		}
	}
	if err := d.reserve(ridBlock+1, 1); err == nil {
		t.Error("an id may be told that is not reserved")
	}

	if err := os.Rename(gone, o.Dir); err != nil {
		t.Fatal(err)
	}
	d.record.Own = []string{"r1", "r2", "r3"}
	if err := d.reserve(ridBlock+2, 1); err != nil {
		t.Fatalf("there is room again: %v", err)
	}

	for _, own := range [][]string{{"r1"}, {"r1", "r2", "r3", "r4"}} {
		d.record.Own = own
		b, err := json.Marshal(d.record)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{recordFile, copyFile} {
			if err := d.overwrite(name, b); err != nil {
				t.Fatal(err)
			}
		}
		if kept := readRecord(t, o.Dir); !slices.Equal(kept.Own, own) || kept.NextRID != d.record.NextRID {
			t.Errorf("%+v, want %+v", kept, d.record)
		}
	}
}

// readRecord reads what a successor would find now.
func readRecord(t *testing.T, dir string) kept {
	t.Helper()
	d := &runDir{path: dir}
	if err := d.load(); err != nil {
		t.Fatal(err)
	}
	return d.record
}

// spoilt are ways in which a file is no record of a master.
var spoilt = map[string]string{
	"empty": "", "cut short": `{"next_rid": 7, "pass`, "no password": `{"next_rid": 7, "clock": 9}`, "no ids": `{"password": "x"}`,
}

// One lost or damaged file of the record costs nothing: there are two.
func TestOneDamagedFileOfTheRecord(t *testing.T) {
	for name, content := range spoilt {
		for _, file := range []string{recordFile, copyFile} {
			o := Options{Dir: t.TempDir()}
			d := openDir(t, &o)
			d.record.Own = []string{"r1", "r2"}
			if err := d.reserve(1000, 1000); err != nil {
				t.Fatal(err)
			}
			if err := d.save(); err != nil {
				t.Fatal(err)
			}
			was := d.record

			d.release()
			if err := os.WriteFile(filepath.Join(o.Dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}

			again := openDir(t, &o)
			if !reflect.DeepEqual(again.record, was) || again.rebuilt || again.fresh {
				t.Errorf("%s %s: %+v, was %+v", file, name, again.record, was)
			}
			// What was damaged is said, and kept for whoever wants to see it.
			kept, err := filepath.Glob(filepath.Join(o.Dir, file+".damaged-*"))
			if err != nil || len(kept) != 1 || !strings.Contains(strings.Join(again.notes, " "), filepath.Base(kept[0])) {
				t.Errorf("%s %s: kept %v, said %q, %v", file, name, kept, again.notes, err)
			}

			if err := again.save(); err != nil {
				t.Fatal(err)
			}

			again.release()
			if last := openDir(t, &o); len(last.notes) > 0 || !reflect.DeepEqual(last.record, was) {
				t.Errorf("%s %s: it is not whole again: %q, %+v", file, name, last.notes, last.record)
			}
		}
	}
}

// If both are gone, what they said is found out from what is there: the replicas from their
// directories and locks, and ids go on above all that can have been given out.
func TestLostRecordIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"gone":    os.Remove,
		"emptied": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		o := Options{Dir: t.TempDir()}
		d := openDir(t, &o)
		if err := d.reserve(1<<40, 1000); err != nil {
			t.Fatal(err)
		}

		was := d.record
		for _, sub := range []string{"r1", "r3", "lost+found"} {
			if err := os.MkdirAll(filepath.Join(o.Dir, replicas, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(o.Dir, "r2.lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}

		d.release()
		for _, file := range []string{recordFile, copyFile} {
			if err := spoil(filepath.Join(o.Dir, file)); err != nil {
				t.Fatal(err)
			}
		}

		again := openDir(t, &o)
		if !again.rebuilt || again.fresh || !slices.Equal(again.record.Own, []string{"r1", "r2", "r3"}) ||
			again.record.NextRID < was.NextRID || again.record.Password == "" {
			t.Errorf("%s: %+v", name, again.record)
		}
		if len(again.notes) == 0 {
			t.Errorf("%s: nothing is said", name)
		}
	}
}

// A start that is refused leaves nothing behind: no directory that it has made, and of one
// that was there nothing new.
func TestRefusedStartLeavesNothing(t *testing.T) {
	taken, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Shutdown()

	there := t.TempDir()
	if err := os.WriteFile(filepath.Join(there, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	parent := t.TempDir()
	for dir, want := range map[string][]string{filepath.Join(parent, "a", "b"): nil, there: {"mine"}} {
		for name, change := range map[string]func(*Options){
			"wrong options":           func(o *Options) { o.Replicas = 0 },
			"a port that is taken":    func(o *Options) { o.Listen = strings.TrimPrefix(taken.ClientURL(), "nats://") },
			"an address that is none": func(o *Options) { o.Listen = "nowhere" },
		} {
			o := options(t, "")
			o.Memory, o.Dir = false, dir
			change(&o)
			if err := Run(t.Context(), nil, o); err == nil {
				t.Fatalf("%s: it has started", name)
			}

			var left []string
			list, _ := os.ReadDir(dir)
			for _, e := range list {
				left = append(left, e.Name())
			}
			if !slices.Equal(left, want) {
				t.Errorf("%s in %s: %v, want %v", name, dir, left, want)
			}
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// With --memory the same address finds the same directory, another address another; a
// free port is always a new cluster; a clean stop removes it.
func TestDirectoryInMemoryMode(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	path := func(o Options) string {
		o.Memory = true
		p, temporary := runDirPath(&o)
		if !temporary || filepath.Dir(p) != os.TempDir() {
			t.Errorf("%+v: %s, temporary %v", o, p, temporary)
		}
		return p
	}

	a, b := Options{Listen: "127.0.0.1:4222"}, Options{Listen: "127.0.0.1:4223"}
	if first, again := path(a), path(a); first != again || first == path(b) {
		t.Errorf("%s, again %s, another %s", first, again, path(b))
	}
	if p := path(Options{Listen: "127.0.0.1:-1"}); !strings.HasSuffix(p, "-"+strconv.Itoa(os.Getpid())) {
		t.Errorf("a free port: %s", p)
	}

	x, y := Options{NATS: "nats://h:1", Prefix: "x"}, Options{NATS: "nats://h:1", Prefix: "y"}
	if path(x) == path(y) {
		t.Errorf("two prefixes on one server share %s", path(x))
	}

	planted, _ := runDirPath(&Options{Listen: "127.0.0.1:4224", Memory: true})
	if err := os.Symlink(t.TempDir(), planted); err != nil {
		t.Fatal(err)
	}
	if _, err := openRunDir(&Options{Listen: "127.0.0.1:4224", Memory: true}); err == nil || !strings.Contains(err.Error(), planted) {
		t.Errorf("what another has put in its place is used: %v", err)
	}

	d := openDir(t, &Options{Listen: "127.0.0.1:4222", Memory: true})
	if info, err := os.Stat(d.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory holds a password: %v, %v", info.Mode(), err)
	}
	d.remove()
	if _, err := os.Stat(d.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
