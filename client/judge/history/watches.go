package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quartet/bus/model"
)

const watches = "watches"

// Watches judges what watches showed.
//
// Models 1 and 2, against the order: every change below the prefix from where the watch began to
// the last that it showed, each once, in order, with its revision and value; of a change of several
// keys every event but the last says that there are more. A watch `from` a revision begins after
// it, any other one with what was there at one cut; in model 1 that is not before the watch was
// asked for. A watch that was heard until everything was at rest has shown everything.
//
// Models 3 and 4: each version once, in model 3 no effect before its cause; of a watch at rest the
// last event of each key is its final value.
func Watches(h []Operation) Verdict {
	if v := weakWatches(h); v != nil {
		return *v
	}
	return inOrder(watches, h, func(w *order) *Verdict {
		r := newReplay(w, func(o *Operation) bool { return o.Type == model.Watch })
		if v := r.run(); v != nil {
			return v
		}
		for _, o := range w.ops {
			if o.Type != model.Watch || !o.Model.Strong() {
				continue
			}
			s := stream{replay: r, o: o, events: o.Events}
			if v := s.strong(); v != nil {
				return v
			}
		}
		return nil
	})
}

// stream is what a watch showed.
type stream struct {
	*replay
	o      *Operation
	events []Event
	begin  uint64
}

// fault is the verdict on a watch that shows what it cannot, with the operations that say so.
func (s *stream) fault(by []*Operation, format string, args ...any) *Verdict {
	v := violated(watches, append([]*Operation{s.o}, by...), format, args...)
	return &v
}

// strong judges a watch of models 1 and 2.
func (s *stream) strong() *Verdict {
	for _, check := range []func() *Verdict{s.rises, s.starts, s.complete} {
		if v := check(); v != nil {
			return v
		}
	}
	return nil
}

// rises checks the revisions of a watch by themselves.
func (s *stream) rises() *Verdict {
	var last *Event
	seen := make(map[string]bool) // keys of last's revision
	for i := range s.events {
		e := &s.events[i]
		if e.Key != "" && !strings.HasPrefix(e.Key, s.o.Key) {
			return s.fault(nil, "a watch of %s* showed %s", s.o.Key, e.Key)
		}
		if !e.Kind.Change() {
			continue
		}

		switch {
		case e.Revision == 0:
			return s.fault(nil, "a watch of model %d showed a change of %s without a revision", s.o.Model, e.Key)
		case last == nil || e.Revision > last.Revision:
			if last != nil && last.More {
				return s.fault(nil, "a watch said that revision %d has more changes, and went on with revision %d",
					last.Revision, e.Revision)
			}
			clear(seen)
		case e.Revision < last.Revision:
			return s.fault(nil, "a watch showed revision %d after revision %d", e.Revision, last.Revision)
		case seen[e.Key]:
			return s.fault(nil, "a watch showed revision %d of %s twice", e.Revision, e.Key)
		case !last.More:
			return s.fault(nil, "a watch showed a further change of revision %d, and had not said that there are more", e.Revision)
		}
		seen[e.Key] = true
		last = e
	}
	return nil
}

// beginning is what a watch tells of where it began.
type beginning struct {
	initial  map[string]*Event // what was there
	caughtUp bool              // and that this is all
	position uint64            // of it nothing has been shown as a change
	known    bool              // what position is
}

// began gathers what a watch tells of where it began: at what it was asked to begin after or, as
// far as its events tell, before its first change.
func (s *stream) began() (b beginning, fault *Verdict) {
	first, told := uint64(0), uint64(0) // the revisions of the first change, and of what was there
	b.initial = make(map[string]*Event)
	for i := range s.events {
		e := &s.events[i]
		switch {
		case e.Kind == EventCaughtUp:
			b.caughtUp, told = true, e.Revision
		case e.Kind == EventValue && b.initial[e.Key] != nil:
			return b, s.fault(nil, "a watch showed twice what %s was when it began", e.Key)
		case e.Kind == EventValue:
			b.initial[e.Key] = e
		case first == 0:
			first = e.Revision
		}
	}

	from := s.o.from()
	switch {
	case from != "":
		n, err := strconv.ParseUint(from, 10, 64)
		if err != nil {
			return b, s.fault(nil, "a watch went on from %q, which is no revision", from)
		}
		if first != 0 && first <= n {
			return b, s.fault(nil, "a watch from revision %d showed revision %d", n, first)
		}
		b.position, b.known = n, true
	case told != 0:
		b.position, b.known = told, true
	case first != 0:
		b.position, b.known = first-1, true
	}
	return b, nil
}

// starts judges what was there when the watch began, and finds the position at which it began.
func (s *stream) starts() *Verdict {
	b, fault := s.began()
	if fault != nil {
		return fault
	}
	s.begin = b.position
	if s.o.from() != "" {
		return nil
	}

	if !b.known {
		s.begin = s.latestOf(b.initial)
	}
	if !b.caughtUp && len(b.initial) == 0 {
		return nil // it was cut off before it had begun, or was asked for changes alone
	}
	return s.initially(b.initial, b.caughtUp)
}

// latestOf returns the latest position at which what a watch found was there.
func (s *stream) latestOf(initial map[string]*Event) uint64 {
	begin := s.askedAt()
	for p, more := begin, true; more; p, more = s.changeAfter(p) {
		if s.isAt(p, initial) {
			begin = p
		}
	}
	return begin
}

// changeAfter returns the position of the first change below the prefix after p.
func (s *stream) changeAfter(p uint64) (uint64, bool) {
	for i := range s.changes {
		c := &s.changes[i]
		if c.position > p && strings.HasPrefix(c.key, s.o.Key) {
			return c.position, true
		}
	}
	return 0, false
}

// askedAt is the position that had been reached when the watch was asked for, as far as its model
// promises not to begin before.
func (s *stream) askedAt() uint64 {
	p := uint64(0)
	for _, o := range s.ordered {
		if s.o.Model == model.Linearizable && o.Return < s.o.Call {
			p = max(p, o.Position)
		}
	}
	return p
}

// stateAt returns what the order left of the keys below the prefix at position p.
func (s *stream) stateAt(p uint64) map[string]*change {
	state := make(map[string]*change)
	for i := range s.changes {
		if c := &s.changes[i]; c.position <= p && strings.HasPrefix(c.key, s.o.Key) {
			state[c.key] = c
		}
	}
	return state
}

// isAt reports whether what a watch found stood at position p.
func (s *stream) isAt(p uint64, initial map[string]*Event) bool {
	values := 0
	for key, c := range s.stateAt(p) {
		e := initial[key]
		if !c.found {
			continue
		}
		gone := e == nil && s.mayBeGone(key, p)
		if gone {
			continue
		}
		values++
		if e == nil || e.Revision != c.position {
			return false
		}
	}
	return values == len(initial)
}

// initially compares what a watch found with the order.
func (s *stream) initially(initial map[string]*Event, all bool) *Verdict {
	if asked := s.askedAt(); s.begin < asked {
		return s.fault([]*Operation{s.at[asked]},
			"a watch began at position %d, and position %d had been reached when it was asked for", s.begin, asked)
	}
	state := s.stateAt(s.begin)
	for _, key := range sortedKeys(initial) {
		e, c := initial[key], state[key]
		switch {
		case c == nil:
			return s.fault(nil, "a watch found %q under %s when it began, which nobody wrote", e.Value, key)
		case c.opaque:
		case !c.found:
			return s.fault([]*Operation{c.by},
				"a watch found %q under %s when it began at position %d, which had no value", e.Value, key, s.begin)
		case c.position != e.Revision || c.value != e.Value:
			return s.fault([]*Operation{c.by}, "a watch found %q of revision %d under %s when it began at position "+
				"%d, which had %q of revision %d",
				e.Value, e.Revision, key, s.begin, c.value, c.position)
		}
	}

	if !all {
		return nil
	}
	for _, key := range sortedKeys(state) {
		if c := state[key]; c.found && initial[key] == nil && !s.mayBeGone(key, s.begin) {
			return s.fault([]*Operation{c.by}, "a watch did not find %s when it began at position %d, which had %q", key, s.begin, c.value)
		}
	}
	return nil
}

// mayBeGone reports whether a value may have gone by position p at one that nothing tells: by a
// floating delete, or the end of the value.
func (s *stream) mayBeGone(key string, p uint64) bool {
	return slices.ContainsFunc(s.removers[key], func(o *Operation) bool {
		isFree := len(s.used[o]) == 0
		if !isFree {
			_, g := s.another(o, p)
			isFree = g != nil
		}
		unplaced := o.floating() && isFree && o.Call <= s.o.Return
		return unplaced || slices.ContainsFunc(o.everything(s.judged), func(x part) bool {
			return x.key == key && x.deed.kind == puts && x.deed.ends <= s.o.Return
		})
	})
}

// complete compares the changes that a watch showed with the order, one by one.
func (s *stream) complete() *Verdict {
	var shown []*Event
	for i := range s.events {
		if e := &s.events[i]; e.Kind.Change() {
			shown = append(shown, e)
		}
	}
	// The revision up to which it must have shown everything, and of it not all if it says so.
	end := uint64(0)
	if n := len(shown); n > 0 {
		end = shown[n-1].Revision
		if shown[n-1].More {
			end--
		}
	}
	if s.o.Rest {
		end = 1<<64 - 1
	}

	byRevision := make(map[uint64]map[string]*Event)
	for _, e := range shown {
		if byRevision[e.Revision] == nil {
			byRevision[e.Revision] = make(map[string]*Event)
		}
		byRevision[e.Revision][e.Key] = e
	}

	known := make(map[uint64]map[string]bool)
	for i := range s.changes {
		c := &s.changes[i]
		if c.position <= s.begin || !strings.HasPrefix(c.key, s.o.Key) {
			continue
		}
		if known[c.position] == nil {
			known[c.position] = make(map[string]bool)
		}
		known[c.position][c.key] = true

		if v := s.shows(c, byRevision[c.position][c.key], end); v != nil {
			return v
		}
	}

	for _, e := range shown {
		if !known[e.Revision][e.Key] {
			return s.fault([]*Operation{s.at[e.Revision]}, "a watch showed %s, which the order does not have", e.text(short))
		}
	}
	return nil
}

// shows compares a change with what a watch showed of it, which is nil for nothing.
func (s *stream) shows(c *change, e *Event, end uint64) *Verdict {
	by := []*Operation{c.by}
	if e == nil {
		late := c.position > end || s.endedAfter(c)
		if late || c.idle || c.opaque || c.guessed() {
			return nil
		}
		return s.fault(by, "a watch did not show revision %d of %s, %s", c.position, c.key, c.word())
	}

	early := c.by != nil && c.by.Writes() && !c.ended && e.At != 0 && e.At < c.by.Call
	switch {
	case early:
		return s.fault(by, "a watch showed revision %d of %s before it was written", c.position, c.key)
	case c.opaque:
	case c.found != (e.Kind == EventSet), c.found && c.value != e.Value:
		return s.fault(by, "a watch showed %s, and it was %s", e.text(short), c.word())
	case !c.found && c.ended != (e.Kind == EventExpire):
		return s.fault(by, "a watch showed %s, and it was %s", e.text(short), c.word())
	}
	return nil
}

// guessed reports whether it is not told that the key changed: a txn of unknown outcome was taken
// for what changed another one.
func (c *change) guessed() bool {
	floats := c.by != nil && c.by.floating() && c.by.Type == model.Txn
	return floats && !slices.ContainsFunc(c.told, func(t told) bool { return t.key == c.key })
}

// endedAfter reports whether a watch at rest may have ended before a change: it was not made when
// the watch was heard last.
func (s *stream) endedAfter(c *change) bool {
	return c.by != nil && c.by.Call >= s.o.Return
}

// word says what a change did.
func (c *change) word() string {
	switch {
	case c.ended:
		return "the end of its value"
	case c.found:
		return fmt.Sprintf("a set of %s", short(c.value))
	}
	return "a delete"
}
