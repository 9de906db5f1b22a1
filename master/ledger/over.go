package ledger

import (
	"slices"
	"time"

	"quartet/bus/model"
)

// A run is counted over time in buckets of equal width, which begin at a second and double
// whenever the run has become too long for them: the size is fixed, and the later a run is looked
// at, the coarser it is seen.
const (
	buckets     = 240
	firstBucket = int64(time.Second / time.Microsecond) // µs
	longestRun  = 100 * 365 * 86400 * firstBucket       // what comes later (by a clock that is wrong) is in the last one
)

// failures are the codes that are counted over time. All other codes that are no answer share one
// counter.
var failures = [...]model.Code{
	model.Malformed, model.Conflict, model.Gone, model.TooLarge, model.Misdirected, model.TooEarly, model.Unavailable, model.Unknown,
}

// models is the number of models, and one for requests that did not say.
const models = len(model.All) + 1

// bucket counts the requests that were answered in one width of time.
type bucket struct {
	answered [models]uint64 // by the model's number
	failed   [len(failures) + 1]uint64
}

func (s *bucket) merge(o *bucket) {
	for i, n := range o.answered {
		s.answered[i] += n
	}
	for i, n := range o.failed {
		s.failed[i] += n
	}
}

// over counts requests over time.
type over struct {
	start   int64 // µs since 1970
	width   int64 // µs; 0: nothing was counted
	used    int
	buckets []bucket
}

// add counts a request. An answer before the start (a clock was set back) belongs to the first
// bucket. start is zero where a list is read.
func (o *over) add(l *line, start time.Time) {
	if o.width == 0 {
		o.start, o.width, o.buckets = start.UnixMicro(), firstBucket, make([]bucket, buckets)
		if start.IsZero() { // it is read from a list
			o.start = l.received
		}
	}

	at := min(max(0, l.received+l.taken-o.start), longestRun) / o.width
	for at >= buckets {
		o.double()
		at /= 2
	}

	o.used = max(o.used, int(at)+1)
	s := &o.buckets[at]
	s.answered[indexOf(l.model)]++

	if l.code.Answered() {
		return
	}

	for i, code := range failures {
		if l.code == code {
			s.failed[i]++
			return
		}
	}
	s.failed[len(failures)]++
}

// indexOf returns the index of a model in figures that are kept by model.
func indexOf(m model.Consistency) int {
	if !m.Valid() {
		return 0
	}
	return int(m)
}

// double joins pairs of buckets, so that the run may become twice as long.
func (o *over) double() {
	for i := range buckets / 2 {
		s := o.buckets[2*i]
		s.merge(&o.buckets[2*i+1])
		o.buckets[i] = s
	}
	clear(o.buckets[buckets/2:])
	o.width, o.used = 2*o.width, (o.used+1)/2
}

// SlowestKept is how many of the slowest requests of each model a [Run] has.
const SlowestKept = 10

// longest keeps the requests of one model that took longest, the slowest first; see
// [model.Code.Timed] for requests that have no time. Of the requests that were received at one
// moment, which is to say in one message, it keeps the slowest: they shared what held them up.
type longest struct{ lines []line }

// add keeps a request if it is among the slowest of its model.
func (s *longest) add(l *line) {
	if !l.code.Timed() {
		return
	}
	if len(s.lines) == SlowestKept && l.taken <= s.lines[SlowestKept-1].taken {
		return
	}

	at := slices.IndexFunc(s.lines, func(o line) bool { return o.received == l.received })
	switch {
	case at >= 0 && s.lines[at].taken >= l.taken:
		return
	case at >= 0:
		s.lines[at] = *l
	case len(s.lines) < SlowestKept:
		at = len(s.lines)
		s.lines = append(s.lines, *l)
	default:
		at = SlowestKept - 1
		s.lines[at] = *l
	}

	for ; at > 0 && s.lines[at].taken > s.lines[at-1].taken; at-- {
		s.lines[at], s.lines[at-1] = s.lines[at-1], s.lines[at]
	}
}
