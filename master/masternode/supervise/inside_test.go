package supervise

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"quartet/bus/host/exit"
	"quartet/bus/lamport"
)

// inside is a supervisor of goroutines, each of which ends when it is told how.
type inside struct {
	*Supervisor
	ends chan error // ends one that runs
	now  time.Time
}

func newInside() *inside {
	i := &inside{ends: make(chan error), now: time.Unix(1_000_000, 0)}
	i.Supervisor = New(Options{Inside: func(ctx context.Context, _ lamport.Node, _ int) error {
		select {
		case err := <-i.ends:
			return err
		case <-ctx.Done():
			return nil
		}
	}})
	return i
}

// step waits for an end and returns the events of it.
func (i *inside) step(t *testing.T) Event {
	t.Helper()
	<-i.Ready()
	events := i.Step(i.now)
	if len(events) != 1 {
		t.Fatalf("events %+v", events)
	}
	return events[0]
}

// A goroutine that returns, with an error or without, is started again under another number.
func TestInsideIsStartedAgain(t *testing.T) {
	i := newInside()
	defer i.Stop(nil)
	number, err := i.Start(r1, i.now)
	if err != nil || number < FirstInside {
		t.Fatalf("number %d, %v", number, err)
	}
	if again, err := i.Start(r1, i.now); again != number || err != nil {
		t.Errorf("started twice: %d, %v", again, err)
	}

	other, err := i.Start(r2, i.now)
	if err != nil || other == number {
		t.Fatalf("number %d, %v", other, err)
	}

	seen := map[int]bool{number: true, other: true}
	broken := errors.New("broken")
	for tries, c := range []struct {
		how     error
		damaged bool
	}{{broken, false}, {nil, false}, {exit.Damaged(broken), true}, {fmt.Errorf("later: %w", broken), false}} {
		i.ends <- c.how
		e := i.step(t)

		isAnotherError := c.how != nil && !errors.Is(e.Err, broken)
		if e.Kind != Ended || !seen[e.PID] || e.Err == nil || isAnotherError || errors.Is(e.Err, ErrDamaged) != c.damaged {
			t.Fatalf("%v: %+v", c.how, e)
		}

		r := i.Restarts(i.now)[e.Node]
		if r.PID != 0 || r.Err == nil || r.InARow == 0 {
			t.Errorf("after %v: %+v", c.how, r)
		}

		i.now = r.Next
		events := i.Step(i.now)
		if len(events) != 1 || events[0].Kind != Started || events[0].Node != e.Node || seen[events[0].PID] {
			t.Fatalf("try %d: %+v, seen %v", tries, events, seen)
		}
		seen[events[0].PID] = true
	}
}

func TestInsideIsDismissed(t *testing.T) {
	i := newInside()
	defer i.Stop(nil)
	if _, err := i.Start(r1, i.now); err != nil {
		t.Fatal(err)
	}
	i.Dismiss(r1, i.now)
	if e := i.step(t); e.Kind != Ended || e.Node != r1 {
		t.Errorf("%+v", e)
	}
	i.now = i.now.Add(time.Hour)
	if events := i.Step(i.now); len(events) != 0 || len(i.Restarts(i.now)) != 0 {
		t.Errorf("dismissed, and yet %+v", events)
	}
}

// The stop waits for all goroutines, and, for one that does not heed it, not for ever.
func TestInsideStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heeds, ended := make(chan struct{}), 0
		s := New(Options{Inside: func(ctx context.Context, n lamport.Node, _ int) error {
			<-ctx.Done()
			if n == r2 {
				<-heeds
			}
			ended++
			return nil
		}})
		if _, err := s.Start(r1, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.Stop(nil)
		if ended != 1 {
			t.Errorf("%d have ended", ended)
		}
		if _, err := s.Start(r2, time.Now()); !errors.Is(err, ErrStopped) {
			t.Errorf("started after the stop: %v", err)
		}

		stubborn := New(s.opts)
		if _, err := stubborn.Start(r2, time.Now()); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		stubborn.Stop(nil)
		if took := time.Since(begun); took != 2*StopWait {
			t.Errorf("it waited %s", took)
		}
		close(heeds)
	})
}
