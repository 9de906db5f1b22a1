package timeline

import (
	"slices"
	"time"
)

// Figures sum up a trace. Shares are of the trace's time; those of a lane may be above 1, for a
// process has several threads.
type Figures struct {
	Lasted time.Duration `json:"lasted"`
	Lanes  []Lane        `json:"lanes"`
	Idle   []float64     `json:"idle"`   // for which just so many processors idled: 0, 1, …
	Untold int           `json:"untold"` // switches: [Trace.Untold]
}

// Lane is what one process did.
type Lane struct {
	Name    string  `json:"name"`
	Running float64 `json:"running"` // of one processor's time
	Ready   float64 `json:"ready"`   // that threads could run and did not, summed over threads
	Missed  float64 `json:"missed"`  // of that: while a processor idled
	Roused  float64 `json:"roused"`  // of that: while the processor idled on which they ran then
	Wakes   float64 `json:"wakes"`   // a second

	// The time from a wake to the run: half, nine of ten and 99 of 100 took no longer.
	P50 time.Duration `json:"p50"`
	P90 time.Duration `json:"p90"`
	P99 time.Duration `json:"p99"`
}

// IdleShare is the share of all processors' time for which they idled.
func (f *Figures) IdleShare() float64 {
	sum := 0.0
	for n, share := range f.Idle {
		sum += float64(n) * share
	}
	return sum / float64(max(1, len(f.Idle)-1))
}

// Figures sums up t.
func (t *Trace) Figures() Figures {
	lasted := t.End - t.Begin
	f := Figures{Lasted: lasted, Lanes: make([]Lane, len(t.Lanes)), Idle: t.idle(), Untold: t.Untold}
	share := func(d time.Duration) float64 { return d.Seconds() / max(lasted, 1).Seconds() }
	for i := range f.Lanes {
		f.Lanes[i].Name = t.Lanes[i]
	}
	for _, r := range t.Runs {
		f.Lanes[r.Lane].Running += share(r.To - r.From)
	}

	someIdle, idleOf := union(t.Idle), map[int][]Run{}
	for _, r := range t.Idle {
		idleOf[r.Processor] = append(idleOf[r.Processor], r)
	}
	wakes := make([][]time.Duration, len(t.Lanes))
	for _, w := range t.Waits {
		lane := &f.Lanes[w.Lane]
		lane.Ready += share(w.To - w.From)
		lane.Missed += share(within(someIdle, w.From, w.To))
		lane.Roused += share(within(idleOf[w.Processor], w.From, w.To))
		if w.Woken {
			wakes[w.Lane] = append(wakes[w.Lane], w.To-w.From)
		}
	}

	for i, all := range wakes {
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		at := func(percent int) time.Duration { return all[min(len(all)-1, len(all)*percent/100)] }
		f.Lanes[i].Wakes = float64(len(all)) / max(lasted, 1).Seconds()
		f.Lanes[i].P50, f.Lanes[i].P90, f.Lanes[i].P99 = at(50), at(90), at(99)
	}
	return f
}

// idle returns for which shares of the time 0, 1, … processors idled.
func (t *Trace) idle() []float64 {
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for _, r := range t.Idle {
		changes = append(changes, change{r.From, 1}, change{r.To, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return int(a.at - b.at) })

	shares, idling, since := make([]float64, t.Processors+1), 0, t.Begin
	count := func(until time.Duration) {
		// At one moment a processor may begin to idle before another one's end is seen.
		n := min(max(idling, 0), t.Processors)
		shares[n] += (until - since).Seconds() / max(t.End-t.Begin, 1).Seconds()
		since = until
	}
	for _, c := range changes {
		count(c.at)
		idling += c.by
	}
	count(t.End)
	return shares
}

// union returns the times for which at least one of the runs lasted, in order, apart from each
// other.
func union(runs []Run) []Run {
	sorted := slices.Clone(runs)
	slices.SortFunc(sorted, func(a, b Run) int { return int(a.From - b.From) })
	var all []Run
	for _, r := range sorted {
		if last := len(all) - 1; last >= 0 && r.From <= all[last].To {
			all[last].To = max(all[last].To, r.To)
			continue
		}
		all = append(all, r)
	}
	return all
}

// within returns how much of a time lies within runs that are in order and apart.
func within(runs []Run, from, to time.Duration) time.Duration {
	i, _ := slices.BinarySearchFunc(runs, from, func(r Run, at time.Duration) int { return int(r.To - at) })
	sum := time.Duration(0)
	for _, r := range runs[i:] {
		if r.From >= to {
			break
		}
		sum += max(0, min(r.To, to)-max(r.From, from))
	}
	return sum
}
