package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"quartet/bus"
	"quartet/bus/lamport"
)

// Errors of starting.
var (
	ErrStart   = errors.New("supervise: cannot start a process")
	ErrStopped = errors.New("supervise: nothing is started any more")
)

// StopWait is how long a process that was told to end may take before it is killed.
const StopWait = 5 * time.Second

const (
	alivePoll = 100 * time.Millisecond // of an adopted process
	failing   = 5                      // so many ends in a row are worth a louder word
)

// Options say how replicas are started.
type Options struct {
	// Command makes the command that runs a replica, anew for each start.
	Command func(lamport.Node) *exec.Cmd
	// Output names the file that gets what the process writes, appended; "": our own standard
	// error, and then nobody knows its last words.
	Output func(lamport.Node) string

	// Inside, in place of Command and Output, runs a replica as a goroutine of this
	// process until ctx ends. The number stands for the pid: see [FirstInside].
	Inside func(ctx context.Context, n lamport.Node, number int) error

	// Other reports whether a process of the replica other than this pid is at work; with pid 0,
	// whether any is. A process that is due is not started meanwhile, and Other is asked again
	// with each Step. nil: there never is one.
	Other func(n lamport.Node, pid int) bool

	Log *slog.Logger // nil: nothing is logged
}

// Kind says what an [Event] tells.
type Kind uint8

// The kinds of event.
const (
	Started Kind = iota + 1 // a process was started again
	Ended                   // a process has ended
)

// Event is what happened to the process of a replica.
type Event struct {
	Kind Kind
	Node lamport.Node
	PID  int
	Err  error // of Ended, never nil: exit status and last words; may wrap [ErrDamaged] or [ErrReplaced]
}

// Restart is what status shows of a replica's process.
type Restart struct {
	PID    int       // 0: none runs
	InARow int       // how often it has ended since it last lived for [Settled]
	Err    error     // how it ended last, or why it could not be started; nil: it never did
	Next   time.Time // when it is tried again; zero: it runs, or is not to
	Yields time.Time // since when it is due and not started, for another process is at work; zero: it is not so
}

// slot is what is known of a replica.
type slot struct {
	wanted  bool   // it is to run
	child   *child // nil: it does not
	backoff Backoff
	next    time.Time // the next try, while it is wanted and does not run
	kill    time.Time // when a dismissed process is killed
	gone    int       // pid of the process that ended last; 0: none, or another one has replaced it
	yields  time.Time // see [Restart]
	err     error
}

type end struct {
	node  lamport.Node
	child *child
}

// Supervisor keeps processes running. It has one owner.
type Supervisor struct {
	opts     Options
	slots    map[lamport.Node]*slot
	ended    *bus.Inbox[end]
	ends     []end
	inside   int // goroutines started so far
	stopping bool
}

// New returns a supervisor of nothing.
func New(o Options) *Supervisor {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{opts: o, slots: map[lamport.Node]*slot{}, ended: bus.NewInbox[end]()}
}

// Start starts the process of n, unless one runs, keeps it running from now on, and
// returns its pid. A process that was dismissed and has not ended yet is not taken back:
// another follows it, and the pid is 0. The error wraps [ErrStart] or [ErrStopped]; then
// n is not kept.
func (s *Supervisor) Start(n lamport.Node, now time.Time) (pid int, err error) {
	if s.stopping {
		return 0, fmt.Errorf("%w: %s", ErrStopped, n)
	}
	p := s.slots[n]
	switch {
	case p == nil:
		p = &slot{}
	case p.child != nil && p.wanted:
		return p.child.pid, nil
	case p.child != nil:
		p.wanted = true // and Step starts it when its predecessor has ended
		return 0, nil
	}
	if err := s.launch(n, p, now); err != nil {
		delete(s.slots, n)
		return 0, err
	}
	p.wanted = true
	s.slots[n] = p
	return p.child.pid, nil
}

// Adopt takes over a process of n that somebody else started, as if it had been started
// here. The error wraps [ErrStart] or [ErrStopped].
func (s *Supervisor) Adopt(n lamport.Node, pid int, now time.Time) error {
	switch p := s.slots[n]; {
	case s.stopping:
		return fmt.Errorf("%w: %s", ErrStopped, n)
	case p != nil && p.child != nil && p.child.pid == pid && p.wanted:
		return nil
	case p != nil && p.child != nil:
		return fmt.Errorf("%w: %s has one already (pid %d, not %d)", ErrStart, n, p.child.pid, pid)
	}
	c, err := attach(pid, s.opts.Output(n), alivePoll, now, s.note(n))
	if err != nil {
		return fmt.Errorf("%w: adopting %s: %w", ErrStart, n, err)
	}
	p := &slot{wanted: true, child: c}
	p.backoff.Started(now)
	s.slots[n] = p
	return nil
}

// Dismiss has the process of n end, and not start again. One that does not heed this for
// [StopWait] is killed by a later Step.
func (s *Supervisor) Dismiss(n lamport.Node, now time.Time) {
	p := s.slots[n]
	if p == nil || !p.wanted {
		return
	}
	p.wanted, p.next = false, time.Time{}
	if p.child == nil {
		delete(s.slots, n)
		return
	}
	p.kill = now.Add(StopWait)
	s.signal(n, p, syscall.SIGTERM)
}

// Retire lets the process of a replica go on until it ends by itself. It is not started again.
func (s *Supervisor) Retire(n lamport.Node) {
	p := s.slots[n]
	if p == nil {
		return
	}
	p.wanted, p.next = false, time.Time{}
	if p.child == nil {
		delete(s.slots, n)
	}
}

// Ready yields a token when a process has ended: then call [Supervisor.Step] soon.
func (s *Supervisor) Ready() <-chan struct{} { return s.ended.Ready() }

// Step takes note of what has ended and starts what is due. Call it at each token of
// Ready, and often enough beside (a tenth of [FirstDelay] is).
func (s *Supervisor) Step(now time.Time) []Event {
	var events []Event
	s.ends = s.ended.Drain(s.ends)
	for _, e := range s.ends {
		p := s.slots[e.node]
		if p == nil || p.child != e.child {
			continue
		}

		events = append(events, Event{Kind: Ended, Node: e.node, PID: e.child.pid, Err: e.child.err})
		p.child, p.kill, p.gone = nil, time.Time{}, e.child.pid
		if errors.Is(e.child.err, ErrReplaced) { // be it in another container, with the same pid
			p.gone = 0
		}
		s.over(e.node, p, now, e.child.err, "life", now.Sub(e.child.since))
	}

	for _, n := range slices.Sorted(maps.Keys(s.slots)) {
		p := s.slots[n]
		switch {
		case p.child != nil && !p.kill.IsZero() && !now.Before(p.kill):
			p.kill = time.Time{}
			s.signal(n, p, syscall.SIGKILL)
		case p.child == nil && p.wanted && !s.stopping && !now.Before(p.next):
			if s.yield(n, p, now) {
				continue
			}
			if err := s.launch(n, p, now); err != nil {
				s.over(n, p, now, err)
				continue
			}
			s.opts.Log.Info("replica started again", "replica", n, "pid", p.child.pid, "ends_in_a_row", p.backoff.InARow(now))
			events = append(events, Event{Kind: Started, Node: n, PID: p.child.pid})
		}
	}
	return events
}

// yield reports whether another process of n is at work, beside which none is started.
func (s *Supervisor) yield(n lamport.Node, p *slot, now time.Time) bool {
	if s.opts.Other == nil || !s.opts.Other(n, p.gone) {
		p.yields = time.Time{}
		return false
	}

	if p.yields.IsZero() {
		p.yields = now
		s.opts.Log.Warn("another process of this replica is at work: none is started beside it until it is silent; "+
			"end one of the two", "replica", n)
	}
	return true
}

// over notes that the process of n does not run, and decides when it will.
func (s *Supervisor) over(n lamport.Node, p *slot, now time.Time, err error, more ...any) {
	p.err = err
	if !p.wanted {
		s.opts.Log.Info("the process of a dismissed replica has ended", append([]any{"replica", n, "error", err}, more...)...)
		delete(s.slots, n)
		return
	}
	if s.stopping {
		return
	}
	p.next = p.backoff.Ended(now)
	s.opts.Log.Error(outlook(err, p.backoff.InARow(now) >= failing),
		append([]any{"replica", n, "error", err, "ends_in_a_row", p.backoff.InARow(now), "next_try_in", p.next.Sub(now)}, more...)...)
}

// outlook says of a process that does not run why that is, and what comes of it.
func outlook(err error, fails bool) string {
	switch {
	case errors.Is(err, ErrReplaced): // however often
		return "a replica has ended, for another process of it was started later and speaks as it; " +
			"it is started again once that one is silent"
	case errors.Is(err, ErrDamaged):
		return "a replica has ended, for its data are damaged and are not served: restore them; it is tried again all the same"
	case fails:
		return "a replica ends again and again, or does not start: look at its log; it is still tried, slowly"
	case errors.Is(err, ErrStart):
		return "a replica could not be started; it is tried again"
	}
	return "a replica has ended and is to be started again"
}

func (s *Supervisor) launch(n lamport.Node, p *slot, now time.Time) error {
	var c *child
	if s.opts.Inside != nil {
		c = s.enter(n, now)
	} else {
		var err error
		if c, err = launch(s.opts.Command(n), s.opts.Output(n), now, s.note(n)); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrStart, n, err)
		}
	}
	p.child, p.next, p.yields = c, time.Time{}, time.Time{}
	p.backoff.Started(now)
	return nil
}

func (s *Supervisor) note(n lamport.Node) func(*child) {
	return func(c *child) { s.ended.Push(end{node: n, child: c}) }
}

func (s *Supervisor) signal(n lamport.Node, p *slot, sig syscall.Signal) {
	if err := p.child.signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.opts.Log.Warn("cannot signal a replica's process", "replica", n, "signal", sig, "error", err)
	}
}

// Restarts returns what is known of each replica's process.
func (s *Supervisor) Restarts(now time.Time) map[lamport.Node]Restart {
	all := make(map[lamport.Node]Restart, len(s.slots))
	for n, p := range s.slots {
		r := Restart{InARow: p.backoff.InARow(now), Err: p.err, Next: p.next, Yields: p.yields}
		if p.child != nil {
			r.PID = p.child.pid
		}
		all[n] = r
	}
	return all
}

// Stop begins the stop: nothing is started any more. It tells all processes to end and
// waits for that, for at most [StopWait] or until now is closed; then it kills those that
// are left, and waits for that. A goroutine cannot be killed: one that does not end is left
// to run, with a word in the log.
func (s *Supervisor) Stop(now <-chan struct{}) {
	s.stopping = true
	running := slices.Sorted(maps.Keys(s.slots))
	running = slices.DeleteFunc(running, func(n lamport.Node) bool { return s.slots[n].child == nil })
	for _, n := range running {
		s.signal(n, s.slots[n], syscall.SIGTERM)
	}
	if s.wait(running, now) {
		return
	}
	for _, n := range running {
		s.signal(n, s.slots[n], syscall.SIGKILL)
	}
	if !s.wait(running, nil) {
		s.opts.Log.Error("not every replica has ended", "after", 2*StopWait)
	}
}

// wait waits until all have ended, for at most StopWait or until now is closed.
func (s *Supervisor) wait(nodes []lamport.Node, now <-chan struct{}) bool {
	deadline := time.NewTimer(StopWait)
	defer deadline.Stop()
	for _, n := range nodes {
		select {
		case <-s.slots[n].child.done:
		case <-now:
			return false
		case <-deadline.C:
			return false
		}
	}
	return true
}
