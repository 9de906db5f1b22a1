package compare

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"quartet/bus/model"
	"quartet/client/clientcmd/bench"
	"quartet/client/clientcmd/console"
	"quartet/client/measure/comparison"
	"quartet/client/measure/figure"
	"quartet/client/measure/load"
)

// comparedKind is one type of request under one model, as JSON has it. Latencies are in µs.
type comparedKind struct {
	Rate     float64 `json:"ops_per_second"`
	P50      int64   `json:"p50_us"`
	P90      int64   `json:"p90_us"`
	P99      int64   `json:"p99_us"`
	Max      int64   `json:"max_us"`
	Ops      uint64  `json:"ops"`               // answered
	Missing  uint64  `json:"missing,omitempty"` // gets of a key without a value, among ops
	Failed   uint64  `json:"failed"`
	Unknown  uint64  `json:"unknown"`
	requests uint64  // that count
}

// comparedAge says of one model's gets how old their values were.
type comparedAge struct {
	Judged   int     `json:"judged"`   // gets, those of the warm-up included
	Stale    int     `json:"stale"`    // of them
	Percent  float64 `json:"percent"`  // stale of judged
	Doubted  int     `json:"doubted"`  // of judged, neither: several sets wrote the value, so that it does not tell which of them was seen
	Foreign  int     `json:"foreign"`  // not judged: no set of this comparison wrote the value
	Unjudged uint64  `json:"unjudged"` // not judged: too many
	Behind   spanned `json:"versions_behind"`
	Outdated spanned `json:"outdated_ms"`
}

// spanned are quantiles of the stale gets.
type spanned struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// compared is one model's part as JSON has it.
type compared struct {
	Consistency string        `json:"consistency"`
	What        string        `json:"what"`
	Clients     int           `json:"clients"`
	Replicas    int           `json:"replicas"`
	Durability  string        `json:"durability,omitempty"` // where the cluster's data are
	Seconds     float64       `json:"seconds"`              // that count
	Early       bool          `json:"ended_early,omitempty"`
	Rate        float64       `json:"ops_per_second"`
	Sets        *comparedKind `json:"set,omitempty"` // none were sent
	Gets        *comparedKind `json:"get,omitempty"`
	Failed      uint64        `json:"failed"` // of all requests, those of the warm-up included
	Unknown     uint64        `json:"unknown"`
	Beyond      uint64        `json:"beyond"` // of an open loop: due, and not sent
	Staleness   *comparedAge  `json:"staleness,omitempty"`
}

func (c *comparing) compared(r *comparison.Result) compared {
	p := compared{
		Consistency: r.Model.String(), What: c.what, Clients: c.clients, Replicas: c.replicas, Durability: c.data,
		Seconds: r.Window.Seconds(), Early: r.Early,
		Rate: math.Round(r.Rate(&r.Sets) + r.Rate(&r.Gets)), Sets: comparedOf(r, model.Set), Gets: comparedOf(r, model.Get),
		Failed: r.Failed, Unknown: r.Unknown, Beyond: r.Beyond,
	}
	if p.Gets == nil {
		return p
	}
	s := &r.Staleness
	p.Staleness = &comparedAge{
		Judged: s.Judged, Stale: s.Stale, Doubted: s.Doubted, Foreign: s.Foreign, Unjudged: r.Unjudged,
		Behind: spanned{float64(s.Behind.P50), float64(s.Behind.P99), float64(s.Behind.Max)},
	}
	if s.Judged > 0 {
		p.Staleness.Percent = math.Round(float64(s.Stale)/float64(s.Judged)*100*1000) / 1000
	}
	ms := func(ns int64) float64 { return math.Round(float64(ns)/1e3) / 1e3 }
	p.Staleness.Outdated = spanned{ms(s.Outdated.P50), ms(s.Outdated.P99), ms(s.Outdated.Max)}
	return p
}

// comparedOf returns one type's figures, nil if there are none.
func comparedOf(r *comparison.Result, t model.Type) *comparedKind {
	k := r.Kind(t)
	c := comparedKind{
		Rate: math.Round(r.Rate(k)), Ops: k.Answered(), Missing: k.Counts[load.Missing], Failed: k.Counts[load.Failed],
		Unknown: k.Counts[load.Unknown],
		P50:     k.Latency.ValueAtQuantile(50), P90: k.Latency.ValueAtQuantile(90), P99: k.Latency.ValueAtQuantile(99),
		Max: k.Latency.Max(),
	}
	if c.requests = c.Ops + c.Failed + c.Unknown; c.requests == 0 {
		return nil
	}
	return &c
}

// column is one of the table: its head and its width, as [console.Pad] takes them.
type column struct {
	head  string
	width int
}

// print writes what there is to stdout.
func (r *run) print() error {
	all := make([]compared, len(r.results))
	for i := range r.results {
		all[i] = r.compared(&r.results[i])
	}

	switch f := console.Format(r.out); f {
	case console.JSON:
		return f.Object(r.env.Stdout, all)
	case console.JSONL:
		for i := range all {
			if err := f.Object(r.env.Stdout, all[i]); err != nil {
				return err
			}
		}
		return nil
	case console.Format(bench.FormatCSV):
		return r.csv(all)
	}

	var b strings.Builder
	for _, note := range r.conditions() {
		fmt.Fprintln(&b, note)
	}
	b.WriteByte('\n')

	columns := []column{{"MODEL", -12}, {"REQUEST", -7}}
	for _, head := range []string{"OPS/S", "P50 µs", "P90 µs", "P99 µs", "MAX µs", "FAILED", "UNKNOWN"} {
		columns = append(columns, column{head, 8})
	}
	columns = append(columns, column{"STALE", 22}, column{"BEHIND", 8}, column{"OUTDATED ms", 11})

	line := func(cells ...any) {
		for i, c := range columns[:len(cells)] {
			cells[i] = console.Pad(fmt.Sprint(cells[i]), c.head, c.width)
		}
		b.WriteString(strings.TrimRight(fmt.Sprintln(cells...), " \n") + "\n")
	}

	var heads []any
	for _, c := range columns {
		heads = append(heads, c.head)
	}
	line(heads...)

	for i := range all {
		rate := any(all[i].Rate) // of sets and gets together: each by itself only shows the mix of what is sent
		for t, k := range all[i].kinds() {
			cells := []any{strings.ToLower(all[i].Consistency), t.Word(), rate, k.P50, k.P90, k.P99, k.Max, k.Failed, k.Unknown}
			if t == model.Get {
				cells = append(cells, all[i].Staleness.cells()...)
			}
			line(cells...)
			rate = ""
		}
	}

	b.WriteString(r.remarks(all))
	if console.Terminal(r.env.Stdout) {
		b.WriteString(r.legend())
	}

	_, err := r.env.Stdout.Write([]byte(b.String()))
	return err
}

// kinds yields the types of which there are figures.
func (p *compared) kinds() func(yield func(model.Type, *comparedKind) bool) {
	return func(yield func(model.Type, *comparedKind) bool) {
		if p.Sets != nil && !yield(model.Set, p.Sets) {
			return
		}
		if p.Gets != nil {
			yield(model.Get, p.Gets)
		}
	}
}

// cells are the last of a line of gets.
func (s *comparedAge) cells() []any {
	stale := fmt.Sprint(s.Stale)
	if s.Stale > 0 {
		stale += fmt.Sprintf(" = %.2f %%", s.Percent)
	}
	if s.Doubted > 0 {
		stale += fmt.Sprintf(" (%d unclear)", s.Doubted)
	}
	if s.Stale == 0 {
		return []any{stale, "-", "-"}
	}
	return []any{
		stale, fmt.Sprintf("%.0f/%.0f", s.Behind.P50, s.Behind.Max), fmt.Sprintf("%.3g/%.3g", s.Outdated.P50, s.Outdated.Max),
	}
}

// note is what stands beside the share of stale gets in a figure.
func (s *comparedAge) note() string {
	if s.Doubted == 0 {
		return ""
	}
	return fmt.Sprintf("%g %% unclear", math.Round(1000*float64(s.Doubted)/float64(s.Judged))/10)
}

// conditions are a line each.
func (r *run) conditions() []string {
	return []string{
		r.what,
		fmt.Sprintf("%d clients at once, a session each; %d replicas, data: %s", r.clients, r.replicas,
			console.OrDash(r.data)),
	}
}

// remarks say what a reader of the table must know of this run.
func (r *run) remarks(all []compared) string {
	var b strings.Builder
	for i := range all {
		p, name := &all[i], strings.ToLower(all[i].Consistency)
		if p.Early {
			fmt.Fprintf(&b, "%s: ended early, after %.1f s\n", name, p.Seconds)
		}
		if p.Beyond > 0 {
			fmt.Fprintf(&b, "%s: %d requests were due while all clients were busy, and were not sent\n", name, p.Beyond)
		}

		s := p.Staleness
		if s == nil {
			continue
		}
		if s.Doubted > 0 {
			fmt.Fprintf(&b,
				"%s: of %d gets it is unclear how old their value was, since several sets wrote the same one "+
					"(--distinct tells them apart); %s\n", name, s.Doubted, allowance(r.results[i].Model))
		}
		if s.Foreign > 0 {
			fmt.Fprintf(&b, "%s: %d gets returned what none of these requests wrote, and are not judged\n", name, s.Foreign)
		}
		if s.Unjudged > 0 {
			fmt.Fprintf(&b, "%s: %d gets came too late to be judged: so many requests are not kept\n", name, s.Unjudged)
		}
	}

	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

// allowance says what a model promises about how old a get's value may be.
func allowance(m model.Consistency) string {
	switch m {
	case model.Linearizable:
		return "this model allows no stale get"
	case model.Sequential:
		return "this model allows stale gets, never out of the one order"
	case model.Causal:
		return "this model allows stale gets, but of what the session has seen or written"
	}
	return "this model allows stale gets"
}

// legend explains the columns, a line each.
func (r *run) legend() string {
	since := "from when it was sent"
	if r.Load.Rate > 0 {
		since = "from when it was due"
	}
	return `
OPS/S     requests of the model answered a second, sets and gets together
P50…MAX   time to the answer, ` + since + `: of half of them at most P50, of 99 in 100 at most P99
FAILED    refused, and surely without effect      UNKNOWN   no answer: it may have taken effect
STALE     gets of a value that had been replaced: a newer set was acknowledged before the get was sent;
          that none was seen is no promise: only linearizable excludes it;
          unclear: several sets wrote the value, so that it does not tell which of them was seen
BEHIND    of the stale ones, half at most/all at most: how many acknowledged sets were newer
OUTDATED  of the stale ones, half at most/all at most: how long before the get the first of those was acknowledged
`
}

// comparedHead names the columns of -o csv: a line for each model and type of request.
var comparedHead = []string{
	"consistency", "request", "clients", "seconds", "ended_early", "ops_per_second", "p50_us", "p90_us", "p99_us",
	"max_us", "ops", "missing", "failed", "unknown", "beyond",
	"judged", "stale", "stale_percent", "doubted", "foreign", "behind_p50", "behind_p99", "behind_max",
	"outdated_p50_ms", "outdated_p99_ms", "outdated_max_ms",
}

func (r *run) csv(all []compared) error {
	out := csv.NewWriter(r.env.Stdout)
	_ = out.Write(comparedHead) // an error stays, and is returned below
	for i := range all {
		p := &all[i]
		for t, k := range p.kinds() {
			line := []any{
				p.Consistency, t.String(), p.Clients, p.Seconds, p.Early, k.Rate, k.P50, k.P90, k.P99, k.Max, k.Ops,
				k.Missing, k.Failed, k.Unknown, p.Beyond,
			}
			if t == model.Get {
				s := p.Staleness
				line = append(line, s.Judged, s.Stale, s.Percent, s.Doubted, s.Foreign, s.Behind.P50, s.Behind.P99, s.Behind.Max,
					s.Outdated.P50, s.Outdated.P99, s.Outdated.Max)
			}
			cells := make([]string, len(comparedHead))
			for n, v := range line {
				cells[n] = fmt.Sprint(v)
			}
			_ = out.Write(cells)
		}
	}
	out.Flush()
	return out.Error()
}

// draw writes the figure.
func (r *run) draw() error {
	kind, err := figure.FormatOf(r.plot)
	if err != nil {
		return err
	}

	f := figure.Comparison{
		Title: "The same requests under each model",
		Notes: append(r.conditions(), fmt.Sprintf("%s, %s/%s, %d processors", time.Now().Format(time.DateOnly), runtime.GOOS,
			runtime.GOARCH, runtime.NumCPU())),
	}

	unclear := false
	for i := range r.results {
		p := r.compared(&r.results[i])
		group := figure.Group{Name: r.results[i].Model.Word(), Colour: int(r.results[i].Model) - 1, Rate: p.Rate}
		for t, k := range p.kinds() {
			side := figure.Side{Name: t.Word(), P50: float64(k.P50), P90: float64(k.P90), P99: float64(k.P99), Share: -1}
			if t == model.Get {
				f.Share, side.Share = "stale gets", p.Staleness.Percent
				unclear = unclear || p.Staleness.Doubted > 0
				side.Note = p.Staleness.note()
			}
			group.Sides = append(group.Sides, side)
		}
		f.Groups = append(f.Groups, group)
	}

	if f.Share != "" {
		f.Notes = append(f.Notes, "stale: a newer set was acknowledged before the get was sent")
	}
	if unclear {
		f.Notes = append(f.Notes, "unclear: several sets wrote the value, so that it does not tell which of them was seen")
	}

	var b bytes.Buffer
	if err := f.Write(&b, kind); err != nil {
		return err
	}
	if err := os.WriteFile(r.plot, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("compare: draw: %w", err)
	}
	return nil
}
