package ledger

import (
	"time"

	"quartet/bus/model"
)

// Series sums up the requests of one consistency and type since the run began: figures that only
// rise, for pictures over time.
type Series struct {
	Consistency string // the model's word; "" where the requests did not say
	Request     string // the type's word; likewise
	Count       uint64
	Duplicates  uint64 // answered with an earlier outcome
	Codes       []CodeCount
	Timed       uint64   // how many have a time; see [bus.ReportGroup]
	Sum         float64  // seconds that those took
	Within      []uint64 // how many of those took no longer than each bound, to three digits
}

// CodeCount counts the requests that one replica has answered with one code.
type CodeCount struct {
	Replica string // "" where nobody served them
	Code    model.Code
	Count   uint64
}

// Series returns the figures of everything that was recorded before the call, in a fixed order.
// The bounds must rise, and lie from 1 µs to below 60 s; there may be none. It may be called after
// Close.
func (l *Ledger) Series(bounds []time.Duration) (list []Series) {
	l.ask(func(c *counter) {
		for _, key := range c.stats.keys() {
			s := c.stats.groups[key].series(bounds)
			s.Consistency, s.Request = key.words()
			list = append(list, s)
		}
	})
	return list
}

// Lost returns how many requests are counted and will never be listed: see [bus.ReportList].
func (l *Ledger) Lost() uint64 { return l.lost.Load() }

func (g *group) series(bounds []time.Duration) Series {
	s := Series{
		Count: g.count, Duplicates: g.duplicates,
		Timed: g.timed, Sum: g.sum / 1e6, Within: make([]uint64, len(bounds)),
	}

	for _, o := range g.codes {
		s.Codes = append(s.Codes, CodeCount{Replica: nodeName(o.replica), Code: o.code, Count: o.count})
	}

	if len(bounds) == 0 {
		return s // a histogram is long
	}

	// A bar holds times that are alike to three digits; where a bound falls into one, it
	// counts for the bound.
	at := 0
	for _, bar := range g.times.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for at < len(bounds) && bar.From > bounds[at].Microseconds() {
			at++
		}
		if at == len(bounds) {
			break
		}
		s.Within[at] += uint64(bar.Count)
	}

	for i := range s.Within[min(1, len(s.Within)):] {
		s.Within[i+1] += s.Within[i]
	}
	return s
}
