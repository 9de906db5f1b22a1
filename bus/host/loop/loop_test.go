package loop_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/host/loop"
)

// shell notes what the loop asks of it. What a test sets in fail fails, and what it sets in
// then is done after that step.
type shell struct {
	steps []string
	ticks []time.Time
	fail  map[string]error
	then  map[string]func()
}

func (s *shell) step(format string, args ...any) error {
	name := fmt.Sprintf(format, args...)
	s.steps = append(s.steps, name)
	if then := s.then[name]; then != nil {
		then()
	}
	return s.fail[name]
}

func (s *shell) Look(t loop.Turn) error {
	return s.step("look %d %t %t", t.Events, t.Tick, t.Woken)
}
func (s *shell) Take(e *int) { _ = s.step("take %d", *e) }
func (s *shell) Tick(now time.Time) {
	s.ticks = append(s.ticks, now)
	_ = s.step("tick")
}
func (s *shell) EndTurn() error { return s.step("end") }
func (s *shell) Persist() error { return s.step("persist") }
func (s *shell) Send()          { _ = s.step("send") }

func newLoop(s *shell) *loop.Loop[int, int] {
	return &loop.Loop[int, int]{
		Inbox: bus.NewInbox[int](), Shell: s, Probe: bus.NewProbe[int](), Figures: func() int { return len(s.steps) },
	}
}

// after says that it is over after so many turns.
func after(turns int) func(loop.Turn) (bool, error) {
	return func(loop.Turn) (bool, error) {
		turns--
		return turns < 0, nil
	}
}

// Duties 2, 3, 5 and 7: one turn takes all that has arrived, in order, and sends last. What
// comes meanwhile is the next turn's.
func TestATurnTakesAllAndSendsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shell{}
		l := newLoop(s)
		for i := range 3 {
			l.Inbox.Push(i)
		}
		s.then = map[string]func(){"take 1": func() { l.Inbox.Push(3) }}
		if done, err := l.Run(t.Context(), after(2)); !done || err != nil {
			t.Fatal(done, err)
		}
		want := []string{
			"look 3 false false", "take 0", "take 1", "take 2", "end", "persist", "send",
			"look 1 false false", "take 3", "end", "persist", "send",
		}
		if diff := cmp.Diff(want, s.steps); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// Duties 5 and 6: the step that fails is the last, and nothing of its turn is sent.
func TestNothingLeavesAfterAFailure(t *testing.T) {
	broken := errors.New("broken")
	for _, last := range []string{"look 1 false false", "end", "persist"} {
		t.Run(strings.Fields(last)[0], func(t *testing.T) {
			s := &shell{fail: map[string]error{last: broken}}
			l := newLoop(s)
			l.Inbox.Push(7)
			done, err := l.Run(t.Context(), after(5))
			if done || !errors.Is(err, broken) {
				t.Errorf("done %t, error %v", done, err)
			}
			if s.steps[len(s.steps)-1] != last || slices.Contains(s.steps, "send") {
				t.Errorf("%q", s.steps)
			}
		})
	}
}

// Duty 4: a tick each 10 ms, and no more than time has passed. A turn of 95 ms misses nine,
// and one of them waits; the others are not made up for.
func TestTicksAreNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := &shell{}
		l := newLoop(s)
		ends, cancel := context.WithTimeout(t.Context(), 155*time.Millisecond)
		defer cancel()
		over := func(turn loop.Turn) (bool, error) {
			if turn.Tick && time.Since(begun) == 2*loop.Tick {
				<-time.After(95 * time.Millisecond) // of the bubble's clock
			}
			return false, nil
		}
		if done, err := l.Run(ends, over); done || err != nil {
			t.Fatal(done, err)
		}
		var got []time.Duration
		for _, at := range s.ticks {
			got = append(got, at.Sub(begun)/time.Millisecond)
		}
		want := []time.Duration{10, 20, 115, 120, 130, 140, 150}
		if !slices.Equal(got, want) {
			t.Errorf("ticks at %d ms; want %d", got, want)
		}
	})
}

// Duty 1: the owner answers a probe between two turns, and makes a turn of it.
func TestAProbeIsAnsweredBetweenTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shell{}
		l := newLoop(s)
		l.Probe.Begin()
		answers := make(chan int, 1)
		go func() {
			n, err := l.Probe.Ask(t.Context())
			if err != nil {
				t.Error(err)
			}
			answers <- n
		}()
		if _, err := l.Run(t.Context(), after(1)); err != nil {
			t.Fatal(err)
		}
		if n := <-answers; n != 0 {
			t.Errorf("answered after %d steps", n)
		}
		if diff := cmp.Diff([]string{"look 0 false false", "end", "persist", "send"}, s.steps); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// A token of Wake is the reason of a turn, which takes what has arrived as any does.
func TestAWokenTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shell{}
		l := newLoop(s)
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		l.Wake = wake
		if _, err := l.Run(t.Context(), after(1)); err != nil {
			t.Fatal(err)
		}
		if s.steps[0] != "look 0 false true" {
			t.Errorf("%q", s.steps)
		}
	})
}

// over is asked before the first turn, and its error is the end.
func TestOverIsAskedFirst(t *testing.T) {
	s, gone := &shell{}, errors.New("gone")
	l := newLoop(s)
	l.Inbox.Push(1)
	for _, want := range []error{nil, gone} {
		done, err := l.Run(t.Context(), func(turn loop.Turn) (bool, error) { return true, want })
		if !done || err != want || len(s.steps) != 0 {
			t.Errorf("%v: done %t, error %v, steps %q", want, done, err, s.steps)
		}
	}
}

// The first turn has a tick and no events, whatever has arrived.
func TestTheFirstTurnSaysWhatTheMachineSays(t *testing.T) {
	s := &shell{}
	l := newLoop(s)
	l.Inbox.Push(1)
	if err := l.First(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"look 0 true false", "tick", "end", "persist", "send"}, s.steps); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if l.Inbox.Len() != 1 {
		t.Errorf("%d events are left", l.Inbox.Len())
	}
}

// A turn of events allocates nothing: their memory is used again.
func TestATurnAllocatesNothing(t *testing.T) {
	l := &loop.Loop[int, int]{Inbox: bus.NewInbox[int](), Shell: quiet{}}
	turns := func(n int) func(loop.Turn) (bool, error) {
		return func(loop.Turn) (bool, error) {
			for i := range 64 {
				l.Inbox.Push(i)
			}
			n--
			return n < 0, nil
		}
	}
	few := testing.AllocsPerRun(5, func() { _, _ = l.Run(t.Context(), turns(10)) })
	many := testing.AllocsPerRun(5, func() { _, _ = l.Run(t.Context(), turns(1000)) })
	if many > few+5 {
		t.Errorf("%v allocations in 10 turns, %v in 1000", few, many)
	}
}

type quiet struct{}

func (quiet) Look(loop.Turn) error { return nil }
func (quiet) Take(*int)            {}
func (quiet) Tick(time.Time)       {}
func (quiet) EndTurn() error       { return nil }
func (quiet) Persist() error       { return nil }
func (quiet) Send()                {}
