package register

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/message"
	"quartet/bus/server"
	"quartet/bus/testkit"
)

// Whatever has become of the record's files while the server was down: within a bounded time
// the store says what it has, and the next record wins with the revision that it says, and
// stands there at the next start.
func TestDamagedFiles(t *testing.T) {
	cases := map[string]func(js, stream string) error{
		"the directory of the messages deleted": func(_, stream string) error { return os.RemoveAll(filepath.Join(stream, "msgs")) },
		"the stream's directory deleted":        func(_, stream string) error { return os.RemoveAll(stream) },
		"JetStream's directory deleted":         func(js, _ string) error { return os.RemoveAll(js) },
	}
	for _, name := range []string{"msgs/1.blk", "msgs/index.db", "meta.inf", "meta.sum"} {
		cases[name+" deleted"] = func(_, stream string) error { return os.Remove(filepath.Join(stream, name)) }
		cases[name+" emptied"] = func(_, stream string) error { return os.Truncate(filepath.Join(stream, name), 0) }
		cases[name+" halved"] = func(_, stream string) error { return halve(filepath.Join(stream, name)) }
	}
	// The length, the sequence, the time, the subject, the body (its first bytes and later ones).
	for _, offset := range []int64{0, 3, 4, 10, 21, 30, 45, 60, 100, 150, -8, -1} {
		cases[fmt.Sprint("msgs/1.blk flipped at ", offset)] = func(_, stream string) error {
			return flip(filepath.Join(stream, "msgs", "1.blk"), offset)
		}
	}
	for name, spoil := range cases {
		for _, records := range []uint64{1, 3} {
			t.Run(fmt.Sprint(name, ", records ", records), func(t *testing.T) {
				t.Parallel()
				damageFiles(t, records, spoil)
			})
		}
	}
}

func damageFiles(t *testing.T, records uint64, spoil func(js, stream string) error) {
	dir := t.TempDir()
	running(t, dir, func(s *Store) {
		for e := uint64(1); e <= records; e++ {
			if o := propose(t, s, of(e, e), e-1); o != Won {
				t.Fatal(o)
			}
		}
	})
	if err := spoil(filepath.Join(dir, "jetstream"), streamDirectory(t, dir)); err != nil {
		t.Fatal(err)
	}

	next := records + 1
	running(t, dir, func(s *Store) {
		rec, revision, err := settled(t, s)
		switch {
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Fatal(err)
		case err == nil && rec != nil && rec.Epoch > records:
			t.Fatalf("%+v was never written", rec)
		}
		if o := propose(t, s, of(next, next), revision); o != Won {
			t.Fatalf("the record made anew %v, with revision %d (%v)", o, revision, err)
		}
		if rec, _ := read(t, s); rec == nil || rec.Epoch != next {
			t.Errorf("read %+v", rec)
		}
	})
	running(t, dir, func(s *Store) {
		rec, revision := read(t, s)
		if rec == nil || rec.Epoch != next {
			t.Fatalf("after a restart: %+v", rec)
		}
		if o := propose(t, s, of(next+1, 1), revision); o != Won {
			t.Errorf("the record after it %v", o)
		}
	})
}

// running lends the store of a server on the directory, and ends the server.
func running(t *testing.T, dir string, do func(*Store)) {
	t.Helper()
	srv, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1", StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown()
	nc := bustest.Dial(t, bus.DialOptions{URL: srv.NodeURL()})
	defer nc.Close()
	do(open(t, nc, Options{Sync: srv.SyncNodes, Timeout: 20 * time.Second}))
}

// settled reads until the store has said what it has.
func settled(t *testing.T, s *Store) (rec *message.Record, revision uint64, err error) {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, "the store says what it has", func() error {
		if rec, revision, err = s.Read(t.Context()); errors.Is(err, ErrUnavailable) {
			return err
		}
		return nil
	})
	return rec, revision, err
}

func streamDirectory(t *testing.T, dir string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "KV_quartet_views" {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatal("no directory of the stream", err)
	}
	return found
}

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// flip changes a bit of a file; an offset below 0 counts from the end.
func flip(path string, offset int64) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if offset < 0 {
		offset += int64(len(b))
	}
	b[offset] ^= 0x40
	return os.WriteFile(path, b, 0o600)
}

// A bucket that is gone is made anew, and says that it has lost a record: a proposal on a revision
// of the old one never wins, and nobody takes it for that of a cluster that begins.
func TestTheBucketIsGone(t *testing.T) {
	_, nc := embedded(t)
	s := open(t, nc, Options{})
	if what, revision, err := s.Propose(t.Context(), of(1, 1), 0); what != Won || revision != 1 {
		t.Fatal(what, revision, err)
	}
	if err := s.js.DeleteStream(t.Context(), s.streamName()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r, revision, err := s.Read(t.Context()); r != nil || revision != 0 || !errors.Is(err, ErrDamaged) {
			t.Fatalf("%v, revision %d: %v", r, revision, err)
		}
	}
	if other, err := Open(t.Context(), nc, Options{}); err != nil {
		t.Error(err)
	} else if _, _, err := other.Read(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("another master reads %v", err)
	}
	if what, _, err := s.Propose(t.Context(), of(2, 2), 1); what != Lost {
		t.Errorf("on a revision of the old bucket: %v %v", what, err)
	}
	what, revision, err := s.Propose(t.Context(), of(1, 1), 0)
	if what != Won || revision < 1<<40 {
		t.Errorf("%v at revision %d: %v", what, revision, err)
	}
	if r, at, err := s.Read(t.Context()); err != nil || at != revision || r.Epoch != 1 {
		t.Errorf("%+v at %d: %v", r, at, err)
	}
}
