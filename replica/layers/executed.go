package layers

import (
	"quartet/bus/message"
	"quartet/replica/dedup"
)

// executed is the table of executed requests (rules S5 and S6): identity → first outcome. It
// is part of the replicated state: filled and trimmed at delivery only, so at one position
// it is the same on every replica.
//
// It is in two parts. The newest entries stand in a ring with all that a learner needs of
// them. What leaves the ring is kept in few bytes, as long as somebody may send the request
// again: see forget.
//
// Every set is looked up here several times on every replica, so the outcomes stand in the
// ring in the order of delivery, and two small maps lead into it: a map from numbers to
// numbers, for sets without a client's id, is the cheapest there is.
type executed struct {
	byRID  map[uint64]uint32 // of sets without a client's id
	byID   map[string]uint32
	ring   []done // oldest at next once it is full
	next   int
	limits dedup.Limits
	number uint64 // of the newest entry, counted over the whole order

	earlier *dedup.Memory // the entries before those of the ring, without a gap
	seed    uint64
	order   message.OrderTime
}

// done is an entry of the ring.
type done struct {
	id  string // "": the identity is the rID
	key string // a learner needs its record again
	Outcome
}

// Outcome is how a set ended the first time.
type Outcome struct {
	RID       uint64 // of the request that took effect
	Digest    uint64 // of what it said: another request must not use its identity
	Position  uint64 // of a strong set: its place in the order
	Timestamp uint64 // of a causal set: its number
	time      uint64 // the order's, when it took effect
}

func newExecuted(cfg *Config) executed {
	e := executed{limits: cfg.Limits.Filled(), seed: cfg.Seed}
	e.clear(0)
	return e
}

// clear empties the table; the next entry gets the number after this one. The order's time
// stays.
func (e *executed) clear(number uint64) {
	// Made in its full size: growing on the way would stop the replica for milliseconds.
	e.byRID, e.byID = make(map[uint64]uint32, e.limits.Window), map[string]uint32{}
	e.ring, e.next, e.number = make([]done, 0, e.limits.Window), 0, number
	e.earlier = dedup.New(e.seed)
}

func (e *executed) lookup(r *message.Request) (Outcome, bool) {
	var at uint32
	var ok bool
	if r.Identity != "" {
		at, ok = e.byID[r.Identity]
	} else {
		at, ok = e.byRID[r.RID]
	}
	if ok {
		return e.ring[at].Outcome, true
	}
	x, ok := e.earlier.Lookup(r.Identity, r.RID)
	if !ok {
		return Outcome{}, false
	}
	return Outcome{RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, time: x.Time}, true
}

// add remembers a first outcome. When the ring is full its oldest entry becomes an earlier
// one.
func (e *executed) add(d done) {
	at := len(e.ring)
	if at < e.limits.Window {
		e.ring = append(e.ring, done{})
	} else {
		at = e.next
		e.retire(at)
		e.next = (e.next + 1) % e.limits.Window
	}
	e.number++
	e.ring[at] = d
	if d.id != "" {
		e.byID[d.id] = uint32(at)
	} else {
		e.byRID[d.RID] = uint32(at)
	}
	for e.earlier.Cost() > e.limits.KeepBytes && e.forgettable() {
		e.forgetOldest()
	}
}

// retire makes an entry of the ring an earlier one.
func (e *executed) retire(at int) {
	old := &e.ring[at]
	e.earlier.Add(&dedup.Entry{
		ID: old.id, RID: old.RID, Digest: old.Digest, Position: old.Position, Timestamp: old.Timestamp, Time: old.time,
	})
	switch {
	case old.id != "":
		if e.byID[old.id] == uint32(at) {
			delete(e.byID, old.id)
		}
	case e.byRID[old.RID] == uint32(at):
		delete(e.byRID, old.RID)
	}
}

// advance takes the time that a delivered DATA tells, and forgets what is too old then.
// Masters count their own ticks, so only differences of one master's times mean anything: in
// each epoch the first DATA sets the mark, and the time in between is not counted. So the
// order's time is never ahead of the time that passes, whatever clocks do, and a request is
// kept for at least as long as it says.
func (e *executed) advance(tick uint64) {
	o := &e.order
	if tick <= o.Tick {
		return
	}
	if o.Tick > 0 {
		o.Now += tick - o.Tick
	}
	o.Tick = tick
	e.forget(o.Now)
}

// forget drops the entries that are older than is promised: those of the last sets stay.
func (e *executed) forget(now uint64) {
	for e.forgettable() {
		x, _ := e.earlier.Oldest()
		if x.Time+e.limits.KeepTicks >= now {
			return
		}
		e.forgetOldest()
	}
}

// forgettable reports whether the oldest entry is none of the last ones.
func (e *executed) forgettable() bool {
	return e.earlier.Len() > 0 && e.first()+uint64(e.limits.Window) <= e.number
}

func (e *executed) forgetOldest() {
	x, _ := e.earlier.Oldest()
	e.order.Horizon = max(e.order.Horizon, x.Time+1)
	e.earlier.Forget()
}

// tooOld reports whether a set that nobody remembers was sent for the first time when what
// took effect then may be forgotten by now: it may be one of those. tick is the present time
// of the master that carries it. How long the bus has had this sending is not known, so the
// last fifth of what is kept is taken for that.
func (e *executed) tooOld(r *message.Request, tick uint64) bool {
	o := &e.order
	if r.First == 0 || o.Horizon == 0 {
		return false
	}
	passed := tick - min(tick, r.First)
	return o.Now-min(o.Now, passed) < o.Horizon+e.limits.Margin()
}

// late reports whether a set that nobody remembers, and whose client does not say how old it is,
// has waited for so long since its latest sending that it may be one that took effect and is
// forgotten. A client sends such a set again within the promised time only, so what is forgotten
// by its age is older than what has just come. tick is the present time of the master that
// carries the set, said the time of the message that has it.
func (e *executed) late(r *message.Request, said, tick uint64) bool {
	o := &e.order
	came := r.Came
	if came == 0 {
		came = said
	}
	if r.First > 0 || came == 0 || o.Horizon == 0 {
		return false
	}

	waited := tick - min(tick, came)
	firstAtTheEarliest := o.Now - min(o.Now, waited+e.limits.Promised())
	return waited > e.limits.WaitsMost() && firstAtTheEarliest < o.Horizon
}

// oldest is the number of the oldest entry of the ring; number+1 if there is none.
func (e *executed) oldest() uint64 { return e.number - uint64(len(e.ring)) + 1 }

// first is the number of the oldest entry of all; number+1 if there is none.
func (e *executed) first() uint64 { return e.oldest() - uint64(e.earlier.Len()) }

// state is the order's time, with the oldest entry that is needed.
func (e *executed) state() message.OrderTime {
	o := e.order
	o.Oldest = e.first()
	return o
}

// resume takes the order's time over from a table that has come as far.
func (e *executed) resume(o message.OrderTime) {
	e.order = o
	for e.earlier.Len() > 0 && e.first() < o.Oldest {
		e.earlier.Forget()
	}
}

// each calls f for the entries from a number on, until it returns false.
func (e *executed) each(number uint64, f func(*done) bool) {
	more := true
	if n := e.first(); number < e.oldest() {
		e.earlier.Each(int(max(number, n)-n), func(x *dedup.Entry) bool {
			more = f(&done{id: x.ID, Outcome: Outcome{
				RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, time: x.Time,
			}})
			return more
		})
	}
	for number = max(number, e.oldest()); more && number <= e.number; number++ {
		more = f(&e.ring[(e.next+int(number-e.oldest()))%len(e.ring)])
	}
}

// exported is an entry as messages and disks carry it.
func exported(d *done) message.Executed {
	return message.Executed{
		Identity: d.id, RID: d.RID, Digest: d.Digest, Position: d.Position, Timestamp: d.Timestamp, Key: d.key, Time: d.time,
	}
}

func imported(x *message.Executed) done {
	return done{id: x.Identity, key: x.Key, Outcome: Outcome{
		RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, time: x.Time,
	}}
}
