package bus

import "sync"

// Inbox hands what callbacks receive to one owner goroutine, which takes all of it at
// once. Push never blocks and never calls out, so a bus callback can do nothing else:
// that is what lets one goroutine own a protocol machine without a lock.
type Inbox[T any] struct {
	ready chan struct{} // capacity 1: a token means that something may be there
	limit int           // 0: none
	size  func(T) int

	mu      sync.Mutex
	items   []T
	held    int // sizes of items together, where there is a limit
	dropped uint64
}

// NewInbox returns an inbox without a limit, for events whose source is bounded itself.
func NewInbox[T any]() *Inbox[T] {
	return &Inbox[T]{ready: make(chan struct{}, 1)}
}

// NewBoundedInbox returns an inbox that drops what would take the sizes of all it holds
// above limit. Use it for messages of the bus: a callback that appends at once keeps the
// subscription's own pending limits from ever being reached.
func NewBoundedInbox[T any](limit int, size func(T) int) *Inbox[T] {
	return &Inbox[T]{ready: make(chan struct{}, 1), limit: limit, size: size}
}

// Push appends v and wakes the owner. Safe for concurrent use.
func (in *Inbox[T]) Push(v T) {
	size := 0
	if in.limit > 0 {
		size = in.size(v)
	}
	in.mu.Lock()
	if in.limit > 0 && in.held+size > in.limit {
		in.dropped++
		in.mu.Unlock()
		return
	}
	in.held += size
	in.items = append(in.items, v)
	first := len(in.items) == 1
	in.mu.Unlock()
	if first {
		select {
		case in.ready <- struct{}{}:
		default: // a token is there already
		}
	}
}

// Ready yields a token after a Push into an empty inbox. A token may come for what a
// Drain has already taken; an owner that finds nothing just waits again.
func (in *Inbox[T]) Ready() <-chan struct{} { return in.ready }

// Drain takes all that is held, in the order of the pushes, and gives dst's memory to
// the inbox for what comes next: hand back the last result and nothing is allocated in
// steady state. dst's elements are cleared. Only the owner calls it.
func (in *Inbox[T]) Drain(dst []T) []T {
	clear(dst)
	in.mu.Lock()
	defer in.mu.Unlock()
	items := in.items
	in.items, in.held = dst[:0], 0
	return items
}

// Len returns how many are held.
func (in *Inbox[T]) Len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.items)
}

// Dropped returns how many were dropped because of the limit.
func (in *Inbox[T]) Dropped() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dropped
}
