package webconsole

import (
	"context"
	"html/template"
	"maps"
	"slices"
	"sync"
	"time"

	"quartet/bus/model"
	"quartet/client/glance"
	"quartet/client/webconsole/pane"
)

const (
	lookEvery    = 250 * time.Millisecond // while a page is open
	reportEvery  = 4                      // looks: statistics are asked for once a second
	lookWait     = 900 * time.Millisecond // for an answer
	mostHappened = 100
	mostFailures = 2               // looks that fail before the cluster counts as gone: one may have been unlucky
	mostRates    = 240             // looks with statistics: four minutes
	stale        = 5 * time.Second // after which a look says nothing of rates
)

// feed looks at the cluster while somebody looks at the console, once for all pages.
type feed struct {
	look   func(ctx context.Context, report bool) (*glance.Look, error)
	taking sync.Mutex // one looks at a time

	mu      sync.Mutex
	viewers int
	wanted  chan struct{} // is sent to when there is a first viewer
	changed chan struct{} // is closed at each look, and made anew
	sight   pane.Sight
	full    *glance.Look // the newest with statistics of its own
	settled *glance.Look // the newest that is not between two views
	looks   int
	failed  int                      // looks in a row
	parts   map[string]template.HTML // of sight
}

func newFeed(look func(context.Context, bool) (*glance.Look, error), demo bool) *feed {
	return &feed{
		look: look, wanted: make(chan struct{}, 1), changed: make(chan struct{}),
		sight: pane.Sight{Rates: pane.History{}, Demo: demo, Paused: map[int]bool{}},
	}
}

// mark notes whether a replica's process is paused.
func (f *feed) mark(pid int, paused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := maps.Clone(f.sight.Paused)
	if next[pid] = paused; !paused {
		delete(next, pid)
	}
	f.sight.Paused = next
}

// run looks again and again, until ctx ends.
func (f *feed) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if f.idle() {
			select {
			case <-f.wanted:
			case <-ctx.Done():
				return
			}
		}
		f.take(ctx)

		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.viewers == 0
}

// join says that somebody looks, until leave is called.
func (f *feed) join() (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.viewers++; f.viewers == 1 {
		select {
		case f.wanted <- struct{}{}:
		default: // it is awake
		}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.viewers--
	}
}

// newest returns what was seen last, and what is closed when there is more.
func (f *feed) newest() (map[string]template.HTML, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts, f.changed
}

// fresh returns what is seen now: of a moment after the call unless somebody looks anyway. A page
// that is gone meanwhile says nothing of the cluster.
func (f *feed) fresh(ctx context.Context) pane.Sight {
	f.mu.Lock()
	isFresh := f.sight.Look != nil && time.Since(f.sight.At) < 2*lookEvery
	f.mu.Unlock()
	if !isFresh {
		f.take(context.WithoutCancel(ctx))
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sight
	s.Happened = slices.Clone(s.Happened)
	return s
}

// take looks once.
func (f *feed) take(ctx context.Context) {
	f.taking.Lock()
	defer f.taking.Unlock()

	f.mu.Lock()
	withReport := f.looks%reportEvery == 0 || f.sight.Look == nil
	f.looks++
	f.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	l, err := f.look(ctx, withReport)

	f.mu.Lock()
	defer f.mu.Unlock()
	f.see(l, err)
	if parts, err := f.sight.Fragments(); err == nil {
		f.parts = parts
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// see takes what a look has brought. It is called with the lock. A look that was not told any
// statistics has those of the look before.
func (f *feed) see(l *glance.Look, err error) {
	s := &f.sight
	s.At = time.Now()
	if err != nil {
		f.failed++
		f.missed(err)
		return
	}
	f.failed = 0

	if s.Look != nil {
		f.happened(glance.Ended(s.Look, l))
		if !s.Reached {
			f.happened([]glance.Happening{{At: l.At, Text: "the cluster answers again", Grave: glance.Good}})
		}
	}
	if glance.Settled(&l.Status) {
		if f.settled != nil {
			f.happened(glance.Happened(f.settled, l))
		}
		f.settled = l
	}

	before := f.full
	if before == nil {
		before = l
	}
	hasReport := !l.Report.Started.IsZero()
	if !hasReport {
		l.Report = before.Report
	}
	s.View = glance.Compare(before, l)
	if hasReport {
		f.count(before, l)
		f.full = l
	}
	s.Reached, s.Why, s.Look = true, "", l
}

// missed takes a look that has failed.
func (f *feed) missed(err error) {
	s := &f.sight
	isUnlucky := s.Reached && f.failed < mostFailures
	if isUnlucky {
		return
	}

	if s.Reached {
		s.Since = s.At
		f.happened([]glance.Happening{{At: s.At, Text: "the cluster does not answer: " + reason(err), Grave: glance.Bad}})
	}
	if s.Reached, s.Why = false, reason(err); isLooking(err) {
		s.Why = ""
	}
}

// happened puts what has happened on top.
func (f *feed) happened(list []glance.Happening) {
	slices.Reverse(list)
	f.sight.Happened = append(list, f.sight.Happened...)
	f.sight.Happened = f.sight.Happened[:min(len(f.sight.Happened), mostHappened)]
}

// count keeps the rates between two looks with statistics.
func (f *feed) count(before, now *glance.Look) {
	f.sight.Requests = f.sight.View.Requests
	if now.At.Sub(before.At) > stale {
		f.sight.Rates = pane.History{} // nobody looked meanwhile
	}

	sums := map[string]float64{}
	for _, r := range f.sight.Requests {
		sums[r.Consistency] += r.Rate
	}
	next := pane.History{}
	for _, c := range model.All {
		values := append(slices.Clone(f.sight.Rates[c.Word()]), sums[c.Word()])
		next[c.Word()] = values[max(0, len(values)-mostRates):]
	}
	f.sight.Rates = next
}
