package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Child is a process that a test has started, and what it has said. Make it with [Launch].
type Child struct {
	Stdout, Stderr Buffer          // Stdout stays empty where the command had an output of its own
	Exited         <-chan struct{} // closed once it is gone, and was waited for

	cmd *exec.Cmd
}

// Launch starts a process in a group of its own, so that a Ctrl-C does not reach it, and does not
// wait. Unless it is gone by then, it is killed at the end of the test. What cmd says of standard
// output holds; else it is kept in [Child.Stdout].
func Launch(t testing.TB, cmd *exec.Cmd) *Child {
	t.Helper()
	exited := make(chan struct{})
	c := &Child{cmd: cmd, Exited: exited}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if cmd.Stderr = &c.Stderr; cmd.Stdout == nil {
		cmd.Stdout = &c.Stdout
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended stands in ProcessState
		close(exited)
	}()
	t.Cleanup(c.Kill)
	return c
}

// PID is that of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Args are those with which it was started, its name first.
func (c *Child) Args() []string { return c.cmd.Args }

// Gone reports whether it has ended.
func (c *Child) Gone() bool {
	select {
	case <-c.Exited:
		return true
	default:
		return false
	}
}

// Status is how it exited, once it is gone; -1: by a signal.
func (c *Child) Status() int { return c.cmd.ProcessState.ExitCode() }

// Signal sends it a signal, unless it is gone.
func (c *Child) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// Kill ends it as kill -9 does, and waits until it is gone.
func (c *Child) Kill() {
	_ = c.cmd.Process.Kill() // fails only if it is gone
	<-c.Exited
}

// Wait waits for its end and returns the exit status. One that does not end within limit is
// killed, and the test fails.
func (c *Child) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-c.Exited:
	case <-late.C:
		c.Kill()
		t.Errorf("%q did not end in %s\nstdout %s\nstderr %s", c.cmd.Args, limit, &c.Stdout, &c.Stderr)
	}
	return c.Status()
}

// Stop sends it a signal, and is Wait then.
func (c *Child) Stop(t testing.TB, s os.Signal, limit time.Duration) int {
	t.Helper()
	c.Signal(t, s)
	return c.Wait(t, limit)
}

// AwaitStdout waits until want reports that what it has said on standard output is enough. The
// test fails if the process ends before, or after limit.
func (c *Child) AwaitStdout(t testing.TB, limit time.Duration, what string, want func(string) bool) {
	t.Helper()
	Eventually(t, limit, what, func() error {
		if want(c.Stdout.String()) {
			return nil
		}
		if c.Gone() {
			t.Fatalf("%q ended with status %d before %s\n%s", c.cmd.Args, c.Status(), what, &c.Stderr)
		}
		return fmt.Errorf("stdout %q, stderr %q", &c.Stdout, &c.Stderr)
	})
}
