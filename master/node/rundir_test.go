package node

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
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
	if next.record.NextRID <= rid || next.record.NextRID > rid+2*ridBlock || next.record.Clock <= clock || next.record.Password != password {
		t.Errorf("after a kill at id %d, time %d: %+v", rid, clock, next.record)
	}
	next.record.Replicas["r1"] = 4711
	if err := next.settle(rid+5, clock+5); err != nil {
		t.Fatal(err)
	}
	next.release()
	last := openDir(t, &o)
	if last.record.NextRID != rid+5 || last.record.Clock != clock+5 || len(last.record.Replicas) != 0 {
		t.Errorf("after a clean stop: %+v", last.record)
	}
	if left, _ := filepath.Glob(filepath.Join(o.Dir, recordFile+".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
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
		if err := d.overwrite(b); err != nil {
			t.Fatal(err)
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

func TestDamagedRecordIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut short": `{"next_rid": 7, "pass`, "no password": `{"next_rid": 7, "clock": 9}`, "no ids": `{"password": "x"}`,
	} {
		o := Options{Dir: t.TempDir()}
		path := filepath.Join(o.Dir, recordFile)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openRunDir(&o); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		// The refusal lets go of the directory, and leaves the file to whoever repairs it.
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%s: the file was changed to %q, %v", name, b, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		openDir(t, &o)
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
	d := openDir(t, &Options{Listen: "127.0.0.1:4222", Memory: true})
	if info, err := os.Stat(d.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory holds a password: %v, %v", info.Mode(), err)
	}
	d.remove()
	if _, err := os.Stat(d.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
