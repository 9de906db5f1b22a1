package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"quartet/bus/model"
)

// sentence says in full what an operation asked and what came of it.
func (o *Operation) sentence() string {
	return o.asked(strconv.Quote) + o.came(strconv.Quote, "no value")
}

// deed says the same in short.
func (o *Operation) deed() string {
	if o.Outcome != OK {
		return fmt.Sprintf("%s (%s)", o.asked(short), o.Outcome)
	}
	return o.asked(short) + o.came(short, "nothing")
}

// asked says what an operation asked for.
func (o *Operation) asked(quote func(string) string) string {
	text := o.Type.Word()
	switch o.Type {
	case model.Set:
		text += fmt.Sprintf(" %s = %s", o.Key, quote(o.Value))
	case model.Add:
		text += fmt.Sprintf(" %s + %s", o.Key, o.Value)
	case model.List, model.Watch:
		text += fmt.Sprintf(" %s*", o.Key)
	case model.Txn:
		text += transactionText(o.Txn, quote)
	default:
		text += " " + o.Key
	}

	if o.TTL > 0 {
		text += fmt.Sprintf(" for %s", lifetime(o.TTL))
	}
	if o.HasIf {
		text += " " + ifText(o.If)
	}
	if o.Range != nil && o.Range.From != "" {
		text += " from " + o.Range.From
	}
	return text
}

// came says what an operation came to; "" where its kind of answer says no more than that it was
// done.
func (o *Operation) came(quote func(string) string, nothing string) string {
	if o.Type == model.Watch && len(o.Events) > 0 {
		return " -> " + eventsText(o.Events, quote)
	}

	switch {
	case o.Outcome != OK:
		return ""
	case o.Refused() && o.Type == model.Txn && o.Results != nil:
		return fmt.Sprintf(" -> 412, its step %d cannot be done", o.Results.Failed)
	case o.Refused() && o.HasRevision && o.Revision == 0:
		return " -> 412, there is " + nothing
	case o.Refused() && o.HasRevision:
		return fmt.Sprintf(" -> 412, the revision is %d", o.Revision)
	case o.Refused():
		return " -> 412"
	}

	switch o.Type {
	case model.Get:
		if !o.Found {
			return " -> " + nothing
		}
		return " -> " + quote(o.Output)
	case model.Add:
		return " -> " + o.Output
	case model.List:
		return " -> " + itemsText(o.Items, quote)
	case model.Txn:
		return resultsText(o.Results, quote, nothing)
	}
	return ""
}

// ifText says a condition by revision.
func ifText(revision uint64) string {
	if revision == 0 {
		return "if there is none"
	}
	return fmt.Sprintf("if revision %d", revision)
}

// lifetime writes a TTL.
func lifetime(ms uint64) string { return (time.Duration(ms) * time.Millisecond).String() }

// transactionText tells a transaction in words: what it asks, and what it does then and else.
func transactionText(t *model.Transaction, quote func(string) string) string {
	if t == nil {
		return ""
	}

	var b strings.Builder
	for i := range t.If {
		c := &t.If[i]
		word := map[bool]string{true: " if ", false: " and "}[i == 0]
		switch {
		case c.HasRevision:
			fmt.Fprintf(&b, "%s%s.revision = %d", word, c.Key, c.Revision)
		case c.HasExists && c.Exists:
			fmt.Fprintf(&b, "%s%s exists", word, c.Key)
		case c.HasExists:
			fmt.Fprintf(&b, "%sno %s", word, c.Key)
		default:
			fmt.Fprintf(&b, "%s%s = %s", word, c.Key, quote(string(c.Value)))
		}
	}

	for i, steps := range [...][]model.Step{t.Then, t.Else} {
		if len(steps) == 0 {
			continue
		}
		b.WriteString([...]string{" then ", " else "}[i])
		for k := range steps {
			if k > 0 {
				b.WriteString("; ")
			}
			b.WriteString(stepOperation(&steps[k]).asked(quote))
		}
	}
	return b.String()
}

// stepOperation is a step of a transaction as an operation by itself.
func stepOperation(s *model.Step) *Operation {
	return &Operation{Type: s.Type, Key: s.Key, Value: string(s.Value), HasIf: s.HasIf, If: s.If, TTL: s.TTL}
}

// resultsText tells which branch a transaction took, and what each of its steps came to.
func resultsText(r *model.Results, quote func(string) string, nothing string) string {
	if r == nil {
		return ""
	}

	parts := make([]string, len(r.Results))
	for i := range r.Results {
		x := &r.Results[i]
		switch {
		case x.Code == model.NotFound:
			parts[i] = nothing
		case x.Value != nil:
			parts[i] = quote(string(x.Value))
		default:
			parts[i] = "done"
		}
	}

	branch := map[bool]string{true: "then", false: "else"}[r.Succeeded]
	return fmt.Sprintf(" -> %s: %s", branch, strings.Join(parts, ", "))
}

// mostShown is how many items or events are told; the middle of more is left out.
const mostShown = 8

// itemsText tells the keys of a list, with values and revisions where it has them.
func itemsText(items []model.Item, quote func(string) string) string {
	return several("keys", len(items), func(i int) string {
		x := &items[i]
		text := x.Key
		if x.HasValue {
			text += " = " + quote(string(x.Value))
		}
		if x.Revision != 0 {
			text += fmt.Sprintf(" @%d", x.Revision)
		}
		return text
	})
}

// eventsText tells the events of a watch.
func eventsText(events []Event, quote func(string) string) string {
	return several("events", len(events), func(i int) string { return events[i].text(quote) })
}

// text tells an event in a few words.
func (e *Event) text(quote func(string) string) string {
	text := string(e.Kind)
	if e.Key != "" {
		text += " " + e.Key
	}
	if e.Kind == EventSet || e.Kind == EventValue {
		text += " = " + quote(e.Value)
	}
	if e.Revision != 0 {
		text += fmt.Sprintf(" @%d", e.Revision)
	}
	return text
}

// several lists n things, and of many the first and the last.
func several(what string, n int, text func(i int) string) string {
	if n == 0 {
		return "no " + what
	}
	var parts []string
	for i := range n {
		if i == mostShown/2 && n > mostShown {
			parts = append(parts, fmt.Sprintf("… (%d %s)", n, what))
		}
		hidden := i >= mostShown/2 && i < n-mostShown/2
		if n > mostShown && hidden {
			continue
		}
		parts = append(parts, text(i))
	}
	return strings.Join(parts, ", ")
}

// short quotes a value, and cuts a long one.
func short(value string) string {
	const most = 40 // bytes
	if len(value) > most {
		return fmt.Sprintf("%q… (%d bytes)", strings.ToValidUTF8(value[:most], ""), len(value))
	}
	return fmt.Sprintf("%q", value)
}
