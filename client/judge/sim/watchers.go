package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"quartet/bus/follow"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/replica/store"
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
	resumed  int // streams in a row that lost something before they had told anything new
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
	if w.model == model.Sequential && s.request.Range.From == "" {
		s.request.Min = w.follower.Least()
	}
	c.nextToken++
	s.token = c.nextToken
	c.tokens[s.token] = s
	c.trace("%6d  watcher %d asks for stream %d from %q", c.now, w.index, w.streams, s.request.Range.From)
	if c.rand.Float64() >= c.clientDrop {
		c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(c.net.delay), kind: asks, sent: s})
	}
}

// watchAnswered takes a master's word of a watch: a refusal lets the watcher ask again at once.
func (c *cluster) watchAnswered(r *master.Reply, s *sending) {
	if r.Code == model.Gone {
		c.fail("history", "%+v: refused as gone, and all changes are kept: %s", s.request.Request, r.Reason)
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
	if e := &at.event; e.Kind.Changes() && w.model.Strong() && e.Revision <= w.asked {
		c.fail("invariant", "watcher %d goes on after %d, and is told of %d", w.index, w.asked, e.Revision)
	}
	c.judgeMore(w, &at.event.Event)
	verdict := w.follower.Take(&at.event.Event, func(e model.Event) {
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

// told is what is expected of an event of models 1 and 2.
type told struct {
	key      string
	kind     model.EventKind
	value    string
	revision uint64
}

// ordered are all changes of the order below a prefix, as the reference has executed it.
func (c *cluster) ordered(prefix string) []told {
	var all []told
	for _, key := range c.watch.ref.keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for _, r := range c.watch.ref.past[key] {
			if r.kind == 0 { // a tombstone that was collected: nobody is told
				continue
			}
			kind := model.EventSet
			if r.kind != store.KindValue {
				kind = model.EventDelete
			}
			all = append(all, told{key, kind, r.value, r.revision})
		}
	}
	slices.SortFunc(all, byRevision)
	return all
}

// byRevision sorts by revision, and the changes of a transaction by key: their order is its own.
func byRevision(a, b told) int {
	return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.key, b.key))
}

// unwatched says which watcher has not been told all yet, or "".
func (c *cluster) unwatched() string {
	if len(c.watchers) == 0 || c.watch.off {
		return ""
	}
	for _, w := range c.watchers {
		all := c.ordered(w.prefix)
		if len(w.given) == 0 {
			return fmt.Sprintf("watcher %d was told nothing; ", w.index)
		}
		if w.model.Strong() {
			last := w.given[len(w.given)-1]
			if len(all) > 0 && max(last.Revision, w.follower.From()) < all[len(all)-1].revision {
				return fmt.Sprintf("watcher %d was told up to %d of %d; ", w.index, last.Revision, all[len(all)-1].revision)
			}
			continue
		}
		if what := c.lastVersions(w); what != "" && !c.maySettle() {
			return what + "; "
		}
	}
	return ""
}

// maySettle reports whether what watchers of models 3 and 4 were told may not be true any more: an
// eventual set that was lost with who had acknowledged it, or that two masters have stamped. They
// learn of it by heartbeats, which come too seldom for a run.
func (c *cluster) maySettle() bool { return c.lost() || c.masters > 1 }

// lastVersions says of which key the last event of a watch of models 3 and 4 is not its final
// value.
func (c *cluster) lastVersions(w *watcher) string {
	last := map[string]model.Event{}
	for _, e := range w.given {
		if e.Kind.Concerns() {
			last[e.Key] = e
		}
	}
	for _, key := range c.watch.ref.keys {
		have, want := last[key], c.watch.ref.store[key]
		isTold := have.Kind == model.EventValue || have.Kind == model.EventSet
		isAnother := isTold && string(have.Value) != want.value
		if isTold != want.has() || isAnother {
			return fmt.Sprintf("watcher %d was told of %s last %s %q, and it is %q", w.index, key, have.Kind, have.Value, want.value)
		}
	}
	return ""
}

// judgeWatchers holds what watchers were told against the order: complete, once, in order.
func (c *cluster) judgeWatchers() {
	if c.watch.off {
		return
	}
	for _, w := range c.watchers {
		what := ""
		if w.model.Strong() {
			what = w.wrong(c.ordered(w.prefix))
		} else {
			what = w.repeats(c.maySettle())
		}
		if what != "" {
			c.fail("history", "watcher %d, %s: %s", w.index, w.model.Word(), what)
		}
	}
	c.compareLogs()
}

// wrong says what is wrong with what a watcher of models 1 and 2 was told, or "".
func (w *watcher) wrong(all []told) string {
	state := map[string]uint64{}
	caught := slices.IndexFunc(w.given, func(e model.Event) bool { return e.Kind == model.EventCaughtUp })
	if caught < 0 {
		return "it has not caught up"
	}
	at := w.given[caught].Revision
	if w.model == model.Linearizable && at < w.least {
		return fmt.Sprintf("it begins at %d, and was asked for when %d had been told", at, w.least)
	}
	for _, e := range w.given[:caught] {
		state[e.Key] = e.Revision
		if e.Kind == model.EventDelete {
			delete(state, e.Key)
		}
	}

	want, i := map[string]uint64{}, 0
	for ; i < len(all) && all[i].revision <= at; i++ {
		want[all[i].key] = all[i].revision
		if all[i].kind == model.EventDelete {
			delete(want, all[i].key)
		}
	}
	for key, revision := range want { // any of them
		if state[key] != revision {
			return fmt.Sprintf("at %d %s has revision %d, and it was told %d", at, key, revision, state[key])
		}
	}
	if len(state) != len(want) {
		return fmt.Sprintf("at %d there are %d keys, and it was told of %d", at, len(want), len(state))
	}
	return inOrder(all[i:], w.given[caught+1:])
}

// inOrder compares changes with the events that are to tell them.
func inOrder(want []told, events []model.Event) string {
	var got []told
	for i, e := range events {
		kind := e.Kind
		if kind == model.EventExpire {
			kind = model.EventDelete
		}
		got = append(got, told{e.Key, kind, string(e.Value), e.Revision})
		if i > 0 && e.Revision < got[i-1].revision {
			return fmt.Sprintf("it was told of %d after %d", e.Revision, got[i-1].revision)
		}
	}

	slices.SortFunc(got, byRevision)
	for i := range got {
		if i >= len(want) {
			return fmt.Sprintf("%+v is too much", got[i])
		}
		if got[i] != want[i] {
			return fmt.Sprintf("it was told %+v in place of %+v", got[i], want[i])
		}
	}
	if len(got) < len(want) {
		return fmt.Sprintf("%+v is missing", want[len(got)])
	}
	return ""
}

// repeats says which version a watcher of models 3 and 4 was told of twice, or "".
func (w *watcher) repeats(mayWaver bool) string {
	type version struct {
		lamport.Version
		revision uint64 // 0: it was tentative
		exists   bool
	}
	seen := map[string]version{}
	for _, e := range w.given {
		if !e.Kind.Concerns() {
			continue
		}
		before, told := seen[e.Key]
		exists := e.Kind == model.EventValue || e.Kind == model.EventSet
		isEnd := before.exists && !exists && before.Version == e.Version // it has the version of the value
		// Strong writes of one broadcast have one version, and revisions of their own.
		isLaterOne := before.Version == e.Version && before.revision > 0 && e.Revision > before.revision
		isNew := before.Less(e.Version) || isLaterOne || isEnd
		if told && !isNew && !mayWaver {
			return fmt.Sprintf("%s of version %s after %s", e.Key, e.Version, before)
		}
		seen[e.Key] = version{e.Version, e.Revision, exists}
	}
	return ""
}

// compareLogs compares the replicas' logs of changes: at one position they say the same.
func (c *cluster) compareLogs() {
	all := c.ordered("")
	for _, n := range c.living() {
		log := n.replica.Changes()
		i := slices.IndexFunc(all, func(x told) bool { return x.revision > log.Since() })
		if i < 0 {
			i = len(all)
		}
		if log.Len() != len(all)-i || log.Since() > 0 {
			c.fail("invariant", "the log of %s holds %d changes since %d, and there are %d", n.id, log.Len(), log.Since(), len(all))
			return
		}
		var events []model.Event
		for k := log.First(); k < log.Next(); k++ {
			e := log.At(k)
			events = append(events, model.Event{Kind: e.Kind.Event(), Key: e.Key, Value: e.Value, Revision: e.Revision})
		}
		if what := inOrder(all[i:], events); what != "" {
			c.fail("invariant", "the log of %s: %s", n.id, what)
			return
		}
	}
}
