package master

import (
	"fmt"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// flight is a request that has no outcome yet. A repeated write joins the flight of its
// first sending.
type flight struct {
	request   message.Request
	writes    bool           // it may change what a key holds
	replica   lamport.Node   // to which it was forwarded last; 0: to none, or it is a causal write
	since     uint64         // tick of the last forward
	asked     []lamport.Node // replicas that have it in this epoch and have not refused it
	wanted    lamport.Node   // the replica that the client asked for; 0: any
	forwarded bool           // it was sent to a replica, in whatever epoch
	left      bool           // its leaving was noted
	number    uint64         // of a causal write
	firstRID  uint64         // of a causal write that an earlier master numbered
	waiters   []waiter
	room      [1]waiter // the first memory of waiters: nearly always one sending waits
	known     *known    // what is known of its identity; nil: it has none
	round     uint64    // fenced get: of the FORWARD that carries it in this epoch
	read      bool      // fenced get: it is answered, and the fence is awaited
	again     uint8     // fenced get: how often it was sent to another replica

	told   message.Told // what it goes on from
	judged uint64       // epoch of the record by which that was found to be of this history; 0: of none for good
}

// waiter is a sending that waits for the flight's outcome.
type waiter struct {
	token    uint64
	repeated bool
}

// deadline is when a sending is answered Unknown.
type deadline struct{ tick, rid, token uint64 }

const (
	conflict  = "the Nats-Msg-Id was used for a different request"
	noOutcome = "no outcome in time: the request may or may not take effect; send it again with the same Nats-Msg-Id to learn it"
)

// Request takes a client's request whose form was found good.
func (m *Machine) Request(in Incoming, out *Output) {
	if m.misdirected(&in, out) {
		return
	}
	m.request(in, out)
}

// request takes a request that goes on from nothing, or from this history.
func (m *Machine) request(in Incoming, out *Output) {
	r := &in.Request
	writes := in.writes()
	if r.Identity != "" {
		r.Digest = r.Request.Digest()
		if writes && in.Age > 0 {
			r.First = m.first(in.Age)
		}
	}

	if writes && r.First == 0 {
		r.Came = m.time()
	}
	if r.Identity != "" {
		if m.repeated(&in, out) {
			return
		}
	}
	if m.full(in.Token, out) {
		return
	}
	p, code, why := m.place(&in)
	if why != "" {
		m.Refuse(in.Token, code, why, out)
		return
	}

	r.RID = m.takeRID()
	if r.Model == model.Eventual && writes {
		r.Version = m.stamp()
	}
	if mayEnd(r) {
		r.Wall = in.Wall
	}

	f := &flight{request: *r, writes: writes, wanted: in.Replica, told: in.Told, judged: m.judgedBy()}
	if r.Identity != "" && writes {
		f.known = &known{rid: r.RID, digest: r.Digest, version: r.Version, wall: r.Wall, first: r.First}
		m.writes.add(r.Identity, f.known)
	} else if r.Identity != "" {
		m.gets.add(r.Identity, r.Digest)
	}

	m.flights[r.RID] = f
	m.join(f, in.Token, false)
	m.launchOrPause(f, p, in.Draw)
}

// writes reports whether the request may change what a key holds: it has an age then, and its
// first outcome is remembered under its identity. A transaction of gets alone does not (rule P5).
func (in *Incoming) writes() bool { return in.Request.Writes() && !in.ReadOnly }

// mayEnd reports whether what r writes may have a deadline, which counts from the time on the wall
// when r came. (A Txn may hold a set with a TTL.)
func mayEnd(r *message.Request) bool { return r.TTL > 0 || r.Type == model.Txn }

func causalWrite(r *message.Request) bool { return r.Model == model.Causal && r.Writes() }

// ofMembers reports whether only a member of the view may serve a request: those of models 1 and
// 2, and watches of all models, which end where a replica is a member no more. A further page of a
// list is of a cut that was told, and concerns no view (rule P6).
func ofMembers(r *message.Request) bool {
	isOfTheOrder := r.Model.Strong() && !goesOn(r)
	return isOfTheOrder || r.Type == model.Watch
}

// ofViews reports whether a request needs a view: all but gets of model 3, and writes and gets of
// model 4.
func ofViews(r *message.Request) bool { return ofMembers(r) || causalWrite(r) }

// expected reports whether a replica works in the view, or will soon.
func (p *peer) expected() bool { return p.member && !p.known.Suspected }

// configures reports whether a replica is one of the cluster's, as far as a record says.
func (m *Machine) configures(n lamport.Node) bool {
	record := m.members.Record()
	return record.Epoch == 0 || record.Configures(n)
}

// launchOrPause sends a flight on its way, unless it needs a view while views change.
func (m *Machine) launchOrPause(f *flight, p *peer, draw uint32) {
	r := &f.request
	waitsForItsReplica := ofMembers(r) && f.wanted != 0 && p != nil && !p.works
	cannotBeHeld := causalWrite(r) && !m.heldBySome()
	needsAView := m.members.Changing() && ofViews(r)
	if waitsForItsReplica || cannotBeHeld || needsAView {
		m.paused = append(m.paused, f)
		return
	}
	m.launch(f, p, draw)
}

// launch sends a flight on its way: a causal write to the primary, one for a certain
// replica there at once, any other with the next batch that leaves.
func (m *Machine) launch(f *flight, p *peer, draw uint32) {
	switch {
	case causalWrite(&f.request) && p == nil:
		m.number(f)
	case p != nil: // for a causal write: a question
		m.dispatch(f, p)
	default:
		m.queue = append(m.queue, f)
		m.queueDraw = draw
	}
}

// full refuses a sending when too many wait, and reports whether it did.
func (m *Machine) full(token uint64, out *Output) bool {
	if m.cfg.MaxInFlight <= 0 || m.inFlight < m.cfg.MaxInFlight {
		return false
	}
	m.Refuse(token, model.Unavailable, "too many requests are waiting; try again later", out)
	return true
}

// Refuse answers a request at the door: it has had, and will have, no effect.
func (m *Machine) Refuse(token uint64, code model.Code, reason string, out *Output) {
	out.Replies = append(out.Replies, Reply{Answer: m.own(m.takeRID(), code, reason), Token: token})
}

// own is an answer of the master's own: no replica served the request.
func (m *Machine) own(rid uint64, code model.Code, reason string) model.Answer {
	return model.Answer{RID: rid, Code: code, Reason: reason, Clock: m.now()}
}

// place finds the replica that the client asked for. If it asked for none, place only makes sure
// that there is a replica to take the request, which goes with the next batch. A causal write is
// the primary's.
func (m *Machine) place(in *Incoming) (*peer, model.Code, string) {
	r := &in.Request
	if causalWrite(r) {
		why := m.whyNotNumbered()
		p := m.recaller(r)
		if why == "" && p == nil && m.mayRecall(r) && !m.members.Changing() {
			why = "no replica can say now whether this request was numbered by an earlier master"
		}
		return p, model.Unavailable, why
	}

	if goesOn(r) {
		return m.keeper(in)
	}
	fits := (*peer).servesWeak
	if ofMembers(r) {
		if why := m.whyNotStrong(); why != "" {
			return nil, model.Unavailable, why
		}
		fits = func(p *peer) bool { return p.expected() || m.members.Changing() }
	}

	if in.Replica != 0 {
		p := m.peer(in.Replica)
		switch {
		case p == nil || !m.configures(in.Replica):
			return nil, model.Malformed, fmt.Sprintf("replica %s is not one of this cluster's", in.Replica)
		case !fits(p):
			return nil, model.Unavailable, m.whyNotServed(p)
		}
		return p, 0, ""
	}

	if !slices.ContainsFunc(m.replicas, fits) {
		return nil, model.Unavailable, m.whyNoReplica()
	}
	return nil, 0, ""
}

// draw picks one of the replicas that fit, by a random number; nil if none does.
func (m *Machine) draw(random uint32, fits func(*peer) bool) *peer {
	n := m.count(fits)
	if n == 0 {
		return nil
	}
	k := random % uint32(n)
	for _, p := range m.replicas {
		if fits(p) {
			if k == 0 {
				return p
			}
			k--
		}
	}
	return nil
}

// leaves notes that a flight leaves for a replica, or (0) for all, in this turn: the first
// time, for the sending that began it.
func (m *Machine) leaves(f *flight, to lamport.Node) {
	if f.left {
		return
	}
	f.left = true
	for _, w := range f.waiters {
		if !w.repeated {
			m.sent = append(m.sent, Sent{Token: w.token, To: to})
		}
	}
}

// heard notes that a replica has told of a flight, for the sending that began it; nil: it has
// landed.
func (f *flight) heard(out *Output) {
	if f == nil {
		return
	}
	for _, w := range f.waiters {
		if !w.repeated {
			out.Heard = append(out.Heard, w.token)
		}
	}
}

func (m *Machine) dispatch(f *flight, p *peer) {
	if f.forwarded {
		m.resent++
	}
	m.leaves(f, p.node)
	f.replica, f.since, f.forwarded = p.node, m.ticks, true
	if !slices.Contains(f.asked, p.node) {
		f.asked = append(f.asked, p.node)
	}
	p.requests = append(p.requests, f.request)
	if m.fenced(f) {
		m.fenceOff(f, p)
	}
}

func (m *Machine) join(f *flight, token uint64, repeated bool) {
	if f.waiters == nil {
		f.waiters = f.room[:0]
	}
	f.waiters = append(f.waiters, waiter{token: token, repeated: repeated})
	m.inFlight++
	m.deadlines = append(m.deadlines, deadline{tick: m.ticks + m.cfg.TimeoutTicks, rid: f.request.RID, token: token})
}

// depart gives what has gathered to the replicas that have answered their last batch, in
// an order drawn by chance: to one of them, or, where there is enough, a share to each,
// so that they work at the same time. While all are busy it goes on gathering: the batch
// is what arrived meanwhile, so its size follows the load, and a lone request never
// waits. A replica whose batch takes longer (a get may wait for its minimum) counts as
// busy for busyTicks only.
func (m *Machine) depart(out *Output) {
	fits := (*peer).serves
	if m.members.Changing() { // then the queue holds only what goes on meanwhile
		fits = (*peer).servesWeak
	}
	free := func(p *peer) bool { return fits(p) && m.ticks >= p.busyUntil }
	for len(m.queue) > 0 {
		p := m.draw(m.queueDraw, free)
		if p == nil {
			break
		}
		m.queueDraw = m.queueDraw*1664525 + 1013904223 // the next of a linear congruence: another share, another replica
		share := max(len(m.queue)/m.count(free), shareLeast)
		p.requests = slices.Grow(p.requests, min(share, len(m.queue)))
		for _, f := range m.queue[:min(share, len(m.queue))] {
			switch {
			case m.flights[f.request.RID] != f: // answered Unknown meanwhile
			case m.hasEnded(f):
				m.land(f, m.own(f.request.RID, model.Misdirected, whyEnded), out)
			default:
				m.dispatch(f, p)
			}
		}
		m.queue = m.queue[min(share, len(m.queue)):]
		p.busyUntil = m.ticks + busyTicks
	}

	if len(m.queue) == 0 {
		m.queue = nil
		return
	}
	soon := m.members.Changing() && m.members.Short() == ""
	if m.count(fits) > 0 || m.count((*peer).expected) > 0 || soon {
		return
	}

	kept := m.queue[:0]
	for _, f := range m.queue {
		switch {
		case m.flights[f.request.RID] != f:
		case f.forwarded: // it may have been executed: it waits for a replica, or for its timeout
			kept = append(kept, f)
		default:
			m.land(f, m.own(f.request.RID, model.Unavailable, m.whyNoReplica()), out)
		}
	}
	clear(m.queue[len(kept):])
	m.queue = kept
}

// count returns how many replicas fit.
func (m *Machine) count(fits func(*peer) bool) int {
	n := 0
	for _, p := range m.replicas {
		if fits(p) {
			n++
		}
	}
	return n
}

// shareLeast is the number of requests below which a batch is not worth dividing.
const shareLeast = 256

const busyTicks = 2

// answer takes a replica's outcome to those who wait for it.
func (m *Machine) answer(p *peer, f *flight, a *message.Answer, out *Output) {
	if causalWrite(&f.request) {
		m.recalled(f, a, out)
		return
	}
	if !a.Code.Answered() && !f.refused(p.node) {
		return // the same write is on its way through another replica and may be executed there
	}
	answer := a.Answer
	answer.Replica, answer.Clock.Node = p.node, p.node
	if a.FirstRID != 0 {
		answer.RID = a.FirstRID
	}
	m.land(f, answer, out)
}

// refused takes a replica's refusal and reports whether it is final: every replica that
// was asked has refused. A replica that has refused a write refuses every copy of it, so
// one refusal from each is enough, and one that comes twice, or late from an earlier
// flight, counts for no other replica.
func (f *flight) refused(by lamport.Node) bool {
	i := slices.Index(f.asked, by)
	if i < 0 {
		return false
	}
	f.asked = slices.Delete(f.asked, i, i+1)
	return len(f.asked) == 0
}

// land ends a flight: every sending that waits gets the outcome.
func (m *Machine) land(f *flight, a model.Answer, out *Output) {
	delete(m.flights, f.request.RID)
	isTold := a.Code.Answered() || a.Position > 0 // of a refusal a replica says none
	a.HasPosition = isTold && hasPosition(&f.request, a.Replica)
	if f.known != nil {
		switch {
		case a.Code.Answered(): // a condition that did not hold, too: that was decided in the order (rule P4)
			f.known.settle(&a)
			m.landed(f.request.Identity, f.known)
		case f.known.unknown && !f.request.Model.Strong():
			// An earlier sending may yet take effect, with the stamp it got: the next
			// must not be a younger write.
			m.landed(f.request.Identity, f.known)
		default:
			m.writes.remove(f.request.Identity) // not executed: the identity is free again
		}
	}
	for _, w := range f.waiters {
		out.Replies = append(out.Replies, Reply{Answer: a, Token: w.token, Repeated: w.repeated, Unjudged: a.Code == model.Misdirected})
		m.inFlight--
	}
}

// hasPosition reports whether a reply says a position: of what a replica served in the total
// order.
func hasPosition(r *message.Request, served lamport.Node) bool {
	return r.Model.Strong() && served != 0
}

// expire answers Unknown what has waited for the timeout. The flight of a causal write
// goes on: its number was given out.
func (m *Machine) expire(out *Output) {
	n := 0
	for n < len(m.deadlines) && m.deadlines[n].tick <= m.ticks {
		m.expireOne(m.deadlines[n], out)
		n++
	}
	if n > 0 {
		m.deadlines = m.deadlines[n:]
	}
}

func (m *Machine) expireOne(d deadline, out *Output) {
	f := m.flights[d.rid]
	if f == nil {
		return
	}

	for i, w := range f.waiters {
		if w.token != d.token {
			continue
		}
		f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
		m.inFlight--
		if f.known != nil && !m.untouched(f) {
			f.known.unknown = true
		}

		answer := m.own(d.rid, model.Unknown, noOutcome)
		if m.untouched(f) {
			answer.Code, answer.Reason = model.Unavailable, "not executed: "+m.whyNoReplica()
		}
		out.Replies = append(out.Replies, Reply{Answer: answer, Token: w.token, Repeated: w.repeated})
		break
	}

	if len(f.waiters) == 0 && f.number == 0 {
		delete(m.flights, d.rid)
		if f.known != nil {
			m.landed(f.request.Identity, f.known)
		}
	}

	if f.known != nil && m.untouched(f) && !f.known.unknown {
		m.writes.remove(f.request.Identity) // the identity is free again
	}
}

// untouched reports whether a flight has had, and will have, no effect: no replica was
// sent it, now or in an earlier flight.
func (m *Machine) untouched(f *flight) bool {
	if f.known != nil && f.known.unknown {
		return false
	}
	return !f.forwarded && f.number == 0 && len(f.waiters) == 0
}

func (m *Machine) takeRID() uint64 {
	rid := m.nextRID
	m.nextRID++
	return rid
}

func (m *Machine) now() lamport.Timestamp {
	return lamport.Timestamp{Time: m.clock.Increment(), Node: m.cfg.Self}
}
