package clientcmd_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"quartet/bus/testkit"
	"quartet/client/clientcmd"
	"quartet/client/clientcmd/console"
	"quartet/client/internal/responder"
)

// onTerminal runs a command whose stderr is a terminal, and its stdout too unless there is
// another, and returns what the terminal showed.
func onTerminal(t *testing.T, stdout io.Writer, args ...string) string {
	t.Helper()
	terminal, other := pseudoTerminal(t)
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(other) // ends in an error when the terminal's last user is gone
		shown <- string(all)
	}()
	if stdout == nil {
		stdout = terminal
	}
	root := &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(clientcmd.Commands(console.Env{
		Stdout: stdout, Stderr: terminal, Getenv: func(string) string { return "" }, Requests: os.DirFS("."), Program: "no-such-program",
	})...)
	root.SetArgs(args)
	if err := root.ExecuteContext(context.Background()); err != nil {
		t.Error(err)
	}
	if err := terminal.Close(); err != nil {
		t.Error(err)
	}
	return <-shown
}

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
	got := onTerminal(t, nil, "compare", "--nats", r.URL, "--times", "1", "1, 1, k ::: v")
	for _, want := range []string{
		"comparing: linearizable  [", "/s\r\x1b[K", "eventual     set", "STALE     gets of a value", "OUTDATED  ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q: %q", want, got)
		}
	}
}

// On a terminal one line tells how far it is, and is gone in the end. The result is on
// stdout all the same.
func TestBenchOnATerminal(t *testing.T) {
	r := responder.Start(t, nil)
	var stdout testkit.Buffer
	got := onTerminal(t, &stdout, append(short, "--nats", r.URL, "--request", "get", "--duration", "300ms")...)
	for _, want := range []string{
		"setting 20 keys  [====================] 100 %", "measuring linearizable get  [", "] 100 %  ending  ", "/s",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the terminal showed no %q:\n%q", want, got)
		}
	}
	if !strings.HasSuffix(got, "\r\x1b[K") || strings.Contains(got, "\n") {
		t.Errorf("the line is not taken away:\n%q", got)
	}
	if !strings.Contains(stdout.String(), "linearizable get ") || strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("stdout:\n%q", stdout.String())
	}
}
