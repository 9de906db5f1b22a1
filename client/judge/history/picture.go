package history

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/anishathalye/porcupine"

	"quartet/bus/model"
	"quartet/client/internal/spacetime"
)

// PictureKind is the extension of the file that [Verdict.Picture] draws: html for a verdict about
// linearizability, svg for any other.
func (v *Verdict) PictureKind() string {
	if v.Check == linearizable {
		return "html"
	}
	return "svg"
}

// Picture draws the counterexample. For linearizability that is Porcupine's page, in which its
// linearizations can be explored; for any other check a space-time diagram with a lane for each
// session.
func (v *Verdict) Picture(w io.Writer, nanoseconds bool) error {
	if v.Check == linearizable {
		return v.explorable(w)
	}
	return v.Diagram(w, nanoseconds)
}

// Diagram draws the counterexample as a space-time diagram in SVG, whatever check it is of, with a
// lane for each session.
func (v *Verdict) Diagram(w io.Writer, nanoseconds bool) error {
	start := int64(math.MaxInt64)
	for i := range v.Operations {
		start = min(start, v.Operations[i].Call)
	}

	bars := make([]spacetime.Bar, len(v.Operations))
	var links []spacetime.Link
	for i := range v.Operations {
		o := &v.Operations[i]
		bars[i] = spacetime.Bar{Lane: lane(o), From: o.Call - start, To: o.Return - start, Label: picturesque(o)}

		switch {
		case i+1 == v.Culprit:
			bars[i].Class = spacetime.Wrong
			bars[i].Label += " (could be " + strings.Join(v.Allowed, " or ") + ")"
		case o.Outcome != OK:
			bars[i].Class = spacetime.Doubtful
		}

		if source := v.source(o); source >= 0 {
			links = append(links, spacetime.Link{From: source, To: i})
		}
	}

	lines := []string{v.Reason}
	if v.Culprit == 0 && len(bars) <= 2 {
		for i := range bars { // no single get is wrong: both together are
			if v.Operations[i].Outcome == OK {
				bars[i].Class = spacetime.Wrong
			}
		}
	}

	err := spacetime.Bars(w, v.Check+": "+v.Result.String(), lines, bars, links, func(at int64) string {
		if nanoseconds {
			return fmt.Sprintf("%.3f ms", float64(at)/1e6)
		}
		return fmt.Sprint(at)
	})
	if err != nil {
		return fmt.Errorf("history: picture: %w", err)
	}
	return nil
}

// lane names who did something, for people.
func lane(o *Operation) string {
	switch {
	case o.Rest:
		return "at rest"
	case o.Client == "" && o.Session == "":
		return "someone"
	}
	who := o.who()
	return who[:len(who)-1]
}

// picturesque is the label of an operation's bar.
func picturesque(o *Operation) string {
	text := o.Model.Word() + " " + o.deed()
	if o.Position != 0 {
		text += fmt.Sprintf(" @%d", o.Position)
	}
	if o.Timestamp != 0 {
		text += fmt.Sprintf(" t%d", o.Timestamp)
	}
	return text
}

// source returns the index of the write whose value a get returned; -1 if there is none, or more
// than one that it may have been.
func (v *Verdict) source(get *Operation) int {
	found := -1
	if get.Type != model.Get || !get.Found {
		return -1
	}
	for i := range v.Operations {
		s := &v.Operations[i]
		if s == get || !s.puts(get.Key, get.Output) {
			continue
		}
		otherRevision := get.HasRevision && s.HasRevision && get.Revision != s.Revision
		if otherRevision {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}

// puts reports whether a write put, or may have put, a value under a key.
func (o *Operation) puts(key, value string) bool {
	if !o.Writes() || o.Refused() {
		return false
	}
	lists := attempts(o)
	if o.Outcome == OK && o.Model.Strong() {
		lists = [][]part{partsOf(o)}
	}
	for _, parts := range lists {
		for i := range parts {
			p := &parts[i]
			if p.key == key && p.deed.kind == puts && p.deed.value == value {
				return true
			}
		}
	}
	return false
}

// explorable writes Porcupine's page. The operations are about one key, but for txns.
func (v *Verdict) explorable(w io.Writer) error {
	j, err := prepare(v.Operations)
	if err != nil {
		return fmt.Errorf("history: picture: %w", err)
	}

	clients := make(map[string]int)
	end := int64(0)
	for i := range v.Operations {
		end = max(end, v.Operations[i].Return)
	}

	key := j.mostTouched()
	part := j.registerHistory(key, j.ops, func(o *Operation, p *porcupine.Operation) {
		name := lane(o)
		if o.Session == "" {
			name = fmt.Sprintf("%p", o) // of its own: a lane's operations must not overlap
		}
		if _, known := clients[name]; !known {
			clients[name] = len(clients)
		}
		p.ClientId, p.Return = clients[name], min(p.Return, end+1)
		p.Output, p.Metadata = lane(o)+": "+o.deed(), o.facts()
	})

	m := j.modelOf(j.ops)
	m.DescribeOperation = func(_, output any) string { return output.(string) }
	m.DescribeState = func(state any) string {
		if c, ok := state.(content); ok {
			return c.text()
		}
		var texts []string
		for _, s := range state.([]any) {
			c := s.(content)
			texts = append(texts, c.text())
		}
		return strings.Join(texts, " or ")
	}

	// The page has the linearizations of this one part.
	_, info := porcupine.CheckOperationsVerbose(m, part, 0)
	if err := porcupine.Visualize(m, info, w); err != nil {
		return fmt.Errorf("history: picture: %w", err)
	}
	return nil
}

// text says what a key holds.
func (c *content) text() string {
	text := "nothing"
	if c.found {
		text = short(c.value)
	}
	if c.known && c.revision > 0 {
		text += fmt.Sprintf(" @%d", c.revision)
	}
	return text
}

// mostTouched is the key that most operations are about.
func (j *judged) mostTouched() string {
	count := make(map[string]int)
	for _, o := range j.ops {
		for _, key := range j.touched(o) {
			count[key]++
		}
	}
	best := ""
	for _, key := range sortedKeys(count) {
		if count[key] > count[best] {
			best = key
		}
	}
	return best
}
