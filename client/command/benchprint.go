package command

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"quartet/client/load"
)

// measured is one row's figures.
type measured struct {
	row
	first bool            // of the table
	sides [][]load.Result // quartet and, in a comparison, kv and kv raw; by round
}

func (m *measured) failed() bool {
	for _, side := range m.sides {
		for i := range side {
			if side[i].Failed()+side[i].Unknown() > 0 {
				return true
			}
		}
	}
	return false
}

// bucketDurability is what a bucket's put means when it is answered.
const bucketDurability = "file, no fsync per write unless the server is set to"

// figures are one side's, as -o json has them.
type figures struct {
	Durability string `json:"durability"` // where a set is when it is answered

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

	// CPU is user and system time for each answer, warm-up included, by process. An
	// embedded NATS server is in the master's.
	CPU map[string]float64 `json:"cpu_us_per_op"`
}

func (b *bench) figures(results []load.Result, durability string) figures {
	f := figures{
		Durability: durability, CPU: make(map[string]float64),
		Rate: load.Rates(results), P50: load.Quantiles(results, 50), P90: load.Quantiles(results, 90),
		P99: load.Quantiles(results, 99), P999: load.Quantiles(results, 99.9), Max: load.Quantiles(results, 100),
	}
	for i := range results {
		f.Ops += results[i].Ops()
		f.Missing += results[i].Counts[load.Missing]
		f.Failed += results[i].Failed()
		f.Unknown += results[i].Unknown()
	}
	for i, p := range b.load.Processes {
		if us, known := load.CPUPerAnswer(results, i); known {
			f.CPU[p.Name] = math.Round(us*100) / 100
		}
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
	KV          *figures     `json:"kv_r1_file,omitempty"`     // by the official Go API
	KVRaw       *figures     `json:"kv_raw_r1_file,omitempty"` // by our own callbacks
	RatioKV     *load.Spread `json:"ratio_kv,omitempty"`       // of quartet's rate over kv's, round by round
	RatioKVRaw  *load.Spread `json:"ratio_kv_raw,omitempty"`
}

func (b *bench) print(m *measured) error {
	ours := b.figures(m.sides[0], b.data)
	if len(m.sides) == 1 {
		if b.out == formatJSON {
			return b.printJSON(b.record(m, ours))
		}
		return b.printRow(m, &ours)
	}
	kv, raw := b.figures(m.sides[1], bucketDurability), b.figures(m.sides[2], bucketDurability)
	ratioKV, ratioRaw := load.Ratios(m.sides[0], m.sides[1]), load.Ratios(m.sides[0], m.sides[2])
	r := b.record(m, ours)
	r.KV, r.KVRaw, r.RatioKV, r.RatioKVRaw = &kv, &raw, &ratioKV, &ratioRaw
	if b.out == formatJSON {
		return b.printJSON(r)
	}
	return b.printComparison(m, &r)
}

func (b *bench) record(m *measured, ours figures) benchRecord {
	return benchRecord{
		Consistency: m.model.String(), Request: m.kind, Gets: m.gets, Concurrency: b.load.Concurrency, Connections: b.connections,
		Keys: b.load.Keys, KeySize: b.load.KeySize, ValueSize: b.load.ValueSize, Seconds: b.load.Duration.Seconds(),
		Quartet: ours,
	}
}

func (b *bench) printJSON(r benchRecord) error {
	return json.NewEncoder(b.env.Stdout).Encode(r)
}

func (b *bench) title() string {
	return fmt.Sprintf("%d at once, connections %s, %d keys of %d bytes, values of %d bytes",
		b.load.Concurrency, b.connections, b.load.Keys, b.load.KeySize, b.load.ValueSize)
}

func (b *bench) printRow(m *measured, f *figures) error {
	if m.first {
		if _, err := fmt.Fprintf(b.env.Stdout, "%s; %s each; %d replicas, data: %s\n\n%-12s  %-7s %9s %8s %8s %8s %8s %8s %8s %8s\n", b.title(), b.load.Duration, b.replicas, orDash(b.data),
			"MODEL", "REQUEST", "OPS/S", "P50 µs", "P90 µs", "P99 µs", "P99.9 µs", "MAX µs", "FAILED", "UNKNOWN"); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(b.env.Stdout, "%-12s  %-7s %9.0f %8.0f %8.0f %8.0f %8.0f %8.0f %8d %8d\n", m.model.Word(), m.kind,
		f.Rate.Median, f.P50.Median, f.P90.Median, f.P99.Median, f.P999.Median, f.Max.Median, f.Failed, f.Unknown); err != nil {
		return err
	}
	return b.printCPU("quartet", f)
}

const comparisonRow = "%-12s  %-7s %-23s %-23s %-23s %-18s %-18s %15s %18s %8s\n"

func (b *bench) printComparison(m *measured, r *benchRecord) error {
	if m.first {
		if err := b.printComparisonHead(); err != nil {
			return err
		}
	}
	sides := [...]*figures{&r.Quartet, r.KV, r.KVRaw}
	var p50, p99, failed [len(sides)]string
	for i, f := range sides {
		p50[i], p99[i] = fmt.Sprintf("%.0f", f.P50.Median), fmt.Sprintf("%.0f", f.P99.Median)
		failed[i] = fmt.Sprint(f.Failed + f.Unknown)
	}
	if _, err := fmt.Fprintf(b.env.Stdout, comparisonRow, m.model.Word(), m.kind,
		whole(r.Quartet.Rate), whole(r.KV.Rate), whole(r.KVRaw.Rate), hundredths(*r.RatioKV), hundredths(*r.RatioKVRaw),
		strings.Join(p50[:], "/"), strings.Join(p99[:], "/"), strings.Join(failed[:], "/")); err != nil {
		return err
	}
	for i, name := range [...]string{"quartet", "kv", "kv raw"} {
		if err := b.printCPU(name, sides[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) printComparisonHead() error {
	_, err := fmt.Fprintf(b.env.Stdout, `%s
medians (min-max) of %d rounds of %s each, in turn; ratios round by round

quartet  %d replicas, data: %s
kv       JetStream key-value, R1, %s; nats.go's KeyValue.Put and Get, a goroutine for each request
kv raw   the same bucket and bytes, driven by callbacks as quartet is here

`, b.title(), b.rounds, b.load.Duration, b.replicas, orDash(b.data), bucketDurability)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.env.Stdout, comparisonRow, "MODEL", "REQUEST",
		"QUARTET OPS/S, "+orDash(b.data), "KV OPS/S, file", "KV RAW OPS/S, file", "QUARTET/KV", "QUARTET/KV RAW", "P50 µs", "P99 µs", "FAILED")
	return err
}

// printCPU prints a line with each process's time for one answer, if any is known.
func (b *bench) printCPU(name string, f *figures) error {
	line := fmt.Sprintf("%14sCPU µs/op of %-8s", "", name)
	for _, p := range b.load.Processes {
		if us, known := f.CPU[p.Name]; known {
			line += fmt.Sprintf("  %s %.1f", p.Name, us)
		}
	}
	if len(f.CPU) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(b.env.Stdout, line)
	return err
}

func hundredths(s load.Spread) string { return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max) }

func whole(s load.Spread) string { return fmt.Sprintf("%.0f (%.0f-%.0f)", s.Median, s.Min, s.Max) }
