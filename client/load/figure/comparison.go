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
	width      = 1080
	sideHeight = 26
	groupGap   = 16
	axisHeight = 52
)

// Write draws it.
func (f Comparison) Write(w io.Writer, format Format) error {
	if len(f.Groups) == 0 {
		return ErrEmpty
	}
	top := headHeight(f.Notes) + 2*textSize + 22
	height := top + axisHeight
	for _, g := range f.Groups {
		height += sideHeight*float64(len(g.Sides)) + groupGap
	}
	c := newCanvas(format, width, int(height))
	y := c.head(f.Title, f.Notes)
	f.legend(c, y+12)

	labels := 0.0
	var times, rates, shares []float64
	for _, g := range f.Groups {
		labels = max(labels, c.width(g.Name, textSize))
		for _, s := range g.Sides {
			times = append(times, s.P50, s.P99)
			rates = append(rates, s.Rate)
			shares = append(shares, s.Share)
		}
	}
	begin := margin + labels + 20 + 52 // the p50 stands before its mark
	middle, end := begin+(width-begin)*0.58, float64(width-margin-52)
	if f.Share != "" {
		middle, end = begin+(width-begin)*0.44, begin+(width-begin)*0.65
	}
	bottom := height - axisHeight
	p := panels{logAxis(times, begin, middle-60), linearAxis(rates, middle+10, end), nil}
	c.text("latency", point{begin, top - 10}, textSize, ink, left)
	c.text("requests a second", point{middle + 10, top - 10}, textSize, ink, left)
	c.grid(p.time, top, bottom, duration)
	c.grid(p.rate, top, bottom, count)
	if f.Share != "" {
		share := linearAxis(shares, end+70, width-margin-125)
		p.share = &share
		c.text(f.Share, point{share.from, top - 10}, textSize, ink, left)
		c.grid(share, top, bottom, percent)
	}
	y = top + groupGap/2
	for i, g := range f.Groups {
		if i > 0 {
			c.line(rule, 1, nil, point{margin, y - groupGap/2}, point{width - margin, y - groupGap/2})
		}
		c.text(g.Name, point{margin, y + sideHeight*float64(len(g.Sides))/2 + 4}, textSize, ink, left)
		for _, s := range g.Sides {
			c.side(s, y+sideHeight/2, p)
			y += sideHeight
		}
		y += groupGap
	}
	return c.save(w)
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
		c.line(hue, 2, nil, point{time.at(s.P90), y - 6}, point{time.at(s.P90), y + 6})
		c.dot(point{time.at(s.P99), y}, 4, hue, true)
		c.dot(point{time.at(s.P50), y}, 4, hue, false)
		c.text(duration(s.P99), point{time.at(s.P99) + 9, y + 4}, smallSize, faint, left)
		c.text(duration(s.P50), point{time.at(s.P50) - 9, y + 4}, smallSize, faint, right)
	}
	c.box(rate.from, y-8, rate.at(s.Rate), y+8, hue)
	c.text(count(s.Rate), point{rate.at(s.Rate) + 6, y + 4}, smallSize, faint, left)
	if p.share != nil && s.Share >= 0 {
		end := p.share.at(s.Share)
		c.box(p.share.from, y-8, end, y+8, hue)
		text := percent(s.Share)
		if s.Note != "" {
			text += ", " + s.Note
		}
		c.text(text, point{end + 6, y + 4}, smallSize, faint, left)
	}
}

// grid draws an axis's values from top to bottom, and what they are below.
func (c *canvas) grid(a axis, top, bottom float64, name func(float64) string) {
	end := a.from - 1000
	for _, v := range a.ticks() {
		x := a.at(v)
		c.line(rule, 1, nil, point{x, top}, point{x, bottom})
		if wide := c.width(name(v), smallSize); x-wide/2 > end+8 {
			c.text(name(v), point{x, bottom + 18}, smallSize, faint, centre)
			end = x + wide/2
		}
	}
}

// legend says what the marks and the colours mean.
func (f Comparison) legend(c *canvas, y float64) {
	x := float64(margin)
	say := func(s string) {
		c.text(s, point{x, y + 4}, smallSize, faint, left)
		x += c.width(s, smallSize) + 18
	}
	c.dot(point{x + 4, y}, 4, faint, false)
	x += 14
	say("p50")
	c.line(faint, 2, nil, point{x + 3, y - 6}, point{x + 3, y + 6})
	x += 12
	say("p90")
	c.dot(point{x + 4, y}, 4, faint, true)
	x += 14
	say("p99")
	x += 16
	for _, name := range f.names() {
		c.box(x, y-6, x+14, y+6, name.hue)
		x += 20
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
