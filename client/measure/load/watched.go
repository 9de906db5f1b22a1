package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Watched returns a caller that puts a value and returns once a watch of the whole bucket, on the
// same connection, has shown it: how fast changes are delivered while as many are made. stop ends
// the watch.
func (b *Bucket) Watched(ctx context.Context, nc *nats.Conn, timeout time.Duration) (c Caller, stop func(), err error) {
	kv, err := b.open(ctx, nc, jetstream.WithDefaultTimeout(timeout))
	if err != nil {
		return nil, nil, err
	}
	w, err := kv.WatchAll(context.WithoutCancel(ctx), jetstream.UpdatesOnly())
	if err != nil {
		return nil, nil, fmt.Errorf("load: watch bucket %s: %w", b.name, err)
	}

	watched := &watchedCaller{kv: kv, timeout: timeout, waiting: make(map[uint64]chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { watched.read(w.Updates()) })
	return watched, func() {
		_ = w.Stop() // of a connection that is closed next
		reading.Wait()
	}, nil
}

type watchedCaller struct {
	kv      jetstream.KeyValue
	timeout time.Duration

	mu      sync.Mutex
	shown   uint64                   // the greatest revision
	waiting map[uint64]chan struct{} // by revision
}

// read notes what the watch shows. A revision that was overwritten before it could be shown is, by
// one that is above it.
func (c *watchedCaller) read(updates <-chan jetstream.KeyValueEntry) {
	for e := range updates {
		if e == nil {
			continue
		}
		c.mu.Lock()
		c.shown = max(c.shown, e.Revision())
		for revision, shown := range c.waiting {
			if revision <= c.shown {
				close(shown)
				delete(c.waiting, revision)
			}
		}
		c.mu.Unlock()
	}
}

// wait returns what is closed once a revision is shown.
func (c *watchedCaller) wait(revision uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := make(chan struct{})
	if revision <= c.shown {
		close(shown)
	} else {
		c.waiting[revision] = shown
	}
	return shown
}

// Call implements [Caller].
func (c *watchedCaller) Call(op Op) Outcome {
	revision, err := c.kv.Put(context.Background(), op.Key, op.Value)
	if err != nil {
		return Failed
	}
	late := time.NewTimer(c.timeout)
	defer late.Stop()
	select {
	case <-c.wait(revision):
		return OK
	case <-late.C:
		return Unknown
	}
}

// Send implements [Sender].
func (c *watchedCaller) Send(op Op, done func(Outcome)) error {
	go func() { done(c.Call(op)) }()
	return nil
}
