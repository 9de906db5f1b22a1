package peers

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"quartet/client/measure/load"
)

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report as tables.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	p.head(r)
	for i := range r.Loads {
		p.load(&r.Loads[i])
	}
	p.asked(r)
	return p.err
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table writes rows of cells in columns.
func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, p.err = fmt.Fprintln(t, "  "+strings.Join(row, "\t")); p.err != nil {
			return
		}
	}
	p.err = t.Flush()
}

func (p *printer) head(r *Report) {
	p.line("quartet and its peers, %s, %s, %d processors, %s", r.Began.Format("2006-01-02 15:04"), r.OS, r.CPUs, r.Go)
	p.line("%d keys of %d bytes, values of %d bytes; medians (minimum-maximum) of %d rounds of %g s for each side,",
		r.Keys, r.Key, r.Value, r.Rounds, r.Seconds)
	p.line("after %g s of warm-up, in random order within a round; ratios are taken within each round", r.Warmup)

	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	p.line("versions: %s", strings.Join(versions, ", "))

	for _, m := range r.Missing {
		text := "MISSING " + m.Peer + ": " + m.Reason
		if m.Remedy != "" {
			text += "; to have it: " + m.Remedy
		}
		p.line("%s", text)
	}
}

func (p *printer) load(l *Load) {
	p.line("\n%s: %s; %d complete rounds", l.Name, l.What, l.Rounds)
	reads := slices.ContainsFunc(l.Sides, func(s Side) bool { return s.Reads != "" })
	head := []string{"SIDE", "DRIVER", "AT ONCE", "A SET IS HELD BY"}
	if reads {
		head = append(head, "A GET IS")
	}
	rows := [][]string{append(head, "OPS/S", "P50 µs", "P99 µs", "FAILED", "CPU µs/op")}
	for i := range l.Sides {
		s := &l.Sides[i]
		row := []string{s.label, s.Driver, fmt.Sprint(s.Concurrency), s.Durability}
		if reads {
			row = append(row, s.Reads)
		}
		lost := fmt.Sprint(s.Failed + s.Unknown + s.Missing)
		rows = append(rows, append(row, whole(s.Rate), whole(s.P50), whole(s.P99), lost, cpu(s.CPU)))
	}

	p.table(rows)
	p.ratios(l)

	var idle []string
	for _, name := range slices.Sorted(maps.Keys(l.Idle)) {
		idle = append(idle, fmt.Sprintf("%s %.0f", name, l.Idle[name]))
	}
	p.line("  idle, %% of one processor: %s", strings.Join(idle, ", "))
}

// ratios writes a matrix: quartet's sides across, the sides that they are compared with down.
func (p *printer) ratios(l *Load) {
	var across, down []int // indexes of sides
	single := true         // a lone request's time is compared, else throughput
	for i := range l.Ratios {
		r := &l.Ratios[i]
		single = single && l.Sides[r.ours].Concurrency == 1
		if !slices.Contains(across, r.ours) {
			across = append(across, r.ours)
		}
		if !slices.Contains(down, r.theirs) {
			down = append(down, r.theirs)
		}
	}

	if len(across) == 0 {
		return
	}

	cells := make(map[[2]int]string) // by the indexes of quartet's side and the other
	title := "THROUGHPUT RATIO TO"
	for i := range l.Ratios {
		r := &l.Ratios[i]
		cells[[2]int{r.ours, r.theirs}] = hundredths(r.Rate)
		if single {
			title, cells[[2]int{r.ours, r.theirs}] = "P50 TIME RATIO TO", hundredths(r.P50)
		}
	}

	rows := [][]string{{title}, {""}}
	for _, j := range across {
		s := &l.Sides[j]
		rows[0] = append(rows[0], strings.TrimPrefix(s.label, ours))
		rows[1] = append(rows[1], fmt.Sprintf("%s, %d", s.Driver, s.Concurrency))
	}

	for _, i := range down {
		s := &l.Sides[i]
		row := []string{fmt.Sprintf("%s, %s, %d (%s)", s.label, s.Driver, s.Concurrency, s.Durability)}
		for _, j := range across {
			row = append(row, cells[[2]int{j, i}])
		}
		rows = append(rows, row)
	}

	p.table(rows)
}

func (p *printer) asked(r *Report) {
	p.line("\nwhat quartet must reach, and what was measured")
	rows := [][]string{{"QUARTET", "AGAINST", "ASKED", "BY GO PACKAGE", "", "BY CALLBACKS", ""}}

	for i := range r.Asked {
		a := &r.Asked[i]
		asked := fmt.Sprintf("at least %g x", a.Ratio)
		if a.Measure == p50Time {
			asked = fmt.Sprintf("at most %g of its p50 time", a.Ratio)
		}
		row := []string{a.What, a.Against, asked}
		if a.Why != "" {
			rows = append(rows, append(row, "not measured: "+a.Why))
			continue
		}
		for _, d := range []driver{goPackage, callbacks} {
			row = append(row, reachedCells(a.Measured, d)...)
		}
		rows = append(rows, row)
	}

	p.table(rows)
}

func reachedCells(measured []Reached, d driver) []string {
	for _, m := range measured {
		if m.Driver != string(d) {
			continue
		}
		if m.Reached {
			return []string{hundredths(m.Ratio), "reached"}
		}
		return []string{hundredths(m.Ratio), "NO"}
	}
	return []string{"-", ""}
}

func cpu(processes []CPU) string {
	var parts []string
	total := 0.0
	for _, p := range processes {
		total += p.Micros
		parts = append(parts, fmt.Sprintf("%s %.1f", p.Process, p.Micros))
	}
	if len(parts) == 0 {
		return "not known"
	}
	return fmt.Sprintf("%.1f: %s", total, strings.Join(parts, ", "))
}

func whole(s load.Spread) string { return fmt.Sprintf("%.0f (%.0f-%.0f)", s.Median, s.Min, s.Max) }

func hundredths(s load.Spread) string { return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max) }
