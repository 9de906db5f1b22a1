package page

import (
	"fmt"
	"math"
	"strings"

	"quartet/bus/model"
	"quartet/bus/readable"
	"quartet/master/ledger"
)

// times is how long the requests of one model took.
type times struct {
	Class, Model string
	Lines        []timesLine
	Chart        chart
}

// timesLine is what is to be read of a picture.
type timesLine struct {
	Class, Request string
	P50, P99, Max  string
	Count          string
}

// spreads draws for each model how long its requests took, all on one axis, so that models
// can be compared. What has no picture (it did not name a model, or was refused at sight)
// has no part in the axis either.
func spreads(r *ledger.Run) []times {
	from, to := decades(r.Spread)
	var list []times
	for i := range r.Spread {
		s := &r.Spread[i]
		if !drawn(s) {
			continue
		}
		if n := len(list); n == 0 || list[n-1].Model != s.Consistency {
			list = append(list, newTimes(s.Consistency, from, to))
		}
		list[len(list)-1].add(s, i, from, r)
	}
	for i := range list {
		list[i].Chart.finish()
	}
	return list
}

// drawn tells whether a group has a picture.
func drawn(s *ledger.Spread) bool { return s.Consistency != "" && s.Request != "" && len(s.Bars) > 0 }

// decades are the powers of ten between which all times of groups with a picture lie.
func decades(all []ledger.Spread) (from, to int) {
	from, to = math.MaxInt, 0
	for _, s := range all {
		if !drawn(&s) {
			continue
		}
		for _, b := range s.Bars {
			from = min(from, int(math.Floor(math.Log10(b.From)+1e-9)))
			to = max(to, int(math.Ceil(math.Log10(b.To)-1e-9)))
		}
	}
	return min(from, to-1), to
}

func newTimes(word string, from, to int) times {
	t := times{Class: class(word), Model: word, Chart: chart{
		Label: "how long " + word + " requests took", Wide: (to - from) * ledger.BarsPerDecade, Plot: 110,
	}}
	for d := from; d <= to; d++ {
		label := micros(math.Pow(10, float64(d)))
		if to-from > 5 && (d-from)%2 == 1 && d != to {
			label = ""
		}
		t.Chart.Ticks = append(t.Chart.Ticks, tickAt(float64(d-from)/float64(to-from), label))
	}
	return t
}

// add draws a group: its sets as an area, all others as lines before it, each in a manner of its
// own. Each is measured against all of its own requests: few gets beside many sets can be seen,
// too.
func (t *times) add(s *ledger.Spread, group, from int, r *ledger.Run) {
	total := uint64(0)
	for _, b := range s.Bars {
		total += b.Count
	}
	shares := make([]float64, t.Chart.Wide)
	for _, b := range s.Bars {
		at := int(math.Round(math.Log10(b.From)*ledger.BarsPerDecade)) - from*ledger.BarsPerDecade
		shares[at] += float64(b.Count) / float64(total)
	}
	isLine := s.Request != model.Set.Word()
	kind := t.Class
	if isLine {
		kind += " line " + s.Request
	}
	t.Chart.shares = append(t.Chart.shares, shares)
	t.Chart.Layers = append(t.Chart.Layers, layer{Class: kind, isLine: isLine})
	line := timesLine{Class: kind, Request: s.Request, Count: readable.Grouped(total)}
	if group < len(r.Summary.Groups) && undrawn(r) == 0 {
		g := &r.Summary.Groups[group]
		line.P50, line.P99, line.Max = micros(float64(g.P50)), micros(float64(g.P99)), micros(float64(g.Max))
	}
	t.Lines = append(t.Lines, line)
}

// finish draws the shares once the greatest is known.
func (c *chart) finish() {
	most := 0.0
	for _, s := range c.shares {
		for _, v := range s {
			most = max(most, v)
		}
	}
	top := c.rules(most, 0, func(v float64) string { return readable.Short(100*v) + " %" })
	ground := make([]float64, c.Wide)
	for i, s := range c.shares {
		if c.Layers[i].isLine {
			c.Layers[i].D = outline(s, top)
		} else {
			c.Layers[i].D = area(ground, s, top)
		}
	}
}

// outline is the path along a height.
func outline(heights []float64, top float64) string {
	var b strings.Builder
	y := func(v float64) int { return int(math.Round(high * (1 - v/top))) }
	fmt.Fprintf(&b, "M0 %d", y(heights[0]))
	for i := range heights {
		if i+1 == len(heights) {
			fmt.Fprintf(&b, "H%d", i+1)
		} else if y(heights[i+1]) != y(heights[i]) {
			fmt.Fprintf(&b, "H%dV%d", i+1, y(heights[i+1]))
		}
	}
	return b.String()
}
