package timeline

import (
	"fmt"
	"io"
	"time"

	"quartet/client/internal/spacetime"
)

// Draw draws the time from one moment of the trace to another, as SVG: a lane for each processor,
// with whom it ran, and one for each process, with when it ran (thick), when a thread of it could
// have run and did not (thin), and who woke it (arrows from the waker to the first run).
func (t *Trace) Draw(w io.Writer, title string, lines []string, from, to time.Duration) error {
	var lanes []string
	for i := range t.Processors {
		lanes = append(lanes, fmt.Sprintf("processor %d", i))
	}
	lanes = append(lanes, t.Lanes...)

	var stretches []spacetime.Stretch
	for _, r := range t.Runs {
		name := t.Lanes[r.Lane]
		on := spacetime.Stretch{Lane: r.Processor % t.Processors, From: int64(r.From), To: int64(r.To), Label: name}
		of := on
		of.Lane, of.Label = t.Processors+r.Lane, ""
		stretches = append(stretches, on, of)
	}

	var arrows []spacetime.Arrow
	for _, wait := range t.Waits {
		stretches = append(stretches, spacetime.Stretch{
			Lane: t.Processors + wait.Lane, From: int64(wait.From), To: int64(wait.To), Class: spacetime.Doubtful,
		})
		isOfAnother := wait.Woken && wait.Waker != wait.Lane
		if isOfAnother {
			arrows = append(arrows, spacetime.Arrow{
				FromLane: t.Processors + wait.Waker, ToLane: t.Processors + wait.Lane, From: int64(wait.From), To: int64(wait.To),
			})
		}
	}
	return spacetime.Schedule(w, title, lines, lanes, stretches, arrows, int64(from), int64(to), func(at int64) string {
		return fmt.Sprintf("%d µs", (time.Duration(at) - from).Microseconds())
	})
}
