package sim

import (
	"fmt"
	"strings"
	"time"

	"quartet/client/history"
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
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
	if !c.sessionsDone() || c.restless() != "" {
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
	last := c.nodes[c.opts.Replicas].master
	if n := last.InFlight(); n > 0 {
		fmt.Fprintf(&b, "%d requests in flight; ", n)
	}
	marks := last.Snapshot().Marks
	first := c.nodes[0].replica.Stats()
	for i := range c.opts.Replicas {
		s := c.nodes[i].replica.Stats()
		if s.Pending != 0 || s.Tentative != 0 || s.Queue != 0 || s.Position != first.Position || s.Safe != marks.Last {
			fmt.Fprintf(&b, "%s: %d pending, %d tentative, %d in the queue, position %d, safe %d of %d; ", c.nodes[i].id,
				s.Pending, s.Tentative, s.Queue, s.Position, s.Safe, marks.Last)
		}
	}
	return b.String()
}

func (c *cluster) lastGets() {
	s := &session{name: "last", index: len(c.sessions), wrote: make(map[string]uint64), patience: clientTimeout}
	c.sessions = append(c.sessions, s)
	for i := range c.opts.Keys {
		key := string(rune('a' + i))
		get := func(m model.Consistency, at lamport.Node) {
			s.script = append(s.script, &sending{session: s, try: 1, replica: at, request: message.Request{Model: m, Type: model.Get, Key: key}})
		}
		get(model.Linearizable, 0)
		for r := range c.opts.Replicas {
			get(model.Sequential, lamport.Replica(r+1))
			get(model.Causal, lamport.Replica(r+1))
			get(model.Eventual, lamport.Replica(r+1))
		}
	}
	c.agenda.push(event{at: c.now + 1, kind: goesOn, node: s.index})
}

// judge compares the replicas at rest and judges what the clients saw.
func (c *cluster) judge() {
	stores := make(map[string]map[string]string)
	versions := make(map[string]map[string]string)
	for i := range c.opts.Replicas {
		n := c.nodes[i]
		values, vers := make(map[string]string), make(map[string]string)
		for _, key := range c.watch.ref.keys {
			if rec, ok := n.store.Get(key); ok {
				values[key], vers[key] = string(rec.Value), rec.Version.String()
			}
		}
		stores[n.id.String()], versions[n.id.String()] = values, vers
	}
	verdicts := []history.Verdict{history.Converged(stores), history.Converged(versions)}
	verdicts = append(verdicts, history.All(c.history, history.Budget{Time: 20 * time.Second})...)
	verdicts = append(verdicts, history.Eventual(c.history, stores["r1"]))
	if !c.opts.HistoriesOnly {
		verdicts = append(verdicts, history.OnlyOnce(c.history, c.watch.ref.effects))
	}
	for _, v := range verdicts {
		// A weak set that is sent again after the master's death may show once more.
		if !v.OK() && (v.Check != "steady" || c.restarts == 0) {
			c.fail("history", "%s", v)
			return
		}
	}
}
