package timeline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Errors of [Read].
var (
	ErrLine  = errors.New("timeline: a line cannot be read")
	ErrLost  = errors.New("timeline: the kernel has lost events: trace for a shorter time")
	ErrEmpty = errors.New("timeline: the trace has no event of the scheduler")
)

// Others is the lane of all threads that are nobody's who was named.
const Others = "others"

// Trace is what the kernel's scheduler did for a while.
type Trace struct {
	Lanes      []string // the processes that were named, in their order, and [Others]
	Processors int      // that did something
	Begin, End time.Duration
	Runs       []Run  // by their ends
	Waits      []Wait // by their ends
	Idle       []Run  // of no lane: a processor had nothing to do; by their ends, too
	Untold     int    // switches that the kernel did not tell of: see [Read]
}

// Run is a time for which a processor ran one thread.
type Run struct {
	Lane, Processor int
	From, To        time.Duration
}

// Wait is a time for which a thread could have run and did not.
type Wait struct {
	Lane      int
	Processor int // on which it ran at last
	From, To  time.Duration
	Woken     bool // it had slept; otherwise it was taken from its processor
	Waker     int  // the lane that woke it; -1: it was not woken
}

// Thread says whose a thread is.
type Thread struct {
	ID      int
	Process string
}

// The lines of tracefs' "trace" (Documentation/trace/ftrace.rst and events.rst of Linux), of the
// events sched_switch and sched_waking. A thread's name may hold spaces, dashes and signs.
var (
	eventLine  = regexp.MustCompile(`^\s*.+-(\d+)\s+\[(\d+)\]\s+\S+\s+(\d+)\.(\d{6}): (\w+): (.*)$`)
	switchText = regexp.MustCompile(`prev_pid=(\d+) prev_prio=\d+ prev_state=(\S+) ==> .*next_pid=(\d+) next_prio=\d+$`)
	wakingText = regexp.MustCompile(` pid=(\d+) prio=\d+ target_cpu=\d+$`)
	lostLine   = regexp.MustCompile(`LOST \d+ EVENTS`)
)

// runnable is how the kernel's states of a thread begin that could go on.
const runnable = "R"

// event is one line.
type event struct {
	thread, processor int
	at                time.Duration
	name, text        string
}

// parse reads one line; false: it is a comment.
func parse(line string) (event, bool, error) {
	isComment := strings.HasPrefix(line, "#") || strings.TrimSpace(line) == ""
	switch {
	case lostLine.MatchString(line):
		return event{}, false, ErrLost
	case isComment:
		return event{}, false, nil
	}
	m := eventLine.FindStringSubmatch(line)
	if m == nil {
		return event{}, false, fmt.Errorf("%w: %.80q", ErrLine, line)
	}

	var n [4]int
	for i := range n {
		v, err := strconv.Atoi(m[i+1])
		if err != nil || v > 1<<40 {
			return event{}, false, fmt.Errorf("%w: %.80q", ErrLine, line)
		}
		n[i] = v
	}
	at := time.Duration(n[2])*time.Second + time.Duration(n[3])*time.Microsecond
	if at < 0 || n[2] > 1<<30 {
		return event{}, false, fmt.Errorf("%w: %.80q", ErrLine, line)
	}
	return event{n[0], n[1], at, m[5], m[6]}, true, nil
}

// reader makes a trace of events, in the order of their times.
type reader struct {
	t       *Trace
	lanes   map[int]int           // of threads
	running map[int]Run           // of processors; To is not known yet
	thread  map[int]int           // that a processor runs; 0: none
	last    map[int]time.Duration // of a processor's events
	waiting map[int]Wait
}

// Read reads what tracefs' "trace" holds of the events sched_switch and sched_waking, in the order
// of time, and draws each process that owns one of the threads as a lane of its own. What came
// before a processor's first switch is not known, and no part of the trace. A kernel may keep
// switches to itself, as those from idling of one processor: an event then comes from a thread that
// was not known to run, and it counts as running since it was woken, or since the last event of its
// processor, whichever was later, and where no wake was told since that event. So its wait is not
// known, and counts as none. The error wraps
// [ErrLine], [ErrLost] or [ErrEmpty], or is r's.
func Read(r io.Reader, processes []string, threads []Thread) (*Trace, error) {
	d := &reader{
		t: &Trace{Lanes: append(append([]string(nil), processes...), Others)}, lanes: map[int]int{},
		running: map[int]Run{}, thread: map[int]int{}, last: map[int]time.Duration{}, waiting: map[int]Wait{},
	}
	for i, p := range processes {
		for _, t := range threads {
			if t.Process == p {
				d.lanes[t.ID] = i
			}
		}
	}

	lines, first := bufio.NewScanner(r), true
	for lines.Scan() {
		e, isEvent, err := parse(lines.Text())
		if err != nil {
			return nil, err
		}
		if !isEvent {
			continue
		}
		if first {
			d.t.Begin, d.t.End, first = e.at, e.at, false
		}
		d.t.End = max(d.t.End, e.at)
		if err := d.take(e); err != nil {
			return nil, err
		}
	}

	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	d.t.Processors = len(d.running)
	if d.t.Processors == 0 {
		return nil, ErrEmpty
	}
	byEnd := func(a, b Run) int { return int(a.To - b.To) }
	slices.SortStableFunc(d.t.Runs, byEnd)
	slices.SortStableFunc(d.t.Idle, byEnd)
	return d.t, nil
}

// lane is that of a thread.
func (d *reader) lane(thread int) int {
	if lane, ok := d.lanes[thread]; ok {
		return lane
	}
	return len(d.t.Lanes) - 1
}

func (d *reader) take(e event) error {
	d.infer(e)
	d.last[e.processor] = e.at
	switch e.name {
	case "sched_switch":
		m := switchText.FindStringSubmatch(e.text)
		if m == nil {
			return fmt.Errorf("%w: %s: %.80q", ErrLine, e.name, e.text)
		}
		before, _ := strconv.Atoi(m[1]) // digits alone; what is too large is nobody's
		next, _ := strconv.Atoi(m[3])
		d.switched(e, before, strings.HasPrefix(m[2], runnable), next)

	case "sched_waking":
		m := wakingText.FindStringSubmatch(e.text)
		if m == nil {
			return fmt.Errorf("%w: %s: %.80q", ErrLine, e.name, e.text)
		}
		woken, _ := strconv.Atoi(m[1])
		d.woken(e, woken)
	}
	return nil // other events may have been asked for, too
}

// infer has a processor run the thread that an event comes from, if it was not told to.
func (d *reader) infer(e event) {
	run, known := d.running[e.processor]
	if !known || d.thread[e.processor] == e.thread {
		return
	}
	d.t.Untold++
	since := e
	if wait, waits := d.waiting[e.thread]; waits {
		since.at = max(wait.From, run.From, d.last[e.processor])
		delete(d.waiting, e.thread)
	}
	d.switched(since, d.thread[e.processor], false, e.thread)
}

// switched ends what a processor ran, and begins what it runs now.
func (d *reader) switched(e event, before int, couldGoOn bool, next int) {
	if run, known := d.running[e.processor]; known {
		run.To = e.at
		if d.thread[e.processor] == 0 {
			d.t.Idle = append(d.t.Idle, run)
		} else {
			d.t.Runs = append(d.t.Runs, run)
		}
	}
	delete(d.waiting, before) // it was woken before it slept
	if couldGoOn && before != 0 {
		d.waiting[before] = Wait{Lane: d.lane(before), From: e.at, Waker: -1}
	}

	if wait, waited := d.waiting[next]; waited {
		wait.To, wait.Processor = e.at, e.processor
		d.t.Waits = append(d.t.Waits, wait)
		delete(d.waiting, next)
	}
	d.running[e.processor] = Run{Lane: d.lane(next), Processor: e.processor, From: e.at}
	d.thread[e.processor] = next
}

// woken has a thread wait for a processor, unless it waits already, or runs: then it was about to
// sleep.
func (d *reader) woken(e event, thread int) {
	if _, waits := d.waiting[thread]; waits {
		return
	}
	for _, runs := range d.thread {
		if runs == thread {
			return
		}
	}
	d.waiting[thread] = Wait{Lane: d.lane(thread), From: e.at, Woken: true, Waker: d.lane(e.thread)}
}
