package ledger

import (
	"math"
	"slices"
	"sync"
	"time"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Run is everything that is known of a run, for pages and pictures. Its size is bounded, however
// long the run was and whatever its requests held.
type Run struct {
	Summary bus.Report
	Cluster Cluster
	Views   []View // the newest, at most 64
	Earlier int    // views before those
	Drawn   uint64 // how many requests what follows is made of: all, unless it was read from a list

	Spread  []Spread // a group each, in the order of the summary's
	Start   time.Time
	Width   time.Duration // of a span
	Spans   []Span
	Slowest []Entry // the slowest of each model, which stand together, the slowest first
	Steps   bool    // of the slowest it is known when they left for a replica, and all else that a list does not hold
}

// Cluster describes the cluster that ran. All of it is for people; "" is not known.
type Cluster struct {
	Prefix  string
	URL     string // without credentials
	Data    string // where the data are, and what they survive
	Version string // of quartet
	Masters string // which lead and stand by; "": there can be but one
}

// View is a change of the members.
type View struct {
	At         time.Time
	Epoch      uint64
	Members    []string
	Configured []string
}

// viewsKept is the number of views that are kept, the newest.
const viewsKept = 64

// Spread is how long the requests of a group took.
type Spread struct {
	Consistency, Request string
	Bars                 []Bar // those with requests, by rising times
}

// Bar counts the requests that took at least From and less than To; the last bar there can
// be also counts those that took longer. A decade has [BarsPerDecade] of them.
type Bar struct {
	From, To float64 // µs
	Count    uint64
}

// BarsPerDecade is how fine a [Spread] is.
const BarsPerDecade = 10

// Span counts the requests that were answered within [Run.Width].
type Span struct {
	Answered [models]uint64 // by the model's number; 0: the request did not say
	Failed   map[model.Code]uint64
}

// about is what the ledger is told besides requests.
type about struct {
	mu      sync.Mutex
	cluster Cluster
	views   []View
	earlier int
}

// Describe says what runs. It may be called again.
func (l *Ledger) Describe(c Cluster) {
	l.about.mu.Lock()
	defer l.about.mu.Unlock()
	l.about.cluster = c
}

// Changed notes a view that has begun.
func (l *Ledger) Changed(v View) {
	a := &l.about
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.views) == viewsKept {
		a.views = slices.Delete(a.views, 0, 1)
		a.earlier++
	}
	a.views = append(a.views, v)
}

// Run returns what is known of the run, with everything that was recorded before the call.
func (l *Ledger) Run() (r Run) {
	l.ask(func(c *counter) { r = c.stats.run(); r.Summary = c.summary(time.Now()) })
	l.about.tell(&r)
	return r
}

func (a *about) tell(r *Run) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.Cluster, r.Views, r.Earlier, r.Steps = a.cluster, slices.Clone(a.views), a.earlier, true
}

// ReadRun returns what the files in dir tell of a run; it may still be going on. The list
// holds neither views nor steps. It wraps [ErrNoRun] where there is no list.
func ReadRun(dir string) (Run, error) {
	summary, err := ReadDir(dir)
	if err != nil {
		return Run{}, err
	}
	counted, _, err := count(dir)
	if err != nil {
		return Run{}, err
	}
	r := counted.run()
	r.Summary = summary
	return r, nil
}

// run returns what these figures tell of a run.
func (s *stats) run() Run {
	r := Run{Drawn: s.total, Start: time.UnixMicro(s.over.start), Width: time.Duration(s.over.width) * time.Microsecond}
	for _, key := range s.keys() {
		spread := Spread{Bars: s.groups[key].bars()}
		spread.Consistency, spread.Request = key.words()
		r.Spread = append(r.Spread, spread)

	}
	for i := range s.over.used {
		from := &s.over.buckets[i]
		to := Span{Answered: from.answered, Failed: map[model.Code]uint64{}}
		for j, n := range from.failed {
			if n == 0 {
				continue
			}
			code := model.Code(0) // some other
			if j < len(failures) {
				code = failures[j]
			}
			to.Failed[code] = n
		}
		r.Spans = append(r.Spans, to)

	}
	for i := range s.longest {
		for j := range s.longest[i].lines {
			r.Slowest = append(r.Slowest, s.longest[i].lines[j].entry())
		}
	}
	return r
}

// bars joins the histogram's bars, which are far finer, to bars of a tenth of a decade.
func (g *group) bars() []Bar {
	var list []Bar
	last := int(math.Floor(BarsPerDecade * math.Log10(slowest)))
	for _, fine := range g.times.Distribution() {
		if fine.Count == 0 {
			continue

		}
		// Its first value decides: it is alike to the others to three digits.
		at := min(last, int(math.Floor(BarsPerDecade*math.Log10(float64(max(fine.From, fastest)))+1e-9)))
		from := math.Pow(10, float64(at)/BarsPerDecade)
		if n := len(list); n == 0 || list[n-1].From != from {
			list = append(list, Bar{From: from, To: math.Pow(10, float64(at+1)/BarsPerDecade)})
		}
		list[len(list)-1].Count += uint64(fine.Count)
	}
	return list
}

// entry returns the request of a line.
func (l *line) entry() Entry {
	return Entry{
		RID: l.rid, Client: string(l.client[:l.clientLen]), Model: l.model, Type: l.typ, Key: string(l.key[:l.keyLen]),
		Replica: l.replica, Code: l.code, Received: time.UnixMicro(l.received), Taken: time.Duration(l.taken) * time.Microsecond,
		Duplicate: l.duplicate, Position: l.position, Timestamp: l.timestamp, Clock: lamport.Timestamp{Time: l.clock, Node: l.by},
		Forwarded: time.Duration(l.forwarded) * time.Microsecond, Heard: time.Duration(l.heard) * time.Microsecond,
		Sent: l.sent, ReadOnly: l.readOnly,
	}
}
