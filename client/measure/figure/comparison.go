package figure

import (
	"io"

	"github.com/go-analyze/charts/chartdraw/drawing"
)

// Comparison shows side by side what each group's sides reached: the distribution of their
// latencies on a logarithmic axis, their throughput from zero and, if Share names one, a share.
// The colour is the group's; sides are told apart by their names, which stand before them.
type Comparison struct {
	Title  string
	Notes  []string // under the title: the conditions, a line each
	Share  string   // what [Side.Share] is; "": there is none to be shown
	Groups []Group
}

// Group is one kind of load.
type Group struct {
	Name   string
	Colour int     // of the model: its number less one
	Rate   float64 // of all sides together, where one by itself says nothing; 0: each has its own
	Sides  []Side
}

// Side is what one system, or one type of request, reached.
type Side struct {
	Name          string // "": nothing is to be told apart
	Faded         int    // how pale it is; 0: not at all
	Rate          float64
	P50, P90, P99 float64 // µs

	Share float64 // percent; negative: it has none
	Note  string  // beside it, short
}

const (
	sideHeight = 32
	groupGap   = 18
	axisHeight = 40
	panelGap   = 16 // between what belongs to one panel and the next
	dotRadius  = 5
	dotGap     = 14 // from a dot's middle to what is written beside it
	barGap     = 6
)

// rateName is the name of a panel of throughput; shortRate is for a narrow panel.
const (
	rateName  = "requests a second"
	shortRate = "requests/s"
)

// Write draws the figure. The error wraps [ErrEmpty] if there is no group.
func (f Comparison) Write(w io.Writer, format Format) error {
	if len(f.Groups) == 0 {
		return ErrEmpty
	}

	notes := newCanvas(format, 1, 1).wrap(f.Notes)
	top := headHeight(notes) + 2*textSize + 26
	height := top + axisHeight
	for _, g := range f.Groups {
		height += sideHeight*float64(len(g.Sides)) + groupGap
	}

	c := newCanvas(format, width, int(height))
	y := c.head(f.Title, notes)
	f.legend(c, y+12)

	p := f.panels(c)
	bottom := height - axisHeight
	c.text("latency", point{p.time.from, top - 10}, smallSize, ink, left)
	c.text(f.rateName(), point{p.rate.from, top - 10}, smallSize, ink, left)

	c.grid(p.time, top, bottom, duration)
	c.grid(p.rate, top, bottom, compact)
	if p.share != nil {
		c.text(f.Share, point{p.share.from, top - 10}, smallSize, ink, left)
		c.grid(*p.share, top, bottom, percent)
	}

	y = top + groupGap/2
	for i, g := range f.Groups {
		if i > 0 {
			c.line(rule, 1, nil, point{margin, y - groupGap/2}, point{width - margin, y - groupGap/2})
		}
		middle := y + sideHeight*float64(len(g.Sides))/2
		c.text(g.Name, point{margin, middle + 5}, textSize, ink, left)

		if g.Rate > 0 {
			c.rate(g.Rate, colour(g.Colour, 0), middle, p.rate)
		}
		for _, s := range g.Sides {
			c.side(s, &g, y+sideHeight/2, p)
			y += sideHeight
		}
		y += groupGap
	}
	return c.save(w)
}

// panels divides the width: texts take what they need, the axes the rest.
func (f Comparison) panels(c *canvas) panels {
	var times, rates, shares []float64
	labels, names := 0.0, 0.0                  // widths of what stands before the latencies
	p50, p99, per, share := 0.0, 0.0, 0.0, 0.0 // widths of the figures beside the marks
	for _, g := range f.Groups {
		labels = max(labels, c.width(g.Name, textSize))
		for _, s := range g.Sides {
			rate := s.Rate
			if g.Rate > 0 {
				rate = g.Rate
			}
			if s.Name != "" {
				names = max(names, c.width(s.Name, smallSize)+panelGap)
			}

			times, rates, shares = append(times, s.P50, s.P99), append(rates, rate), append(shares, s.Share)
			p50, p99 = max(p50, c.width(duration(s.P50), smallSize)), max(p99, c.width(duration(s.P99), smallSize))
			per, share = max(per, c.width(compact(rate), smallSize)), max(share, c.width(s.shareText(), smallSize))
		}
	}

	begin := margin + labels + panelGap + names + p50 + dotGap
	afterTime, afterRate, afterShare := dotGap+p99+panelGap, barGap+per, 0.0
	if f.Share != "" {
		afterRate, afterShare = afterRate+panelGap, barGap+share
	}

	// Of the rest, the axis of throughput has a fixed part; latency and share divide the others.
	rest := max(width-margin-begin-afterTime-afterRate-afterShare, 100) // names may be of any length
	rateAxis, timePart := 0.4*rest, 1.0
	if f.Share != "" { // there must be room for the name of the share's panel
		rateAxis = max(0.34*rest, c.width(f.rateName(), smallSize)+panelGap-afterRate)
		timePart = 0.72
	}
	rest -= rateAxis

	p := panels{names: margin + labels + panelGap, time: logAxis(times, begin, begin+timePart*rest)}
	from := p.time.to + afterTime
	p.rate = linearAxis(rates, from, from+rateAxis)
	if f.Share != "" {
		from = p.rate.to + afterRate
		a := linearAxis(shares, from, from+(1-timePart)*rest)
		p.share = &a
	}
	return p
}

// rateName returns the name of the panel of throughput.
func (f Comparison) rateName() string {
	if f.Share != "" {
		return shortRate
	}
	return rateName
}

// shareText returns what stands beside a side's share, "" if it has none.
func (s *Side) shareText() string {
	switch {
	case s.Share < 0:
		return ""
	case s.Note == "":
		return percent(s.Share)
	}
	return percent(s.Share) + ", " + s.Note
}

// panels are what stands side by side; share may be nil.
type panels struct {
	names      float64 // where the names of sides begin
	time, rate axis
	share      *axis
}

// side draws one side's line at height y.
func (c *canvas) side(s Side, g *Group, y float64, p panels) {
	hue, time := colour(g.Colour, s.Faded), p.time
	c.text(s.Name, point{p.names, y + 5}, smallSize, ink, left)
	if s.P50 > 0 {
		c.line(hue, 2, nil, point{time.at(s.P50), y}, point{time.at(s.P99), y})
		c.line(hue, 2, nil, point{time.at(s.P90), y - 7}, point{time.at(s.P90), y + 7})
		c.dot(point{time.at(s.P99), y}, dotRadius, hue, true)
		c.dot(point{time.at(s.P50), y}, dotRadius, hue, false)
		c.label(duration(s.P99), point{time.at(s.P99) + dotGap, y + 5}, faint, left)
		c.label(duration(s.P50), point{time.at(s.P50) - dotGap, y + 5}, faint, right)
	}

	if g.Rate == 0 {
		c.rate(s.Rate, hue, y, p.rate)
	}

	if p.share != nil && s.Share >= 0 {
		end := p.share.at(s.Share)
		if s.Share > 0 {
			c.box(p.share.from, y-9, end, y+9, hue)
		}
		c.label(s.shareText(), point{end + barGap, y + 5}, faint, left)
	}
}

// rate draws a throughput's bar at height y.
func (c *canvas) rate(v float64, hue drawing.Color, y float64, a axis) {
	c.box(a.from, y-9, a.at(v), y+9, hue)
	c.label(compact(v), point{a.at(v) + barGap, y + 5}, faint, left)
}

// grid draws an axis's values from top to bottom, and their names below: as many as have room.
func (c *canvas) grid(a axis, top, bottom float64, name func(float64) string) {
	for _, v := range a.named(func(v float64) float64 { return c.width(name(v), smallSize) }) {
		x := a.at(v)
		c.line(rule, 1, nil, point{x, top}, point{x, bottom})
		c.text(name(v), point{x, bottom + 20}, smallSize, faint, centre)
	}
}

// legend says what the marks mean.
func (f Comparison) legend(c *canvas, y float64) {
	x := float64(margin)
	say := func(s string) {
		c.text(s, point{x, y + 5}, smallSize, faint, left)
		x += c.width(s, smallSize) + 18
	}
	c.dot(point{x + dotRadius, y}, dotRadius, faint, false)
	x += 18
	say("p50")
	c.line(faint, 2, nil, point{x + 3, y - 7}, point{x + 3, y + 7})
	x += 12
	say("p90")
	c.dot(point{x + dotRadius, y}, dotRadius, faint, true)
	x += 18
	say("p99")
}
