package recipes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nuid"

	"quartet/client"
)

// Errors of a lock.
var (
	// ErrHeld: somebody else has the lock.
	ErrHeld = errors.New("recipes: the lock is held by somebody else")

	// ErrLost: the lock is no longer held: its key ended, or was overwritten or deleted by others.
	ErrLost = errors.New("recipes: the lock is lost")
)

// DefaultTTL is how long a lock outlives a holder that is gone.
const DefaultTTL = 10 * time.Second

// A key's end is moved keeps times within its TTL, and tried again soon where that fails.
const (
	keeps      = 3
	retryEvery = 100 * time.Millisecond
)

// Lock is a key that one holder at a time has. Make it with [NewLock]. It is safe for concurrent
// use.
type Lock struct {
	c     *client.Client
	key   string
	owner string
	ttl   time.Duration
}

// Option changes one thing in a lock or an election.
type Option func(*Lock)

// WithTTL sets how long the lock outlives a holder that is gone, 1 s at the least; without it,
// [DefaultTTL].
func WithTTL(d time.Duration) Option { return func(l *Lock) { l.ttl = d } }

// NewLock is the lock that stands at a key. owner is who takes it, for people and for [Lock.Owner].
func NewLock(c *client.Client, key, owner string, opts ...Option) *Lock {
	l := &Lock{c: c, key: key, owner: owner, ttl: DefaultTTL}
	for _, opt := range opts {
		opt(l)
	}
	return l
}

// Take takes the lock, and waits until that can be done, or ctx ends. A cluster that cannot be
// asked ends the waiting, too, once the client's retries are spent ([client.ErrUnavailable]).
func (l *Lock) Take(ctx context.Context) (*Held, error) {
	for {
		held, seen, err := l.try(ctx)
		if !errors.Is(err, ErrHeld) {
			return held, err
		}
		if err := l.freed(ctx, seen); err != nil {
			return nil, fmt.Errorf("recipes: wait for the lock: %w", err)
		}
	}
}

// Try takes the lock if it is free. Else the error is [ErrHeld].
func (l *Lock) Try(ctx context.Context) (*Held, error) {
	held, _, err := l.try(ctx)
	return held, err
}

// Owner says who has the lock; "": nobody.
func (l *Lock) Owner(ctx context.Context) (string, error) {
	r, err := l.c.Get(ctx, l.key)
	switch {
	case errors.Is(err, client.ErrNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("recipes: who has the lock: %w", err)
	}
	value := string(r.Value) // the owner, a blank, and what is unique to this time
	return value[:max(0, strings.LastIndexByte(value, ' '))], nil
}

// try takes the lock if it is free, and says with [ErrHeld] which revision stands in the way.
func (l *Lock) try(ctx context.Context) (held *Held, seen uint64, err error) {
	h := &Held{lock: l, value: []byte(l.owner + " " + nuid.Next()), began: time.Now(), ended: make(chan struct{})}
	take := l.c.Txn().If(client.KeyMissing(l.key))
	take.Then().Set(l.key, h.value, client.WithTTL(l.ttl))
	stands := take.Else().Get(l.key)

	done, err := l.settle(ctx, take)
	switch {
	case err != nil: // where it is unknown and was done, the key ends by itself
		return nil, 0, fmt.Errorf("recipes: take the lock: %w", err)
	case !done.Succeeded:
		return nil, stands.Revision, ErrHeld
	}

	h.token = done.Revision
	h.ctx, h.end = context.WithCancelCause(context.WithoutCancel(ctx))
	go h.keep()
	return h, 0, nil
}

// settle commits a transaction until its outcome is known, or a TTL has passed: what it may have
// written has ended by itself then. It is done once.
func (l *Lock) settle(ctx context.Context, t *client.Txn) (client.TxnResult, error) {
	limit := time.Now().Add(l.ttl)
	for {
		done, err := t.Commit(ctx)
		isKnown := !errors.Is(err, client.ErrUnknownOutcome)
		if isKnown || time.Now().After(limit) || rest(ctx) != nil {
			return done, err
		}
	}
}

// Held is a lock that was taken. Its key is kept alive until [Held.Release], or until it is lost.
// It is safe for concurrent use.
type Held struct {
	lock  *Lock
	value []byte // unique
	token uint64
	began time.Time // before the key's end was last moved: it is there for the TTL from then on

	ctx   context.Context
	end   context.CancelCauseFunc
	ended chan struct{} // closed once nothing keeps the key alive
}

// Token is the revision at which the lock was taken: greater than that of every holder before.
func (h *Held) Token() uint64 { return h.token }

// Fence is a check for transactions: it holds as long as the lock has not been taken away.
func (h *Held) Fence() client.Check { return client.KeyValue(h.lock.key, h.value) }

// Context ends when the lock is released or lost, with [ErrLost] as its cause then. It has the
// values of the context with which the lock was taken, and not its end.
func (h *Held) Context() context.Context { return h.ctx }

// Release gives the lock back. The error is [ErrLost] if it was lost before. Whatever the error is,
// the lock is no longer kept alive.
func (h *Held) Release(ctx context.Context) error {
	h.end(nil)
	<-h.ended

	release := h.lock.c.Txn().If(h.Fence())
	release.Then().Delete(h.lock.key)
	done, err := h.lock.settle(ctx, release)
	switch {
	case err != nil:
		return fmt.Errorf("recipes: release the lock: %w", err)
	case !done.Succeeded:
		return ErrLost
	}
	return nil
}

// keep moves the key's end until the lock is released or lost.
func (h *Held) keep() {
	defer close(h.ended)
	ttl := h.lock.ttl
	pause := time.NewTimer(h.untilNext())
	defer pause.Stop()

	for {
		select {
		case <-h.ctx.Done():
			return
		case <-pause.C:
		}

		sent := time.Now()
		kept, err := h.renew()
		switch {
		case err == nil && kept:
			h.began = sent
		case err == nil:
			h.end(ErrLost)
			return
		}

		left := time.Until(h.began.Add(ttl))
		switch {
		case h.ctx.Err() != nil: // released meanwhile
			return
		case left <= 0:
			h.end(fmt.Errorf("%w: its end could not be moved: %w", ErrLost, err))
			return
		case err != nil: // soon again
			pause.Reset(min(retryEvery, left))
		default:
			pause.Reset(h.untilNext())
		}
	}
}

// untilNext is how long the key's end may stay where it is. It counts from when its last move was
// sent: the answer may have come late.
func (h *Held) untilNext() time.Duration { return time.Until(h.began.Add(h.lock.ttl / keeps)) }

// renew moves the key's end, if its value is this holder's. It gives up when the lock is released,
// or would be lost.
func (h *Held) renew() (kept bool, err error) {
	ctx, cancel := context.WithDeadline(h.ctx, h.began.Add(h.lock.ttl))
	defer cancel()
	keep := h.lock.c.Txn().If(h.Fence())
	keep.Then().Set(h.lock.key, h.value, client.WithTTL(h.lock.ttl))
	done, err := keep.Commit(ctx)
	return done.Succeeded, err
}
