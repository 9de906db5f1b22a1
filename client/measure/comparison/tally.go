package comparison

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/client/measure/load"
)

// tally adds up what is observed.
type tally struct {
	show     load.Observer
	progress func(load.Progress)
	total    int // requests of a script; 0: of a load, which tells of its progress itself

	mu       sync.Mutex
	open     bool      // what ends counts if it is in the window
	from, to time.Time // the window; to is zero where it has no end
	told     time.Time
	part     Result
	began    origin
	kept     []history.Operation
}

func newTally(o *Options) *tally {
	t := &tally{
		began: origin{time.Now()}, show: o.Observe, progress: o.Progress,
		total: o.Clients * o.Times * len(o.Script),
	}
	for _, k := range []*Kind{&t.part.Sets, &t.part.Gets} {
		k.Latency = hdrhistogram.New(lowest, highest, digits)
	}
	return t
}

// What the histograms can hold: 1 µs to 1 minute, with three significant digits.
const (
	lowest  = 1
	highest = int64(time.Minute / time.Microsecond)
	digits  = 3
)

// opens says which time counts.
func (t *tally) opens(from, to time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open, t.from, t.to = true, from, to
}

func (t *tally) ends(window time.Duration, beyond uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part.Window, t.part.Beyond = window, beyond
}

// observe is a [load.Observer].
func (t *tally) observe(o load.Observation) {
	if t.show != nil {
		t.show(o)
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep(&o)

	switch o.Outcome {
	case load.Failed:
		t.part.Failed++
	case load.Unknown:
		t.part.Unknown++
	}

	since, counts := o.Began, o.Ended
	if !o.Op.Due.IsZero() { // of an open loop: a stall shows in every request that it held up
		since, counts = o.Op.Due, o.Op.Due
	}
	if t.open && t.holds(counts) {
		k := t.part.Kind(o.Op.Type)
		k.Counts[o.Outcome]++
		if answered(&o) {
			us := o.Ended.Sub(since).Microseconds()
			_ = k.Latency.RecordValue(min(max(us, lowest), highest)) // within its range
		}
	}
	t.tell(o.Ended)
}

// holds reports whether a time is in the window.
func (t *tally) holds(at time.Time) bool {
	endless := t.to.IsZero()
	inTime := endless || !at.After(t.to)
	return inTime && !at.Before(t.from)
}

// answered reports whether a request was answered.
func answered(o *load.Observation) bool { return o.Outcome == load.OK || o.Outcome == load.Missing }

// tellEvery is how often a script's progress is told of.
const tellEvery = 100 * time.Millisecond

// tell tells of a script's progress, now and then. The caller holds the lock, so that two
// goroutines never tell at once.
func (t *tally) tell(now time.Time) {
	if t.progress == nil || t.total == 0 || now.Sub(t.told) < tellEvery {
		return
	}
	t.told = now

	done := t.part.Sets.Answered() + t.part.Gets.Answered() + t.part.Failed + t.part.Unknown
	t.progress(load.Progress{
		Phase: load.Measuring, Elapsed: now.Sub(t.from), Share: float64(done) / float64(t.total),
		Answers: done - t.part.Failed - t.part.Unknown, Failed: t.part.Failed, Unknown: t.part.Unknown,
	})
}

// keep keeps a request, by which staleness is judged.
func (t *tally) keep(o *load.Observation) {
	if len(t.kept) >= maxJudged {
		if o.Op.Type == model.Get && answered(o) {
			t.part.Unjudged++
		}
		return
	}
	t.kept = append(t.kept, t.began.operation(o))
}

// result judges what was kept.
func (t *tally) result(m model.Consistency, failure error) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part.Model, t.part.Early = m, failure != nil
	t.part.Staleness = Stale(t.kept)
	t.kept = nil
	return t.part
}

// origin is when calls and returns are 0, with a reading of the clock that never goes back.
type origin struct{ time.Time }

// operation returns as much of a request as staleness is judged by.
func (began origin) operation(o *load.Observation) history.Operation {
	op := history.Operation{
		Model: o.Consistency, Type: o.Op.Type, Key: o.Op.Key, Outcome: history.OK,
		Call: o.Began.Sub(began.Time).Nanoseconds(), Return: o.Ended.Sub(began.Time).Nanoseconds(),
	}
	switch {
	case o.Outcome == load.Failed:
		op.Outcome = history.Fail
	case o.Outcome == load.Unknown:
		op.Outcome = history.Unknown
	case o.Op.Type == model.Get && o.Outcome == load.OK:
		op.Found, op.Output = true, digest(o.Result.Value)
	}
	if o.Op.Type == model.Set {
		op.Value = digest(o.Op.Value)
	}
	return op
}

// digest stands for a value: long values are not kept.
func digest(value []byte) string {
	if len(value) < sha256.Size {
		return string(value)
	}
	sum := sha256.Sum256(value)
	return string(sum[:])
}
