package kv

import (
	"container/list"
	"strings"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// sessions are what connections have seen, by the prefix of their inboxes: a client's replies all
// come to one. Those that were used last are kept. One that is not known has seen whatever there
// is: it may have been forgotten, here or with the master before.
type sessions struct {
	byPrefix map[string]*list.Element
	order    *list.List // the newest first
	evicted  uint64
}

// maxSessions bounds how many are kept.
const maxSessions = 1 << 14

func (s *sessions) init() {
	s.byPrefix, s.order = map[string]*list.Element{}, list.New()
}

// session is what one connection has seen.
type session struct {
	prefix string
	seen   bus.Session
	fresh  bool // nothing of it is known yet
}

// of is the session of whoever hears on a reply subject; nil: the model needs none, or nobody
// hears.
func (s *sessions) of(reply string, c model.Consistency) *session {
	end := strings.LastIndexByte(reply, '.')
	needsNone := c == model.Linearizable || c == model.Eventual
	if needsNone || end <= 0 {
		return nil
	}
	prefix := reply[:end]
	if e, found := s.byPrefix[prefix]; found {
		s.order.MoveToFront(e)
		return e.Value.(*session)
	}
	if s.order.Len() >= maxSessions {
		oldest := s.order.Back()
		delete(s.byPrefix, oldest.Value.(*session).prefix)
		s.order.Remove(oldest)
		s.evicted++
	}
	n := &session{prefix: prefix, fresh: true}
	s.byPrefix[prefix] = s.order.PushFront(n)
	return n
}

// ask has a request ask for what the session has seen.
func (s *session) ask(f *Facade, o *bus.Options, c model.Consistency) {
	if s == nil {
		return
	}
	if s.fresh && c == model.Causal {
		s.seen.Timestamp = max(s.seen.Timestamp, f.host.Causal())
	}
	switch c {
	case model.Sequential:
		o.MinPosition = s.seen.Position
	case model.Causal:
		o.MinTimestamp = s.seen.Timestamp
	}
}

// model is the one under which a get of the session is served. Of a connection that nothing is
// known of, the first get in model sequential is linearizable: what it may have seen is before
// that.
func (s *session) model(c model.Consistency) model.Consistency {
	if s != nil && s.fresh && c == model.Sequential {
		return model.Linearizable
	}
	return c
}

// observe takes what a reply has shown.
func (s *session) observe(f *Facade, r *model.Request, a *master.Reply) {
	if s == nil || a.Code == model.Malformed {
		return
	}
	if a.Code.Answered() {
		s.fresh = false
	}
	reply := bus.Reply{Answer: a.Answer, Model: r.Model, Type: r.Type}
	s.seen = s.seen.Seen(&reply, f.host.History())
}
