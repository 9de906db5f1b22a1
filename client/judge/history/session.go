package history

import (
	"maps"
	"slices"

	"quartet/bus/model"
)

const sessions = "sessions"

// Sessions judges the four session guarantees (Terry and others, "Session Guarantees for
// Weakly Consistent Replicated Data", 1994) by the numbers that replies carry: positions
// for models 1 and 2 over all keys, timestamps for model 3 key by key. The eventual model
// promises none.
//
//	read your writes      a get is not older than a set of its session (model 3: of its key)
//	monotonic reads       nor than what an earlier get of the session returned
//	monotonic writes      the sets of a session are numbered in their order
//	writes follow reads   and above what the session had read
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
		if o.Outcome != OK {
			continue
		}

		floor, called := floors[o]
		if !called { // called and returned at one instant
			floor = s.clone()
		}

		if broken, by := floor.breaks(o); broken != "" {
			return violated(sessions, []*Operation{by, o}, "%s is broken", broken)
		}
		s.learn(o)
	}
	return passed(sessions)
}

// sessionState holds the operations with the greatest numbers that a session has seen.
type sessionState struct {
	strongGet, strongSet *Operation
	causalRead, wrote    *Operation            // over all keys
	readOf, wroteOf      map[string]*Operation // by key
}

func newSessionState() *sessionState {
	return &sessionState{readOf: make(map[string]*Operation), wroteOf: make(map[string]*Operation)}
}

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
	case o.Model.Strong() && o.Type == model.Set:
		s.strongSet = greater(s.strongSet, position)
	case o.Model.Strong():
		s.strongGet = greater(s.strongGet, position)
	case o.Model == model.Causal && o.Type == model.Set:
		s.wrote = greater(s.wrote, timestamp)
		s.wroteOf[o.Key] = greater(s.wroteOf[o.Key], timestamp)
	case o.Model == model.Causal && o.Timestamp != 0:
		s.causalRead = greater(s.causalRead, timestamp)
		s.readOf[o.Key] = greater(s.readOf[o.Key], timestamp)
	}
}

// breaks names the guarantee that o breaks, and the operation that it is owed to.
func (s *sessionState) breaks(o *Operation) (string, *Operation) {
	type rule struct {
		name string
		past *Operation
		ok   func(past *Operation) bool
	}
	notBelow := func(p *Operation) bool { return o.Position >= p.Position }
	above := func(p *Operation) bool { return o.Position > p.Position }
	later := func(p *Operation) bool { return o.Timestamp > p.Timestamp }
	// A value of another model has no timestamp, and may be newer than any.
	ofAnother := o.Found && o.Timestamp == 0
	notOlder := func(p *Operation) bool { return o.Timestamp >= p.Timestamp || ofAnother }

	var rules []rule
	switch {
	case o.Model.Strong() && o.Type == model.Get:
		rules = []rule{{"read your writes", s.strongSet, notBelow}, {"monotonic reads", s.strongGet, notBelow}}
	case o.Model.Strong():
		rules = []rule{{"monotonic writes", s.strongSet, above}, {"writes follow reads", s.strongGet, above}}
	case o.Model == model.Causal && o.Type == model.Get:
		rules = []rule{{"read your writes", s.wroteOf[o.Key], notOlder}, {"monotonic reads", s.readOf[o.Key], notOlder}}
	case o.Model == model.Causal:
		rules = []rule{{"monotonic writes", s.wrote, later}, {"writes follow reads", s.causalRead, later}}
	}

	numbered := func(o *Operation) bool { return o.Position != 0 || o.Timestamp != 0 }
	unnumberedSet := o.Type == model.Set && !numbered(o)
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
