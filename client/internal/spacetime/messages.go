package spacetime

import (
	"fmt"
	"io"
	"slices"
)

// Message is one arrow from lane to lane.
type Message struct {
	When     string // stands at the left
	From, To string // lanes
	Label    string
	Note     string // stands at the right
	Class    Class
}

const (
	laneRoom   = 150.0 // between two lanes, or more where a label needs it
	messageRow = 34.0
	slope      = 10.0 // how much lower a message arrives than it leaves
	labelRise  = 5.0  // of a label above the point from which its arrow leaves
)

// Messages draws lanes from left to right and time from top to bottom, one message a row.
// A message whose lane is not among lanes is an error.
func Messages(w io.Writer, title string, lines, lanes []string, messages []Message) error {
	c, top := titled(title, lines)
	left := float64(margin)
	for _, m := range messages {
		left = max(left, margin+textWidth(m.When)+margin)
	}
	left += textWidth(first(lanes)) / 2

	room := laneRoom
	for _, m := range messages {
		room = max(room, textWidth(m.Label)+2*charWidth)
	}

	x := func(name string) (float64, error) {
		i := slices.Index(lanes, name)
		if i < 0 {
			return 0, fmt.Errorf("spacetime: no lane %q", name)
		}
		return left + float64(i)*room, nil
	}

	bottom := top + 2*fontSize + float64(len(messages))*messageRow + margin
	for _, name := range lanes {
		at, _ := x(name)
		c.middle(at, top+fontSize, "title", name)
		c.line(at, top+fontSize+8, at, bottom, "lane")
	}

	right := left + float64(len(lanes)-1)*room + margin
	for i, m := range messages {
		y := top + 3*fontSize + float64(i)*messageRow
		from, err := x(m.From)
		if err != nil {
			return err
		}
		to, err := x(m.To)
		if err != nil {
			return err
		}

		class := "arrow"
		if m.Class == Loud {
			class = "loud"
		}

		c.text(margin, y+fontSize/2, "faint", m.When)
		c.arrow(from, y, to, y+slope, class)
		c.middle(between(slices.Index(lanes, m.From), slices.Index(lanes, m.To))*room+left, y-labelRise, "halo", m.Label)
		c.text(right, y+fontSize/2, "faint", m.Note)
	}
	return c.write(w, title)
}

// between returns the middle of the way from one lane to another or, where a lane is in the
// middle, the middle of the room before it: so that no line runs through a label.
func between(from, to int) float64 {
	if (from+to)%2 == 0 && from != to {
		return float64(from+to)/2 - 0.5
	}
	return float64(from+to) / 2
}

// first returns the first lane, "" if there is none.
func first(lanes []string) string {
	if len(lanes) == 0 {
		return ""
	}
	return lanes[0]
}
