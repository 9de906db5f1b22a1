package recipes

import (
	"context"
	"errors"
	"time"

	"quartet/client"
)

// pollEvery is how long a waiter rests after what should not happen, and [Poll] between two looks.
const pollEvery = 100 * time.Millisecond

// Waiter waits for a key that somebody else has.
type Waiter interface {
	// Freed returns when the key may have no value, after its revision seen, or the error with
	// which ctx ended. It may return early.
	Freed(ctx context.Context, key string, seen uint64) error
}

// Watch is a waiter that is told: it watches the key. It is what a lock has by itself.
func Watch(c *client.Client) Waiter { return &watcher{c} }

type watcher struct{ c *client.Client }

func (w *watcher) Freed(ctx context.Context, key string, seen uint64) error {
	for event, err := range w.c.Watch(ctx, key, client.FromRevision(seen)) {
		isFreed := event.Kind == client.EventDelete || event.Kind == client.EventExpire
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil: // the changes since are not kept, or there is no cluster: look again
			return rest(ctx)
		case isFreed && event.Key == key: // and not one that begins with it
			return nil
		}
	}
	return context.Cause(ctx)
}

// rest is a pause.
func rest(ctx context.Context) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Poll is a waiter that reads the key every 100 ms, for clusters that serve no watch.
func Poll(c *client.Client) Waiter { return &poller{c} }

type poller struct{ c *client.Client }

func (p *poller) Freed(ctx context.Context, key string, _ uint64) error {
	for {
		if err := rest(ctx); err != nil {
			return err
		}
		// A get that fails says nothing: who takes the lock next will hear of it.
		if _, err := p.c.Get(ctx, key, client.With(client.Sequential)); errors.Is(err, client.ErrNotFound) {
			return nil
		}
	}
}
