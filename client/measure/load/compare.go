package load

import (
	"slices"
	"time"
)

// Spread is a median between a minimum and a maximum.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// NewSpread returns the spread of values; the zero Spread of none.
func NewSpread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// Rates returns the spread of the results' rates.
func Rates(results []Result) Spread {
	return NewSpread(each(results, func(r *Result) float64 { return r.Rate() }))
}

// Quantiles returns the spread of the results' latencies at percentile q (0 to 100), in µs.
func Quantiles(results []Result, q float64) Spread {
	return NewSpread(each(results, func(r *Result) float64 { return float64(r.Latency.ValueAtQuantile(q)) }))
}

// Ratios returns the spread of our rate over theirs, round by round. A round in which
// they answered nothing has no ratio.
func Ratios(ours, theirs []Result) Spread {
	ratios := make([]float64, 0, len(ours))
	for i := range min(len(ours), len(theirs)) {
		if rate := theirs[i].Rate(); rate > 0 {
			ratios = append(ratios, ours[i].Rate()/rate)
		}
	}
	return NewSpread(ratios)
}

// CPUPerAnswer returns the processor time of the i-th of [Options.Processes] for one
// answer, over all rounds, in µs; false where it is not known.
func CPUPerAnswer(results []Result, i int) (float64, bool) {
	var used time.Duration
	var answers uint64
	for n := range results {
		r := &results[n]
		if i >= len(r.CPU) || r.CPU[i] < 0 {
			return 0, false
		}
		used += r.CPU[i]
		answers += r.Answers()
	}
	if answers == 0 {
		return 0, false
	}
	return float64(used.Nanoseconds()) / 1000 / float64(answers), true
}

func each(results []Result, f func(*Result) float64) []float64 {
	values := make([]float64, len(results))
	for i := range results {
		values[i] = f(&results[i])
	}
	return values
}
