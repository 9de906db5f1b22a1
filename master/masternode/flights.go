package masternode

import (
	"time"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// flights finds requests by the id that they were given, to note when they left for a
// replica and when one answered. Ids follow each other, so nearly all are found in a ring;
// one that is still under way when the ring comes round stands in rest. That keeps the cost
// far below that of a map, which every request would pay four times.
type flights struct {
	ring [flightRing]flight
	rest map[uint64]*taken
}

const flightRing = 4096

type flight struct {
	rid   uint64
	taken *taken // nil: the place is free
}

// begin notes the id that a request got from the machine, if it got one: before and after
// are the next free ids around that.
func (f *flights) begin(t *taken, before, after uint64) {
	if after != before+1 {
		return
	}
	t.rid = before
	at := &f.ring[before%flightRing]
	if at.taken != nil {
		if f.rest == nil {
			f.rest = map[uint64]*taken{}
		}
		f.rest[at.rid] = at.taken
	}
	*at = flight{before, t}
}

func (f *flights) find(rid uint64) *taken {
	if at := &f.ring[rid%flightRing]; at.rid == rid {
		return at.taken
	}
	if len(f.rest) == 0 {
		return nil
	}
	return f.rest[rid]
}

// end forgets a request that is answered.
func (f *flights) end(t *taken) {
	if at := &f.ring[t.rid%flightRing]; at.taken == t {
		*at = flight{}
	} else if len(f.rest) > 0 {
		delete(f.rest, t.rid)
	}
}

// sent notes what leaves for a replica, or for several: the first time counts.
func (f *flights) sent(msg message.Message, to []lamport.Node) {
	m, ok := msg.(*message.Forward)
	if !ok || len(m.Requests)+len(m.Writes) == 0 {
		return
	}
	now, one := time.Now(), lamport.Node(0)
	if len(to) == 1 {
		one = to[0]
	}
	note := func(rid uint64) {
		if t := f.find(rid); t != nil && t.forwarded == 0 {
			t.forwarded, t.sent = now.Sub(t.at), one
		}
	}
	for i := range m.Requests {
		note(m.Requests[i].RID)
	}
	for i := range m.Writes {
		note(m.Writes[i].Request.RID)
	}
}

// heard notes what a replica has answered.
func (f *flights) heard(msg message.Message, at time.Time) {
	m, ok := msg.(*message.Answers)
	if !ok {
		return
	}
	for i := range m.Answers {
		if t := f.find(m.Answers[i].RID); t != nil {
			t.heard = at.Sub(t.at)
		}
	}
}
