package ledger

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Range of the histograms in µs. What takes longer counts as slowest in quantiles;
// mean and maximum are of the true times.
const (
	fastest = 1
	slowest = 60_000_000
	digits  = 3
)

// group counts requests; one of these exists per consistency and type in use.
type group struct {
	count, ok, duplicates uint64
	noValue, unmet        uint64
	timed                 uint64      // those with a time
	codes                 []codeCount // few, so that looking through them beats a map
	sum                   float64
	max                   int64
	times                 *hdrhistogram.Histogram
}

// codeCount counts a group's requests to which one node has given one code.
type codeCount struct {
	replica lamport.Node // 0: nobody served them
	code    model.Code
	count   uint64
}

func newGroup() *group {
	return &group{times: hdrhistogram.New(fastest, slowest, digits)}
}

// note adds n requests that ended alike.
func (g *group) note(replica lamport.Node, code model.Code, n uint64) {
	g.count += n
	switch code {
	case model.OK:
		g.ok += n
	case model.NotFound:
		g.noValue += n
	case model.Failed:
		g.unmet += n
	}
	for i := range g.codes {
		if o := &g.codes[i]; o.replica == replica && o.code == code {
			o.count += n
			return
		}
	}
	g.codes = append(g.codes, codeCount{replica, code, n})
}

func (g *group) add(l *line) {
	g.note(l.replica, l.code, 1)
	if l.duplicate {
		g.duplicates++
	}
	if !l.code.Timed() {
		return
	}

	g.timed++
	g.sum += float64(l.taken)
	g.max = max(g.max, l.taken)
	// A value within the range is never refused.
	_ = g.times.RecordValue(min(max(l.taken, fastest), slowest))
}

func (g *group) merge(o *group) {
	for _, e := range o.codes {
		g.note(e.replica, e.code, e.count)
	}
	g.duplicates += o.duplicates
	g.timed += o.timed
	g.sum += o.sum
	g.max = max(g.max, o.max)
	g.times.Merge(o.times)
}

func (g *group) figures() bus.ReportGroup {
	q := g.times.ValueAtPercentilesSlice([]float64{50, 90, 99})
	f := bus.ReportGroup{
		Count: g.count, OK: g.ok, NoValue: g.noValue, Unmet: g.unmet, Failed: g.count - g.ok - g.noValue - g.unmet,
		Duplicates: g.duplicates, Timed: g.timed,
		// The histogram gives the upper end of a bucket, which may lie above both.
		P50: min(q[0], g.max, slowest), P90: min(q[1], g.max, slowest), P99: min(q[2], g.max, slowest), Max: g.max,
	}
	for _, o := range g.codes {
		if o.code == model.OK {
			continue
		}
		if f.Codes == nil {
			f.Codes = make(map[model.Code]uint64)
		}
		f.Codes[o.code] += o.count
	}
	if g.timed > 0 {
		f.Mean = g.sum / float64(g.timed)
	}
	return f
}

type groupKey struct {
	model model.Consistency
	typ   model.Type
}

// stats counts requests. It has one owner.
type stats struct {
	started time.Time
	total   uint64
	groups  map[groupKey]*group
	over    over
	longest [models]longest // by the model's number
}

func newStats(started time.Time) *stats {
	return &stats{started: started, groups: make(map[groupKey]*group)}
}

func (s *stats) add(l *line) {
	s.total++
	s.over.add(l, s.started)
	s.longest[indexOf(l.model)].add(l)
	key := groupKey{l.model, l.typ}
	if !l.model.Valid() {
		key.model = 0 // whatever a caller passes, there are few groups
	}
	g := s.groups[key]
	if g == nil {
		g = newGroup()
		s.groups[key] = g
	}
	g.add(l)
}

// keys are those of all groups, in the order of lists.
func (s *stats) keys() []groupKey {
	return slices.SortedFunc(maps.Keys(s.groups), func(a, b groupKey) int {
		return cmp.Or(cmp.Compare(a.model, b.model), cmp.Compare(a.typ, b.typ))
	})
}

func (s *stats) summary(now time.Time) bus.Report {
	out := bus.Report{Started: s.started, Updated: now, Groups: []bus.ReportGroup{}, Replicas: []bus.ReportServed{}}
	total := newGroup()
	for _, key := range s.keys() {
		g := s.groups[key]
		total.merge(g)
		f := g.figures()
		f.Consistency, f.Request = key.words()
		out.Groups = append(out.Groups, f)
	}
	out.Total = total.figures()
	out.Replicas = append(out.Replicas, total.served()...)
	return out
}

// words name a group; "" where its requests did not say.
func (k groupKey) words() (consistency, request string) {
	if k.model != 0 {
		consistency = k.model.Word()
	}
	if k.typ != 0 {
		request = k.typ.Word()
	}
	return consistency, request
}

// served sums a group up by node, in rising order.
func (g *group) served() []bus.ReportServed {
	slices.SortFunc(g.codes, func(a, b codeCount) int {
		return cmp.Or(cmp.Compare(a.replica, b.replica), cmp.Compare(a.code, b.code))
	})
	var list []bus.ReportServed
	for i, o := range g.codes {
		if i == 0 || o.replica != g.codes[i-1].replica {
			list = append(list, bus.ReportServed{Replica: nodeName(o.replica)})
		}
		s := &list[len(list)-1]
		s.Count += o.count
		switch o.code {
		case model.OK:
			s.OK += o.count
		case model.NotFound:
			s.NoValue += o.count
		case model.Failed:
			s.Unmet += o.count
		default:
			s.Failed += o.count
		}
	}
	return list
}

// nodeName is a node's name, "" of none.
func nodeName(n lamport.Node) string {
	if n == 0 {
		return ""
	}
	return n.String()
}
