package recipes

import (
	"context"
	"time"

	"quartet/client"
)

// restFor is how long a lock that cannot watch its key rests before it looks again.
const restFor = 100 * time.Millisecond

// freed returns when the lock's key may have no value, after its revision seen, or the error with
// which ctx ended. It may return early.
func (l *Lock) freed(ctx context.Context, seen uint64) error {
	for event, err := range l.c.Watch(ctx, l.key, client.FromRevision(seen)) {
		isFreed := event.Kind == client.EventDelete || event.Kind == client.EventExpire
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil: // the changes since are not kept, or there is no cluster: look again
			return rest(ctx)
		case isFreed && event.Key == l.key: // and not one that begins with it
			return nil
		}
	}
	return context.Cause(ctx)
}

// rest is a pause.
func rest(ctx context.Context) error {
	timer := time.NewTimer(restFor)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
