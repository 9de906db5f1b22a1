package bus

import (
	"context"
	"errors"
	"sync"
)

// Errors of [Probe.Ask].
var (
	ErrNotBegun = errors.New("the node has not begun to work")
	ErrEnded    = errors.New("the node has ended")
)

// Probe asks the goroutine that owns a machine how it is, from any other goroutine. Only
// the owner ever looks at the machine, between two turns, so an answer also shows that its
// loop turns. It costs the owner nothing while nobody asks. Make it with [NewProbe]; to the
// owner, a nil Probe is one that nobody asks.
type Probe[T any] struct {
	asks         chan chan<- T
	begun, ended chan struct{}
	begin, end   sync.Once
}

// NewProbe returns a probe for an owner that has not begun yet.
func NewProbe[T any]() *Probe[T] {
	return &Probe[T]{asks: make(chan chan<- T), begun: make(chan struct{}), ended: make(chan struct{})}
}

// Ask waits for the owner's answer. The error is [ErrNotBegun] before its loop runs,
// [ErrEnded] afterwards, and the cause of ctx where the answer takes longer.
func (p *Probe[T]) Ask(ctx context.Context) (answer T, err error) {
	select {
	case <-p.ended:
		return answer, ErrEnded
	case <-p.begun:
	default:
		return answer, ErrNotBegun
	}
	reply := make(chan T, 1) // so that the owner never waits
	select {
	case p.asks <- reply:
		return <-reply, nil
	case <-p.ended:
		return answer, ErrEnded
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
}

// Asked yields the questions. The owner answers each at once, with one value.
func (p *Probe[T]) Asked() <-chan chan<- T {
	if p == nil {
		return nil
	}
	return p.asks
}

// Begin says that from now on the owner answers.
func (p *Probe[T]) Begin() {
	if p != nil {
		p.begin.Do(func() { close(p.begun) })
	}
}

// End says that the owner answers no more.
func (p *Probe[T]) End() {
	if p != nil {
		p.end.Do(func() { close(p.ended) })
	}
}
