package disk

import "sync/atomic"

// fault keeps the first error. It is set from the engine's goroutines, too.
type fault struct{ first atomic.Pointer[error] }

func (f *fault) set(err error) error {
	f.first.CompareAndSwap(nil, &err)
	return *f.first.Load()
}

func (f *fault) err() error {
	if p := f.first.Load(); p != nil {
		return *p
	}
	return nil
}
