package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"quartet/bus/model"
	"quartet/bus/readable"
	"quartet/master/ledger"
)

// high is the height of what is stretched, whatever pixels it gets.
const high = 1000

// chart is a picture over an axis from left to right.
type chart struct {
	Label  string // for those who cannot see it
	Wide   int    // units of the inner view from left to right
	Plot   int    // pixels from top to bottom
	Grid   []rule
	Ticks  []tick
	Layers []layer
	Marks  []tick
	Hovers []hover
	Legend []legend
	Note   string

	shares [][]float64 // of the layers, until they are drawn
}

// Places in pixels from the top, for the template: the plot has room above it for the labels
// of marks, if there are any, and below it for ticks.

func (c chart) Top() int {
	if len(c.Marks) > 0 {
		return 34
	}
	return 18
}

func (c chart) Floor() int  { return c.Top() + c.Plot }
func (c chart) Foot() int   { return c.Floor() + 4 }
func (c chart) Below() int  { return c.Floor() + 17 }
func (c chart) Height() int { return c.Floor() + 22 }
func (c chart) High() int   { return high }

// rule is a line from left to right: how far from the top, in pixels of the plot.
type rule struct {
	Y     string
	Label string
}

// tick is a place of the axis, as a share of it.
type tick struct{ X, Label, Anchor string }

// layer is an area or a line, in units of the inner view.
type layer struct {
	Class, D string
	isLine   bool
}

type hover struct{ X, Width, Text string }

type legend struct{ Class, Name, Count string }

// series are the heights of a layer of a stack, by span.
type series struct {
	class, name string
	values      []float64
}

// percent writes a share for an attribute.
func percent(share float64) string {
	return readable.Trimmed(fmt.Sprintf("%.3f", 100*min(1, max(0, share)))) + "%"
}

// requests draws how many requests were answered over time.
func requests(r *ledger.Run) *chart {
	if len(r.Spans) == 0 {
		return nil
	}
	seconds := r.Width.Seconds()
	c := overTime(r, "requests a second over time, by model")
	var stack []series
	for place := range r.Spans[0].Answered {
		s := series{class: fmt.Sprintf("m%d", place), name: modelName(place)}
		total := uint64(0)
		for _, span := range r.Spans {
			total += span.Answered[place]
			s.values = append(s.values, float64(span.Answered[place])/seconds)
		}
		if total > 0 {
			stack = append(stack, s)
			c.Legend = append(c.Legend, legend{s.class, s.name, readable.Grouped(total)})
		}
	}
	c.stack(stack, 0, func(v float64) string { return short(v) + "/s" })
	for i, span := range r.Spans {
		c.Hovers = append(c.Hovers, hover{
			X: percent(float64(i) / float64(len(r.Spans))), Width: percent(1 / float64(len(r.Spans))), Text: spanText(r, i, span),
		})
	}
	return c
}

// spanText is what a pointer is told of a span.
func spanText(r *ledger.Run, i int, s ledger.Span) string {
	var b strings.Builder
	fmt.Fprintf(&b, "from %s, for %s:", span(time.Duration(i)*r.Width), span(r.Width))
	none := true
	for place, n := range s.Answered {
		if n > 0 {
			fmt.Fprintf(&b, " %s %s,", readable.Grouped(n), modelName(place))
			none = false
		}
	}
	for _, code := range sorted(s.Failed) {
		fmt.Fprintf(&b, " %s with %s,", readable.Grouped(s.Failed[code]), codeName(code))
	}
	if none {
		return b.String() + " no request"
	}
	return strings.TrimSuffix(b.String(), ",")
}

// failures draws how many requests failed over time, nil if none did.
func failures(r *ledger.Run) *chart {
	totals := map[model.Code]uint64{}
	for _, span := range r.Spans {
		for code, n := range span.Failed {
			totals[code] += n
		}
	}
	if len(totals) == 0 {
		return nil
	}
	c := overTime(r, "failures over time, by code")
	var stack []series
	for _, code := range sorted(totals) {
		s := series{class: fmt.Sprintf("c%d", code), name: codeName(code)}
		for _, span := range r.Spans {
			s.values = append(s.values, float64(span.Failed[code]))
		}
		stack = append(stack, s)
		c.Legend = append(c.Legend, legend{s.class, s.name, readable.Grouped(totals[code])})
	}
	c.stack(stack, 1, short)
	return c
}

// overTime begins a picture of the whole run, with the views as marks.
func overTime(r *ledger.Run, label string) *chart {
	whole := time.Duration(len(r.Spans)) * r.Width
	c := &chart{Label: label, Wide: len(r.Spans), Plot: 150}
	c.Note = "each step is " + span(r.Width)
	for _, at := range timeTicks(whole) {
		c.Ticks = append(c.Ticks, tickAt(at.Seconds()/whole.Seconds(), span(at)))
	}
	last := math.Inf(-1)
	for _, v := range r.Views {
		x := v.At.Sub(r.Start).Seconds() / whole.Seconds()
		label := ""
		if x-last > 0.16 { // else the label would lie on the last one
			label, last = fmt.Sprintf("view %d", v.Epoch), x
		}
		c.Marks = append(c.Marks, tickAt(x, label))
	}
	return c
}

// tickAt sets a label so that it stays within the picture.
func tickAt(share float64, label string) tick {
	anchor := "middle"
	switch {
	case share < 0.08:
		anchor = "start"
	case share > 0.92:
		anchor = "end"
	}
	return tick{percent(share), label, anchor}
}

// timeTicks are round times, at most five.
func timeTicks(whole time.Duration) []time.Duration {
	const day = 24 * time.Hour
	steps := []time.Duration{
		time.Second / 5, time.Second / 2, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
		20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, day,
	}
	step := steps[len(steps)-1]
	for _, s := range steps {
		if whole/s < 5 {
			step = s
			break
		}
	}
	for whole/step >= 5 {
		step *= 2
	}
	var list []time.Duration
	for at := time.Duration(0); at <= whole; at += step {
		list = append(list, at)
	}
	return list
}

// stack draws layers on top of each other. Lines are least apart, or more: 1 for what is
// counted.
func (c *chart) stack(all []series, least float64, label func(float64) string) {
	lower := make([]float64, c.Wide)
	uppers := make([][]float64, len(all))
	most := 0.0
	for i, s := range all {
		uppers[i] = make([]float64, c.Wide)
		for j, v := range s.values {
			uppers[i][j] = v
			if i > 0 {
				uppers[i][j] += uppers[i-1][j]
			}
			most = max(most, uppers[i][j])
		}
	}
	top := c.rules(most, least, label)
	for i, s := range all {
		c.Layers = append(c.Layers, layer{Class: s.class, D: area(lower, uppers[i], top)})
		lower = uppers[i]
	}
}

// rules draws lines at round values, least apart or more, and returns the value at the top.
func (c *chart) rules(most, least float64, label func(float64) string) float64 {
	step := max(least, readable.RoundUp(most/3))
	top := step * math.Ceil(most/step-1e-9)
	for v := step; v <= top*(1+1e-9); v += step {
		c.Grid = append(c.Grid, rule{percent(1 - v/top), label(v)})
	}
	return top
}

// area is the path around what lies between two heights.
func area(lower, upper []float64, top float64) string {
	var b strings.Builder
	y := func(v float64) int { return int(math.Round(high * (1 - v/top))) }
	fmt.Fprintf(&b, "M0 %d", y(upper[0]))
	for i := range upper {
		if i+1 == len(upper) || y(upper[i+1]) != y(upper[i]) {
			fmt.Fprintf(&b, "H%d", i+1)
			if i+1 < len(upper) {
				fmt.Fprintf(&b, "V%d", y(upper[i+1]))
			}
		}
	}
	for i := len(lower) - 1; i >= 0; i-- {
		if i+1 == len(lower) || y(lower[i+1]) != y(lower[i]) {
			fmt.Fprintf(&b, "V%d", y(lower[i]))
		}
		if i == 0 || y(lower[i-1]) != y(lower[i]) {
			fmt.Fprintf(&b, "H%d", i)
		}
	}
	return b.String() + "z"
}

// short writes a number for a narrow place.
func short(v float64) string {
	switch {
	case v >= 999_500:
		return readable.Short(v/1e6) + "M"
	case v >= 9_995:
		return readable.Short(v/1e3) + "k"
	}
	return readable.Short(v)
}
