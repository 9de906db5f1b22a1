// Package program is the quartet program for tests with real processes. It promises that it was
// built from this very tree, or from the one that was asked for.
package program

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// Build builds the program into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) { return build(ctx, dir, "", "") }

// BuildOf builds the program of another tree, whose root is source: of another revision.
func BuildOf(ctx context.Context, dir, source string) (string, error) {
	return build(ctx, dir, source, "")
}

// BuildAhead builds one whose processes draw their numbers as on a machine whose clock is ahead.
func BuildAhead(ctx context.Context, dir string, by time.Duration) (string, error) {
	return build(ctx, dir, "", fmt.Sprintf(" -X quartet/bus/host/incarnation.ahead=%s", by))
}

// build builds it in the tree of source, this one where that is empty, with further flags of the
// linker. What only debuggers read is left out, which takes the linker a third less time.
func build(ctx context.Context, dir, source, flags string) (string, error) {
	path := filepath.Join(dir, "quartet")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w"+flags, "-o", path, "quartet")
	cmd.Dir = source
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build quartet: %w\n%s", err, out)
	}
	return path, nil
}
