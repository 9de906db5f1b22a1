//go:build long

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quartet/bus/testkit"
	"quartet/client/internal/program"
)

// revisionVariable names another revision than the one before to upgrade from.
const revisionVariable = "QUARTET_UPGRADE_FROM"

// revisionBefore builds the program of the revision before this tree: before the last commit, or
// the last commit if there are changes that are in none.
func revisionBefore(t *testing.T) (built, revision string) {
	t.Helper()
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = "../../.."
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	wanted := os.Getenv(revisionVariable)
	if wanted == "" {
		changed, err := git("status", "--porcelain")
		if err != nil {
			t.Skipf("NOT RUN: there is no git history here to take the revision before from: %v", err)
		}
		if wanted = "HEAD^"; changed != "" {
			wanted = "HEAD"
		}
	}
	revision, err := git("rev-parse", "--verify", "--quiet", wanted+"^{commit}")
	if err != nil {
		t.Skipf("NOT RUN: the history here does not reach back to %s: git fetch --deepen=1, or --unshallow", wanted)
	}

	dir := t.TempDir()
	tree := filepath.Join(dir, "tree.tar")
	if _, err := git("archive", "--output", tree, revision); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("tar", "-xf", tree, "-C", source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), buildLimit)
	defer cancel()
	if built, err = program.BuildOf(ctx, dir, source); err != nil {
		t.Fatal(err)
	}
	return built, revision
}

// atWork has a node be replaced while clients of all four models are at work, and judges what they
// were told. None of their requests fails.
func (c *nodes) atWork(t *testing.T, seed int, replace func()) {
	t.Helper()
	history := filepath.Join(t.TempDir(), "history")
	done := make(chan commandEnd, 1)
	go func() {
		done <- quartet(t, "bench", "--nats", c.url(), "--consistency", "all", "--request", "mix", "--driver", "goroutine", "--concurrency", "8",
			"--rate", "100", "--keys", "12", "--rounds", "2", "--round", "700ms", "--retries", "12", "--seed", fmt.Sprint(seed), "--record", history)
	}()
	testkit.Eventually(t, restLimit, "the load has begun", func() error {
		so, err := os.ReadFile(filepath.Join(history, "history.jsonl"))
		if n := bytes.Count(so, []byte("\n")); err == nil && n < 50 {
			err = fmt.Errorf("%d operations", n)
		}
		return err
	})
	replace()

	load := <-done
	if load.status != 0 {
		t.Errorf("the load: status %d\n%s%s", load.status, load.stdout, load.stderr)
	}
	if judged := quartet(t, "check", "--budget", "60s", history); judged.status != 0 {
		t.Errorf("status %d\n%s%s", judged.status, judged.stdout, judged.stderr)
	}
}

// A cluster of the revision before is upgraded node by node, one of them twice, under load in all
// four models: no request fails, the histories are as each model promises, and every sum that is
// acknowledged counts once.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	old, revision := revisionBefore(t)
	t.Logf("upgraded from %s", revision)
	c := newNodes(t, 3, "--suspect", calm)
	c.programs = []string{old, old, old}
	for i := range c.all {
		c.launch(t, i)
	}
	nc := c.connect(t)
	c.awaitWhole(t, nc, 3)
	sum := startAdder(t, c.url())
	sum.awaitMore(t, 20)

	replace := func(i int, by string) {
		if code := c.all[i].stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("node %d ended with status %d\n%s", i+1, code, &c.all[i].Stderr)
		}
		c.programs[i] = by
		c.launch(t, i)
		c.awaitWhole(t, nc, 3)
	}
	for i := range c.all {
		c.atWork(t, i+1, func() { replace(i, binary) })
		if i == 0 { // an upgrade that is taken back
			replace(i, old)
			sum.awaitMore(t, 20)
			replace(i, binary)
		}
	}
	sum.awaitMore(t, 20)
	sum.end(t)
}
