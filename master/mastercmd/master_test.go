package mastercmd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"quartet/bus/server"
	"quartet/master/masternode"
)

// A start that is broken off says why, and not where in the program it was.
func TestAStartThatIsBrokenOff(t *testing.T) {
	asked, ask := context.WithCancelCause(context.Background())
	ask(nil)
	atEOF, end := context.WithCancelCause(context.Background())
	end(errAtEOF)
	other := errors.New("no such directory")

	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want string
	}{
		"Ctrl-C": {
			asked, fmt.Errorf("%w: %w", server.ErrStart, context.Canceled),
			"master: stopped before the cluster was ready: it was asked to",
		},
		"Ctrl-C, later": {
			asked, masternode.ErrStopped,
			"master: stopped before the cluster was ready: it was asked to",
		},
		"the end of stdin": {
			atEOF, fmt.Errorf("%w: %w", server.ErrStart, context.Cause(atEOF)),
			"master: stopped before the cluster was ready: its standard input is at its end, " +
				"and --stop-at-eof says to stop then",
		},
		"something else":                {context.Background(), other, other.Error()},
		"something else after a Ctrl-C": {asked, other, other.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			if got := unfinished(test.ctx, test.err); got.Error() != test.want {
				t.Errorf("%v, want %s", got, test.want)
			}
		})
	}
	if err := unfinished(asked, nil); err != nil {
		t.Errorf("a master that stopped when it was asked to: %v", err)
	}
}
