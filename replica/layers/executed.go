package layers

import (
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
)

// executed is the table of executed requests (rules S5 and S6): identity → first outcome. It
// is part of the replicated state: filled and trimmed at delivery only, so at one position
// it is the same on every replica.
//
// The entries are kept in few bytes, as long as somebody may send the request again: see forget. Of
// the newest the keys stand beside them in a ring, for learners. Entries without an identity are
// nobody's: what changed a key without a request of its own. They stand in both for learners, and
// are not found.
type executed struct {
	memory *dedup.Memory // all entries, without their keys
	number uint64        // of the newest entry, counted over the whole order

	ring    []keyed // of the newest entries, as many places as the window has
	start   int     // place of the oldest
	count   int
	cost    int // of the entries whose keys are in the ring
	results int // bytes of theirs

	limits dedup.Limits
	seed   uint64
	order  message.OrderTime
}

// keyed is the key of an entry, and what the entry takes.
type keyed struct {
	key    string // a learner needs its record again
	cost   int32
	result int32
}

// done is an entry. Those that are not in the ring have no key.
type done struct {
	id  string // "": the identity is the rID
	key string
	Outcome
}

// Outcome is how a request that writes ended the first time.
type Outcome struct {
	RID       uint64 // of the request that had its place
	Digest    uint64 // of what it said: another request must not use its identity
	Position  uint64 // of a strong one: its place in the order
	Timestamp uint64 // of a causal one: its number
	time      uint64 // the order's, when it had its place

	Code     model.Code // 0: it took effect
	Revision uint64     // with code Failed: of the key as it was
	Result   []byte     // of an Add or a Txn; shared, never written to
}

func newExecuted(cfg *Config) executed {
	e := executed{limits: cfg.Limits.Filled(), seed: cfg.Seed}
	e.clear(0)
	return e
}

// clear empties the table; the next entry gets the number after this one. The order's time
// stays.
func (e *executed) clear(number uint64) { e.begin(number, dedup.New(e.seed)) }

// begin begins the table with the entries up to a number, of which the keys are not known.
func (e *executed) begin(number uint64, memory *dedup.Memory) {
	e.number, e.memory = number, memory
	// Made in its full size: growing on the way would stop the replica for milliseconds.
	e.ring, e.start, e.count = make([]keyed, e.limits.Window), 0, 0
	e.cost, e.results = 0, 0
}

func (e *executed) lookup(r *message.Request) (Outcome, bool) {
	x, ok := e.memory.Lookup(r.Identity, r.RID)
	if !ok {
		return Outcome{}, false
	}
	return outcomeOf(&x), true
}

// add remembers a first outcome. When the ring is full the key of its oldest entry is forgotten.
func (e *executed) add(d done) {
	if e.count == len(e.ring) {
		e.shift()
	}

	x := d.entry()
	e.memory.Add(x)
	e.number++

	k := keyed{key: d.key, cost: int32(x.Cost()), result: int32(len(d.Result))}
	e.ring[e.place(e.count)] = k
	e.count++
	e.cost += int(k.cost)
	e.results += int(k.result)

	for e.crowded() {
		e.forgetOldest()
	}
}

// place is where the key with an index stands in the ring; 0 is the oldest.
func (e *executed) place(i int) int { return (e.start + i) % len(e.ring) }

// shift takes the oldest key off the ring.
func (e *executed) shift() {
	old := &e.ring[e.start]
	e.cost -= int(old.cost)
	e.results -= int(old.result)
	*old = keyed{}
	e.start = e.place(1)
	e.count--
}

// crowded reports whether the table takes more memory than it may. The last entries stay all
// the same, but for their results: 100,000 entries are few bytes, and 100,000 results may be 50
// GB. Where results alone are too many, the last entries are forgotten as all others.
func (e *executed) crowded() bool {
	if e.memory.Cost()-e.cost+e.results <= e.limits.KeepBytes {
		return false
	}
	return e.forgettable() || e.memory.Results() > e.limits.KeepBytes
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
		x, _ := e.memory.Oldest()
		if x.Time+e.limits.KeepTicks >= now {
			return
		}
		e.forgetOldest()
	}
}

// forgettable reports whether the oldest entry is none of the last ones.
func (e *executed) forgettable() bool {
	return e.memory.Len() > e.count && e.first()+uint64(e.limits.Window) <= e.number
}

// forgetOldest forgets the oldest entry of all, and when it had its place.
func (e *executed) forgetOldest() {
	e.order.Horizon = max(e.order.Horizon, e.drop()+1)
}

// drop takes the oldest entry of all out of the table, and returns its time.
func (e *executed) drop() uint64 {
	if e.memory.Len() == e.count {
		e.shift()
	}
	x, _ := e.memory.Oldest()
	e.memory.Forget()
	return x.Time
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

// oldest is the number of the oldest entry whose key is known; number+1 if there is none.
func (e *executed) oldest() uint64 { return e.number - uint64(e.count) + 1 }

// first is the number of the oldest entry of all; number+1 if there is none.
func (e *executed) first() uint64 { return e.number - uint64(e.memory.Len()) + 1 }

// state is the order's time, with the oldest entry that is needed.
func (e *executed) state() message.OrderTime {
	o := e.order
	o.Oldest = e.first()
	return o
}

// resume takes the order's time over from a table that has come as far.
func (e *executed) resume(o message.OrderTime) {
	e.order = o
	for e.first() < min(o.Oldest, e.number+1) {
		e.drop()
	}
}

// each calls f for the entries from a number on, until it returns false.
func (e *executed) each(number uint64, f func(*done) bool) {
	first, oldest := e.first(), e.oldest()
	number = max(number, first)
	e.memory.Each(int(number-first), func(x *dedup.Entry) bool {
		d := done{id: x.ID, Outcome: outcomeOf(x)}
		if number >= oldest {
			d.key = e.ring[e.place(int(number-oldest))].key
		}
		number++
		return f(&d)
	})
}

// entry is an entry as it is kept, without its key.
func (d *done) entry() *dedup.Entry {
	return &dedup.Entry{
		ID: d.id, RID: d.RID, Digest: d.Digest, Position: d.Position, Timestamp: d.Timestamp, Time: d.time,
		Code: d.Code, Revision: d.Revision, Result: d.Result,
	}
}

func outcomeOf(x *dedup.Entry) Outcome {
	return Outcome{
		RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, time: x.Time,
		Code: x.Code, Revision: x.Revision, Result: x.Result,
	}
}

// exported is an entry as messages and disks carry it.
func exported(d *done) message.Executed {
	return message.Executed{
		Identity: d.id, RID: d.RID, Digest: d.Digest, Position: d.Position, Timestamp: d.Timestamp, Key: d.key, Time: d.time,
		Code: d.Code, Revision: d.Revision, Result: d.Result,
	}
}

func imported(x *message.Executed) done {
	return done{id: x.Identity, key: x.Key, Outcome: Outcome{
		RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, time: x.Time,
		Code: x.Code, Revision: x.Revision, Result: x.Result,
	}}
}
