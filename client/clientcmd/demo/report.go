package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"

	"quartet/bus/dial"
	"quartet/client/clientcmd/console"
)

// report has our own program print the report to to, with our settings where it is to ask a cluster.
func report(ctx context.Context, env console.Env, to io.Writer, settings *dial.Settings, args ...string) error {
	program, err := env.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"report"}, args...)...)
	cmd.Stdout, cmd.Stderr = to, env.Stderr
	cmd.Env = settings.Environment(os.Environ())
	if _, err := fmt.Fprintln(to); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return nil
}
