package ledger

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/model"
)

// Format is how the list of requests is printed.
type Format string

// The formats: aligned columns for people, the file's own form, one object a line.
const (
	Table Format = "table"
	CSV   Format = "csv"
	JSON  Format = "json"
)

// ErrFormat is returned by [ParseFormat].
var ErrFormat = errors.New("ledger: unknown format")

// ParseFormat reads a format's name.
func ParseFormat(s string) (Format, error) {
	if f := Format(s); f == Table || f == CSV || f == JSON {
		return f, nil
	}
	return "", fmt.Errorf("%w: %q (want table, csv or json)", ErrFormat, s)
}

// Write writes the summary in one of the formats; JSON is one indented object.
func (f Format) Write(w io.Writer, s bus.Report) error {
	switch f {
	case CSV:
		return WriteCSV(w, s)
	case JSON:
		return WriteJSON(w, s)
	}
	return WriteTable(w, s)
}

// WriteJSON writes the summary as one indented object.
func WriteJSON(w io.Writer, s bus.Report) error {
	text, err := jsonOf(s)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// WriteCSV writes a line for each group and a line "total" for all. Times are in µs.
func WriteCSV(w io.Writer, s bus.Report) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"consistency", "request", "count", "ok", "failed", "duplicates",
		"mean_us", "p50_us", "p90_us", "p99_us", "max_us", "codes", "no_value", "timed", "unmet"})
	for i, g := range append(slices.Clone(s.Groups), s.Total) {
		if i == len(s.Groups) {
			g.Consistency = "total"
		}
		row := []string{g.Consistency, g.Request}
		for _, n := range []uint64{g.Count, g.OK, g.Failed, g.Duplicates} {
			row = append(row, strconv.FormatUint(n, 10))
		}
		row = append(row, strconv.FormatFloat(g.Mean, 'f', 1, 64))
		for _, n := range []int64{g.P50, g.P90, g.P99, g.Max} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		_ = out.Write(append(row, codes(g.Codes), number(g.NoValue), number(g.Timed), number(g.Unmet)))
	}
	out.Flush()
	return out.Error() // of any of the writes
}

// WriteTable writes the summary for people.
func WriteTable(w io.Writer, s bus.Report) error {
	var b strings.Builder
	const stamp = "2006-01-02 15:04:05 MST"
	state := "so far"
	if s.Finished {
		state = "in all"
	}

	fmt.Fprintf(&b, "%d requests %s, from %s to %s (%s)\n", s.Total.Count, state,
		s.Started.Format(stamp), s.Updated.Format(stamp), s.Updated.Sub(s.Started).Round(time.Millisecond))

	if s.Total.Count > 0 {
		groupTable(&b, s)
		b.WriteByte('\n')
		rows := [][]string{{"replica", "count", "ok", "no value", "unmet", "failed"}}
		for _, r := range s.Replicas {
			name := cmp.Or(r.Replica, "none (the master answered)")
			rows = append(rows, []string{name, number(r.Count), number(r.OK), number(r.NoValue), number(r.Unmet), number(r.Failed)})
		}
		align(&b, "lrrrrr", rows)
		b.WriteString(`
No value: a get of a key that has none. Unmet: a write whose condition did not hold (code 412).
Both are answers. Failed: refused, or of unknown outcome (code 504). Times are from the
master's receipt of a request to its answer, failed ones included, but for those that were
refused at sight as malformed or too large.
`)
	}

	fmt.Fprintf(&b, "\nThe list of requests has %d lines", s.List.Lines)
	if n := s.Coming(); n > 0 {
		fmt.Fprintf(&b, "; %d more are on their way to it", n)
	}
	if s.List.Deleted > 0 {
		fmt.Fprintf(&b, "; %d older ones were deleted to keep it small", s.List.Deleted)
	}
	if s.List.Lost > 0 {
		fmt.Fprintf(&b, "; %d were never written, because the disk was too slow or refused", s.List.Lost)
	}

	b.WriteString(".\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func groupTable(b *strings.Builder, s bus.Report) {
	rows := [][]string{
		{
			"consistency", "request", "count", "ok", "no value", "unmet", "failed", "mean", "p50", "p90", "p99", "max",
			"duplicates", "codes of the failed",
		},
	}
	row := func(g bus.ReportGroup, name string) {
		failed := maps.Clone(g.Codes)
		maps.DeleteFunc(failed, func(code model.Code, _ uint64) bool { return code.Answered() })
		cells := []string{name, cmp.Or(g.Request, "-"), number(g.Count), number(g.OK), number(g.NoValue), number(g.Unmet), number(g.Failed)}
		for _, micros := range []float64{g.Mean, float64(g.P50), float64(g.P90), float64(g.P99), float64(g.Max)} {
			if g.Timed == 0 {
				cells = append(cells, "-")
			} else {
				cells = append(cells, span(micros))
			}
		}
		rows = append(rows, append(cells, number(g.Duplicates), codes(failed)))
	}
	for _, g := range s.Groups {
		row(g, cmp.Or(g.Consistency, "-"))
	}
	row(s.Total, "total")
	b.WriteByte('\n')
	align(b, "llrrrrrrrrrrrl", rows)
}

// align writes rows in columns, each set to the left (l) or right (r).
func align(b *strings.Builder, sides string, rows [][]string) {
	widths := make([]int, len(sides))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var l strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if sides[i] == 'l' {
				l.WriteString(cell + pad + "  ")
			} else {
				l.WriteString(pad + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// span prints µs with three significant digits.
func span(micros float64) string {
	switch {
	case micros < 999.5:
		return fmt.Sprintf("%.0fµs", micros)
	case micros < 999_500:
		return fmt.Sprintf("%.3gms", micros/1e3)
	case micros < 100_000_000:
		return fmt.Sprintf("%.3gs", micros/1e6)
	}
	return fmt.Sprintf("%.0fs", micros/1e6)
}

// codes lists counts by code.
func codes(counts map[model.Code]uint64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d:%d", code, counts[code]))
	}
	return strings.Join(parts, " ")
}

// WriteRequests writes the list of requests of the run whose files are in dir, as far
// as it can be read; see [ReadRequests] for the order and the errors.
func WriteRequests(w io.Writer, dir string, f Format) error {
	out := bufio.NewWriterSize(w, 64<<10)
	err := ReadRequests(dir, f.requestWriter(out))
	if errors.Is(err, ErrNoRun) {
		return err // without a head line for nothing
	}
	return errors.Join(err, out.Flush())
}

const requestColumns = "%-12s  %-12s  %-12s  %-7s  %-24s  %-7s  %4s  %-27s  %9s  %s\n"

// requestWriter writes the head line and returns a function that writes one request. An error of
// the head line comes again with the next write.
func (f Format) requestWriter(out *bufio.Writer) func(Entry) error {
	var l line
	var form formatter
	var text []byte

	switch f {
	case CSV:
		_, _ = out.WriteString(header)
		return func(e Entry) error {
			l.set(&e)
			text = form.append(text[:0], &l)
			_, err := out.Write(text)
			return err
		}
	case JSON:
		enc := json.NewEncoder(out)
		return func(e Entry) error { return enc.Encode(asJSON(e)) }
	}

	_, _ = fmt.Fprintf(out, requestColumns, "rid", "client", "consistency", "request", "key", "replica", "code",
		"received", "taken", "note")
	return func(e Entry) error {
		j, note := asJSON(e), ""
		if e.Duplicate {
			note = "duplicate"
		}
		text = fmt.Appendf(text[:0], requestColumns, strconv.FormatUint(e.RID, 10), cmp.Or(e.Client, "-"),
			cmp.Or(j.Consistency, "-"), cmp.Or(j.Request, "-"), cmp.Or(e.Key, "-"), cmp.Or(j.Replica, "-"),
			strconv.Itoa(int(e.Code)), j.Received, span(float64(j.Taken)), note)
		_, err := out.WriteString(strings.TrimRight(string(text), " \n") + "\n")
		return err
	}
}

// listed is a request as a JSON line: the columns of the list.
type listed struct {
	RID         uint64 `json:"rid"`
	Client      string `json:"client"`
	Consistency string `json:"consistency"`
	Request     string `json:"request"`
	Key         string `json:"key"`
	Replica     string `json:"replica"`
	Code        uint16 `json:"code"`
	Received    string `json:"received"`
	Taken       int64  `json:"taken_us"`
	Duplicate   bool   `json:"duplicate"`
}

func asJSON(e Entry) listed {
	j := listed{
		RID: e.RID, Client: e.Client, Key: e.Key, Code: uint16(e.Code),
		Received: e.Received.UTC().Format("2006-01-02T15:04:05.000000Z"), Taken: e.Taken.Microseconds(), Duplicate: e.Duplicate,
	}
	if e.Model != 0 {
		j.Consistency = e.Model.Word()
	}
	if e.Type != 0 {
		j.Request = e.Type.Word()
	}
	if e.Replica != 0 {
		j.Replica = e.Replica.String()
	}
	return j
}
