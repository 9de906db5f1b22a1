package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"quartet/bus/host/exit"
	"quartet/bus/lamport"
)

// FirstInside is the first of the numbers that stand for the pid of a replica within this
// process: each start has one of its own, as each process has a pid, for a replica that
// comes back with its disk is told by it from the one that it was. No system has pids so
// high (Linux: below 1<<22).
const FirstInside = 1 << 30

// enter starts a replica as a goroutine. Whatever signal it is sent ends its context.
func (s *Supervisor) enter(n lamport.Node, now time.Time) *child {
	number := FirstInside + s.inside
	s.inside++
	ended := s.note(n)
	ctx, cancel := context.WithCancel(context.Background())
	c := &child{pid: number, signal: func(os.Signal) error { cancel(); return nil }, since: now, done: make(chan struct{})}
	go func() {
		defer cancel()
		c.err = outcome(s.opts.Inside(ctx, n, number))
		ended(c) // first: who waits for done finds it noted
		close(c.done)
	}()
	return c
}

// outcome is the error of a goroutine that has returned; returning without one is one too.
func outcome(err error) error {
	switch {
	case err == nil:
		return errors.New("it has returned without an error")
	case exit.Status(err) == exit.StatusDamaged:
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	case exit.Status(err) == exit.StatusReplaced:
		return fmt.Errorf("%w: %w", err, ErrReplaced)
	}
	return err
}
