package figure

import (
	"io"

	"github.com/go-analyze/charts/chartdraw/drawing"
)

// Comparison shows side by side what each group's sides reached: the distribution of
// their latencies on a logarithmic axis, their throughput from zero, and, where it has a
// name, a share.
type Comparison struct {
	Title  string
	Notes  []string // under the title: the conditions, a line each
	Share  string   // what [Side.Share] is; "": there is none to be shown
	Groups []Group
}

// Group is one kind of load.
type Group struct {
	Name  string
	Sides []Side
}

// Side is what one system reached.
type Side struct {
	Name          string // "": nothing is to be told apart
	Colour        int    // which one of the palette
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

const rateName = "requests a second"

// Write draws it.
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
	c.text(rateName, point{p.rate.from, top - 10}, smallSize, ink, left)
	c.grid(p.time, top, bottom, duration)
	c.grid(p.rate, top, bottom, count)
	if p.share != nil {
		c.text(f.Share, point{p.share.from, top - 10}, smallSize, ink, left)
		c.grid(*p.share, top, bottom, percent)
	}
	y = top + groupGap/2
	for i, g := range f.Groups {
		if i > 0 {
			c.line(rule, 1, nil, point{margin, y - groupGap/2}, point{width - margin, y - groupGap/2})
		}
		c.text(g.Name, point{margin, y + sideHeight*float64(len(g.Sides))/2 + 5}, textSize, ink, left)
		for _, s := range g.Sides {
			c.side(s, y+sideHeight/2, p)
			y += sideHeight
		}
		y += groupGap
	}
	return c.save(w)
}

// panels shares the width out: what is written takes what it needs, the axes the rest.
func (f Comparison) panels(c *canvas) panels {
	var times, rates, shares []float64
	labels, p50, p99, per, share := 0.0, 0.0, 0.0, 0.0, 0.0
	for _, g := range f.Groups {
		labels = max(labels, c.width(g.Name, textSize))
		for _, s := range g.Sides {
			times, rates, shares = append(times, s.P50, s.P99), append(rates, s.Rate), append(shares, s.Share)
			p50, p99 = max(p50, c.width(duration(s.P50), smallSize)), max(p99, c.width(duration(s.P99), smallSize))
			per, share = max(per, c.width(count(s.Rate), smallSize)), max(share, c.width(s.shareText(), smallSize))
		}
	}
	begin := margin + labels + panelGap + p50 + dotGap
	afterTime, afterRate, afterShare := dotGap+p99+panelGap, barGap+per, 0.0
	if f.Share != "" {
		afterRate, afterShare = afterRate+panelGap, barGap+share
	}
	rest := max(width-margin-begin-afterTime-afterRate-afterShare, 100) // names may be of any length
	rateAxis, timePart := 0.4*rest, 1.0
	if f.Share != "" { // which its panel's name must leave room for
		rateAxis, timePart = max(0.34*rest, c.width(rateName, smallSize)+panelGap-afterRate), 0.72
	}
	rest -= rateAxis
	p := panels{time: logAxis(times, begin, begin+timePart*rest)}
	from := p.time.to + afterTime
	p.rate = linearAxis(rates, from, from+rateAxis)
	if f.Share != "" {
		from = p.rate.to + afterRate
		a := linearAxis(shares, from, from+(1-timePart)*rest)
		p.share = &a
	}
	return p
}

// shareText is what stands beside a side's share, "" where it has none.
func (s *Side) shareText() string {
	switch {
	case s.Share < 0:
		return ""
	case s.Note == "":
		return percent(s.Share)
	}
	return percent(s.Share) + ", " + s.Note
}

// panels are what stands beside each other; share may be nil.
type panels struct {
	time, rate axis
	share      *axis
}

// side draws one side's line at height y.
func (c *canvas) side(s Side, y float64, p panels) {
	hue, time, rate := colour(s.Colour), p.time, p.rate
	if s.P50 > 0 {
		c.line(hue, 2, nil, point{time.at(s.P50), y}, point{time.at(s.P99), y})
		c.line(hue, 2, nil, point{time.at(s.P90), y - 7}, point{time.at(s.P90), y + 7})
		c.dot(point{time.at(s.P99), y}, dotRadius, hue, true)
		c.dot(point{time.at(s.P50), y}, dotRadius, hue, false)
		c.text(duration(s.P99), point{time.at(s.P99) + dotGap, y + 5}, smallSize, faint, left)
		c.text(duration(s.P50), point{time.at(s.P50) - dotGap, y + 5}, smallSize, faint, right)
	}
	c.box(rate.from, y-9, rate.at(s.Rate), y+9, hue)
	c.text(count(s.Rate), point{rate.at(s.Rate) + barGap, y + 5}, smallSize, faint, left)
	if p.share != nil && s.Share >= 0 {
		end := p.share.at(s.Share)
		c.box(p.share.from, y-9, end, y+9, hue)
		c.text(s.shareText(), point{end + barGap, y + 5}, smallSize, faint, left)
	}
}

// grid draws an axis's values from top to bottom, and what they are below.
func (c *canvas) grid(a axis, top, bottom float64, name func(float64) string) {
	end := a.from - 1000
	for _, v := range a.ticks() {
		x := a.at(v)
		c.line(rule, 1, nil, point{x, top}, point{x, bottom})
		if wide := c.width(name(v), smallSize); x-wide/2 > end+10 {
			c.text(name(v), point{x, bottom + 20}, smallSize, faint, centre)
			end = x + wide/2
		}
	}
}

// legend says what the marks and the colours mean.
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
	x += 16
	for _, name := range f.names() {
		c.box(x, y-7, x+16, y+7, name.hue)
		x += 22
		say(name.name)
	}
}

type named struct {
	name string
	hue  drawing.Color
}

// names are those of the sides, each once.
func (f Comparison) names() []named {
	var all []named
	seen := map[string]bool{"": true}
	for _, g := range f.Groups {
		for _, s := range g.Sides {
			if !seen[s.Name] {
				seen[s.Name] = true
				all = append(all, named{s.Name, colour(s.Colour)})
			}
		}
	}
	return all
}
