package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What the histogram can hold: 1 µs to 1 minute, with three significant digits.
const (
	lowest  = 1
	highest = int64(time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// recordIn records a time in µs; a time that is out of range counts as the nearest in range.
func recordIn(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), lowest), highest))
}

// Result is what a run measured. In a closed loop a request counts if it ended in the window: it
// was served in it, whenever it was sent. In an open loop a request counts if it was due in the
// window, whenever it ended: a stall at the end is not cut off.
type Result struct {
	Window  time.Duration // the time that counts
	Counts  [4]uint64     // of the requests that count, by Outcome
	Outside [4]uint64     // of the others
	NotSent uint64        // requests that could not be sent; in a closed loop each ended its lane

	// Beyond is how many requests of an open loop were due while as many as allowed were
	// outstanding. They were not sent; over the whole run.
	Beyond uint64

	// Latency is of the requests that count and were answered, in µs: from when the
	// request was sent, or, in an open loop, was due.
	Latency *hdrhistogram.Histogram

	// Late is how much later than due an open loop's requests that count were sent, in
	// µs: the load generator's own part of Latency. nil in a closed loop.
	Late *hdrhistogram.Histogram

	// CPU is what each of [Options.Processes] used, user and system, over the whole run;
	// negative where that is not known. The system counts in steps of 10 ms.
	CPU []time.Duration
}

// Ops returns how many of the requests that count were answered.
func (r *Result) Ops() uint64 { return r.Counts[OK] + r.Counts[Missing] }

// Answers returns how many answers came, at any time of the run: what [Result.CPU] was
// used for.
func (r *Result) Answers() uint64 { return r.Ops() + r.Outside[OK] + r.Outside[Missing] }

// Rate returns the answers per second.
func (r *Result) Rate() float64 {
	if r.Window <= 0 {
		return 0
	}
	return float64(r.Ops()) / r.Window.Seconds()
}

// Failed returns how many requests failed, at any time of the run.
func (r *Result) Failed() uint64 { return r.Counts[Failed] + r.Outside[Failed] + r.NotSent }

// Unknown returns how many ended without a known outcome, at any time of the run.
func (r *Result) Unknown() uint64 { return r.Counts[Unknown] + r.Outside[Unknown] }

func (r *Result) add(other *Result) {
	for i := range r.Counts {
		r.Counts[i] += other.Counts[i]
		r.Outside[i] += other.Outside[i]
	}
	r.NotSent += other.NotSent
	r.Beyond += other.Beyond
	r.Latency.Merge(other.Latency)
	if r.Late != nil {
		r.Late.Merge(other.Late)
	}
}

// Phase is what a [Progress] tells of.
type Phase uint8

// The phases.
const (
	Filling Phase = iota
	WarmingUp
	Measuring
	Ending // waits for what is still outstanding
)

// String returns a word or two for people.
func (p Phase) String() string {
	return [...]string{"setting keys", "warming up", "measuring", "ending"}[min(p, Ending)]
}

// Progress is how far a fill or a run is.
type Progress struct {
	Phase   Phase
	Elapsed time.Duration // since its beginning
	Share   float64       // that is done, 0 to 1
	Answers uint64        // so far; of a fill: keys set
	Failed  uint64        // or not sent
	Unknown uint64
	Beyond  uint64 // see [Result]
}
