package recipes

import (
	"context"
	"errors"
	"time"

	"quartet/client"
)

// pollEvery is how often a lock that is held is looked at.
const pollEvery = 100 * time.Millisecond

// Waiter waits for a key to change.
type Waiter interface {
	// Changed returns when the key may have another revision than seen, or the error with which
	// ctx ended. It may return early, and must return some time after a change.
	Changed(ctx context.Context, key string, seen uint64) error
}

// Poll is a waiter that reads the key again and again.
func Poll(c *client.Client, every time.Duration) Waiter { return &poller{c, every} }

type poller struct {
	c     *client.Client
	every time.Duration
}

func (p *poller) Changed(ctx context.Context, key string, seen uint64) error {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}

		// A get that fails says nothing; who takes the lock next will hear of it.
		r, err := p.c.Get(ctx, key, client.With(client.Sequential))
		isGone := errors.Is(err, client.ErrNotFound)
		isOther := err == nil && r.Revision != seen
		if isGone || isOther {
			return nil
		}
	}
}
