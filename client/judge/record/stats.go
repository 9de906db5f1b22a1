package record

import (
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"quartet/bus/host/atomicfile"
	"quartet/bus/model"
	"quartet/client/judge/history"
)

// What the histograms can hold: 1 µs to 10 minutes, with three significant digits.
const (
	lowest  = 1
	highest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

// Stats is what stats.json holds, of the program that closed last.
type Stats struct {
	Version int       `json:"stats"` // of this format: 1
	Program string    `json:"program,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Seconds float64   `json:"seconds"`
	Kinds   []Kind    `json:"kinds"` // of which there were requests, strongest model first, sets before gets
}

// Kind sums up the requests of one model and type. Latencies are of the requests that were
// answered, in milliseconds.
type Kind struct {
	Model   string  `json:"model"`
	Type    string  `json:"type"`
	Count   int     `json:"count"`
	OK      int     `json:"ok"`
	Fail    int     `json:"fail"`
	Unknown int     `json:"unknown"`
	P50     float64 `json:"p50_ms"`
	P90     float64 `json:"p90_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

// counters gather what Stats says. Its recorder's lock guards them.
type counters struct {
	program string
	began   time.Time
	kinds   map[[2]uint8]*counter // by model and type
}

type counter struct {
	outcomes [4]int // by history.Outcome
	latency  *hdrhistogram.Histogram
}

func newCounters(program string) *counters {
	return &counters{program: program, began: time.Now(), kinds: make(map[[2]uint8]*counter)}
}

func (c *counters) add(o *history.Operation) {
	key := [2]uint8{uint8(o.Model), uint8(o.Type)}
	k := c.kinds[key]
	if k == nil {
		k = &counter{latency: hdrhistogram.New(lowest, highest, digits)}
		c.kinds[key] = k
	}

	k.outcomes[o.Outcome]++
	if o.Outcome == history.OK {
		us := min(max((o.Return-o.Call)/int64(time.Microsecond), lowest), highest)
		_ = k.latency.RecordValue(us) // within its range
	}
}

// stats returns what has been counted by now.
func (c *counters) stats(now time.Time) Stats {
	s := Stats{
		Version: 1, Program: c.program, Began: c.began.Round(0), Ended: now.Round(0),
		Seconds: now.Sub(c.began).Seconds(), Kinds: []Kind{},
	}
	for _, m := range model.All {
		for _, t := range model.Types {
			k := c.kinds[[2]uint8{uint8(m), uint8(t)}]
			if k == nil {
				continue
			}

			// Histograms hold microseconds.
			ms := func(us int64) float64 { return float64(us) / 1000 }
			at := func(q float64) float64 { return ms(k.latency.ValueAtQuantile(q)) }
			kind := Kind{
				Model: m.Word(), Type: t.Word(), OK: k.outcomes[history.OK], Fail: k.outcomes[history.Fail],
				Unknown: k.outcomes[history.Unknown], P50: at(50), P90: at(90), P99: at(99), Max: ms(k.latency.Max()),
			}

			kind.Count = kind.OK + kind.Fail + kind.Unknown
			s.Kinds = append(s.Kinds, kind)
		}
	}
	return s
}

// write replaces the file, whole or not at all.
func (c *counters) write(dir string) error {
	body, err := json.MarshalIndent(c.stats(time.Now()), "", "  ")
	if err != nil {
		return err
	}

	// Several programs may record in one folder: the last one to write is read.
	return atomicfile.Write(filepath.Join(dir, StatsFile), append(body, '\n'), 0o644, atomicfile.Process)
}
