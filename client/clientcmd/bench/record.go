package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"quartet/client/clientcmd/console"
	"quartet/client/measure/load"
)

// Format is -o of the bench: that of the other commands, and csv.
type Format console.Format

// FormatCSV is a line with the names of the columns, then a line for each row at a point.
const FormatCSV Format = "csv"

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return "FORMAT" }

// Set implements [pflag.Value]. The data alone are lines of numbers, so raw is csv.
func (f *Format) Set(s string) error {
	if s = strings.ToLower(s); s == string(FormatCSV) || s == string(console.Raw) {
		*f = FormatCSV
		return nil
	}
	if (*console.Format)(f).Set(s) != nil {
		return fmt.Errorf("unknown format %q (want table, json, jsonl or csv)", s)
	}
	return nil
}

// Flag adds -o, with csv beside the formats of every command.
func (f *Format) Flag(flags *pflag.FlagSet) {
	*f = Format(console.Table)
	flags.VarP(f, "output", "o", "table, json (one document), jsonl (an object a line) or csv (raw is csv)")
}

// bucketDurability is what a bucket's put means when it is answered.
const bucketDurability = "file, no fsync per write unless the server is set to"

// figures are one side's, as JSON has them. Of several rounds each is a spread.
type figures struct {
	Durability string `json:"durability"` // where a set is when it is answered

	Rate    load.Spread  `json:"ops_per_second"`
	P50     load.Spread  `json:"p50_us"`
	P90     load.Spread  `json:"p90_us"`
	P99     load.Spread  `json:"p99_us"`
	P999    load.Spread  `json:"p999_us"`
	Max     load.Spread  `json:"max_us"`
	Late    *load.Spread `json:"sent_late_p99_us,omitempty"` // of an open loop: the generator's own part of latency
	Ops     uint64       `json:"ops"`
	Missing uint64       `json:"missing"` // gets of a key without a value, among ops
	Failed  uint64       `json:"failed"`
	Unknown uint64       `json:"unknown"`
	Beyond  uint64       `json:"beyond"` // of an open loop: due, and not sent

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
	var late []float64
	for i := range results {
		f.Ops += results[i].Ops()
		f.Missing += results[i].Counts[load.Missing]
		f.Failed += results[i].Failed()
		f.Unknown += results[i].Unknown()
		f.Beyond += results[i].Beyond
		if results[i].Late != nil {
			late = append(late, float64(results[i].Late.ValueAtQuantile(99)))
		}
	}
	if len(late) > 0 {
		spread := load.NewSpread(late)
		f.Late = &spread
	}
	for i, p := range b.Load.Processes {
		if us, known := load.CPUPerAnswer(results, i); known {
			f.CPU[p.Name] = math.Round(us*100) / 100
		}
	}
	return f
}

// cpu returns the processor time for one answer of all processes together, in µs.
func (f *figures) cpu() (us float64, known bool) {
	for _, one := range f.CPU {
		us += one
	}
	return us, len(f.CPU) > 0
}

// benchRecord is a row at a point as JSON has it.
type benchRecord struct {
	Consistency  string       `json:"consistency"`
	Request      string       `json:"request"`
	Gets         int          `json:"gets_percent"`
	Concurrency  int          `json:"concurrency"` // of an open loop: at most
	Rate         float64      `json:"rate,omitempty"`
	Spacing      string       `json:"spacing,omitempty"`
	Driver       string       `json:"driver"`
	Connections  string       `json:"connections"`
	Keys         int          `json:"keys"`
	Distribution string       `json:"keys_distribution"`
	Skew         float64      `json:"skew,omitempty"`
	KeySize      int          `json:"key_bytes"`
	ValueSize    int          `json:"value_bytes"`
	TTL          float64      `json:"ttl_seconds,omitempty"` // of a value
	Seconds      float64      `json:"seconds"`               // that count, of one round
	Rounds       int          `json:"rounds"`
	Early        bool         `json:"ended_early,omitempty"`
	Quartet      figures      `json:"quartet"`
	KV           *figures     `json:"kv_r1_file,omitempty"`     // by the official Go API
	KVRaw        *figures     `json:"kv_raw_r1_file,omitempty"` // by our own callbacks
	RatioKV      *load.Spread `json:"ratio_kv,omitempty"`       // of quartet's rate over kv's, round by round
	RatioKVRaw   *load.Spread `json:"ratio_kv_raw,omitempty"`
}

func (b *bench) record(m *measured) benchRecord {
	o := m.point.load
	r := benchRecord{
		Consistency: m.model.String(), Request: m.kind, Gets: m.gets, Concurrency: o.Concurrency, Driver: b.driver,
		Connections: b.connections,
		Keys:        o.Keys, Distribution: o.KeyChoice.String(), KeySize: o.KeySize, ValueSize: o.ValueSize,
		TTL:     o.TTL.Seconds(),
		Seconds: m.sides[0][0].Window.Seconds(), Rounds: len(m.sides[0]), Early: m.early, Quartet: b.figures(m.sides[0], b.data),
	}
	if o.Rate > 0 {
		r.Rate, r.Spacing = o.Rate, o.Spacing.String()
	}
	if o.KeyChoice == load.Zipf {
		r.Skew = o.Skew
	}
	if len(m.sides) == 1 {
		return r
	}
	kv, raw := b.figures(m.sides[1], bucketDurability), b.figures(m.sides[2], bucketDurability)
	ratioKV, ratioRaw := load.Ratios(m.sides[0], m.sides[1]), load.Ratios(m.sides[0], m.sides[2])
	r.KV, r.KVRaw, r.RatioKV, r.RatioKVRaw = &kv, &raw, &ratioKV, &ratioRaw
	return r
}

// namedFigures are one side's.
type namedFigures struct {
	name string
	*figures
}

func (r *benchRecord) sides() []namedFigures {
	all := []namedFigures{{"quartet", &r.Quartet}}
	if r.KV != nil {
		all = append(all, namedFigures{"kv", r.KV}, namedFigures{"kv raw", r.KVRaw})
	}
	return all
}

// csvHead names the columns of -o csv: one line for each side of a row.
var csvHead = []string{
	"consistency", "request", "gets_percent", "side", "durability", "concurrency", "rate", "spacing", "driver", "connections",
	"keys", "keys_distribution", "skew", "key_bytes", "value_bytes", "seconds", "rounds", "ended_early",
	"ops_per_second", "ops_per_second_min", "ops_per_second_max", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "sent_late_p99_us",
	"ops", "missing", "failed", "unknown", "beyond", "cpu_us_per_op",
}

func writeCSV(w io.Writer, head bool, r *benchRecord) error {
	out := csv.NewWriter(w)
	if head {
		_ = out.Write(csvHead) // an error stays, and is returned below
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	for _, side := range r.sides() {
		late, cpu := "", ""
		if side.Late != nil {
			late = number(side.Late.Median)
		}
		if us, known := side.cpu(); known {
			cpu = strconv.FormatFloat(us, 'f', 2, 64)
		}

		line := []string{
			r.Consistency, r.Request, strconv.Itoa(r.Gets), side.name, side.Durability, strconv.Itoa(r.Concurrency),
			number(r.Rate), r.Spacing, r.Driver, r.Connections,
			strconv.Itoa(r.Keys), r.Distribution, number(r.Skew), strconv.Itoa(r.KeySize), strconv.Itoa(r.ValueSize),
			number(r.Seconds), strconv.Itoa(r.Rounds), strconv.FormatBool(r.Early),
			number(math.Round(side.Rate.Median)), number(math.Round(side.Rate.Min)), number(math.Round(side.Rate.Max)),
			number(side.P50.Median), number(side.P90.Median), number(side.P99.Median), number(side.P999.Median),
			number(side.Max.Median), late,
		}
		for _, n := range []uint64{side.Ops, side.Missing, side.Failed, side.Unknown, side.Beyond} {
			line = append(line, strconv.FormatUint(n, 10))
		}
		_ = out.Write(append(line, cpu))
	}

	out.Flush()
	return out.Error()
}
