package supervise

import "time"

// When a process that has ended is started again.
const (
	FirstDelay = 100 * time.Millisecond // after the first end
	MostDelay  = 10 * time.Second       // each further end doubles the delay up to this
	Settled    = 30 * time.Second       // who has lived so long begins with FirstDelay again
)

// Backoff decides when a process may be started again. The zero value is one that has
// never been started. It has no clock of its own.
type Backoff struct {
	started time.Time
	ends    int // since it last lived for Settled
}

// Started notes that the process runs from now on.
func (b *Backoff) Started(now time.Time) { b.started = now }

// Ended notes that the process has ended, or could not be started, and returns when to
// try again.
func (b *Backoff) Ended(now time.Time) time.Time {
	if b.settled(now) {
		b.ends = 0
	}
	delay := MostDelay
	if b.ends < 8 { // beyond it the shift would be longer than MostDelay
		delay = min(FirstDelay<<b.ends, MostDelay)
	}
	b.ends++
	b.started = time.Time{}
	return now.Add(delay)
}

// InARow returns how often the process has ended since it last lived for [Settled].
func (b *Backoff) InARow(now time.Time) int {
	if b.settled(now) {
		return 0
	}
	return b.ends
}

func (b *Backoff) settled(now time.Time) bool {
	return !b.started.IsZero() && now.Sub(b.started) >= Settled
}
