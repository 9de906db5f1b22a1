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

// FirstInside is the first of the numbers that stand for the pids of replicas inside this
// process. Each start has its own number, as each process has its own pid: by it a replica that
// comes back with its disk is told from the replica that it was. No system has pids so high
// (Linux: below 1<<22).
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
		c.err = ending(s.opts.Inside(ctx, n, number))
		ended(c) // first: the end is noted before done is closed
		close(c.done)
	}()
	return c
}

// ending is the error of a goroutine that has returned; to return without an error is an error,
// too.
func ending(err error) error {
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
