package timeline

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// batches is how many batches of a load, each of all requests that are outstanding at once, a
// picture shows.
const batches = 3

// WriteText writes the figures as tables for people.
func (r *Report) WriteText(w io.Writer) error {
	f := &r.Figures
	fmt.Fprintf(w, "%s; %.0f a second\n", r.Options.name(), r.Rate)
	fmt.Fprintf(w, "recorded for %s on %d processors, of which %.0f %% idled\n\n",
		f.Lasted.Round(time.Millisecond), r.Trace.Processors, 100*f.IdleShare())

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROCESS\tRUNS %\tREADY %\tONE IDLED %\tITS OWN IDLED %\tWAKES/S\tWAKE TO RUN P50 µs\tP90 µs\tP99 µs")
	for _, l := range f.Lanes {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%d\t%d\n", l.Name, 100*l.Running, 100*l.Ready,
			100*l.Missed, 100*l.Roused, l.Wakes, l.P50.Microseconds(), l.P90.Microseconds(), l.P99.Microseconds())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("timeline: %w", err)
	}

	fmt.Fprintln(w)
	for n, share := range f.Idle {
		fmt.Fprintf(w, "%d processors idled for %.0f %% of the time\n", n, 100*share)
	}
	_, err := fmt.Fprintln(w, `
RUNS and READY are in percent of one processor. READY: threads could run and did not; ONE IDLED: of
that, while a processor had nothing to do; ITS OWN IDLED: of that, while it was the processor on
which they ran then, so that they waited for it to be roused.`)
	if err == nil && r.Trace.Untold > 0 {
		_, err = fmt.Fprintf(w, `
This kernel has not told of %d switches (%.0f a second). A thread that ran all the same counts as
running since it was woken, or its processor was last heard of: RUNS may be too high, READY and the
time from wake to run too low.
`, r.Trace.Untold, float64(r.Trace.Untold)/max(f.Lasted, 1).Seconds())
	}
	if err != nil {
		return fmt.Errorf("timeline: %w", err)
	}
	return nil
}

// DrawBatches draws the middle of what was recorded: as long as [batches] batches take.
func (r *Report) DrawBatches(w io.Writer) error {
	batch := time.Duration(float64(r.Options.Concurrency) / max(r.Rate, 1) * float64(time.Second))
	middle := (r.Trace.Begin + r.Trace.End) / 2
	half := min(batches*batch, r.Trace.End-r.Trace.Begin) / 2
	lines := []string{
		fmt.Sprintf("%.0f a second; %.0f %% of the processors idle; thick: runs, thin: could run, arrow: wakes", r.Rate, 100*r.Figures.IdleShare()),
	}
	return r.Trace.Draw(w, "Who runs: "+r.Options.name(), lines, middle-half, middle+half)
}

func (o *Options) name() string {
	return fmt.Sprintf("%s %s, %d at once (%s)", o.Consistency, o.Request, o.Concurrency, o.Driver)
}
