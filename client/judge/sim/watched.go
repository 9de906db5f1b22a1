package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// What watchers were told is held against the order in the end: complete, once, in order.

// told is what is expected of an event of models 1 and 2.
type told struct {
	key      string
	kind     model.EventKind
	value    string
	revision uint64
}

// ordered are all changes of the order below a prefix, as the reference has executed it; after a
// power cut, as the replicas keep it.
func (c *cluster) ordered(prefix string) []told {
	if c.watch.off {
		return c.kept(prefix)
	}
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

// kept are all changes below a prefix that the log of a replica holds.
func (c *cluster) kept(prefix string) []told {
	var all []told
	log := c.living()[0].replica.Changes()
	for k := log.First(); k < log.Next(); k++ {
		e := log.At(k)
		if !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		kind := model.EventSet
		if e.Kind != message.ChangeSet {
			kind = model.EventDelete
		}
		all = append(all, told{e.Key, kind, string(e.Value), e.Revision})
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
	if len(c.watchers) == 0 || c.opts.HistoriesOnly {
		return ""
	}
	for _, w := range c.watchers {
		all := c.ordered(w.prefix)
		if c.cutAt > 0 && !w.afterCut {
			return fmt.Sprintf("watcher %d was told nothing since the power was cut; ", w.index)
		}
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
// eventual set that was lost with who had acknowledged it, or in a power cut, or that two masters
// have stamped. They learn of it by heartbeats, which come too seldom for a run.
func (c *cluster) maySettle() bool { return c.lost() || c.masters > 1 || c.cutAt > 0 }

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
	if c.opts.HistoriesOnly {
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
	isOlder := func(revision uint64) bool { return c.opts.Upgrade > 0 && revision == 1 } // of level 0, and not kept
	all := slices.DeleteFunc(c.ordered(""), func(x told) bool { return isOlder(x.revision) })
	for _, n := range c.living() {
		log := n.replica.Changes()
		i := slices.IndexFunc(all, func(x told) bool { return x.revision > log.Since() })
		if i < 0 {
			i = len(all)
		}
		if isShort := log.Since() > 0 && c.opts.Upgrade == 0; isShort {
			c.fail("invariant", "the log of %s holds what is since %d", n.id, log.Since())
			return
		}
		var events []model.Event
		for k := log.First(); k < log.Next(); k++ {
			e := log.At(k)
			if isOlder(e.Revision) {
				continue
			}
			events = append(events, model.Event{Kind: e.Kind.Event(), Key: e.Key, Value: e.Value, Revision: e.Revision})
		}
		if what := inOrder(all[i:], events); what != "" {
			c.fail("invariant", "the log of %s: %s", n.id, what)
			return
		}
	}
}
