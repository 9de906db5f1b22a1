package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// gapClient puts one value after the other, as fast as it is answered but for a short pause, and
// notes when each was acknowledged.
type gapClient struct {
	cancel context.CancelFunc
	ended  chan struct{}
	close  func()

	mu    sync.Mutex
	acked []time.Time
	err   error // of the last put that failed
}

// startGapClient connects the client of that number with a machine.
func startGapClient(ctx context.Context, t trio, number int) (*gapClient, error) {
	put, closer, err := t.open(ctx, number%machinesOfAll)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &gapClient{cancel: cancel, ended: make(chan struct{}), close: closer}
	go func() {
		defer close(c.ended)
		c.run(ctx, put, fmt.Sprintf("client-%d", number))
	}()
	return c, nil
}

func (c *gapClient) run(ctx context.Context, put putter, key string) {
	pause := time.NewTicker(putPause)
	defer pause.Stop()
	value := make([]byte, 100)
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		err := put(try, key, value)
		cancel()

		c.mu.Lock()
		if err == nil {
			c.acked = append(c.acked, time.Now())
		} else {
			c.err = err
		}
		c.mu.Unlock()

		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// stop ends it; again, does nothing.
func (c *gapClient) stop() {
	c.cancel()
	<-c.ended
	if c.close != nil {
		c.close()
		c.close = nil
	}
}

// isCalm reports whether the client was served after a moment, and has been without a longer gap
// for a while now.
func (c *gapClient) isCalm(now, since time.Time) bool {
	const longer = 250 * time.Millisecond
	c.mu.Lock()
	defer c.mu.Unlock()
	before := now
	for _, at := range slices.Backward(c.acked) {
		switch {
		case before.Sub(at) > longer:
			return false
		case now.Sub(at) >= calmWindow:
			return at.After(since)
		}
		before = at
	}
	return false
}

// lastError is one of those with which puts have failed.
func lastError(clients []*gapClient) error {
	for _, c := range clients {
		c.mu.Lock()
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return errors.New("no put has failed")
}

// gaps are the longest times without an acknowledgement that begin or end after a moment: of the
// client that had the longest, of the median client, and of all clients together.
func gaps(clients []*gapClient, since time.Time) (worst, typical, service time.Duration) {
	var each []time.Duration
	var all []time.Time
	for _, c := range clients {
		each = append(each, longestGap(c.acked, since))
		all = append(all, c.acked...)
	}
	slices.Sort(each)
	slices.SortFunc(all, time.Time.Compare)
	return each[len(each)-1], each[len(each)/2], longestGap(all, since)
}

// longestGap is the longest time between two of these moments, which rise, of which the later one
// is after since.
func longestGap(rising []time.Time, since time.Time) (longest time.Duration) {
	for i, at := range rising {
		if i > 0 && at.After(since) {
			longest = max(longest, at.Sub(rising[i-1]))
		}
	}
	return longest
}
