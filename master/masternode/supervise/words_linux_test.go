package supervise

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quartet/bus/testkit"
)

// A process that ends on a full disk leaves no words there, and the error says so.
func TestWordsOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	testkit.MountDisk(t, dir, 64<<10)

	out := filepath.Join(dir, "r1.out")
	if err := os.WriteFile(out, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if words := lastWords(out, 0); words != "" {
		t.Errorf("with room: %q", words)
	}
	err := os.WriteFile(filepath.Join(dir, "others"), make([]byte, 65536), 0o600)
	if !errors.Is(err, syscall.ENOSPC) && err != nil {
		t.Fatal(err)
	}
	if words := lastWords(out, 0); !strings.Contains(words, out+" had no room") {
		t.Errorf("without room: %q", words)
	}
	if words := lastWords("", 0); words != "" {
		t.Errorf("of no file: %q", words)
	}
}
