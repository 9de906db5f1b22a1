package recipes

import (
	"context"
	"errors"

	"quartet/client"
)

// Election has one of several programs lead at a time. Make it with [NewElection]. It is safe for
// concurrent use.
type Election struct{ lock *Lock }

// NewElection is the election that is decided at a key. name is who stands for it, for people and
// for [Election.Leader].
func NewElection(c *client.Client, key, name string, opts ...Option) *Election {
	return &Election{lock: NewLock(c, key, name, opts...)}
}

// Leader says who leads; "": nobody. It may be another one by the time that this is read.
func (e *Election) Leader(ctx context.Context) (string, error) { return e.lock.Owner(ctx) }

// Lead stands for the election until it is won, and then calls lead, whose context ends when the
// leadership is lost. If lead returns, the leadership is given up, and Lead returns what it
// returned; if the leadership was lost, Lead waits for lead to return and stands for the election
// again. It ends with ctx, and with the error of a cluster that cannot be asked
// ([client.ErrUnavailable]). A term is known by its token, and what belongs to it is written with
// its fence.
func (e *Election) Lead(ctx context.Context, lead func(ctx context.Context, term *Held) error) error {
	for {
		term, err := e.lock.Take(ctx)
		if err != nil {
			return err
		}
		isLost, err := e.serve(ctx, term, lead)
		if !isLost || ctx.Err() != nil {
			return err
		}
	}
}

// serve calls lead with a context that ends with ctx, or when the term does, and reports whether
// the term was lost when lead returned. The term is given back however lead ends: also by a panic,
// which somebody may recover from.
func (e *Election) serve(ctx context.Context, term *Held, lead func(context.Context, *Held) error) (isLost bool, err error) {
	defer e.resign(ctx, term)
	during, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	unlink := context.AfterFunc(term.Context(), func() { cancel(context.Cause(term.Context())) })
	defer unlink()

	err = lead(during, term)
	return errors.Is(context.Cause(term.Context()), ErrLost), err
}

// resign gives a term back. What that says does not matter: the key ends by itself at the latest.
func (e *Election) resign(ctx context.Context, term *Held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.lock.ttl)
	defer cancel()
	_ = term.Release(ctx)
}
