package command

import (
	"encoding/json"
	"fmt"

	"quartet/client/load"
)

// measured is one row's figures.
type measured struct {
	row
	first  bool // of the table
	ours   []load.Result
	theirs []load.Result // nil without a comparison
	ratio  load.Spread
}

func (m *measured) failed() bool {
	for _, side := range [][]load.Result{m.ours, m.theirs} {
		for i := range side {
			if side[i].Failed()+side[i].Unknown() > 0 {
				return true
			}
		}
	}
	return false
}

// figures are one side's, as -o json has them.
type figures struct {
	Rate    load.Spread `json:"ops_per_second"`
	P50     load.Spread `json:"p50_us"`
	P90     load.Spread `json:"p90_us"`
	P99     load.Spread `json:"p99_us"`
	P999    load.Spread `json:"p999_us"`
	Max     load.Spread `json:"max_us"`
	Ops     uint64      `json:"ops"`
	Missing uint64      `json:"missing"` // gets of a key without a value, among ops
	Failed  uint64      `json:"failed"`
	Unknown uint64      `json:"unknown"`
}

func newFigures(results []load.Result) figures {
	f := figures{
		Rate: load.Rates(results), P50: load.Quantiles(results, 50), P90: load.Quantiles(results, 90),
		P99: load.Quantiles(results, 99), P999: load.Quantiles(results, 99.9), Max: load.Quantiles(results, 100),
	}
	for i := range results {
		f.Ops += results[i].Ops()
		f.Missing += results[i].Counts[load.Missing]
		f.Failed += results[i].Failed()
		f.Unknown += results[i].Unknown()
	}
	return f
}

// benchRecord is a row as -o json writes it, one object a line.
type benchRecord struct {
	Consistency string       `json:"consistency"`
	Request     string       `json:"request"`
	Gets        int          `json:"gets_percent"`
	Concurrency int          `json:"concurrency"`
	Connections string       `json:"connections"`
	Keys        int          `json:"keys"`
	KeySize     int          `json:"key_bytes"`
	ValueSize   int          `json:"value_bytes"`
	Seconds     float64      `json:"seconds"` // that count, of one round
	Quartet     figures      `json:"quartet"`
	Bucket      *figures     `json:"kv_r1_file,omitempty"`
	Ratio       *load.Spread `json:"ratio,omitempty"`
}

func (b *bench) print(m *measured) error {
	ours := newFigures(m.ours)
	var theirs *figures
	if m.theirs != nil {
		f := newFigures(m.theirs)
		theirs = &f
	}
	switch {
	case b.out == formatJSON:
		return b.printJSON(m, ours, theirs)
	case theirs != nil:
		return b.printComparison(m, &ours, theirs)
	}
	return b.printRow(m, &ours)
}

func (b *bench) printJSON(m *measured, ours figures, theirs *figures) error {
	r := benchRecord{
		Consistency: m.model.String(), Request: m.kind, Gets: m.gets, Concurrency: b.load.Concurrency, Connections: b.connections,
		Keys: b.load.Keys, KeySize: b.load.KeySize, ValueSize: b.load.ValueSize, Seconds: b.load.Duration.Seconds(),
		Quartet: ours, Bucket: theirs,
	}
	if theirs != nil {
		r.Ratio = &m.ratio
	}
	return json.NewEncoder(b.env.Stdout).Encode(r)
}

func (b *bench) title() string {
	return fmt.Sprintf("%d at once, connections %s, %d keys of %d bytes, values of %d bytes",
		b.load.Concurrency, b.connections, b.load.Keys, b.load.KeySize, b.load.ValueSize)
}

func (b *bench) printRow(m *measured, f *figures) error {
	if m.first {
		if _, err := fmt.Fprintf(b.env.Stdout, "%s; %s each\n\n%-12s  %-7s %9s %8s %8s %8s %8s %8s %8s %8s\n", b.title(), b.load.Duration,
			"MODEL", "REQUEST", "OPS/S", "P50 µs", "P90 µs", "P99 µs", "P99.9 µs", "MAX µs", "FAILED", "UNKNOWN"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(b.env.Stdout, "%-12s  %-7s %9.0f %8.0f %8.0f %8.0f %8.0f %8.0f %8d %8d\n", m.model.Word(), m.kind,
		f.Rate.Median, f.P50.Median, f.P90.Median, f.P99.Median, f.P999.Median, f.Max.Median, f.Failed, f.Unknown)
	return err
}

func (b *bench) printComparison(m *measured, ours, theirs *figures) error {
	if m.first {
		if _, err := fmt.Fprintf(b.env.Stdout, "%s; medians (min-max) of %d rounds of %s\n\n%-12s  %-7s %-23s %-23s %-18s %9s %9s %8s\n",
			b.title(), b.rounds, b.load.Duration, "MODEL", "REQUEST", "QUARTET OPS/S", "KV R1 FILE OPS/S", "RATIO", "P50 µs", "P99 µs", "FAILED"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(b.env.Stdout, "%-12s  %-7s %-23s %-23s %-18s %9s %9s %8s\n", m.model.Word(), m.kind,
		whole(ours.Rate), whole(theirs.Rate), fmt.Sprintf("%.2f (%.2f-%.2f)", m.ratio.Median, m.ratio.Min, m.ratio.Max),
		pair(ours.P50.Median, theirs.P50.Median), pair(ours.P99.Median, theirs.P99.Median),
		fmt.Sprintf("%d/%d", ours.Failed+ours.Unknown, theirs.Failed+theirs.Unknown))
	return err
}

func whole(s load.Spread) string { return fmt.Sprintf("%.0f (%.0f-%.0f)", s.Median, s.Min, s.Max) }

func pair(ours, theirs float64) string { return fmt.Sprintf("%.0f/%.0f", ours, theirs) }
