package command

import (
	"context"
	"fmt"
	"io"
	"os/exec"
)

// report has our own program print the report to to.
func report(ctx context.Context, env Env, to io.Writer, args ...string) error {
	program, err := env.program()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"report"}, args...)...)
	cmd.Stdout, cmd.Stderr = to, env.Stderr
	if _, err := fmt.Fprintln(to); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return nil
}
