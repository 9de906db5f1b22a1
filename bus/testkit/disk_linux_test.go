package testkit

import (
	"os"
	"path/filepath"
	"testing"
)

// A file counts as open while this process has it, and only below its own folder.
func TestNoneOpen(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if noneOpen(dir) == nil {
		t.Error("an open file is not seen")
	}
	if err := noneOpen(t.TempDir()); err != nil {
		t.Errorf("another folder: %v", err)
	}

	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := noneOpen(dir); err != nil {
		t.Errorf("closed: %v", err)
	}
}
