package masternode

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"quartet/bus/host/lock"
)

// A start removes what killed masters at free ports have left in the folder of temporary files,
// and nothing else: what is in use, and what the same command would find again, stays.
func TestWhatKilledMastersLeaveIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	made := func(name string, files ...string) string {
		dir := filepath.Join(os.TempDir(), fmt.Sprintf("quartet-%d-%s", os.Getuid(), name))
		if err := os.MkdirAll(filepath.Join(dir, jetStreamDir), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}

	killed := made("127.0.0.1_-1-4711", lockFile, recordFile)
	unlocked := made("127.0.0.1_-1-4712")
	fixed := made("127.0.0.1_4222", lockFile)
	used := made("127.0.0.1_-1-4713", lockFile)
	held, err := lock.Take(filepath.Join(used, lockFile), time.Second, lock.Holder{PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()

	if removed := sweep("", time.Now()); len(removed) > 0 {
		t.Errorf("removed %q, which may be those of masters that are starting", removed)
	}
	if removed := sweep("", time.Now().Add(2*settled)); !slices.Equal(removed, []string{killed}) {
		t.Errorf("removed %q, want %q", removed, killed)
	}
	for dir, want := range map[string]bool{killed: false, unlocked: true, fixed: true, used: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", dir, err == nil, want)
		}
	}
}
