package figure

import (
	"io"
	"slices"
)

// Growth shows how throughput and latency change with a quantity.
type Growth struct {
	Title    string
	Notes    []string // under the title: the conditions, a line each
	Quantity string   // what is below the axis
	Bytes    bool     // the quantity is one of bytes
	Series   []Series
}

// Series is one line through both panels.
type Series struct {
	Name   string
	Colour int // of the model: its number less one
	Faded  int // how pale it is; 0: not at all
	Dash   int // of its line; 0: none
	Points []Point
}

// Point is what was reached with one value of the quantity.
type Point struct {
	X        float64
	Rate     float64
	P50, P99 float64 // µs
}

const (
	panelHeight = 320
	legendRow   = 23
	legendMark  = 34 // the line before a name
	mostColumns = 4
)

// dashes tell lines of one colour apart.
var dashes = [...][]float64{nil, {6, 4}, {2, 4}}

// Write draws the figure. The error wraps [ErrEmpty] if there is no point.
func (f Growth) Write(w io.Writer, format Format) error {
	var xs, rates, times []float64
	for _, s := range f.Series {
		for _, p := range s.Points {
			xs, rates, times = append(xs, p.X), append(rates, p.Rate), append(times, p.P50, p.P99)
		}
	}

	if len(xs) == 0 {
		return ErrEmpty
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)

	// The legend has as many columns as the longest name allows.
	m := newCanvas(format, 1, 1)
	notes, cell := m.wrap(f.Notes), 0.0
	for _, s := range f.Series {
		cell = max(cell, legendMark+m.width(s.Name, smallSize)+16)
	}
	columns := min(mostColumns, max(1, int((width-2*margin)/cell)))
	rows := (len(f.Series) + columns - 1) / columns

	top := headHeight(notes) + float64(rows*legendRow) + 46
	height := top + panelHeight + 64

	c := newCanvas(format, width, int(height))
	y := c.head(f.Title, notes)
	for i, s := range f.Series {
		x := margin + float64(i%columns*(width-2*margin)/columns)
		at := y + 10 + float64(i/columns*legendRow)
		c.line(colour(s.Colour, s.Faded), 2.5, s.dash(), point{x, at}, point{x + legendMark - 8, at})
		c.text(s.Name, point{x + legendMark, at + 5}, smallSize, ink, left)
	}

	const gutter = 64
	half := float64(width-2*margin) / 2
	across := f.axis(xs, margin+gutter, margin+half-16)
	c.panel(panel{
		f: f, xs: xs, x: across, y: linearAxis(rates, top+panelHeight, top), name: rateName, format: compact,
		lines: func(s Series) []line {
			return []line{{thick, s.each(func(p Point) float64 { return p.Rate })}}
		},
	})

	across = f.axis(xs, margin+half+gutter, width-margin-14)
	c.panel(panel{
		f: f, xs: xs, x: across, y: logAxis(times, top+panelHeight, top),
		name: "latency: p99, and p50 thin", format: duration,
		lines: func(s Series) []line {
			return []line{
				{thin, s.each(func(p Point) float64 { return p.P50 })},
				{thick, s.each(func(p Point) float64 { return p.P99 })},
			}
		},
	})
	return c.save(w)
}

// axis returns the axis of the quantity, logarithmic where it grows by more than five times.
func (f Growth) axis(xs []float64, from, to float64) axis {
	lo, hi := xs[0], xs[len(xs)-1]
	a := axis{lo: lo, hi: hi, from: from, to: to, log: lo > 0 && hi > 5*lo}
	if hi == lo {
		a.lo, a.hi = lo-1, lo+1
	}
	return a
}

func (s Series) dash() []float64 { return dashes[min(max(s.Dash, 0), len(dashes)-1)] }

func (s Series) each(value func(Point) float64) []point {
	all := make([]point, len(s.Points))
	for i, p := range s.Points {
		all[i] = point{p.X, value(p)}
	}
	return all
}

// panel is one of the two panels, line a line in it, in values.
type (
	panel struct {
		f      Growth
		xs     []float64
		x, y   axis
		name   string
		format func(float64) string
		lines  func(Series) []line
	}
	line struct {
		width  float64
		points []point
	}
)

// Widths of lines.
const thin, thick = 1, 2.5

func (c *canvas) panel(p panel) {
	bottom, top := p.y.from, p.y.to
	c.text(p.name, point{p.x.from, top - 14}, smallSize, ink, left)
	for _, v := range p.y.ticks() {
		y := p.y.at(v)
		c.line(rule, 1, nil, point{p.x.from, y}, point{p.x.to, y})
		c.text(p.format(v), point{p.x.from - 8, y + 5}, smallSize, faint, right)
	}

	// The values that were measured are the ticks.
	name := exactly
	if p.f.Bytes {
		name = bytes
	}
	end := p.x.from - 1000
	for _, v := range p.xs {
		x := p.x.at(v)
		c.line(rule, 1, nil, point{x, bottom}, point{x, bottom + 5})
		if wide := c.width(name(v), smallSize); x-wide/2 > end+10 {
			c.text(name(v), point{x, bottom + 22}, smallSize, faint, centre)
			end = x + wide/2
		}
	}

	c.text(p.f.Quantity, point{(p.x.from + p.x.to) / 2, bottom + 46}, textSize, ink, centre)

	for _, s := range p.f.Series {
		for _, l := range p.lines(s) {
			c.series(s, l, p)
		}
	}
}

// series draws one line of a series, with a dot at each value of a thick line.
func (c *canvas) series(s Series, l line, p panel) {
	hue := colour(s.Colour, s.Faded)
	var at []point
	for _, v := range l.points {
		if !p.y.log || v.y > 0 {
			at = append(at, point{p.x.at(v.x), p.y.at(v.y)})
		}
	}

	c.line(hue, l.width, s.dash(), at...)
	for _, p := range at {
		if l.width == thick {
			c.dot(p, 3, hue, s.Dash > 0)
		}
	}
}
