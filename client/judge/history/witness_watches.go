package history

import (
	"slices"
	"strings"

	"quartet/bus/model"
)

// span is what a watch has shown of an order.
type span struct {
	prefix   string
	from, to uint64 // above from, up to to
	rest     int64  // 0, or when a watch of all that follows was heard last
	shown    map[place]bool
}

// place is a key at a position.
type place struct {
	key      string
	position uint64
}

// start is what a watch found when it began.
type start struct {
	prefix string
	found  map[string]*Event
	all    bool
}

// watched notes what watches of models 1 and 2 have shown.
func (x *witness) watched() {
	for _, o := range x.ops {
		if o.Type != model.Watch || !o.Model.Strong() {
			continue
		}
		s := stream{replay: &replay{order: x.order}, o: o, events: o.Events}
		b, v := s.began()
		if v != nil || !b.known {
			continue
		}
		begins := b.position

		one := span{prefix: o.Key, from: begins, to: begins, shown: make(map[place]bool)}
		for i := range o.Events {
			e := &o.Events[i]
			if !e.Kind.Change() {
				continue
			}
			one.shown[place{e.Key, e.Revision}] = true
			one.to = max(one.to, e.Revision)
			if e.More {
				one.to = max(begins, e.Revision-1)
			}
		}
		if o.Rest {
			one.to, one.rest = 1<<64-1, o.Return
		}
		x.spans = append(x.spans, one)

		if o.from() == "" {
			p := x.pointAt(begins)
			p.starts = append(p.starts, &start{prefix: o.Key, found: b.initial, all: b.caughtUp})
		}
	}
}

// hidesAny reports whether a watch did not show a change that it should have, of those since there
// were mark: f made them.
func (x *witness) hidesAny(mark int, position uint64, f *Operation) bool {
	for key, k := range x.keys {
		i := slices.IndexFunc(x.undo[mark:], func(u changed) bool { return u.key == k })
		if i < 0 {
			continue
		}
		isIdle := !x.undo[mark+i].was.found && !x.state[k].found
		if !isIdle && x.hides(key, position, f) {
			return true
		}
	}
	return false
}

// hides reports whether a watch did not show a change that it should have: f, or an end.
func (x *witness) hides(key string, position uint64, f *Operation) bool {
	return slices.ContainsFunc(x.spans, func(s span) bool {
		isIn := position > s.from && position <= s.to && strings.HasPrefix(key, s.prefix)
		isLate := f == nil || f.Call >= s.rest
		mayBeLater := s.rest != 0 && isLate
		return isIn && !mayBeLater && !s.shown[place{key, position}]
	})
}

// starts reports whether a watch found what there is.
func (x *witness) starts(s *start) bool {
	for key, k := range x.keys {
		c, e := x.state[k], s.found[key]
		isLacking := e == nil && s.all && c.found && strings.HasPrefix(key, s.prefix)
		isIt := e != nil && c.found && c.value == e.Value && c.revision == e.Revision
		isOther := e != nil && !isIt
		if isLacking || isOther {
			return false
		}
	}
	return true
}
