package masternode

import (
	"time"

	"quartet/master"
)

// waiting is the table of the clients' requests that are not answered yet, by the token under
// which the machine knows each. (The machine has the one table of what becomes of them, and
// says in its Output what was sent and heard.) Tokens follow each other, so nearly all are
// found in a ring; one that is still open when the ring comes round stands in rest. That keeps
// the cost far below that of a map, which every request would pay several times.
type waiting struct {
	ring [waitingRing]*taken
	rest map[uint64]*taken
}

const waitingRing = 4096

// add takes a request in under its token, which must be greater than all before it.
func (w *waiting) add(t *taken) {
	at := &w.ring[t.token%waitingRing]
	if old := *at; old != nil {
		if w.rest == nil {
			w.rest = map[uint64]*taken{}
		}
		w.rest[old.token] = old
	}
	*at = t
}

// find returns the request of a token; nil: there is none, or it is answered.
func (w *waiting) find(token uint64) *taken {
	if t := w.ring[token%waitingRing]; t != nil && t.token == token {
		return t
	}
	if len(w.rest) == 0 {
		return nil
	}
	return w.rest[token]
}

// remove returns the request of a token, as find does, and forgets it.
func (w *waiting) remove(token uint64) *taken {
	if at := &w.ring[token%waitingRing]; *at != nil && (*at).token == token {
		t := *at
		*at = nil
		return t
	}
	if len(w.rest) == 0 {
		return nil
	}
	t := w.rest[token]
	delete(w.rest, token)
	return t
}

// sent notes what leaves now for a replica, or for all of them: each request is told of once.
func (w *waiting) sent(all []master.Sent, now time.Time) {
	for _, s := range all {
		if t := w.find(s.Token); t != nil {
			t.forwarded, t.sent = now.Sub(t.at), s.To
		}
	}
}

// heard notes the requests of which a replica's message, which came at a time, has told.
func (w *waiting) heard(tokens []uint64, at time.Time) {
	for _, token := range tokens {
		if t := w.find(token); t != nil {
			t.heard = at.Sub(t.at)
		}
	}
}
