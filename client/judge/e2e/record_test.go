package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Damage to the file of the record of the views, while the cluster is down, stops nothing: the
// replicas hold the record, and the next start makes it anew.
func TestRecordsFileIsDamaged(t *testing.T) {
	for how, spoil := range map[string]func(string) error{
		"a byte changed": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[100] ^= 0x40
			return os.WriteFile(path, b, 0o600)
		},
		"cut in half": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()/2)
		},
	} {
		t.Run(how, func(t *testing.T) { damageRecord(t, spoil) })
	}
}

func damageRecord(t *testing.T, spoil func(string) error) {
	p := newPlace(t)
	dir := filepath.Join(p.tmp, "data")
	args := []string{"--dir", dir, "--listen", "127.0.0.1:-1", "--suspect", calm}
	m := startIn(t, p, args...)
	mustOK(t, connect(t, m.url), "1, 1, key ::: kept")
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d\n%s", status, m.Stderr.String())
	}
	if err := spoil(messagesOf(t, dir)); err != nil {
		t.Fatal(err)
	}

	for range 2 { // and what was made anew is there at the next start
		m = startIn(t, p, args...)
		nc := connect(t, m.url)
		if s := mustStatus(t, nc); !s.Ready {
			t.Errorf("not ready: %s", s.Reason)
		}
		if got := mustOK(t, nc, "1, 2, key"); string(got.Data) != "kept" {
			t.Errorf("got %q", got.Data)
		}
		if status := m.stop(t, os.Interrupt); status != 0 {
			t.Fatalf("status %d\n%s", status, m.Stderr.String())
		}
	}
}

// messagesOf finds the file in which the embedded server of a directory keeps the record.
func messagesOf(t *testing.T, dir string) (found string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "jetstream"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == "1.blk" {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file of the record: %v", err)
	}
	return found
}
