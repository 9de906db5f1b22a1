package disk

import "sync"

// fault keeps the first error. It is set from the engine's goroutines, too.
type fault struct {
	once  sync.Once
	first error
	ch    chan struct{} // closed when there is one
}

func newFault() *fault { return &fault{ch: make(chan struct{})} }

// set keeps err if it is the first, and returns the first.
func (f *fault) set(err error) error {
	f.once.Do(func() {
		f.first = err
		close(f.ch)
	})
	return f.first
}

func (f *fault) err() error {
	select {
	case <-f.ch:
		return f.first
	default:
		return nil
	}
}
