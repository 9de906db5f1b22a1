package pane

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"quartet/bus"
	"quartet/bus/readable"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
)

// Runs is what the view of recorded runs shows.
type Runs struct {
	Folder string
	List   []RunEntry // newest first
	Why    string     // the folder cannot be read
}

// RunEntry is a folder in the list.
type RunEntry struct {
	Name, Verdict string // Verdict "": not judged yet
	At            time.Time
	Size          int64 // of its history, in bytes
}

// Address is that of a run.
func (e RunEntry) Address() string { return "/runs/" + url.PathEscape(e.Name) }

// When says when a run ended.
func (e RunEntry) When() string { return e.At.Format("2006-01-02 15:04:05") }

// Bytes is the size of its history.
func (e RunEntry) Bytes() string { return readable.Grouped(uint64(max(0, e.Size))) }

// Badge is the class of a verdict.
func (e RunEntry) Badge() string { return badge(e.Verdict) }

func badge(verdict string) string {
	switch verdict {
	case history.Passed.String():
		return "good"
	case history.Violated.String():
		return "bad"
	}
	return "warn"
}

// Run is what the view of one run shows.
type Run struct {
	Name   string
	Stats  *record.Stats // nil: the run has none
	Report *bus.Report   // of its cluster; nil: as above
	Page   bool          // its cluster has written a page
	Judged *Judged       // nil: it was not judged yet
	Why    string        // it cannot be read
}

// Judged are the verdicts on a history.
type Judged struct {
	Operations  int
	Open        bool
	Verdicts    []history.Verdict
	Nanoseconds bool
	Took        time.Duration
}

// Verdict is the worst of all.
func (j *Judged) Verdict() string {
	worst := history.Passed
	for i := range j.Verdicts {
		switch r := j.Verdicts[i].Result; {
		case r == history.Violated:
			return r.String()
		case r == history.Undecided:
			worst = r
		}
	}
	return worst.String()
}

// Address is that of a run.
func (r *Run) Address() string { return "/runs/" + url.PathEscape(r.Name) }

type verdictRow struct {
	Check, Verdict, Badge string
	Judged                string
}

// Rows are the verdicts as they are listed.
func (j *Judged) Rows() []verdictRow {
	var rows []verdictRow
	for i := range j.Verdicts {
		v := &j.Verdicts[i]
		rows = append(rows, verdictRow{v.Check, v.Result.String(), badge(v.Result.String()), readable.Grouped(uint64(v.Judged))})
	}
	return rows
}

// Badge is the class of the worst verdict.
func (j *Judged) Badge() string { return badge(j.Verdict()) }

// Head says in one sentence what was judged.
func (j *Judged) Head() string {
	text := fmt.Sprintf("%s operations, judged in %s", readable.Grouped(uint64(j.Operations)), ago(j.Took))
	if j.Open {
		text += "; sets may be missing from it: values that it does not explain are taken for older ones"
	}
	return text + "."
}

type finding struct{ Title, Badge, Reason, Words, Picture string }

// Findings are what is violated or not known, each with its counterexample.
func (r *Run) Findings() []finding {
	var list []finding
	if r.Judged == nil {
		return nil
	}
	for i := range r.Judged.Verdicts {
		v := &r.Judged.Verdicts[i]
		if v.Result == history.Passed {
			continue
		}
		f := finding{
			Title: v.Check + ": " + v.Result.String(), Badge: badge(v.Result.String()), Reason: sentence(v.Reason),
			Words: strings.TrimRight(v.Words(r.Judged.Nanoseconds), "\n"),
		}
		if len(v.Operations) > 0 {
			f.Picture = fmt.Sprintf("%s/picture/%d", r.Address(), i)
		}
		list = append(list, f)
	}
	return list
}

type kindRow struct{ Class, Model, Request, Count, OK, Fail, Unknown, P50, P99, Max string }

// Kinds are what the program that recorded has counted.
func (r *Run) Kinds() []kindRow {
	var rows []kindRow
	if r.Stats == nil {
		return nil
	}
	for _, k := range r.Stats.Kinds {
		n := func(v int) string { return readable.Grouped(uint64(max(0, v))) }
		rows = append(rows, kindRow{
			Class(k.Model), k.Model, k.Type, n(k.Count), n(k.OK), n(k.Fail), n(k.Unknown),
			micros(k.P50 * 1e3), micros(k.P99 * 1e3), micros(k.Max * 1e3),
		})
	}
	return rows
}

// Groups are the statistics of its cluster.
func (r *Run) Groups() []kindRow {
	var rows []kindRow
	if r.Report == nil {
		return nil
	}
	for _, g := range r.Report.Groups {
		unknown := g.Codes[504]
		rows = append(rows, kindRow{
			Class(g.Consistency), g.Consistency, g.Request, readable.Grouped(g.Count), readable.Grouped(g.OK + g.NoValue + g.Unmet),
			readable.Grouped(g.Failed - min(g.Failed, unknown)), readable.Grouped(unknown),
			micros(float64(g.P50)), micros(float64(g.P99)), micros(float64(g.Max)),
		})
	}
	return rows
}

// Began says when it began and how long it took.
func (r *Run) Began() string {
	if r.Stats == nil {
		return ""
	}
	return fmt.Sprintf("%s, for %s", r.Stats.Began.Format("2006-01-02 15:04:05"), ago(time.Duration(r.Stats.Seconds*float64(time.Second))))
}
