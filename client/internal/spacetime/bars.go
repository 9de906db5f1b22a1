package spacetime

import (
	"cmp"
	"io"
	"slices"
)

// Class says how a bar or a message looks.
type Class uint8

// The classes.
const (
	Plain    Class = iota
	Doubtful       // its end is not known
	Wrong          // the mistake that the picture shows
	Loud           // to be seen first
)

func (c Class) bar() string {
	return [...]string{"bar", "bar doubtful", "bar wrong", "bar"}[min(c, Loud)]
}

// Bar is an operation that ran in a lane from one moment to another.
type Bar struct {
	Lane     string
	From, To int64
	Label    string
	Class    Class
}

// Link leads from one bar to another; both are indexes of bars.
type Link struct{ From, To int }

const (
	column    = 34.0 // pixels between two moments
	barHeight = 16.0
	rowHeight = 40.0
	labelGap  = 8.0 // from a bar to its label
	shortest  = 4.0 // width of a bar that takes no time
)

// Bars draws lanes from top to bottom and time from left to right. label writes a moment under the
// picture. Lanes stand in the order of their first bars.
func Bars(w io.Writer, title string, lines []string, bars []Bar, links []Link, label func(int64) string) error {
	c, top := titled(title, lines)
	x := moments(bars)
	left := float64(margin)
	order := byBegin(bars)
	lanes, rows := arrange(bars, order, x)

	for _, lane := range lanes {
		left = max(left, margin+textWidth(lane.name)+margin)
	}

	middle := make([]float64, len(bars)) // height of each bar's line
	y := top
	right := 0.0
	for _, at := range x {
		right = max(right, left+at)
	}

	for _, lane := range lanes {
		c.text(margin, y+rowHeight/2+fontSize/3, "", lane.name)
		for row := range lane.rows {
			from := left - margin/2
			at := y + float64(row)*rowHeight + rowHeight/2
			for _, i := range order { // the line ends where a bar begins, and goes on behind its label
				if b := bars[i]; b.Lane == lane.name && rows[i] == row {
					c.line(from, at, left+x[b.From], at, "lane")
					from = left + labelEnd(&b, x)
				}
			}
			if from < right+margin {
				c.line(from, at, right+margin, at, "lane")
			}
		}

		for i := range bars {
			if bars[i].Lane == lane.name {
				middle[i] = y + float64(rows[i])*rowHeight + rowHeight/2
			}
		}
		y += float64(lane.rows) * rowHeight
	}

	for i, b := range bars {
		from, to := left+x[b.From], left+x[b.To]
		c.rect(from, middle[i]-barHeight/2, max(to-from, shortest), barHeight, b.Class.bar())
	}

	for _, l := range links {
		a, b := bars[l.From], bars[l.To]
		edge := sign(middle[l.To]-middle[l.From]) * barHeight / 2 // of a that is turned to b
		c.arrow(left+x[a.From]+max(x[a.To]-x[a.From], shortest)/2, middle[l.From]+edge,
			left+x[b.From]+max(x[b.To]-x[b.From], shortest)/2, middle[l.To]-edge, "arrow")
	}

	// Labels come last, over the arrows.
	for i, b := range bars {
		class := "halo"
		if b.Class == Wrong {
			class = "halo wrongtext"
		}
		c.text(left+x[b.To]+labelGap, middle[i]+fontSize/3, class, b.Label)
	}
	scale(c, x, left, y, label)
	return c.write(w, title)
}

func sign(d float64) float64 {
	switch {
	case d > 0:
		return 1
	case d < 0:
		return -1
	}
	return 0
}

// moments returns how far from the left each moment is drawn, in pixels.
func moments(bars []Bar) map[int64]float64 {
	var all []int64
	for _, b := range bars {
		all = append(all, b.From, b.To)
	}
	slices.Sort(all)
	x := make(map[int64]float64, len(all))
	for i, at := range slices.Compact(all) {
		x[at] = float64(i) * column
	}
	return x
}

// lane is a lane and the number of rows that its bars need.
type lane struct {
	name string
	rows int
}

// byBegin returns the indexes of bars in the order in which the bars begin.
func byBegin(bars []Bar) []int {
	order := make([]int, len(bars))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(bars[a].From, bars[b].From) })
	return order
}

// labelEnd returns where a bar's label ends, and a little more, in pixels.
func labelEnd(b *Bar, x map[int64]float64) float64 {
	return max(x[b.To], x[b.From]+shortest) + labelGap + textWidth(b.Label) + charWidth
}

// arrange gives each bar, in order of their beginnings, a row of its lane in which nothing,
// labels included, overlaps.
func arrange(bars []Bar, order []int, x map[int64]float64) (lanes []lane, rows []int) {
	rows = make([]int, len(bars))
	ends := make(map[string][]float64) // by lane: where each row is free
	for _, i := range order {
		b := bars[i]
		if ends[b.Lane] == nil {
			lanes = append(lanes, lane{name: b.Lane})
		}

		free := slices.IndexFunc(ends[b.Lane], func(end float64) bool { return end <= x[b.From] })
		if free < 0 {
			free = len(ends[b.Lane])
			ends[b.Lane] = append(ends[b.Lane], 0)
		}

		rows[i] = free
		ends[b.Lane][free] = labelEnd(&b, x)
	}

	for i := range lanes {
		lanes[i].rows = len(ends[lanes[i].name])
	}
	return lanes, rows
}

// scale writes the moments, as many as have room.
func scale(c *canvas, x map[int64]float64, left, y float64, label func(int64) string) {
	all := make([]int64, 0, len(x))
	for at := range x {
		all = append(all, at)
	}
	slices.Sort(all)

	free := 0.0
	for _, at := range all {
		text := label(at)
		c.line(left+x[at], y, left+x[at], y+5, "lane")

		if from := left + x[at]; from >= free {
			c.text(from, y+fontSize+8, "faint", text)
			free = from + textWidth(text) + 2*charWidth
		}
	}
}
