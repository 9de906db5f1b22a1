package watching

import (
	"fmt"
	"slices"
	"strconv"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/changes"
)

// Bounds, which the public contract names.
const (
	MostWatches  = 4096    // of a replica
	MostOfClient = 256     // … of one client
	Window       = 1 << 20 // bytes that a watcher is sent beyond what it has acknowledged
	FlowBytes    = 64 << 10
	BeatTicks    = 500 // of 10 ms: 5 s
)

// What one turn does at the most for watches that are behind, and what it holds for them.
const (
	turnBytes   = 512 << 10
	turnLooks   = 4096     // keys and changes that are looked at
	sliceBytes  = 64 << 10 // of one watch, before the next one has its turn
	progress    = 20_000   // changes that pass a watch by before it is told how far it is
	mostTouched = 100_000  // keys that change while what models 3 and 4 see is being told
	mostMarks   = 64
)

// Source is the replica that watches are told of.
type Source interface {
	// Position is how many ordered operations are delivered.
	Position() uint64
	// History is the point of the cluster's history at which this replica is.
	History() message.History
	// Collected is the position at which tombstones were collected last; 0: they never were.
	Collected() uint64
	// Changes is the log of the committed layer's changes.
	Changes() *changes.Log
	// Visible is the log of what models 3 and 4 have seen to change since Follow(true).
	Visible() *changes.Log
	// Follow begins and ends the filling of Visible.
	Follow(bool)

	// Snapshot returns the committed layer as it is now. It costs memory until it is closed.
	Snapshot() Snapshot
	// Newest returns what a get of models 3 and 4 sees, a tombstone too.
	Newest(key string) (message.Change, bool)
	// Ascend calls f for the keys of the committed layer from one on, in their order, until it
	// returns false.
	Ascend(from string, f func(key string) bool)
	// Tentative returns the keys below a prefix that have weak writes which are not delivered
	// yet, in their order.
	Tentative(prefix string) []string
}

// Snapshot is the committed layer at one position.
type Snapshot interface {
	// Ascend calls f for what each key holds, a tombstone too, from a key on, in the order of
	// keys, until it returns false.
	Ascend(from string, f func(c *message.Change) bool)
	// Lost reports whether it had to be given up: too much has changed since.
	Lost() bool
	Close()
}

// Event is an event for a watcher.
type Event struct {
	To    *message.Watcher
	Watch uint64 // its rID
	Flow  bool   // it is to be acknowledged: it carries a reply subject
	model.Event

	// Stream names the stream (rule O29).
	Stream string
	// History is where the cluster's history stands; zero: where it stood at the event before.
	History message.History
}

// Watches are the watches of a replica. They have one owner. Make them with [New].
type Watches struct {
	source    Source
	byID      map[uint64]*watch
	all       []*watch // in the order in which they began
	byClient  map[string]int
	committed feed
	visible   feed
	ready     []*watch // behind, and may go on
	names     string   // what the names of all streams of this process begin with
	begun     uint64   // streams
	ticks     uint64
	beaten    uint64 // tick of the last look for heartbeats that are due
	out       []Event
}

// New returns no watches of a replica. The names of its streams begin with names, which no other
// process has: another replica, or an earlier process of this one, may tell the same watcher.
func New(s Source, names string) *Watches {
	return &Watches{source: s, names: names, byID: map[uint64]*watch{}, byClient: map[string]int{}}
}

// Len is how many watches there are.
func (w *Watches) Len() int { return len(w.all) }

// Ahead is how many bytes were sent to watchers and are not acknowledged.
func (w *Watches) Ahead() (bytes uint64) {
	for _, at := range w.all {
		bytes += at.sent - at.acked
	}
	return bytes
}

// Busy reports whether there is something to tell that waits for nothing but the next turn.
func (w *Watches) Busy() bool { return len(w.ready) > 0 }

// Refusal is why a watch does not begin. Code 0: it does.
type Refusal struct {
	Code   model.Code
	Reason string
}

// Begin begins the watch that a request asks for, at the present place in the order: the replica
// has come as far as the request asks for. A watch that is here already goes on.
func (w *Watches) Begin(r *message.Request) Refusal {
	if w.byID[r.RID] != nil {
		return Refusal{}
	}
	if refusal := w.room(r.Watcher); refusal.Code != 0 {
		return refusal
	}

	f := &w.committed
	if !r.Model.Strong() {
		f = &w.visible
		if len(f.all) == 0 {
			w.source.Follow(true)
		}
		f.log = w.source.Visible()
	} else {
		f.log = w.source.Changes()
	}
	f.begin()

	at := &watch{
		id: r.RID, to: r.Watcher, prefix: r.Key, weak: !r.Model.Strong(), causal: r.Model == model.Causal,
		feed: f, began: w.source.Position(), beatAt: w.ticks + BeatTicks,
		stream: w.names + strconv.FormatUint(w.begun+1, 10),
	}
	after, goesOn := r.After()
	if refusal := w.place(at, after, goesOn); refusal.Code != 0 {
		w.unfollow()
		return refusal
	}

	w.begun++
	w.byID[at.id] = at
	w.all = append(w.all, at)
	w.byClient[at.to.Client]++
	f.add(at)
	w.ready = append(w.ready, at)
	return Refusal{}
}

// room refuses a watch beyond the bounds.
func (w *Watches) room(to *message.Watcher) Refusal {
	switch {
	case to == nil || to.Reply == "":
		return Refusal{model.Malformed, "a watch needs a reply subject: its events go there"}
	case len(w.all) >= MostWatches:
		return Refusal{model.Unavailable, fmt.Sprintf("this replica has %d watches already; ask another one, or later", MostWatches)}
	case w.byClient[to.Client] >= MostOfClient:
		return Refusal{model.Unavailable, fmt.Sprintf(
			"this client has %d watches at this replica already, and may have no more: watch a shorter prefix in place of many", MostOfClient)}
	}
	return Refusal{}
}

// place says where the watch begins to tell.
func (w *Watches) place(at *watch, after uint64, goesOn bool) Refusal {
	at.next, at.counted, at.said = at.feed.log.Next(), at.feed.seen, at.feed.seen
	at.caughtAt = at.next
	if goesOn && !at.weak {
		next, kept := w.source.Changes().Seek(after)
		if !kept {
			return Refusal{model.Gone, fmt.Sprintf(
				"the changes after revision %d are not kept any more, only those after %d: begin again without from", after, w.source.Changes().Since())}
		}
		at.next = next
		return Refusal{}
	}

	s := &scan{cursor: at.prefix, after: after, goesOn: goesOn}
	if !at.weak {
		s.snapshot = w.source.Snapshot()
		at.scan = s
		return Refusal{}
	}

	s.tentative, s.touched = w.source.Tentative(at.prefix), map[string]bool{}
	if hasLostDeletes := goesOn && after < w.source.Collected(); hasLostDeletes {
		log := w.source.Changes()
		next, kept := log.Seek(after)
		if !kept && after > 0 {
			return Refusal{model.Gone, fmt.Sprintf(
				"what was deleted after revision %d is not known any more, only what was after %d: begin again without from", after, log.Since())}
		}
		s.deleted, s.deletedEnd = max(next, log.First()), log.Next()
	}
	at.scan = s
	return Refusal{}
}

// Ack takes a watcher's word that it has all up to a sequence, and reports whether there is such a
// watch.
func (w *Watches) Ack(id, sequence uint64) bool {
	at := w.byID[id]
	if at == nil {
		return false
	}
	at.acknowledge(sequence)
	if at.blocked && at.sent-at.acked < Window {
		at.blocked = false
		w.ready = append(w.ready, at)
	}
	return true
}

// Gone forgets a watch: nobody listens to its events any more.
func (w *Watches) Gone(id uint64) {
	if at := w.byID[id]; at != nil {
		w.forget(at)
	}
}

// End ends all watches, and returns the events that say so.
func (w *Watches) End(code model.Code, reason string) []Event {
	for len(w.all) > 0 {
		w.end(w.all[0], code, reason)
	}
	return w.take()
}

// Rejoined says that what was told last may not have left: the turn ends with a heartbeat for each
// watch, whose sequence shows what is missing.
func (w *Watches) Rejoined() {
	for _, at := range w.all {
		at.beatAt = 0
	}
	w.beaten = w.ticks - 1
}

// Tick counts time: the turn ends with the heartbeats that are due.
func (w *Watches) Tick() { w.ticks++ }

// EndTurn appends what is to be told of what the turn has changed.
func (w *Watches) EndTurn(to []Event) []Event {
	w.out = to
	w.spread(&w.committed)
	w.spread(&w.visible)
	w.catchUp()
	w.beats()
	return w.take()
}

func (w *Watches) take() []Event {
	out := w.out
	w.out = nil
	return out
}

// forget drops a watch.
func (w *Watches) forget(at *watch) {
	at.over = true
	if at.scan != nil {
		at.scan.close()
	}
	at.feed.remove(at)
	delete(w.byID, at.id)
	if w.byClient[at.to.Client]--; w.byClient[at.to.Client] <= 0 {
		delete(w.byClient, at.to.Client)
	}
	w.all = slices.DeleteFunc(w.all, func(other *watch) bool { return other == at })
	w.ready = slices.DeleteFunc(w.ready, func(other *watch) bool { return other == at })
	w.unfollow()
}

// unfollow ends the filling of the log that nobody watches.
func (w *Watches) unfollow() {
	if len(w.visible.all) == 0 && w.visible.log != nil {
		w.visible.log = nil
		w.source.Follow(false)
	}
}

// end tells a watch that it ends.
func (w *Watches) end(at *watch, code model.Code, reason string) {
	w.tell(at, model.Event{Kind: model.EventEnd, Code: code, Reason: reason})
	w.forget(at)
}

// tell sends an event to a watch, and where the history stands if that is new to it (rule O27).
func (w *Watches) tell(at *watch, e model.Event) {
	isLast := e.Kind == model.EventEnd
	isAsked := at.note(&e)
	told := Event{To: at.to, Watch: at.id, Flow: isAsked && !isLast, Event: e, Stream: at.stream}
	if now := w.source.History(); now != at.history {
		at.history, told.History = now, now
	}
	w.out = append(w.out, told)
}
