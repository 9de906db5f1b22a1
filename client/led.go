package client

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// led is what a client hears of masters that begin to lead. What it had sent to the one before is
// sent again at once, under the same id, in place of when its time is over.
type led struct {
	sub *nats.Subscription

	mu    sync.Mutex
	last  time.Time     // when one has begun
	begun chan struct{} // is closed when the next one begins
}

// hearLed listens for masters that begin to lead. A user who may not hear that goes without: a
// request that a master had which has died is sent again when its time is over.
func (c *Client) hearLed() (*led, error) {
	l := &led{begun: make(chan struct{})}
	connected := c.nc.Status() == nats.CONNECTED
	err := bus.Listen(c.nc, func() (err error) {
		l.sub, err = c.nc.Subscribe(c.subjects.Led(), func(*nats.Msg) {
			l.begins()
			c.in.Abandon(c.subjects.Request(), c.subjects.Batch(), c.subjects.Read())
		})
		return err
	})

	// A connection that is away, or has broken meanwhile, subscribes when it is back.
	isAway := !connected || c.nc.Status() != nats.CONNECTED
	standsAnyway := l.sub != nil && isAway
	if err == nil || standsAnyway || errors.Is(err, bus.ErrPermission) {
		return l, nil
	}
	return l, fmt.Errorf("client: %w", err)
}

// begins takes note that a master has begun to lead.
func (l *led) begins() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	close(l.begun)
	l.begun = make(chan struct{})
}

// next returns what is closed when the next master begins to lead, and when the last one has.
func (l *led) next() (begins <-chan struct{}, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun, l.last
}

// close ends the subscription, if there is one.
func (l *led) close() {
	if l != nil && l.sub != nil {
		_ = l.sub.Unsubscribe() // the connection may be gone: then nothing comes in either
	}
}
