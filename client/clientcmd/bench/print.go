package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"quartet/client/clientcmd/console"
	"quartet/client/measure/load"
)

// printer writes results to stdout in the format that was asked for.
type printer struct {
	b     *bench
	swept *quantity
	span  string // of what is swept
	out   io.Writer
	lines int // that were written of a table or of CSV
}

func (b *bench) newPrinter(p plan) *printer {
	first, last := p.points[0].value, p.points[len(p.points)-1].value
	return &printer{b: b, swept: p.swept, span: fmt.Sprintf("%d to %d", first, last), out: b.env.Stdout}
}

// row writes what one row came to, where that need not wait for the others.
func (p *printer) row(m *measured) error {
	r := p.b.record(m)
	switch console.Format(p.b.out) {
	case console.JSON:
		return nil
	case console.JSONL:
		return console.JSONL.Object(p.out, r)
	case console.Format(FormatCSV):
		p.lines++
		return writeCSV(p.out, p.lines == 1, &r)
	}
	if p.swept != nil {
		_, err := fmt.Fprintf(p.b.env.Stderr, "%s %d: %s: %.0f a second, p99 %.0f µs\n", p.swept.name, m.point.value, m.name(),
			r.Quartet.Rate.Median, r.Quartet.P99.Median)
		return err
	}
	return p.tableRow(m, &r)
}

// finish writes what had to wait: one JSON document, or a sweep's table, in which the
// lines of one model and kind stand together.
func (p *printer) finish(all []*measured) error {
	if len(all) == 0 {
		return nil
	}

	if console.Format(p.b.out) == console.JSON {
		records := make([]benchRecord, len(all))
		for i, m := range all {
			records[i] = p.b.record(m)
		}
		return console.JSON.Object(p.out, records)
	}

	if console.Format(p.b.out) != console.Table || p.swept == nil {
		return nil
	}

	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(x, y *measured) int {
		return cmp.Or(cmp.Compare(x.model, y.model), cmp.Compare(x.gets, y.gets), cmp.Compare(x.kind, y.kind),
			cmp.Compare(x.point.value, y.point.value))
	})

	for i, m := range sorted {
		if i > 0 && sorted[i-1].row != m.row {
			if _, err := fmt.Fprintln(p.out); err != nil {
				return err
			}
		}
		r := p.b.record(m)
		if err := p.tableRow(m, &r); err != nil {
			return err
		}
	}
	return nil
}

// column is one of a table's.
type column struct {
	head  string
	width int // see [console.Pad]
	cell  func(*measured, *benchRecord) string
}

func (c column) pad(s string) string { return console.Pad(s, c.head, c.width) }

// median is a column of a median.
func median(head string, of func(*figures) load.Spread) column {
	return column{head, 8, func(_ *measured, r *benchRecord) string { return fmt.Sprintf("%.0f", of(&r.Quartet).Median) }}
}

func total(head string, of func(*figures) uint64) column {
	return column{head, 8, func(_ *measured, r *benchRecord) string { return fmt.Sprint(of(&r.Quartet)) }}
}

func (p *printer) columns() []column {
	all := []column{
		{"MODEL", -12, func(m *measured, _ *benchRecord) string { return m.model.Word() }},
		{"REQUEST", -7, func(m *measured, _ *benchRecord) string { return m.kind }},
	}
	if p.swept != nil {
		all = append(all, column{p.swept.head, 7, func(m *measured, _ *benchRecord) string { return fmt.Sprint(m.point.value) }})
	}

	// With a rate given, requests may be sent late or not at all: columns of their own say so.
	open := p.b.Load.Rate > 0 || p.swept.isRate()
	if p.b.compare {
		return append(all, p.comparison(open)...)
	}

	rate := median("OPS/S", func(f *figures) load.Spread { return f.Rate })
	if p.b.rounds > 1 {
		rate.width, rate.cell = 20, func(_ *measured, r *benchRecord) string { return whole(r.Quartet.Rate) }
	}
	all = append(all, rate,
		median("P50 µs", func(f *figures) load.Spread { return f.P50 }),
		median("P90 µs", func(f *figures) load.Spread { return f.P90 }),
		median("P99 µs", func(f *figures) load.Spread { return f.P99 }),
		median("P99.9 µs", func(f *figures) load.Spread { return f.P999 }),
		median("MAX µs", func(f *figures) load.Spread { return f.Max }),
		total("FAILED", func(f *figures) uint64 { return f.Failed }),
		total("UNKNOWN", func(f *figures) uint64 { return f.Unknown }))
	if open {
		all = append(all, total("NOT SENT", func(f *figures) uint64 { return f.Beyond }),
			median("LATE P99 µs", func(f *figures) load.Spread {
				if f.Late == nil {
					return load.Spread{}
				}
				return *f.Late
			}))
	}

	if p.swept != nil {
		all = append(all, column{"CPU µs/op", 9, func(_ *measured, r *benchRecord) string {
			if us, known := r.Quartet.cpu(); known {
				return fmt.Sprintf("%.1f", us)
			}
			return "-"
		}})
	}

	return all
}

// comparison returns the columns of quartet, kv and kv raw beside each other.
func (p *printer) comparison(open bool) []column {
	slashed := func(of func(*figures) string) func(*measured, *benchRecord) string {
		return func(_ *measured, r *benchRecord) string {
			var cells []string
			for _, side := range r.sides() {
				cells = append(cells, of(side.figures))
			}
			return strings.Join(cells, "/")
		}
	}
	all := []column{
		{"QUARTET OPS/S, " + console.OrDash(p.b.data), -23, func(_ *measured, r *benchRecord) string { return whole(r.Quartet.Rate) }},
		{"KV OPS/S, file", -23, func(_ *measured, r *benchRecord) string { return whole(r.KV.Rate) }},
		{"KV RAW OPS/S, file", -23, func(_ *measured, r *benchRecord) string { return whole(r.KVRaw.Rate) }},
		{"QUARTET/KV", -18, func(_ *measured, r *benchRecord) string { return hundredths(*r.RatioKV) }},
		{"QUARTET/KV RAW", -18, func(_ *measured, r *benchRecord) string { return hundredths(*r.RatioKVRaw) }},
		{"P50 µs", 15, slashed(func(f *figures) string { return fmt.Sprintf("%.0f", f.P50.Median) })},
		{"P99 µs", 18, slashed(func(f *figures) string { return fmt.Sprintf("%.0f", f.P99.Median) })},
		{"FAILED", 8, slashed(func(f *figures) string { return fmt.Sprint(f.Failed + f.Unknown) })},
	}
	if open {
		all = append(all, column{"NOT SENT", 8, slashed(func(f *figures) string { return fmt.Sprint(f.Beyond) })})
	}
	return all
}

func (p *printer) tableRow(m *measured, r *benchRecord) error {
	columns := p.columns()
	var text strings.Builder
	line := func(cell func(column) string) {
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.pad(cell(c)))
		}
		text.WriteString(strings.TrimRight(strings.Join(cells, " "), " ") + "\n")
	}
	if p.lines++; p.lines == 1 {
		for _, note := range p.notes() {
			text.WriteString(note + "\n")
		}
		text.WriteString("\n")
		line(func(c column) string { return c.head })
	}
	line(func(c column) string { return c.cell(m, r) })
	if p.swept == nil {
		for _, side := range r.sides() {
			text.WriteString(p.cpuLine(side))
		}
	}
	if m.early {
		fmt.Fprintf(&text, "%14sended early: %d of %d rounds, %.1f s each\n", "", r.Rounds, p.b.rounds, r.Seconds)
	}
	_, err := io.WriteString(p.out, text.String())
	return err
}

// cpuLine is a line with each process's time for one answer, if any is known.
func (p *printer) cpuLine(side namedFigures) string {
	if len(side.CPU) == 0 {
		return ""
	}
	line := fmt.Sprintf("%14sCPU µs/op of %-8s", "", side.name)
	for _, process := range p.b.Load.Processes {
		if us, known := side.CPU[process.Name]; known {
			line += fmt.Sprintf("  %s %.1f", process.Name, us)
		}
	}
	return line + "\n"
}

// notes say under which conditions was measured, a line each.
func (p *printer) notes() []string {
	b := p.b
	time := fmt.Sprintf("%s each", b.Load.Duration)
	if b.rounds > 1 || b.compare {
		time = fmt.Sprintf("medians (min-max) of %d rounds of %s each, in turn", b.rounds, b.Load.Duration)
	}
	cluster := fmt.Sprintf("%d replicas, data: %s", b.replicas, console.OrDash(b.data))
	if p.swept != nil && p.swept.name == sweptReplicas {
		cluster = p.span + " replicas, a cluster of its own for each, data: memory"
	}
	if !b.compare {
		return []string{p.conditions(), cluster + "; " + time}
	}
	return []string{
		p.conditions(), time + "; ratios round by round", "",
		"quartet  " + cluster,
		"kv       JetStream key-value, R1, " + bucketDurability + "; nats.go's KeyValue.Put and Get, a goroutine for each request",
		"kv raw   the same bucket and bytes, driven by callbacks",
	}
}

// conditions say what the load is, but for what is swept.
func (p *printer) conditions() string {
	b := p.b
	o := b.Load
	swept := func(name, text string) string {
		if p.swept != nil && p.swept.name == name {
			return p.span
		}
		return text
	}
	var parts []string
	if rate := swept("rate", fmt.Sprintf("%g", o.Rate)); rate != "0" {
		parts = append(parts, fmt.Sprintf("open loop, %s requests a second (%s), at most %s at once", rate, o.Spacing,
			swept("concurrency", fmt.Sprint(o.Concurrency))))
	} else {
		parts = append(parts, swept("concurrency", fmt.Sprint(o.Concurrency))+" at once")
	}
	parts = append(parts, "driver "+b.driver, "connections "+b.connections)
	keys := fmt.Sprintf("%s keys of %s bytes", swept("keys", fmt.Sprint(o.Keys)), swept("key-size", fmt.Sprint(o.KeySize)))
	if o.KeyChoice == load.Zipf {
		keys += fmt.Sprintf(" (zipf, skew %g)", o.Skew)
	}
	values := fmt.Sprintf("values of %s bytes", swept("value-size", fmt.Sprint(o.ValueSize)))
	if o.TTL > 0 {
		values += fmt.Sprintf(" that end after %s", o.TTL)
	}
	return strings.Join(append(parts, keys, values), ", ")
}

func hundredths(s load.Spread) string { return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max) }

func whole(s load.Spread) string { return fmt.Sprintf("%.0f (%.0f-%.0f)", s.Median, s.Min, s.Max) }
