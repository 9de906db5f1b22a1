package bus

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewProbe[int]()
		ask := func() (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return p.Ask(ctx)
		}

		if _, err := ask(); !errors.Is(err, ErrNotBegun) {
			t.Errorf("before the beginning: %v", err)
		}

		p.Begin()
		if _, err := ask(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an owner that stands still: %v", err)
		}

		stop := make(chan struct{})
		go func() {
			for n := 1; ; n++ {
				select {
				case reply := <-p.Asked():
					reply <- n
				case <-stop:
					p.End()
					return
				}
			}
		}()

		for want := 1; want <= 2; want++ {
			if got, err := ask(); got != want || err != nil {
				t.Errorf("answer %d, %v, want %d", got, err, want)
			}
		}

		close(stop)
		synctest.Wait()
		if _, err := ask(); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// An owner that nobody can ask need not look whether somebody may.
func TestNoProbe(t *testing.T) {
	var p *Probe[int]
	p.Begin()
	select {
	case <-p.Asked():
		t.Error("asked by nobody")
	default:
	}
	p.End()
}
