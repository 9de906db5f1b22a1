package history

import (
	"slices"
	"strings"

	"quartet/bus/model"
)

// weakWatches judges the watches of models 3 and 4, of which no order says anything.
func weakWatches(h []Operation) *Verdict {
	isWeak := func(o Operation) bool { return o.Type == model.Watch && !o.Model.Strong() }
	if !slices.ContainsFunc(h, isWeak) {
		return nil
	}
	j, err := prepare(h)
	if err != nil {
		v := undecided(watches, "%v", err)
		return &v
	}

	causes, _ := pastsOf(j)
	for _, o := range j.ops {
		if !isWeak(*o) {
			continue
		}
		s := stream{replay: &replay{order: &order{judged: j}}, o: o, events: o.Events}
		if v := s.weak(); v != nil {
			return v
		}
		if o.Model == model.Causal {
			if v := s.causes(causes); v != nil {
				return v
			}
		}
	}
	return nil
}

// weak judges a watch of models 3 and 4.
func (s *stream) weak() *Verdict {
	shown := make(map[write]bool)
	removals := make(map[string]int)
	last := make(map[string]*Event)
	for i := range s.events {
		e := &s.events[i]
		if e.Key != "" && !strings.HasPrefix(e.Key, s.o.Key) {
			return s.fault(nil, "a watch of %s* showed %s", s.o.Key, e.Key)
		}

		switch e.Kind {
		case EventCaughtUp:
			continue
		case EventDelete, EventExpire:
			if removals[e.Key]++; removals[e.Key] > len(s.removers[e.Key]) {
				return s.fault(s.removers[e.Key], "a watch showed that %s lost its value %d times, and that was asked for %d times",
					e.Key, removals[e.Key], len(s.removers[e.Key]))
			}
		default:
			w := write{e.Key, e.Value}
			if !s.written(e.Key, e.Value) {
				v := s.unwritten(watches, s.o, e.Key, e.Value)
				return &v
			}
			if shown[w] && len(s.writes[w]) == 1 && !s.adders[e.Key] {
				return s.fault(s.writes[w], "a watch showed the set %s = %s twice", e.Key, short(e.Value))
			}
			shown[w] = true
		}
		last[e.Key] = e
	}
	if !s.o.Rest {
		return nil
	}
	return s.finally(last)
}

// finally compares the last event of each key of a watch at rest with what gets at rest returned.
func (s *stream) finally(last map[string]*Event) *Verdict {
	for _, g := range s.ops {
		below := g.Rest && g.Type == model.Get && strings.HasPrefix(g.Key, s.o.Key)
		if !below || g.Outcome != OK {
			continue
		}
		e := last[g.Key]
		has, value := false, ""
		if e != nil && e.Kind != EventDelete && e.Kind != EventExpire {
			has, value = true, e.Value
		}
		if has != g.Found || value != g.Output {
			return s.fault([]*Operation{g}, "the last event of %s that a watch showed left %s, and at rest it has %s",
				g.Key, held(value, has), held(g.Output, g.Found))
		}
	}
	return nil
}

// causes checks that a watch of model 3 shows no write before one that it depends on.
func (s *stream) causes(c *pasts) *Verdict {
	if c == nil {
		return nil // Causal says why
	}
	at := make(map[*Operation]int) // by write: its place among the events
	for i := range s.events {
		e := &s.events[i]
		writers := s.writes[write{e.Key, e.Value}]
		setting := e.Kind == EventSet || e.Kind == EventValue
		if setting && len(writers) == 1 {
			at[writers[0]] = i
		}
	}

	for i := range s.events {
		e := &s.events[i]
		writers := s.writes[write{e.Key, e.Value}]
		if e.Kind != EventSet || len(writers) != 1 {
			continue
		}
		effect := writers[0]
		for _, key := range sortedKeys(c.at[effect]) {
			cause := c.at[effect][key].write
			if place, ok := at[cause]; ok && place > i && !s.overtaken(key, i, cause, c) {
				return s.fault([]*Operation{cause, effect}, "a watch showed %s = %s before %s = %s, on which it depends",
					e.Key, short(e.Value), cause.Key, short(cause.Value))
			}
		}
	}
	return nil
}

// overtaken reports whether a watch had shown, before its event i, a later causal write of the key.
func (s *stream) overtaken(key string, i int, cause *Operation, c *pasts) bool {
	return slices.ContainsFunc(s.events[:i], func(e Event) bool {
		writers := s.writes[write{e.Key, e.Value}]
		return e.Key == key && len(writers) == 1 && c.number[writers[0]] > c.number[cause]
	})
}
