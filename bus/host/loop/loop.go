package loop

import (
	"context"
	"time"

	"quartet/bus"
	"quartet/bus/host/tune"
)

// Tick is the unit in which machines count time.
const Tick = 10 * time.Millisecond

// Turn says what a turn was made for.
type Turn struct {
	Now    time.Time // when the loop was woken
	Events int       // that have arrived
	Tick   bool      // a tick is due
	Woken  bool      // by [Loop.Wake]
}

// Shell is a process around a machine, as the loop sees it. Its methods are called by the
// loop's goroutine alone, in the order in which they stand here: in a turn, Look once, Take
// for each event, Tick if one is due, then EndTurn, Persist and Send once each. The first
// error is the end: nothing after it is called, so nothing of that turn leaves.
type Shell[E any] interface {
	// Look looks around, before the machine is stepped: at the disk, at processes.
	Look(Turn) error
	// Take steps the machine through one event.
	Take(*E)
	// Tick tells the machine that 10 ms have passed.
	Tick(now time.Time)
	// EndTurn ends the machine's turn. An error says that it must be silent from now on.
	EndTurn() error
	// Persist puts what the turn changed where the options promise it.
	Persist() error
	// Send sends what the turn produced, and empties the output.
	Send()
}

// Loop drives one shell with events of type E, and answers a probe with figures of type F.
type Loop[E, F any] struct {
	Inbox   *bus.Inbox[E]
	Shell   Shell[E]
	Wake    <-chan struct{} // a token asks for a turn beside those of events and ticks; may be nil
	Probe   *bus.Probe[F]   // may be nil
	Figures func() F        // answers Probe, between two turns
	Awake   *tune.Awake     // is told of the turns; may be nil

	events []E // of the last turn; their memory is used again
}

// Run makes turns until over says so (then done is true), a turn fails, or ctx ends. over is
// asked before the first turn and after each, and is told of the turn before; the zero Turn
// is that of none.
func (l *Loop[E, F]) Run(ctx context.Context, over func(Turn) (bool, error)) (done bool, err error) {
	ticker := time.NewTicker(Tick)
	defer ticker.Stop()

	var t Turn
	for {
		if done, err = over(t); done || err != nil {
			return done, err
		}

		t = Turn{}
		select {
		case <-l.Inbox.Ready():
		case reply := <-l.Probe.Asked():
			reply <- l.Figures()
		case <-l.Wake:
			t.Woken = true
		case <-ticker.C: // holds one tick at the most: duty 4
			t.Tick = true
		case <-ctx.Done():
			return false, nil
		}

		t.Now = time.Now()
		l.events = l.Inbox.Drain(l.events)
		t.Events = len(l.events)
		l.Awake.Turn(t.Events > 0, t.Tick)
		if err := l.turn(t); err != nil {
			return false, err
		}
	}
}

// First makes a turn of one tick and nothing else, before Run: what a machine says first.
func (l *Loop[E, F]) First() error { return l.turn(Turn{Now: time.Now(), Tick: true}) }

// turn makes one turn of what was drained. It is the only place that sends.
func (l *Loop[E, F]) turn(t Turn) error {
	s := l.Shell
	if err := s.Look(t); err != nil {
		return err
	}
	for i := range l.events {
		s.Take(&l.events[i])
	}
	if t.Tick {
		s.Tick(t.Now)
	}
	if err := s.EndTurn(); err != nil {
		return err
	}
	if err := s.Persist(); err != nil {
		return err
	}
	s.Send()
	return nil
}
