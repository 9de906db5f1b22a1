package command_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"quartet/client/command"
	"quartet/client/internal/responder"
)

// pseudoTerminal returns a terminal and what is on its other side.
func pseudoTerminal(t *testing.T) (terminal, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(other.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return terminal, other
}

// On a terminal the table of compare is explained.
func TestCompareOnATerminal(t *testing.T) {
	r := responder.Start(t, nil)
	terminal, other := pseudoTerminal(t)
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(other) // ends in an error when the terminal's last user is gone
		shown <- string(all)
	}()
	root := &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(command.Commands(command.Env{
		Stdout: terminal, Stderr: terminal, Getenv: func(string) string { return "" }, Requests: os.DirFS("."), Program: "no-such-program",
	})...)
	root.SetArgs([]string{"compare", "--nats", r.URL, "--times", "1", "1, 1, k ::: v"})
	err := root.ExecuteContext(context.Background())
	if err := terminal.Close(); err != nil {
		t.Error(err)
	}
	got := <-shown
	for _, want := range []string{"comparing: linearizable  [", "/s\r\x1b[K", "eventual     set", "STALE     gets of a value", "OUTDATED  "} {
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%v, without %q: %q", err, want, got)
		}
	}
}

// On a terminal one line tells how far it is, and is gone in the end. The result is on
// stdout all the same.
func TestBenchOnATerminal(t *testing.T) {
	r := responder.Start(t, nil)
	terminal, other := pseudoTerminal(t)
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(other) // ends in an error when the terminal's last user is gone
		shown <- string(all)
	}()
	var stdout buffer
	root := &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(command.Commands(command.Env{
		Stdout: &stdout, Stderr: terminal, Getenv: func(string) string { return "" }, Requests: os.DirFS("."), Program: "no-such-program",
	})...)
	root.SetArgs(append(short, "--nats", r.URL, "--request", "get", "--duration", "300ms"))
	err := root.ExecuteContext(context.Background())
	if err := terminal.Close(); err != nil {
		t.Error(err)
	}
	got := <-shown
	for _, want := range []string{"setting 20 keys  [====================] 100 %", "measuring linearizable get  [", "] 100 %  ending  ", "/s"} {
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%v; the terminal showed no %q:\n%q", err, want, got)
		}
	}
	if !strings.HasSuffix(got, "\r\x1b[K") || strings.Contains(got, "\n") {
		t.Errorf("the line is not taken away:\n%q", got)
	}
	if !strings.Contains(stdout.String(), "linearizable get ") || strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("stdout:\n%q", stdout.String())
	}
}
