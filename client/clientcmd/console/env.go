// Package console is what the commands of a client have in common: their world, the flags of
// a connection and of a session, formats, replies in them, request files, records, usage and
// completions. It promises that these look and mean the same in every command: an exit status
// of the contract for each error, one JSON form of a reply, colour on terminals only.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
)

// DefaultName is the role name of a client that is given none.
const DefaultName = "Client1"

// Env is what the commands know of the world. Stdin and Program may be left out.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Requests       fs.FS // request files that are found by their plain name anywhere

	Version string // of this program; "": not known

	// Program is the quartet program that demo runs as master; "": the
	// one that runs now. A test must set it: there the running program is the test
	// itself, which would start itself again without end.
	Program string
}

// Executable returns the path of Program.
func (e *Env) Executable() (string, error) {
	if e.Program != "" {
		return e.Program, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find our own program: %w", err)
	}
	return path, nil
}

// Interruptible returns a context that ends at SIGINT, SIGTERM or the terminal's end.
func Interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

// Prefix is that of the keys which a command is about: its one argument or, where there is none,
// that of all keys.
func Prefix(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// Consistency is a flag that names a model.
type Consistency struct{ model.Consistency }

// String implements pflag.Value.
func (c *Consistency) String() string {
	if c.Consistency == 0 {
		return ""
	}
	return c.Word()
}

// Type implements pflag.Value.
func (c *Consistency) Type() string { return "MODEL" }

// Set implements pflag.Value.
func (c *Consistency) Set(s string) (err error) {
	c.Consistency, err = model.ParseConsistency(s)
	return err
}

// Ended gives what a command ended with the exit status of the request that it tells of, unless
// it has one. All commands of a client end through it: none is "anything else" (1) of which a
// request's end is known.
func Ended(err error) error {
	if status := ExitStatus(err); status > exit.StatusFailed && exit.Status(err) == exit.StatusFailed {
		return exit.With(status, err)
	}
	return err
}

// ExitStatus maps a request's end to an exit status.
func ExitStatus(err error) int {
	var e *client.Error
	switch {
	case err == nil, errors.Is(err, client.ErrNotFound):
		return exit.StatusOK
	case errors.Is(err, client.ErrUnknownOutcome):
		return exit.StatusUnknown
	case errors.Is(err, client.ErrNoCluster):
		return exit.StatusNoCluster
	case errors.Is(err, client.ErrRefused) && errors.As(err, &e) && e.Attempts == 0:
		return exit.StatusUsage // refused by our own side: nothing was sent
	case errors.Is(err, client.ErrRefused), errors.Is(err, client.ErrUnavailable):
		return exit.StatusRefused
	}
	return exit.StatusFailed
}
