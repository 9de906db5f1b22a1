package history

import (
	"maps"

	"quartet/bus/model"
)

const sessions = "sessions"

// Sessions judges the four session guarantees (Terry and others, "Session Guarantees for
// Weakly Consistent Replicated Data", 1994) by the numbers that replies carry: positions
// for models 1 and 2 over all keys, timestamps for model 3 key by key. The eventual model
// promises none.
//
//	read your writes      a get is not older than a write of its session (model 3: of its key)
//	monotonic reads       nor than what an earlier get of the session returned
//	monotonic writes      the writes of a session are numbered in their order
//	writes follow reads   and above what the session had read
//
// A txn of gets alone, and the first page of a list, are gets of models 1 and 2.
//
// [Sequential] and [Causal] imply them; this names what was broken.
func Sessions(h []Operation) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(sessions, "%v", err)
	}

	states := make(map[any]*sessionState)
	floors := make(map[*Operation]sessionState)
	for _, e := range timeline(j.ops) {
		o := e.op
		id := o.session()
		s := states[id]
		if s == nil {
			s = newSessionState()
			states[id] = s
		}

		if !e.returns {
			floors[o] = s.clone()
			continue
		}
		if o.Outcome != OK || j.outside(o) {
			continue
		}

		floor, called := floors[o]
		if !called { // called and returned at one instant
			floor = s.clone()
		}

		mayBeGone := o.Type == model.Get && !o.Found && len(j.removers[o.Key]) > 0
		if broken, by := floor.breaks(o, mayBeGone); broken != "" {
			return violated(sessions, []*Operation{by, o}, "%s is broken", broken)
		}
		s.learn(o)
	}
	return passed(sessions)
}

// outside reports whether an operation has no number that its session goes on from.
func (j *judged) outside(o *Operation) bool {
	switch o.Type {
	case model.Watch:
		return true
	case model.List: // further pages are of the cut of the first; those of model 3 have no number
		return !o.Model.Strong() || o.Position == 0 || o.from() != ""
	case model.Txn:
		return o.Position == 0
	}
	return o.Refused() && o.Position == 0
}

// sessionState holds the operations with the greatest numbers that a session has seen.
type sessionState struct {
	strongGet, strongSet *Operation
	causalRead, wrote    *Operation            // over all keys
	readOf, wroteOf      map[string]*Operation // by key
}

// newSessionState returns the state of a session that has seen nothing.
func newSessionState() *sessionState {
	return &sessionState{readOf: make(map[string]*Operation), wroteOf: make(map[string]*Operation)}
}

// clone returns a copy that learns nothing more.
func (s *sessionState) clone() sessionState {
	c := *s
	c.readOf, c.wroteOf = maps.Clone(s.readOf), maps.Clone(s.wroteOf)
	return c
}

// learn notes the numbers of an operation that was answered.
func (s *sessionState) learn(o *Operation) {
	greater := func(old *Operation, number func(*Operation) uint64) *Operation {
		if old == nil || number(old) < number(o) {
			return o
		}
		return old
	}
	position := func(o *Operation) uint64 { return o.Position }
	timestamp := func(o *Operation) uint64 { return o.Timestamp }

	switch {
	case o.Model.Strong() && o.Writes():
		s.strongSet = greater(s.strongSet, position)
	case o.Model.Strong():
		s.strongGet = greater(s.strongGet, position)
	case o.Model == model.Causal && o.Writes():
		s.wrote = greater(s.wrote, timestamp)
		s.wroteOf[o.Key] = greater(s.wroteOf[o.Key], timestamp)
	case o.Model == model.Causal && o.Timestamp != 0:
		s.causalRead = greater(s.causalRead, timestamp)
		s.readOf[o.Key] = greater(s.readOf[o.Key], timestamp)
	}
}

// breaks names the guarantee that o breaks, and the operation that it is owed to. mayBeGone says
// that o is a get that found nothing, and that something may have removed what there was.
func (s *sessionState) breaks(o *Operation, mayBeGone bool) (string, *Operation) {
	type rule struct {
		name string
		past *Operation
		ok   func(past *Operation) bool
	}
	notBelow := func(p *Operation) bool { return o.Position >= p.Position }
	above := func(p *Operation) bool { return o.Position > p.Position }
	later := func(p *Operation) bool { return o.Timestamp > p.Timestamp }

	// A value of another model has no timestamp, and may be newer than any.
	unlike := o.Found || mayBeGone
	ofAnother := unlike && o.Timestamp == 0
	notOlder := func(p *Operation) bool { return o.Timestamp >= p.Timestamp || ofAnother }

	var rules []rule
	switch {
	case o.Model.Strong() && !o.Writes():
		rules = []rule{{"read your writes", s.strongSet, notBelow}, {"monotonic reads", s.strongGet, notBelow}}
	case o.Model.Strong():
		rules = []rule{{"monotonic writes", s.strongSet, above}, {"writes follow reads", s.strongGet, above}}
	case o.Model == model.Causal && o.Type == model.Get:
		rules = []rule{{"read your writes", s.wroteOf[o.Key], notOlder}, {"monotonic reads", s.readOf[o.Key], notOlder}}
	case o.Model == model.Causal:
		rules = []rule{{"monotonic writes", s.wrote, later}, {"writes follow reads", s.causalRead, later}}
	}

	numbered := func(o *Operation) bool { return o.Position != 0 || o.Timestamp != 0 }
	unnumberedSet := o.Writes() && !numbered(o)
	for _, r := range rules {
		if r.past == nil || !numbered(r.past) || unnumberedSet {
			continue
		}
		if !r.ok(r.past) {
			return r.name, r.past
		}
	}
	return "", nil
}
