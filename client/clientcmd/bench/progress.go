package bench

import (
	"fmt"
	"io"
	"strings"
	"time"

	"quartet/client/clientcmd/console"
	"quartet/client/measure/load"
)

// Progress tells how far a bench is: on a terminal by one line that is written over
// again and again, elsewhere by one line when something begins.
type Progress struct {
	w     io.Writer
	live  bool
	shown bool // a line stands there
}

// NewProgress returns the progress of a command that talks to w.
func NewProgress(w io.Writer) *Progress { return &Progress{w: w, live: console.Terminal(w)} }

// Of says that something begins, and returns what is to be told of it.
func (p *Progress) Of(title string) func(load.Progress) {
	if !p.live {
		fmt.Fprintln(p.w, title)
		return nil
	}
	var last load.Progress
	rate := 0.0
	return func(now load.Progress) {
		// The last comes soon after the one before and would say little.
		if d := now.Elapsed - last.Elapsed; d > 100*time.Millisecond {
			rate = float64(now.Answers-last.Answers) / d.Seconds()
			last = now
		}
		p.show(title, now, rate)
	}
}

// bar is of the bar, in characters.
const bar = 20

func (p *Progress) show(title string, now load.Progress, rate float64) {
	full := min(bar, int(now.Share*bar))
	line := fmt.Sprintf("%s  [%s%s] %3.0f %%  %s  %.0f/s", title, strings.Repeat("=", full),
		strings.Repeat(" ", bar-full), now.Share*100, now.Phase, rate)
	if bad := now.Failed + now.Unknown; bad > 0 {
		line += fmt.Sprintf("  %d failed or unknown", bad)
	}
	if now.Beyond > 0 {
		line += fmt.Sprintf("  %d not sent", now.Beyond)
	}
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

// Clear takes the line away, before something else is written. No fill or run is under way.
func (p *Progress) Clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
