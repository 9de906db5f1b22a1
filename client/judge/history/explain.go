package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"quartet/bus/model"
)

// explain looks for a get of the counterexample that is wrong by what it returned, the
// latest first: another value would have made the rest right.
func (v *Verdict) explain(again func([]Operation) Verdict) {
	order := make([]int, len(v.Operations))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(v.Operations[b].Return, v.Operations[a].Return)
	})

	for _, i := range order {
		if v.Operations[i].Type != model.Get || v.Operations[i].Outcome != OK {
			// Numbers are judged too: what a get returned explains nothing about a later set's.
			if v.Check == causal || v.Check == sessions {
				return
			}
			continue
		}

		var allowed []string
		for _, other := range alternatives(v.Operations, i) {
			if v.Check == steady && !other.Found {
				continue // nothing, after something, only looks right to that check
			}
			h := slices.Clone(v.Operations)
			h[i] = other
			if again(h).Result == Passed {
				allowed = append(allowed, held(other.Output, other.Found))
			}
		}
		if len(allowed) > 0 {
			v.Culprit, v.Allowed = i+1, allowed
			return
		}
	}
}

// alternatives returns the operation h[i], a get, with every other result that sets of h give.
func alternatives(h []Operation, i int) []Operation {
	var list []Operation
	get := h[i]
	add := func(value string, found bool, timestamp uint64, s *Operation) {
		o := get
		o.Output, o.Found = value, found
		o.HasRevision, o.Revision = s.HasRevision, s.Revision
		if o.Model == model.Causal {
			o.Timestamp = timestamp
		}
		same := func(p Operation) bool { return p.Found == o.Found && p.Output == o.Output }
		if !same(get) && !slices.ContainsFunc(list, same) {
			list = append(list, o)
		}
	}

	for j := range h {
		if s := &h[j]; s.Type == model.Set && s.Key == get.Key && s.Outcome != Fail {
			add(s.Value, true, s.Timestamp, s)
		}
	}
	add("", false, 0, &Operation{})
	return list
}

// Words tells the counterexample, one operation a line, with times from its first call on, and
// what would have been allowed. nanoseconds says that times are in nanoseconds.
func (v *Verdict) Words(nanoseconds bool) string {
	if len(v.Operations) == 0 {
		return ""
	}
	start := v.Operations[0].Call
	for i := range v.Operations {
		start = min(start, v.Operations[i].Call)
	}

	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range v.Operations {
		o := &v.Operations[i]
		mark := " "
		if i+1 == v.Culprit {
			mark = ">"
		}
		fmt.Fprintf(w, "%s %d\t%s\t%s\t%s\t%s\t%s\n", mark, i+1, lane(o), o.deed(),
			Span(o.Call-start, o.Return-start, nanoseconds), o.Model.Word(), o.facts())
	}
	_ = w.Flush() // a strings.Builder takes everything

	if v.Culprit > 0 {
		fmt.Fprintf(&b, "> %d could have returned %s\n", v.Culprit, strings.Join(v.Allowed, " or "))
	}
	return b.String()
}

// facts lists the numbers of an operation.
func (o *Operation) facts() string {
	var parts []string
	add := func(yes bool, format string, args ...any) {
		if yes {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(o.Rest, "at rest")
	add(o.Replica != "", "%s", o.Replica)
	add(o.Position != 0, "position %d", o.Position)
	add(o.HasRevision && o.Revision != o.Position, "revision %d", o.Revision)
	add(o.Timestamp != 0, "timestamp %d", o.Timestamp)
	add(o.Identity != "", "id %s", o.Identity)
	add(o.ID != 0, "#%d", o.ID)
	return strings.Join(parts, ", ")
}

// Span writes two times, as milliseconds if they are nanoseconds.
func Span(from, to int64, nanoseconds bool) string {
	if !nanoseconds {
		return fmt.Sprintf("%d to %d", from, to)
	}
	ms := func(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }
	return fmt.Sprintf("%.3f to %.3f ms", ms(from), ms(to))
}
