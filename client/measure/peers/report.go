package peers

import (
	"math"
	"runtime"
	"slices"
	"time"

	"quartet/client/measure/load"
)

// Report is what a run measured; its JSON form is one object. Spreads are over rounds,
// and ratios are taken within each round.
type Report struct {
	Began   time.Time `json:"began"`
	OS      string    `json:"os"`
	CPUs    int       `json:"cpus"`
	Go      string    `json:"go"` // that built the load process
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"round_seconds"`
	Warmup  float64   `json:"warmup_seconds"`
	Keys    int       `json:"keys"`
	Key     int       `json:"key_bytes"`
	Value   int       `json:"value_bytes"`
	Seed    uint64    `json:"seed"`

	Versions map[string]string `json:"versions"` // of the systems that were started
	Missing  []Missing         `json:"missing"`
	Loads    []Load            `json:"loads"`
	Asked    []Asked           `json:"asked"`

	measured []*measurement
}

// Load is one load's part of a [Report].
type Load struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Rounds int     `json:"complete_rounds"`
	Sides  []Side  `json:"sides"`
	Ratios []Ratio `json:"ratios"`

	// Idle is the processor time that the systems which were running use without load,
	// in percent of one processor.
	Idle map[string]float64 `json:"idle_cpu_percent"`
}

// Side is one system, driven in one way.
type Side struct {
	System      string      `json:"system"`
	Consistency string      `json:"consistency,omitempty"` // of quartet's requests
	Driver      string      `json:"driver"`
	Request     string      `json:"request,omitempty"` // where it is not the load's
	Concurrency int         `json:"concurrency"`
	Durability  string      `json:"durability"`     // where a set is when it is answered
	Reads       string      `json:"read,omitempty"` // what a get may return
	Rate        load.Spread `json:"ops_per_second"`
	P50         load.Spread `json:"p50_us"`
	P90         load.Spread `json:"p90_us"`
	P99         load.Spread `json:"p99_us"`
	Ops         uint64      `json:"ops"`
	Missing     uint64      `json:"missing"` // gets that found no value, among ops
	Failed      uint64      `json:"failed"`
	Unknown     uint64      `json:"unknown"`
	CPU         []CPU       `json:"cpu_us_per_op"`

	label string
}

// CPU is a process's user and system time for one answer, in µs, warm-up included.
type CPU struct {
	Process string  `json:"process"`
	Micros  float64 `json:"us"`
}

// Ratio compares one of quartet's sides with a peer's, or with another of its own.
type Ratio struct {
	Ours   string      `json:"quartet"`
	Theirs string      `json:"peer"`
	Rate   load.Spread `json:"throughput"`
	P50    load.Spread `json:"p50_time"`

	ours, theirs int // in Sides
}

// measurement is the results of a load, as they were measured.
type measurement struct {
	workload
	entries   []entry
	processes [][]load.Process // by entry
	results   [][]load.Result  // by entry and round
	idle      map[string]float64
}

func newReport(o *Options, began time.Time) *Report {
	return &Report{
		Began: began, OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Rounds: o.Rounds, Seconds: o.Round.Seconds(), Warmup: o.Warmup.Seconds(),
		Keys: o.Keys, Key: o.Key, Value: o.Value, Seed: o.Seed, Versions: make(map[string]string),
	}
}

func (r *Report) started(s *store) { r.Versions[s.name] = s.version }

// finish computes the figures from the measurements.
func (r *Report) finish() {
	if r.Missing == nil {
		r.Missing = []Missing{} // as JSON a list, not null
	}
	r.Loads = make([]Load, 0, len(r.measured))
	for _, m := range r.measured {
		r.Loads = append(r.Loads, m.load())
	}
	r.Asked = r.ask()
}

// failures reports whether any request failed, came back unknown, or was a get that found
// nothing: all keys are set before.
func (r *Report) failures() bool {
	for i := range r.Loads {
		for j := range r.Loads[i].Sides {
			if s := &r.Loads[i].Sides[j]; s.Failed+s.Unknown+s.Missing > 0 {
				return true
			}
		}
	}
	return false
}

// load computes the figures of a load.
func (m *measurement) load() Load {
	l := Load{Name: m.name, What: m.String(), Sides: []Side{}, Ratios: []Ratio{}, Idle: m.idle}
	if len(m.results) > 0 {
		l.Rounds = len(m.results[0])
	}
	for i := range m.entries {
		l.Sides = append(l.Sides, m.side(i))
	}

	for i, us := range m.entries {
		if us.model == 0 {
			continue
		}
		for j, them := range m.entries {
			if !m.compared(us, them) {
				continue
			}
			l.Ratios = append(l.Ratios, Ratio{
				Ours: us.String(), Theirs: them.String(), ours: i, theirs: j,
				Rate: byKey(load.Ratios(m.results[i], m.results[j]), us.keys(), them.keys()), P50: timeRatios(m.results[i], m.results[j], 50),
			})
		}
	}
	return l
}

// compared reports whether the ratio of one of quartet's sides to another side says something: to
// a peer's, to fewer requests at once, and of data on disk to data in memory.
func (m *measurement) compared(us, them entry) bool {
	isOfOther := us.request != "" && them.request == ""
	switch {
	case them.model == 0: // a peer's
		return us.concurrency == them.concurrency && us.request == them.request
	case isOfOther: // another request beside the set
		return us.system == them.system && us.driver == them.driver && us.model == them.model
	case us.request != them.request:
		return false
	case us.driver != them.driver || us.model != them.model:
		return false
	case us.system == them.system:
		return us.concurrency > them.concurrency
	}
	return them.system == quartetMemory && us.concurrency == them.concurrency
}

func (m *measurement) side(i int) Side {
	e, results := m.entries[i], m.results[i]
	s := Side{
		System: e.system, Driver: string(e.driver), Request: e.request, Concurrency: e.concurrency,
		Durability: e.held, label: e.side.String(), CPU: []CPU{},
		Rate: load.Rates(results), P50: load.Quantiles(results, 50),
		P90: load.Quantiles(results, 90), P99: load.Quantiles(results, 99),
	}
	if e.model != 0 {
		s.Consistency = e.model.String()
	}
	if m.get {
		s.Reads = e.read
	}

	for n := range results {
		s.Ops += results[n].Ops()
		s.Missing += results[n].Counts[load.Missing] + results[n].Outside[load.Missing]
		s.Failed += results[n].Failed()
		s.Unknown += results[n].Unknown()
	}

	for n, p := range m.processes[i] {
		if us, known := load.CPUPerAnswer(results, n); known {
			s.CPU = append(s.CPU, CPU{p.Name, math.Round(us*10) / 10})
		}
	}
	return s
}

// timeRatios returns the spread of our latency at percentile q over theirs, round by round. A
// round in which either answered nothing has no ratio.
func timeRatios(ours, theirs []load.Result, q float64) load.Spread {
	var ratios []float64
	for i := range min(len(ours), len(theirs)) {
		us, them := ours[i].Latency.ValueAtQuantile(q), theirs[i].Latency.ValueAtQuantile(q)
		if us > 0 && them > 0 {
			ratios = append(ratios, float64(us)/float64(them))
		}
	}
	return load.NewSpread(ratios)
}

// named returns the load of that name, nil if it was not run.
func (r *Report) named(name string) *Load {
	i := slices.IndexFunc(r.Loads, func(l Load) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Loads[i]
}
