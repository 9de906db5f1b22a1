package sim

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/replica/store"
)

// finished reports whether everything healed, all sessions are done and the cluster is at
// rest. When that is so for the first time, a last session reads every key: once as the
// strong models, and from every replica as the weak ones.
func (c *cluster) finished() bool {
	if !c.healed {
		if c.sessionsDone() {
			c.heal()
		}
		return false
	}
	if !c.sessionsDone() || c.isUnderWay() || c.restless() != "" {
		return false
	}
	if c.final {
		return true
	}
	c.final = true
	c.trace("%6d  at rest; the last gets", c.now)
	c.lastGets()
	return false
}

// isUnderWay reports whether something is surely not at rest yet. It is asked at every event once
// the sessions are done, and costs less than to say what it is.
func (c *cluster) isUnderWay() bool {
	last := c.leader()
	if last == nil || last.InFlight() > 0 || !last.Ready() || c.ending() != "" {
		return true
	}
	for _, n := range c.living() {
		s := n.replica.Stats()
		if s.Phase != message.PhaseMember || s.Pending != 0 || s.Tentative != 0 || s.Queue != 0 {
			return true
		}
	}
	return false
}

func (c *cluster) sessionsDone() bool {
	for _, s := range c.sessions {
		if !s.done() {
			return false
		}
	}
	return true
}

// restless says what is not at rest yet, or "".
func (c *cluster) restless() string {
	var b strings.Builder
	for _, s := range c.sessions {
		if s.now != nil {
			fmt.Fprintf(&b, "%s waits for an answer; ", s.now)
		}
	}

	last, record := c.leader(), c.record()
	if last == nil {
		return b.String() + "no master leads"
	}
	if n := last.InFlight(); n > 0 {
		fmt.Fprintf(&b, "%d requests in flight; ", n)
	}

	snapshot := last.Snapshot()
	if !snapshot.Ready {
		fmt.Fprintf(&b, "not ready: %s; ", snapshot.Why)
	}

	first := -1
	for i := range c.opts.Replicas {
		n := c.nodes[i]
		if n.forever || n.away {
			continue
		}
		s := n.replica.Stats()
		if first < 0 {
			first = i
		}
		if s.Phase != message.PhaseMember || s.Epoch != record.Epoch || s.Pending != 0 || s.Tentative != 0 || s.Queue != 0 ||
			s.Position != c.nodes[first].replica.Stats().Position || s.Safe != snapshot.Marks.Last {
			fmt.Fprintf(&b, "%s: phase %d, epoch %d, %d pending, %d tentative, %d in the queue, position %d, safe %d of %d; ", n.id,
				s.Phase, s.Epoch, s.Pending, s.Tentative, s.Queue, s.Position, s.Safe, snapshot.Marks.Last)
		}
	}

	return b.String() + c.ending() + c.unwatched() + c.unlisted() + c.collecting()
}

// living are the replicas that are not dead for ever.
func (c *cluster) living() []*node {
	var living []*node
	for _, n := range c.nodes[:c.opts.Replicas] {
		if !n.forever && !n.away {
			living = append(living, n)
		}
	}
	return living
}

func (c *cluster) lastGets() {
	s := &session{name: "last", index: len(c.sessions), wrote: make(map[string]uint64), patience: c.clientTimeout()}
	c.sessions = append(c.sessions, s)
	for i := range c.opts.Keys {
		key := string(rune('a' + i))
		get := func(m model.Consistency, at lamport.Node) {
			s.script = append(s.script, &sending{session: s, try: 1, replica: at,
				request: message.Request{Request: model.NewGet(m, key)}})
		}
		get(model.Linearizable, 0)
		for _, n := range c.living() {
			get(model.Sequential, n.id)
			get(model.Causal, n.id)
			get(model.Eventual, n.id)
		}
	}
	c.agenda.push(event{at: c.now + 1, kind: goesOn, node: s.index})
}

// judge compares the replicas at rest and judges what the clients saw.
func (c *cluster) judge() {
	c.judgeWatchers()
	stores := make(map[string]map[string]string)
	versions := make(map[string]map[string]string)

	for _, n := range c.living() {
		values, vers := make(map[string]string), make(map[string]string)
		for _, key := range c.watch.ref.keys {
			rec, ok := n.replica.Committed(key)
			if !ok {
				continue
			}
			if rec.Kind == store.KindValue {
				values[key] = string(rec.Value)
			}
			vers[key] = fmt.Sprintf("kind %d, version %s, revision %d, expires %d", rec.Kind, rec.Version, rec.Revision, rec.Expires)
		}
		stores[n.id.String()], versions[n.id.String()] = values, vers
	}

	c.forgive()
	verdicts := []history.Verdict{history.Converged(stores), history.Converged(versions)}
	if c.opts.Ops && !c.opts.PowerCut {
		c.judgeOperations()
	}
	if c.opts.PowerCut || c.opts.Ops { // after a power cut what was acknowledged may be lost
		for _, v := range verdicts {
			if !v.OK() {
				c.fail("history", "%s", v)
			}
		}
		return
	}

	verdicts = append(verdicts, history.All(c.history, history.Budget{Time: 20 * time.Second})...)
	verdicts = append(verdicts, history.Eventual(c.unordered(), stores[c.living()[0].id.String()]))
	if !c.opts.HistoriesOnly {
		verdicts = append(verdicts, history.OnlyOnce(c.history, c.watch.ref.effects))
	}

	for _, v := range verdicts {
		if !v.OK() && v.Check == "steady" {
			v = history.Steady(c.ofOneLife())
		}
		// A weak set that is sent again after the master's death may show once more, and one
		// that was lost with who acknowledged it may show only for a while.
		mayWaver := c.masters > 1 || c.lost()
		excused := v.Check == "steady" && mayWaver
		if !v.OK() && !excused {
			c.fail("history", "%s", v)
			return
		}
	}
}

// forgive makes eventual sets unknown that were acknowledged by a replica which lost its
// memory later, or after an operator had taken it out (it and an old master did not know
// yet; a lone master does): they are held by who acknowledged them, and nobody promises more.
func (c *cluster) forgive() {
	first := map[string]int64{} // by identity: when it was sent first
	for i := range c.history {
		o := &c.history[i]
		call := o.Call
		if at, again := first[o.Identity]; again && o.Identity != "" {
			call = at
		} else {
			first[o.Identity] = o.Call
		}
		if o.Model != model.Eventual || o.Type != model.Set || o.Outcome != history.OK || o.Replica == "" {
			continue
		}
		id, err := lamport.ParseNode(o.Replica)
		if err != nil {
			continue
		}

		n := c.nodes[int(id)-1]
		whileItWasOut := n.out[0] > 0 && o.Return >= n.out[0] && o.Call <= n.out[1]
		withoutIt := c.masters > 1 && whileItWasOut
		if n.lostAt >= call || withoutIt {
			o.Outcome = history.Unknown
		}
	}
}

// unordered is the history, where two masters stamp at a time with its eventual sets all
// overlapping: of those the greater version stays, not the one that was sent later.
func (c *cluster) unordered() []history.Operation {
	if c.masters == 1 {
		return c.history
	}
	h := slices.Clone(c.history)
	if !c.opts.Stale {
		spread(h)
		return h
	}
	for i := range h {
		if o := &h[i]; o.Model == model.Eventual && o.Type == model.Set {
			o.Call, o.Return = 0, c.step
		}
	}
	return h
}

// spread lets an eventual set that was sent again last until its last sending was answered: a
// master that does not know it stamps it anew, and a replica that has not received the first
// one yet accepts it. Of the two the one that is delivered first counts.
func spread(h []history.Operation) {
	last := map[string]int64{}
	for i := range h {
		if o := &h[i]; o.Model == model.Eventual && o.Type == model.Set && o.Identity != "" {
			last[o.Identity] = max(last[o.Identity], o.Return)
		}
	}
	for i := range h {
		if o := &h[i]; last[o.Identity] > 0 && o.Outcome == history.OK {
			o.Return = max(o.Return, last[o.Identity])
		}
	}
}

// ofOneLife is the history without what crosses the death of the replica that served it,
// each of its processes under a name of its own: one that comes back with its disk may
// begin with less delivered than it had, and shows that to weak gets for a while.
func (c *cluster) ofOneLife() []history.Operation {
	var h []history.Operation
	for _, o := range c.history {
		id, err := lamport.ParseNode(o.Replica)
		if err != nil {
			h = append(h, o)
			continue
		}
		life := func(step int64) int {
			deaths := c.nodes[int(id)-1].deaths
			return sort.Search(len(deaths), func(i int) bool { return deaths[i] >= step })
		}
		if o.Type == model.Get && life(o.Call) != life(o.Return) {
			continue
		}
		o.Replica = fmt.Sprintf("%s, life %d", o.Replica, life(o.Call))
		h = append(h, o)
	}
	return h
}

// lost reports whether a replica has lost its memory, or its disk.
func (c *cluster) lost() bool {
	for _, n := range c.nodes {
		if n.lostAt > 0 {
			return true
		}
	}
	return false
}
