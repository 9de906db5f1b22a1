package exit_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"quartet/bus/host/exit"
)

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"nil", nil, exit.StatusOK},
		{"nil with a status", exit.Usage(nil), exit.StatusOK},
		{"silent success", exit.Silent(exit.StatusOK), exit.StatusOK},

		{"plain", io.EOF, exit.StatusFailed},
		{"usage", exit.Usage(io.EOF), exit.StatusUsage},
		{"silent", exit.Silent(exit.StatusNoValue), exit.StatusNoValue},
		{"no cluster, wrapped", fmt.Errorf("status: %w", exit.NoCluster(io.EOF)), exit.StatusNoCluster},
		{"damaged data, wrapped", fmt.Errorf("replica r1: %w", exit.Damaged(io.EOF)), exit.StatusDamaged},
		{"replaced", exit.Replaced(io.EOF), exit.StatusReplaced},
		{
			"the greatest of several",
			errors.Join(exit.Usage(io.EOF), exit.With(exit.StatusUnknown, io.EOF),
				exit.With(exit.StatusRefused, io.EOF)),
			exit.StatusUnknown,
		},
		{
			"the greatest within another",
			exit.Usage(fmt.Errorf("%w and %w", io.EOF, exit.With(exit.StatusRefused, io.EOF))), exit.StatusRefused,
		},
		{"an error without a status", &exit.Error{Err: io.EOF}, exit.StatusFailed},
	} {
		if got := exit.Status(c.err); got != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got, c.want)
		}
	}
}

func TestError(t *testing.T) {
	err := exit.Usage(fmt.Errorf("what: %w", io.EOF))
	if err.Error() != "what: EOF" || !errors.Is(err, io.EOF) {
		t.Errorf("%q, and EOF is not in it", err)
	}
	if text := exit.Silent(exit.StatusNoValue).Error(); text != "" {
		t.Errorf("a silent error says %q", text)
	}
}
