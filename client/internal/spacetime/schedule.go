package spacetime

import (
	"io"
	"slices"

	"quartet/bus/readable"
)

// Stretch is a time for which something went on in a lane.
type Stretch struct {
	Lane     int // index of the lanes
	From, To int64
	Label    string // written into it where there is room
	Class    Class
}

// Arrow leads from a moment in one lane to another.
type Arrow struct {
	FromLane, ToLane int
	From, To         int64
}

const (
	scaleWidth   = 1100.0 // pixels of the time that is drawn
	ticks        = 10     // at most so many steps of the scale
	thin, thick  = 5.0, 18.0
	scheduleRoom = 34.0 // of a lane
)

// Schedule draws lanes from top to bottom and the time between two moments from left to right, to
// scale. A doubtful stretch is thin and stands below the others. What lies outside of the time is
// left out. label writes a moment under the picture.
func Schedule(w io.Writer, title string, lines, lanes []string, stretches []Stretch, arrows []Arrow,
	from, to int64, label func(int64) string) error {
	c, top := titled(title, lines)
	left := 0.0
	for _, lane := range lanes {
		left = max(left, 2*margin+textWidth(lane))
	}
	x := func(at int64) float64 { return left + scaleWidth*float64(at-from)/float64(max(to-from, 1)) }
	y := func(lane int) float64 { return top + float64(lane)*scheduleRoom + scheduleRoom/2 }

	bottom := top + float64(len(lanes))*scheduleRoom
	step := scaleStep(to - from)
	for at := from; at <= to; at += step {
		c.line(x(at), top, x(at), bottom, "lane")
		c.middle(x(at), bottom+fontSize+4, "faint", label(at))
	}
	for i, lane := range lanes {
		c.text(margin, y(i)+fontSize/3, "", lane)
		c.line(left, y(i), x(to), y(i), "lane")
	}

	// What is thin lies under what is thick, arrows over both.
	sorted := slices.Clone(stretches)
	slices.SortStableFunc(sorted, func(a, b Stretch) int { return isThin(b) - isThin(a) })
	for _, s := range sorted {
		a, b := x(max(s.From, from)), x(min(s.To, to))
		isOutside := s.To < from || s.From > to
		switch {
		case isOutside:
		case s.Class == Doubtful:
			c.rect(a, y(s.Lane)+thick/2, max(b-a, 1), thin, s.Class.bar())
		default:
			c.rect(a, y(s.Lane)-thick/2, max(b-a, 1), thick, s.Class.bar())
			if textWidth(s.Label)+thin < b-a {
				c.text(a+thin/2, y(s.Lane)+fontSize/3, "", s.Label)
			}
		}
	}

	for _, a := range arrows {
		if a.From >= from && a.To <= to {
			c.arrow(x(a.From), y(a.FromLane), x(a.To), y(a.ToLane), "arrow")
		}
	}
	return c.write(w, title)
}

func isThin(s Stretch) int {
	if s.Class == Doubtful {
		return 1
	}
	return 0
}

// scaleStep returns 1, 2 or 5 times a power of ten, so that there are at most [ticks] steps.
func scaleStep(whole int64) int64 {
	return max(1, int64(readable.RoundUp(float64(whole)/ticks)))
}
