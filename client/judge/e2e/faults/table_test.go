package faults_test

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"quartet/bus/model"
)

// row is what came of one run.
type row struct {
	scenario, mode, traffic  string
	failed                   bool
	took                     time.Duration
	heal                     time.Duration // from the fault until the cluster was whole again
	requests, acknowledged   int
	lost, forgiven, rejected int
	unknown, refused         int
	epochs                   uint64 // that the run needed
	pauses                   map[model.Consistency]time.Duration
	notes                    []string
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func (r *row) pause() string {
	text := ""
	for i, c := range model.All {
		if i > 0 {
			text += " / "
		}
		if d, ok := r.pauses[c]; ok && r.traffic != idle {
			text += fmt.Sprint(d.Milliseconds())
		} else {
			text += "-"
		}
	}
	return text
}

// results are the rows of all runs, for the table at the end.
type results struct {
	mu   sync.Mutex
	rows []*row
}

var table results

func (r *results) add(one *row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, one)
}

// print writes one line for each scenario and mode, over all its runs.
func (r *results) print(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rows) == 0 {
		return
	}

	var lines []*row
	runs, bad := map[*row]int{}, map[*row]int{}
	for _, one := range r.rows {
		i := slices.IndexFunc(lines, func(l *row) bool { return l.scenario == one.scenario && l.mode == one.mode })
		if i < 0 {
			lines = append(lines, &row{scenario: one.scenario, mode: one.mode, pauses: map[model.Consistency]time.Duration{}})
			i = len(lines) - 1
		}
		line := lines[i]
		line.add(one)
		runs[line]++
		if one.failed {
			bad[line]++
		}
	}

	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprint(out,
		"| scenario\t| mode\t| runs\t| failed\t| requests\t| acknowledged sets\t| lost\t| forgiven\t| unknown\t| "+
			"refused\t| rejected histories\t| whole again after, at most\t| longest pause, ms (lin / seq / causal / "+
			"eventual)\t|\n")
	fmt.Fprint(out, "| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|\n")

	sum := &row{scenario: "all", pauses: map[model.Consistency]time.Duration{}}
	write := func(l *row, runs, bad int) {
		fmt.Fprintf(out, "| %s\t| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t| %s\t|\n",
			l.scenario, l.mode, runs, bad, l.requests, l.acknowledged, l.lost, l.forgiven,
			l.unknown, l.refused, l.rejected, ms(l.heal), l.pause())
	}

	all, failures := 0, 0
	for _, l := range lines {
		write(l, runs[l], bad[l])
		sum.add(l)
		all, failures = all+runs[l], failures+bad[l]
	}

	write(sum, all, failures)
	_ = out.Flush() // of standard output
}

func (r *row) add(one *row) {
	r.requests += one.requests
	r.acknowledged += one.acknowledged
	r.lost += one.lost
	r.forgiven += one.forgiven
	r.unknown += one.unknown
	r.refused += one.refused
	r.rejected += one.rejected
	r.heal = max(r.heal, one.heal)
	if one.traffic == idle {
		return
	}
	for c, d := range one.pauses {
		r.pauses[c] = max(r.pauses[c], d)
	}
}
