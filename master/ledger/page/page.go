// Package page is a run as one HTML file. It promises that the file needs nothing else: no network,
// no script, no font. It can be read on a telephone, on a screen, in the dark and on paper.
// Whatever a run was and its requests held, the file is smaller than [Most] bytes, and nothing of a
// request's bytes is more in it than text.
//
// Pictures are SVG without a view box of their own, so that lines stretch with the page
// and letters don't: what is stretched stands in an inner one.
package page

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/readable"
	"quartet/master/ledger"
)

// Most bounds the size of a page, in bytes.
const Most = 512 << 10

//go:embed page.html
var text string

// content is what the template is given.
type content struct {
	Title    string
	Facts    []fact
	Empty    bool
	Groups   []row
	Served   []bus.ReportServed
	Requests *chart // over time
	Failures *chart // over time; nil: none
	Times    []times
	Views    []view
	Earlier  int
	Slowest  []slowOf
	Steps    bool
	Kept     int // how many of the slowest there may be of each model
	Drawn    uint64
	Undrawn  uint64 // requests of which only the figures are known
	List     bus.ReportList
	Coming   uint64 // requests that have not reached the list yet
}

// fact is a line of the heading.
type fact struct{ Name, Text string }

// row is a line of the table.
type row struct {
	Class, Model, Request, Count, OK, NoValue, Unmet, Refused, Unknown string
	P50, P90, P99, Max                                                 string
}

type view struct {
	At, After       string
	Epoch           uint64
	Members, Absent string
}

// Write writes the page of a run.
func Write(w io.Writer, r ledger.Run) error {
	t, err := template.New("page").Funcs(template.FuncMap{"grouped": readable.Grouped}).Parse(text)
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	if err := t.Execute(w, contentOf(&r)); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

func contentOf(r *ledger.Run) *content {
	s := &r.Summary
	c := &content{
		Title: "quartet: " + readable.Grouped(s.Total.Count) + " requests", Facts: facts(r), Empty: s.Total.Count == 0, Served: s.Replicas,
		Requests: requests(r), Failures: failures(r), Times: spreads(r), Slowest: slowest(r), Steps: r.Steps,
		Kept: ledger.SlowestKept, Drawn: r.Drawn, List: s.List, Coming: s.Coming(), Undrawn: undrawn(r), Earlier: r.Earlier,
	}
	for _, g := range s.Groups {
		c.Groups = append(c.Groups, rowOf(g))
	}
	total := rowOf(s.Total)
	total.Class, total.Model, total.Request = "total", "all", ""
	c.Groups = append(c.Groups, total)
	for _, v := range r.Views {
		var absent []string
		for _, name := range v.Configured {
			if !slices.Contains(v.Members, name) {
				absent = append(absent, name)
			}
		}
		c.Views = append(c.Views, view{
			At: v.At.Format(stamp), After: span(v.At.Sub(s.Started)), Epoch: v.Epoch,
			Members: strings.Join(v.Members, ", "), Absent: strings.Join(absent, ", "),
		})
	}
	return c
}

// undrawn is how many requests only the summary knows of.
func undrawn(r *ledger.Run) uint64 {
	return r.Summary.Total.Count - min(r.Summary.Total.Count, r.Drawn)
}

const stamp = "2006-01-02 15:04:05 MST"

func facts(r *ledger.Run) []fact {
	s := &r.Summary
	var list []fact
	add := func(name, text string) {
		if text != "" {
			list = append(list, fact{name, text})
		}
	}
	if r.Cluster.URL != "" {
		add("Cluster", fmt.Sprintf("%s at %s", r.Cluster.Prefix, r.Cluster.URL))
	}
	add("From", s.Started.Format(stamp))
	end := s.Updated.Format(stamp)
	if !s.Finished {
		end += " (it had not ended, or was killed)"
	}
	add("To", fmt.Sprintf("%s, %s later", end, span(s.Updated.Sub(s.Started))))
	if n := len(r.Views); n > 0 {
		v := &r.Views[n-1]
		add("Members", fmt.Sprintf("%s of %s at the end", strings.Join(v.Members, ", "), strings.Join(v.Configured, ", ")))
	}
	if r.Cluster.Masters != "" {
		add("Masters", r.Cluster.Masters)
	}
	add("Data", r.Cluster.Data)
	add("Version", r.Cluster.Version)
	return list
}

func rowOf(g bus.ReportGroup) row {
	unknown := g.Codes[model.Unknown]
	r := row{
		Class: class(g.Consistency), Model: cmp.Or(g.Consistency, "–"), Request: cmp.Or(g.Request, "–"),
		Count: readable.Grouped(g.Count), OK: readable.Grouped(g.OK), NoValue: readable.Grouped(g.NoValue), Unmet: readable.Grouped(g.Unmet),
		Unknown: readable.Grouped(unknown), Refused: readable.Grouped(g.Failed - min(g.Failed, unknown)),
		P50: "–", P90: "–", P99: "–", Max: "–",
	}
	if g.Timed > 0 {
		r.P50, r.P90, r.P99, r.Max = micros(float64(g.P50)), micros(float64(g.P90)), micros(float64(g.P99)), micros(float64(g.Max))
	}
	return r
}

// class is the style of a model's colour.
func class(word string) string {
	c, err := model.ParseConsistency(word)
	if err != nil {
		return "m0"
	}
	return "m" + strconv.Itoa(int(c))
}

// modelName names what has a place in a span.
func modelName(place int) string {
	if c := model.Consistency(place); c.Valid() {
		return c.Word()
	}
	return "none named"
}

var codeWords = map[model.Code]string{
	model.Malformed: "malformed", model.Conflict: "id used before", model.Gone: "too old to be known",
	model.TooLarge: "too large", model.Misdirected: "another history", model.TooEarly: "not caught up",
	model.Unavailable: "unavailable", model.Unknown: "unknown outcome", model.NotFound: "no value",
	model.Failed: "condition unmet",
}

func codeName(c model.Code) string {
	if c == 0 {
		return "another code"
	}
	if word := codeWords[c]; word != "" {
		return fmt.Sprintf("%d %s", c, word)
	}
	return strconv.Itoa(int(c))
}

// micros writes a time in µs in the unit in which people say it.
func micros(us float64) string {
	v, unit := readable.Time(us)
	return readable.Short(v) + readable.Gap + unit
}

// span writes how long something lasted, for those who count in seconds and hours.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0" + readable.Gap + "s"
	case d < 100*time.Second:
		return readable.Short(d.Seconds()) + readable.Gap + "s"
	case d < 2*time.Hour:
		return readable.Short(d.Minutes()) + readable.Gap + "min"
	case d < 100*time.Hour:
		return readable.Short(d.Hours()) + readable.Gap + "h"
	}
	return readable.Short(d.Hours()/24) + readable.Gap + "days"
}

// sorted are the keys of a map of codes.
func sorted(m map[model.Code]uint64) []model.Code { return slices.Sorted(maps.Keys(m)) }
