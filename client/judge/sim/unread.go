package sim

import (
	"math/rand/v2"
	"slices"

	"quartet/bus/message"
	"quartet/bus/model"
)

// unread watches that what needs no view needs no record (rule W1 of replica/DESIGN.md). It is
// for runs of [UnreadFromSeed], in which the store of the record ceases to answer, the master dies
// after that and another one starts, and perhaps a replica dies; or the master lives, replicas die
// or stand still, and the session sends nothing again (rule W2). It says:
//
//   - Served: from when the store is away until everything heals, a get of model 3 or a request of
//     model 4 that was sent for unreadTicks while a master was there was answered. A session asks
//     for nothing else, one request after the other, each until it is served.
type unread struct {
	session *session
	since   int64 // the session's present request was sent first
	away    bool  // the store answers nobody
	holds   bool  // and a view worked when it ceased to
	master  int64 // when a master was not there last
	longest int64 // that a request has waited while one was
}

// unreadTicks is what a new master takes to hear that a replica is at work, or the suspicion time
// (7 ticks) until one that has died is asked no more, and the time after which the session, which
// has heard nothing, asks again.
const unreadTicks = 40

// weakAgain is for how many ticks that session waits before it sends again.
const weakAgain = 8

// UnreadFromSeed draws a run in which a master starts while nobody can read the record.
func UnreadFromSeed(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 0x0b5c))
	o := Options{
		Seed: seed, Replicas: 3 + r.IntN(3), Sessions: 2, Requests: 20, Keys: 1 + r.IntN(2), Delay: 5 + r.Int64N(40),
		Horizon: (250 + r.Int64N(200)) * tickUnits, Durable: r.IntN(2) == 0, OrderedGets: r.IntN(6) == 0, Unread: true,
	}
	o.Mixes = r.Perm(len(mixes))
	late := rand.New(rand.NewPCG(seed, 0x57ead)) // what was added later leaves the other draws as they were
	o.Steadfast = late.IntN(3) == 0
	return o
}

// planUnread draws when the store goes away, when the master dies, and whether a replica does.
func (c *cluster) planUnread() {
	if !c.opts.Unread {
		return
	}
	r := c.rand
	at := (40 + r.Int64N(60)) * tickUnits
	c.agenda.push(event{at: at, kind: faultBegins, fault: &fault{kind: StoreAway}})

	at += r.Int64N(20 * tickUnits)
	if c.opts.Steadfast {
		for range 2 { // one after the other
			at += (10 + r.Int64N(30)) * tickUnits
			away := &fault{kind: []FaultKind{Crash, Pause}[r.IntN(2)], node: r.IntN(c.opts.Replicas), length: (10 + r.Int64N(20)) * tickUnits}
			c.agenda.push(event{at: at, kind: faultBegins, fault: away})
			at += away.length
		}
		return
	}
	dies := &fault{kind: MasterDies, node: c.opts.Replicas, length: tickUnits + r.Int64N(10*tickUnits)}
	c.agenda.push(event{at: at, kind: faultBegins, fault: dies})

	if r.IntN(2) == 0 { // once the new master has heard it at work
		at += dies.length + (20+r.Int64N(50))*tickUnits
		c.agenda.push(event{at: at, kind: faultBegins, fault: &fault{
			kind: Crash, node: r.IntN(c.opts.Replicas), length: tickUnits + r.Int64N(60*tickUnits),
		}})
	}
}

// begin starts the session that asks all the time.
func (u *unread) begin(c *cluster) {
	if !c.opts.Unread {
		return
	}
	u.session = &session{
		name: "weak", index: len(c.sessions), models: []model.Consistency{model.Causal, model.Eventual}, left: 1, steady: true, weak: true,
		wrote: map[string]uint64{}, patience: weakAgain * tickUnits,
	}
	if c.opts.Steadfast {
		u.session.patience = c.clientTimeout()
	}
	c.sessions = append(c.sessions, u.session)
	c.agenda.push(event{at: 5 * tickUnits, kind: goesOn, node: u.session.index})
}

// goes sees that the store ceases to answer.
func (u *unread) goes(c *cluster) {
	leader := c.leader()
	u.away, u.master = true, c.now
	u.holds = leader != nil && leader.Complete()
	c.trace("%6d  the store of the record is away; a view works: %t", c.now, u.holds)
}

// tick looks whether the session waits for too long.
func (u *unread) tick(c *cluster) {
	if !u.away || c.healed {
		return
	}
	lives := func(n *node) bool { return !n.dead }
	if !slices.ContainsFunc(c.nodes[c.opts.Replicas:], lives) {
		u.master = c.now
	}
	if !u.holds || u.session.now == nil {
		return
	}
	waited := c.now - max(u.master, u.since)
	u.longest = max(u.longest, waited)
	if waited > unreadTicks*tickUnits {
		c.fail("liveness", "%s has waited for %d ticks, and needs no record: %s", u.session.now, waited/tickUnits, c.links())
	}
}

// weaken makes a request one that needs no view: of the causal model, a get.
func weaken(r *message.Request) {
	if r.Model == model.Causal {
		r.Type, r.Value, r.Identity = model.Get, nil, ""
	}
}
