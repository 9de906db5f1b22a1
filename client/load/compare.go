package load

import (
	"context"
	"slices"
)

// Comparison is two sides' results, round by round.
type Comparison struct{ Ours, Theirs []Result }

// Compare runs the same load on both sides in turn, rounds times each, so that whatever
// else the machine does falls on both. The side that begins changes with every round.
// On an error it returns the rounds that were complete.
func Compare(ctx context.Context, o Options, rounds int, ours, theirs []Sender) (Comparison, error) {
	var c Comparison
	for round := range rounds {
		o.Seed++
		sides := [2][]Sender{ours, theirs}
		var results [2]Result
		for i := range sides {
			side := (i + round) % 2
			var err error
			if results[side], err = Run(ctx, o, sides[side]); err != nil {
				return c, err
			}
		}
		c.Ours, c.Theirs = append(c.Ours, results[0]), append(c.Theirs, results[1])
	}
	return c, nil
}

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

// Ratios returns the spread of our rate over theirs, round by round.
func (c *Comparison) Ratios() Spread {
	ratios := make([]float64, 0, len(c.Ours))
	for i := range c.Ours {
		if theirs := c.Theirs[i].Rate(); theirs > 0 {
			ratios = append(ratios, c.Ours[i].Rate()/theirs)
		}
	}
	return NewSpread(ratios)
}

func each(results []Result, f func(*Result) float64) []float64 {
	values := make([]float64, len(results))
	for i := range results {
		values[i] = f(&results[i])
	}
	return values
}
