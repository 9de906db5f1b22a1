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
	laneRoom   = 150.0
	messageRow = 34.0
	slope      = 10.0 // how much lower a message arrives than it leaves
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
	x := func(name string) (float64, error) {
		i := slices.Index(lanes, name)
		if i < 0 {
			return 0, fmt.Errorf("spacetime: no lane %q", name)
		}
		return left + float64(i)*laneRoom, nil
	}
	bottom := top + 2*fontSize + float64(len(messages))*messageRow + margin
	for _, name := range lanes {
		at, _ := x(name)
		c.middle(at, top+fontSize, "title", name)
		c.line(at, top+fontSize+8, at, bottom, "lane")
	}
	right := left + float64(len(lanes)-1)*laneRoom + margin
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
		c.middle((from+to)/2, y-1, "halo", m.Label)
		c.text(right, y+fontSize/2, "faint", m.Note)
	}
	return c.write(w, title)
}

func first(lanes []string) string {
	if len(lanes) == 0 {
		return ""
	}
	return lanes[0]
}
