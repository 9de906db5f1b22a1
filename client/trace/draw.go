package trace

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client/internal/spacetime"
)

// words says how a request ended: OK, or the code and its reason.
func words(r *bus.Reply) string {
	if r.Code == model.OK {
		return "OK"
	}
	return fmt.Sprintf("%d %s", r.Code, r.Reason)
}

// Title returns the request in one line.
func (t *Trace) Title() string {
	b := fmt.Sprintf("request %d", t.RID)
	if t.Model != "" {
		b += ": " + t.Model + " " + t.Type
	}
	if t.Key != "" { // a transaction has none
		b += " " + t.Key
	}
	if t.Client != "" {
		b += " of " + t.Client
	}
	return b
}

// Outcome returns how the request ended, in one line.
func (t *Trace) Outcome() string {
	took := fmt.Sprintf("%.3f ms", float64(t.Took())/float64(time.Millisecond))
	if t.Code == 0 {
		return "no reply was heard; " + took + " to the last message"
	}
	b := fmt.Sprintf("%d", t.Code)
	if t.Replica != "" {
		b += " by " + t.Replica
	}
	if t.Position != 0 {
		b += fmt.Sprintf(", position %d", t.Position)
	}
	if t.Revision != 0 {
		b += fmt.Sprintf(", revision %d", t.Revision)
	}
	if t.Number != 0 {
		b += fmt.Sprintf(", timestamp %d", t.Number)
	}
	return b + ", " + took
}

// note returns what stands beside an event.
func (e *Event) note() string {
	note := e.Detail
	if e.Others > 0 {
		if note != "" {
			note += ", "
		}
		note += fmt.Sprintf("with %d other requests", e.Others)
	}
	return note
}

const laneWidth = 14 // columns of the terminal between two lanes

// Text draws the space-time diagram for a terminal: lanes from left to right, time from
// top to bottom, beside each message its time and its sender's Lamport clock.
func (t *Trace) Text() string {
	lanes := t.Lanes()
	var b strings.Builder
	line := func(ms, clock, rest string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%10s %7s  %s", ms, clock, rest), " ") + "\n")
	}
	fmt.Fprintf(&b, "%s\n%s\n\n", t.Title(), t.Outcome())

	head := ""
	for _, lane := range lanes {
		head += fmt.Sprintf("%-*s", laneWidth, lane)
	}
	line("ms", "clock", head)

	for i := range t.Events {
		e := &t.Events[i]
		clock := "-"
		if e.Clock != 0 {
			clock = fmt.Sprint(e.Clock)
		}

		row := arrow(e.Kind, slices.Index(lanes, e.From), slices.Index(lanes, e.To), len(lanes))
		since := float64(e.At.Sub(t.Events[0].At)) / float64(time.Millisecond)
		line(fmt.Sprintf("%.3f", since), clock, row+" "+e.note())
	}
	return b.String()
}

// arrow draws one message between lanes.
func arrow(kind string, from, to, lanes int) string {
	row := []rune(strings.Repeat(" ", (lanes-1)*laneWidth+1))
	for i := range lanes {
		row[i*laneWidth] = '|'
	}

	left, right := min(from, to)*laneWidth+1, max(from, to)*laneWidth-1
	for i := left; i <= right; i++ {
		row[i] = '-'
	}
	if left > right { // a node to itself: it does not happen
		return string(row)
	}

	if from < to {
		row[right] = '>'
	} else {
		row[left] = '<'
	}

	label := []rune(kind)
	if start := left + (right-left+1-utf8.RuneCountInString(kind))/2; start >= left {
		copy(row[start:], label)
	}
	return string(row)
}

// SVG writes the space-time diagram as a picture.
func (t *Trace) SVG(w io.Writer) error {
	messages := make([]spacetime.Message, len(t.Events))
	for i := range t.Events {
		e := &t.Events[i]
		m := spacetime.Message{
			When: fmt.Sprintf("%.3f ms", float64(e.At.Sub(t.Events[0].At))/float64(time.Millisecond)),
			From: e.From, To: e.To, Label: e.Kind, Note: e.note(),
		}
		if e.Clock != 0 {
			m.Label += fmt.Sprintf(" @%d", e.Clock)
		}
		if e.Kind == KindRequest || e.ends() {
			m.Class = spacetime.Loud
		}
		messages[i] = m
	}

	if err := spacetime.Messages(w, t.Title(), []string{t.Outcome()}, t.Lanes(), messages); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}
