package sim

import (
	"fmt"
	"math/rand/v2"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/master"
)

// drawn are the types of the requests that sessions make.
var drawn = [...]model.Type{model.Set, model.Get}

// session is a client that keeps the public contract: one request at a time, the highest
// position and read timestamp and the timestamps of its own writes carried along, a set
// of unknown outcome sent again under the same Nats-Msg-Id.
type session struct {
	name   string
	index  int
	models []model.Consistency
	left   int // requests to make
	made   int
	now    *sending

	patience int64

	history   message.History // of the last reply that it has heard
	position  uint64
	read      uint64
	wrote     map[string]uint64
	revisions map[string]uint64 // of keys, as it has heard last
	answered  []*sending        // sets with an identity, to be sent once more for no reason, or since it has given up
	tellsAge  bool              // says of a set that it sends again how old it is; else it keeps to what is promised
	script    []*sending        // the last gets of the run
	weak      bool              // it asks for nothing that needs a view
	steady    bool              // it asks until everything heals, for each request until it is served
}

// sending is one request on its way.
type sending struct {
	watch   bool     // of no session: a watcher's
	listing *listing // … a lister's
	session *session
	token   uint64
	try     int
	again   bool // of a set that was answered already
	replica lamport.Node
	request message.Request
	first   int64  // when it was sent first
	age     uint64 // in ticks, as the session tells it
	call    int64
	epoch   uint64 // that stood when it reached a master
	told    message.Told
}

// String describes the request for the transcript.
func (s *sending) String() string {
	r := &s.request
	switch {
	case s.watch:
		return "a watcher asks for " + r.Watcher.Reply
	case s.listing != nil:
		return s.listing.String()
	}
	t := fmt.Sprintf("%s asks %s %s %s", s.session.name, r.Model.Word(), r.Type.Word(), r.Key)
	t += details(&r.Request)
	if r.Min > 0 {
		t += fmt.Sprintf(" min %d", r.Min)
	}
	if s.replica != 0 {
		t += " at " + s.replica.String()
	}
	if r.Identity != "" {
		t += fmt.Sprintf(" (id %s, try %d)", r.Identity, s.try)
	}
	return t
}

// reply is a reply of a master on its way to a session.
type reply struct {
	master.Reply
	history message.History // at which the master stood
}

// mixes are what sessions ask for: one model each, or several.
var mixes = [][]model.Consistency{
	{model.Linearizable}, {model.Sequential}, {model.Causal}, {model.Eventual},
	{model.Linearizable, model.Sequential}, {model.Causal, model.Eventual},
	{model.Linearizable, model.Sequential, model.Causal, model.Eventual},
}

// mostTries is how often a request is sent before everything has healed; afterwards a
// session does not give up.
const (
	causalOnly   = 2 // among the mixes
	eventualOnly = 3
	strongOnly   = 4
	allModels    = 6
	mostTries    = 3
)

// open starts the sessions. They begin while the cluster boots: what it refuses then was
// not executed.
func (c *cluster) open() {
	for i := range c.opts.Sessions {
		s := &session{
			name: fmt.Sprintf("s%d", i+1), index: i, models: mixes[c.opts.Mixes[i%len(c.opts.Mixes)]],
			left: c.opts.Requests, wrote: make(map[string]uint64), revisions: make(map[string]uint64), patience: c.clientTimeout(),
		}
		if c.opts.Patience > 0 && c.rand.IntN(3) > 0 {
			s.patience = tickUnits * int64(c.opts.Patience+c.rand.IntN(10))
		}
		s.tellsAge = i%2 == 0
		c.sessions = append(c.sessions, s)
		c.agenda.push(event{at: 5*tickUnits + c.rand.Int64N(10*tickUnits), kind: goesOn, node: i})
	}
}

// done reports whether the session has made all its requests and heard of them.
func (s *session) done() bool { return s.now == nil && s.left == 0 && len(s.script) == 0 }

func (s *session) next(c *cluster) {
	switch {
	case s.now != nil || s.done():
	case len(s.script) > 0:
		next := s.script[0]
		s.script = s.script[1:]
		s.send(c, next)
	case len(s.answered) > 0 && c.rand.IntN(c.rarely()) == 0:
		old := *s.answered[0]
		if !s.maySendAgain(c, &old) {
			s.answered = s.answered[1:]
			s.next(c)
			return
		}
		old.again, old.try = true, old.try+1
		s.answered = append(s.answered[1:], s.answered[0])
		s.send(c, &old)
	case s.steady:
		s.send(c, s.inventSteady(c))
	default:
		s.left--
		s.send(c, s.invent(c))
	}
}

// rarely is in how many requests one is an old set's once more.
func (c *cluster) rarely() int {
	if c.opts.Keep > 0 {
		return 4
	}
	return 12
}

// maySendAgain reports whether the contract lets a set be sent again: one whose sender says
// how old it is, always; another one within the promised time.
func (s *session) maySendAgain(c *cluster, w *sending) bool {
	return c.opts.Keep == 0 || s.tellsAge || c.now-w.first < c.promised()
}

// promised is for how long a set may be sent again, in time units.
func (c *cluster) promised() int64 { return int64(c.opts.Keep) * tickUnits * 4 / 5 }

// invent makes up the next request.
func (s *session) invent(c *cluster) *sending {
	if c.opts.Ops {
		return s.inventOperation(c)
	}
	s.made++
	w := &sending{session: s, try: 1}
	r := &w.request
	r.Model, r.Type = s.models[c.rand.IntN(len(s.models))], drawn[c.rand.IntN(len(drawn))]
	r.Key = string(rune('a' + c.rand.IntN(c.opts.Keys)))
	if r.Type == model.Set {
		r.Value = fmt.Appendf(nil, "%s-%d", s.name, s.made)
		if c.rand.IntN(4) > 0 {
			r.Identity = string(r.Value)
		}
	}
	if c.rand.IntN(4) == 0 {
		w.replica = lamport.Replica(1 + c.rand.IntN(c.opts.Replicas))
	}
	return w
}

// send asks the master, with what the session must carry along.
func (s *session) send(c *cluster, w *sending) {
	r := &w.request
	switch {
	case r.Model == model.Sequential:
		r.Min = s.position
	case r.Model == model.Causal && r.Type == model.Get:
		r.Min = max(s.read, s.wrote[r.Key])
	}

	w.told = message.Told{}
	if !c.opts.PowerCut { // else an operator may let a history end
		w.told = message.Told{History: s.history, Position: s.position, Timestamp: s.read}
		for _, timestamp := range s.wrote {
			w.told.Timestamp = max(w.told.Timestamp, timestamp)
		}
	}

	if w.first == 0 {
		w.first = c.now
	}
	if s.tellsAge {
		w.age = uint64((c.now - w.first + tickUnits - 1) / tickUnits)
	}

	c.step++
	c.nextToken++
	w.token, w.call = c.nextToken, c.step
	s.now = w
	if w.request.Type == model.Set {
		c.values[w.request.Key+"="+string(w.request.Value)] = true
	}
	c.tokens[w.token] = w
	c.trace("%6d  %s", c.now, w)

	if c.rand.Float64() >= c.clientDrop {
		c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(c.net.delay), kind: asks, sent: w})
	}

	patience := s.patience
	if c.healed {
		patience = c.clientTimeout()
	}
	c.agenda.push(event{at: c.now + patience, kind: givesUp, sent: w})
}

// reply puts the master's reply on its way.
func (c *cluster) reply(from *master.Machine, r master.Reply) {
	w := c.tokens[r.Token]
	if w == nil {
		c.fail("invariant", "a reply for token %d, which nobody sent or which was answered before: %+v", r.Token, r)
		return
	}
	delete(c.tokens, r.Token)
	if w.watch {
		c.watchAnswered(&r, w)
		return
	}
	if w.listing != nil {
		c.tellLister(r, w)
		return
	}
	if r.Code == model.Misdirected && !c.hasEnded(w.told.History) {
		c.fail("invariant", "%s goes on from %+v, and is refused as of another history: %s", w, w.told, r.Reason)
		return
	}
	if c.rand.Float64() < c.clientDrop {
		return
	}
	c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(c.net.delay), kind: answers, sent: w, reply: &reply{r, from.History()}})
}

// hasEnded reports whether what a session was told is of an epoch whose record was lost before all
// of its members had installed it: a weak get may have been answered there.
func (c *cluster) hasEnded(h message.History) bool {
	n := int(h.Epoch)
	return n > len(c.registry.records) || c.registry.records[n-1].Nonce != h.Nonce
}

// answered takes a reply, or nil when the session has waited for long enough.
func (c *cluster) answered(w *sending, reply *reply) {
	s := w.session
	if s.now != w {
		return // it has given up before
	}
	s.now = nil
	o := s.record(c, w, reply)
	c.trace("%6d  %s hears: %s", c.now, s.name, o)
	if s.again(c, w, o, reply) {
		return
	}
	c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(tickUnits), kind: goesOn, node: s.index})
}

// triedEnough reports whether a request is given up before everything has healed: after
// [mostTries], or one time in five.
func (w *sending) triedEnough(r *rand.Rand) bool { return w.try >= mostTries || r.IntN(5) == 0 }

// record writes the operation into the history and learns from the reply.
func (s *session) record(c *cluster, w *sending, reply *reply) history.Operation {
	c.step++
	r := &w.request
	o := history.Operation{
		Client: "sim", Session: s.name, Model: r.Model, Type: r.Type, Key: r.Key, Value: string(r.Value),
		Call: w.call, Return: c.step, Identity: r.Identity, Outcome: history.Unknown,
	}

	if reply != nil {
		if reply.history.Epoch > s.history.Epoch {
			s.history = reply.history
		}
		switch executed, known := reply.Code.Executed(); {
		case executed:
			o.Outcome = history.OK
		case known:
			o.Outcome = history.Fail
		}
		c.watch.heardAgain(w, reply)
		if o.Call > c.cutAt {
			c.told = max(c.told, reply.Position)
		}
		c.watch.heard(w, reply)
		o.Answered(&reply.Answer)
		if c.opts.Upgrade > 0 { // those of level 0 say nothing, and no checker knows of them (rule O1)
			o.HasRevision, o.Revision = false, 0
		}
		c.fromWhomItAsked(w, reply)
	}

	if model.Code(o.Code).Answered() && o.Call > c.cutAt {
		s.learn(&o)
		if reply.HasRevision && s.revisions != nil {
			s.revisions[o.Key] = reply.Revision
		}
	}
	c.history = append(c.history, o)
	return o
}

// fromWhomItAsked is what a client sees of rule P1: a get that names a replica is answered by that
// one, or by none.
func (c *cluster) fromWhomItAsked(w *sending, reply *reply) {
	by := reply.Replica
	if named := w.replica; named != 0 && w.request.Type == model.Get && by != 0 && by != named {
		c.fail("history", "%s was answered by %s", w, by)
	}
}

func (s *session) learn(o *history.Operation) {
	switch {
	case o.Model.Strong():
		s.position = max(s.position, o.Position)
	case o.Model == model.Causal && o.Type == model.Get:
		s.read = max(s.read, o.Timestamp)
	case o.Model == model.Causal:
		s.wrote[o.Key] = max(s.wrote[o.Key], o.Timestamp)
	}
}

// again sends a request once more where a client would: a set of unknown outcome under
// its identity, a get that came too early.
func (s *session) again(c *cluster, w *sending, o history.Operation, reply *reply) bool {
	set := w.request.Writes() && w.request.Identity != ""
	if set && model.Code(o.Code).Answered() && !w.again {
		s.answered = append(s.answered, w)
	}
	if s.steady && !served(reply) && !c.healed {
		next := *w
		next.try++
		s.send(c, &next)
		return true
	}
	unsure := set && o.Outcome == history.Unknown
	early := reply != nil && reply.Code == model.TooEarly
	if retry := unsure || early; !retry || !s.maySendAgain(c, w) {
		return false
	}
	if !c.healed && w.triedEnough(c.rand) {
		if set && c.opts.Keep > 0 { // later
			s.answered = append(s.answered, w)
		}
		return false
	}
	next := *w
	next.try++
	if c.rand.IntN(2) == 0 {
		next.replica = 0
	}
	s.send(c, &next)
	return true
}
