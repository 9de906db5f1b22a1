package sim

import (
	"fmt"
	"math/rand/v2"

	"quartet/bus/follow"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/replica/watching"
)

// watcher is a client that watches everything, or one key, and goes on by the code of package
// client when its stream ends, loses something or falls silent: through crashes, views and
// learners.
type watcher struct {
	index    int
	model    model.Consistency
	prefix   string
	follower *follow.Follower
	streams  int    // asked for so far
	asked    uint64 // from where the present one was asked for; 0: from what is there
	heard    int64  // when the newest word of the stream came
	newest   model.Event
	arrives  int64  // when its newest event will
	least    uint64 // of model 1: the position that anybody had been told when it was asked for first
	given    []model.Event
	resumed  int             // streams in a row that lost something before they had told anything new
	history  message.History // where that of the cluster stood at the newest event
	afterCut bool            // it was told something since the power was cut
}

// mostResumed is how often in a row a watcher may ask again at once, and be told nothing new.
const mostResumed = 100

// watched is an event of a watch on its way, or what is said of one.
type watched struct {
	watcher int
	stream  int
	node    int // that serves it
	life    int
	event   watching.Event
}

// watcherPatience is for how long, in time units, a stream may be silent: a heartbeat comes too
// seldom for a run.
const watcherPatience = 25 * tickUnits

// WatchFromSeed draws a run with watchers of every model, from which in the end nothing of the
// order may be missing.
func WatchFromSeed(seed uint64) Options {
	o := OpsFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x3a7c4))
	o.Watchers = 2 + r.IntN(4)
	o.Stale, o.Requests = false, o.Requests+6
	o.Replicas = max(o.Replicas, 3)
	return o
}

// LossyWatchFromSeed draws a run of [WatchFromSeed] in which much is lost: a master that hears no
// answer hands a watch to another replica, and two tell one watcher, of whose events some are lost,
// too.
func LossyWatchFromSeed(seed uint64) Options {
	o := WatchFromSeed(seed)
	o.Client, o.Drop = 0.2, max(o.Drop, 0.1)
	return o
}

// CutWatchFromSeed draws a run of [WatchFromSeed] that ends with a power cut, which may end the
// history that watchers go on from. Who is refused then begins anew.
func CutWatchFromSeed(seed uint64) Options {
	o := WatchFromSeed(seed)
	o.Durable, o.PowerCut, o.Forever, o.Late = true, true, false, 0
	o.Requests += 10 // some of them after the cut
	return o
}

// beginWatchers starts the watchers. They draw from a source of their own.
func (c *cluster) beginWatchers() {
	for i := range c.opts.Watchers {
		w := &watcher{index: i, model: model.Consistency(1 + i%4)}
		if i == 4 {
			w.prefix = "a" // and of a transaction that writes others, too, a part
		}
		w.follower = follow.New(w.model, "")
		c.watchers = append(c.watchers, w)
		c.agenda.push(event{at: 10*tickUnits + c.rand.Int64N(30*tickUnits), kind: watches, watched: &watched{watcher: i}})
	}
}

// subject is on which a watcher hears a stream.
func (w *watcher) subject(stream int) string { return fmt.Sprintf("watcher%d.%d", w.index, stream) }

// watches asks for the next stream if the present one, of the time, is over or silent.
func (c *cluster) watches(e *watched) {
	w := c.watchers[e.watcher]
	if e.stream != w.streams { // another one was asked for meanwhile
		return
	}
	if silent := c.now - w.heard; w.streams > 0 && silent < watcherPatience {
		c.agenda.push(event{at: w.heard + watcherPatience, kind: watches, watched: e})
		return
	}
	c.nextStream(w)
}

// nextStream asks a master for a watcher's next stream.
func (c *cluster) nextStream(w *watcher) {
	w.streams++
	w.heard, w.arrives = c.now, 0
	c.agenda.push(event{at: c.now + watcherPatience, kind: watches, watched: &watched{watcher: w.index, stream: w.streams}})
	if w.streams == 1 {
		w.least = c.told
	}

	s := &sending{watch: true, first: c.now}
	s.request = message.Request{
		Request: model.Request{
			Model: w.model, Type: model.Watch, Key: w.prefix, Range: &model.Range{From: w.follower.Begin()},
		},
		Watcher: &message.Watcher{Reply: w.subject(w.streams), Client: fmt.Sprint("w", w.index)},
	}
	w.asked, _ = s.request.After()
	if w.model == model.Sequential {
		s.request.Min = w.follower.Least()
	}
	s.told = message.Told{History: w.history, Position: w.follower.Least()}
	c.nextToken++
	s.token = c.nextToken
	c.tokens[s.token] = s
	c.trace("%6d  watcher %d asks for stream %d from %q", c.now, w.index, w.streams, s.request.Range.From)
	if c.rand.Float64() >= c.clientDrop {
		c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(c.net.delay), kind: asks, sent: s})
	}
}

// watchAnswered takes a master's word of a watch. One whose history has ended begins anew (rule
// O27); another one asks again later.
func (c *cluster) watchAnswered(r *master.Reply, s *sending) {
	switch {
	case r.Code == model.Gone:
		c.fail("history", "%+v: refused as gone, and all changes are kept: %s", s.request.Request, r.Reason)
	case r.Code != model.Misdirected:
	case c.cutAt == 0 && !c.hasEnded(s.told.History):
		c.fail("invariant", "%s goes on from %+v, and is refused as of another history: %s", s, s.told, r.Reason)
	default:
		c.beginAnew(s)
	}
}

// beginAnew lets the watcher that was refused forget what it was told.
func (c *cluster) beginAnew(s *sending) {
	for _, w := range c.watchers {
		if w.subject(w.streams) != s.request.Watcher.Reply {
			continue
		}
		c.trace("%6d  watcher %d begins anew", c.now, w.index)
		w.follower, w.given, w.history, w.least = follow.New(w.model, ""), nil, message.History{}, c.told
		c.nextStream(w)
	}
}

// tellWatchers puts the events of a replica's turn on their way.
func (c *cluster) tellWatchers(node int, events []watching.Event) {
	for i := range events {
		var at watched
		if _, err := fmt.Sscanf(events[i].To.Reply, "watcher%d.%d", &at.watcher, &at.stream); err != nil {
			c.fail("invariant", "an event for %q", events[i].To.Reply)
			return
		}
		at.node, at.life, at.event = node, c.nodes[node].life, events[i]
		w := c.watchers[at.watcher]
		if c.rand.Float64() < c.clientDrop/4 {
			continue
		}
		w.arrives = max(w.arrives, c.now+1+c.rand.Int64N(c.net.delay))
		c.agenda.push(event{at: w.arrives, kind: listens, watched: &at})
	}
}

// publish takes what a replica publishes: each change once, whoever does it (rule O28).
func (c *cluster) publish(node int, list []message.Change) {
	for i := range list {
		what := published{revision: list[i].Revision, key: list[i].Key}
		if before, again := c.published[what]; again {
			c.fail("invariant", "%s publishes %s of revision %d, and %s has", c.nodes[node].id, what.key, what.revision, before)
			return
		}
		if c.published == nil {
			c.published = map[published]lamport.Node{}
		}
		c.published[what] = c.nodes[node].id
	}
}

// published is a change that was published.
type published struct {
	revision uint64
	key      string
}

// listens takes an event to its watcher, or the server's word that nobody listens to the replica.
func (c *cluster) listens(at *watched) {
	w := c.watchers[at.watcher]
	if at.stream != w.streams {
		if n := c.nodes[at.node]; at.event.Flow && !n.dead && n.life == at.life {
			n.replica.Unheard(at.event.Watch)
		}
		return
	}

	c.trace("%6d  watcher %d hears %d: %s %s at %d", c.now, w.index, at.event.Sequence, at.event.Kind, at.event.Key, at.event.Revision)
	w.heard = c.now
	if isOfLater := c.cutAt > 0 && c.nodes[at.node].life == at.life; isOfLater {
		w.afterCut = true
	}
	if e := &at.event; e.Kind.Changes() && w.model.Strong() && e.Revision <= w.asked {
		c.fail("invariant", "watcher %d goes on after %d, and is told of %d", w.index, w.asked, e.Revision)
	}
	c.judgeMore(w, &at.event.Event)
	if h := at.event.History; h.Epoch >= w.history.Epoch && h != (message.History{}) { // a replica may be late
		w.history = h
	}
	verdict := w.follower.Take(at.event.Stream, &at.event.Event, func(e model.Event) {
		w.given, w.resumed = append(w.given, e), 0
	})
	switch {
	case verdict == follow.Gone:
		c.fail("history", "watcher %d cannot go on after %d: %s", w.index, w.follower.From(), at.event.Reason)
	case verdict == follow.Resume && w.resumed >= mostResumed:
		c.fail("liveness", "watcher %d has asked %d times in a row from %q, and is told nothing new", w.index, w.resumed, w.follower.Begin())
	case verdict == follow.Resume:
		w.resumed++
		c.nextStream(w)
	case at.event.Flow:
		if n := c.nodes[at.node]; !n.dead && n.life == at.life {
			n.replica.Acknowledged(at.event.Watch, at.event.Sequence)
		}
	}
}

// judgeMore holds the next event of a stream against the one before it: what says that there is
// more of its revision is followed by that.
func (c *cluster) judgeMore(w *watcher, e *model.Event) {
	before := w.newest
	w.newest = *e
	isNext := e.Sequence == before.Sequence+1 && e.Kind.Changes()
	if isNext && before.More && e.Revision != before.Revision {
		c.fail("invariant", "watcher %d is told of more of revision %d, and then of %d", w.index, before.Revision, e.Revision)
	}
}
