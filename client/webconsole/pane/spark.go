package pane

import (
	"fmt"
	"strings"
)

// line is a model's rate over time.
type line struct{ Class, Model, Now, Path string }

// The size of a picture of rates, in its own units: it is stretched to the room that it has.
const (
	sparkWide = 240.0
	sparkHigh = 40.0
	sparkMost = 240 // looks that have room
)

// spark draws values, the newest at the right, as the path of a line; top is the value at the upper
// edge.
func spark(values []float64, top float64) string {
	if len(values) > sparkMost {
		values = values[len(values)-sparkMost:]
	}
	if len(values) < 2 || top <= 0 {
		return fmt.Sprintf("M0 %.0fH%.0f", sparkHigh-1, sparkWide)
	}

	var b strings.Builder
	step := sparkWide / float64(sparkMost-1)
	first := sparkWide - step*float64(len(values)-1)
	for i, v := range values {
		word := "L"
		if i == 0 {
			word = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", word, first+step*float64(i), (sparkHigh-1)-(sparkHigh-3)*v/top)
	}
	return b.String()
}
