package supervise

import (
	"context"
	"errors"
	"testing"
	"time"

	"quartet/bus/host/exit"
	"quartet/bus/lamport"
)

// beside lets the bench know of another process of a replica; 0: there is none.
func (b *bench) beside(other *int) {
	b.opts.Other = func(_ lamport.Node, pid int) bool { return *other != 0 && *other != pid }
}

// A process that another one has replaced is not started again, however long it takes, while the
// other is at work, and is started once that one is silent.
func TestReplacedIsNotStartedBesideTheOther(t *testing.T) {
	b, other := newBench(t), 0
	b.beside(&other)
	pid := b.start(r1, "replaced")
	other = pid // in another container, where the same numbers are given
	e := b.awaitEnd()[0]
	if !errors.Is(e.Err, ErrReplaced) || errors.Is(e.Err, ErrDamaged) {
		t.Fatalf("error %v", e.Err)
	}

	b.roles[r1] = "lives"
	b.now = b.Restarts(b.now)[r1].Next
	since := b.now
	for range 20 {
		b.nothing()
		if r := b.Restarts(b.now)[r1]; r.PID != 0 || !r.Yields.Equal(since) || r.InARow != 1 {
			t.Fatalf("%+v", r)
		}
		b.now = b.now.Add(MostDelay)
	}

	other = 0
	pid = b.started(r1)
	if r := b.Restarts(b.now)[r1]; r.PID != pid || !r.Yields.IsZero() {
		t.Errorf("%+v", r)
	}
}

// The same however a process has ended, as that of an adopted one is not known; but the word of
// the process itself, which may come late, is no other.
func TestEndedIsNotStartedBesideAnother(t *testing.T) {
	b, other := newBench(t), 0
	b.beside(&other)
	other = b.start(r1, "lives") // itself
	b.end(r1)
	b.now = b.now.Add(FirstDelay)
	b.started(r1)

	other = foreign(t)
	b.end(r1)
	b.now = b.now.Add(time.Hour)
	b.nothing()
	if r := b.Restarts(b.now)[r1]; !r.Yields.Equal(b.now) {
		t.Errorf("%+v", r)
	}
	b.Dismiss(r1, b.now) // while it yields
	other = 0
	b.nothing()
}

// A replica within this process says by its error that it was replaced.
func TestInsideIsReplaced(t *testing.T) {
	i, other := newInside(), true
	defer i.Stop(nil)
	i.opts.Other = func(lamport.Node, int) bool { return other }
	if _, err := i.Start(r1, i.now); err != nil {
		t.Fatal(err)
	}
	i.ends <- exit.Replaced(context.Canceled)
	if e := i.step(t); !errors.Is(e.Err, ErrReplaced) {
		t.Errorf("%v", e.Err)
	}

	i.now = i.now.Add(time.Hour)
	if events := i.Step(i.now); len(events) != 0 {
		t.Errorf("beside another: %+v", events)
	}
	other = false
	if events := i.Step(i.now); len(events) != 1 || events[0].Kind != Started {
		t.Errorf("alone: %+v", events)
	}
}
