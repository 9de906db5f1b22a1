// Package follow is what a watcher knows of a watch: it promises to make one sequence of events,
// each once and none left out, of the streams that follow each other when replicas die. It finds
// loss, says from where the next stream is to go on, and gives out what is new in it.
//
// The package is pure, so that the simulation follows watches by the same code as client.Watch.
package follow

import (
	"maps"
	"slices"
	"strconv"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Verdict is what becomes of a stream after an event.
type Verdict uint8

// The verdicts.
const (
	GoesOn Verdict = iota
	Resume         // the stream is over, or has lost something: the next one is to be asked for
	Gone           // what it is to go on from is not kept any more
)

// settleBeats is how many heartbeats a key of models 3 and 4 may be behind what was given out of it
// before what the replica shows is taken for true: a replica that is late has caught up by then,
// and what it does not show was lost with the replica that showed it.
const settleBeats = 2

// Follower follows one watch through its streams. Make it with [New].
type Follower struct {
	weak     bool
	caught   bool   // it was told once that the watch has caught up
	stream   string // its name, as its first event says it
	sequence uint64 // of the newest event of the stream

	// Models 1 and 2. All changes up to from are given out, and of the revision partial those of
	// the keys in part: a transaction of which the rest is still to come.
	hasFrom bool
	from    uint64
	partial uint64
	part    map[string]bool
	there   map[string]uint64 // revisions of what was there, as given out: until it has caught up
	found   map[string]bool   // keys that the present stream has told to be there
	newest  uint64            // the greatest revision that was given out

	// Models 3 and 4.
	known  map[string]known
	behind map[string]late // keys of which the stream shows an older version than was given out
	shown  map[string]bool // keys that the present stream has told of; nil: it has caught up
}

// known is the newest version of a key that was given out.
type known struct {
	version  lamport.Version
	revision uint64 // 0: it was tentative
	exists   bool
}

// late is what a stream shows of a key that is behind.
type late struct {
	event model.Event
	beats int
}

// New returns the follower of a watch of a model, which begins after the revision from; "": with
// what is there.
func New(m model.Consistency, from string) *Follower {
	f := &Follower{
		weak: !m.Strong(), there: map[string]uint64{}, known: map[string]known{}, behind: map[string]late{},
	}
	if n, err := strconv.ParseUint(from, 10, 64); err == nil {
		f.hasFrom, f.from = true, n
	}
	return f
}

// Begin begins a stream, and returns from where it is to be asked for.
func (f *Follower) Begin() (from string) {
	f.sequence, f.stream = 0, ""
	f.found, f.shown = map[string]bool{}, map[string]bool{}
	clear(f.behind)
	switch {
	case f.weak && f.caught:
		return "0" // all that there is, tombstones too
	case f.hasFrom:
		return strconv.FormatUint(f.from, 10)
	}
	return ""
}

// From is the revision up to which everything has been given out, of models 1 and 2; 0: none.
func (f *Follower) From() uint64 { return f.from }

// Least is the position that a replica must have come to for the next stream of models 1 and 2: it
// must not show what is older than what was given out. That may be beyond [Follower.From]: a part
// of a transaction, or of what was there.
func (f *Follower) Least() uint64 { return max(f.from, f.partial, f.newest) }

// Take takes the next event that was told, of the stream of that name, and calls give for what is
// new in it. A second stream that tells the same watcher is no part of the first (rule O29).
func (f *Follower) Take(stream string, e *model.Event, give func(model.Event)) Verdict {
	if f.sequence == 0 {
		f.stream = stream
	}
	isOfAnother := stream != f.stream
	isLost := e.Sequence != f.sequence+1
	if isOfAnother || isLost {
		return Resume
	}
	f.sequence++

	switch {
	case e.Kind == model.EventEnd && e.Code == model.Gone: // no replica has what follows
		return Gone
	case e.Kind == model.EventEnd: // another replica may
		return Resume
	case f.weak:
		f.takeWeak(e, give)
		return GoesOn
	}
	return f.takeStrong(e, give)
}

// takeStrong takes an event of models 1 and 2.
func (f *Follower) takeStrong(e *model.Event, give func(model.Event)) Verdict {
	switch e.Kind {
	case model.EventValue:
		f.value(e, give)
	case model.EventCaughtUp:
		f.caughtUp(e, give)
	case model.EventHeartbeat:
		if f.hasFrom && f.partial == 0 {
			f.from = max(f.from, e.Revision)
		}
	default:
		return f.change(e, give)
	}
	return GoesOn
}

// value takes what was there when the stream began. If an earlier stream has ended before it had
// caught up, only what is new since is given out.
func (f *Follower) value(e *model.Event, give func(model.Event)) {
	f.found[e.Key] = true
	before, isKnown := f.there[e.Key]
	if isKnown && before >= e.Revision {
		return
	}
	f.there[e.Key] = e.Revision
	f.newest = max(f.newest, e.Revision)
	give(*e)
}

// caughtUp takes the end of what was there.
func (f *Follower) caughtUp(e *model.Event, give func(model.Event)) {
	if !f.hasFrom {
		for _, key := range slices.Sorted(maps.Keys(f.there)) {
			if !f.found[key] {
				give(model.Event{Kind: model.EventDelete, Key: key, Revision: e.Revision})
			}
		}
		f.hasFrom = true
	}
	f.there, f.found = nil, nil
	if f.partial == 0 {
		f.from = max(f.from, e.Revision)
	}
	if !f.caught {
		f.caught = true
		give(*e)
	}
}

// change takes a change. Those of a transaction share their revision, and the watch has come as far
// only with the last of them.
func (f *Follower) change(e *model.Event, give func(model.Event)) Verdict {
	// A stream without a gap leaves nothing out. A replica of an older build says that there is more
	// where the rest of the transaction is not below the prefix.
	isOfALaterOne := f.partial > 0 && e.Revision > f.partial
	if isOfALaterOne {
		f.from, f.partial, f.part = f.partial, 0, nil
	}
	if f.hasFrom && e.Revision <= f.from {
		return GoesOn
	}

	if !f.part[e.Key] {
		give(*e)
	}
	if e.More {
		if f.part == nil {
			f.part = map[string]bool{}
		}
		f.partial, f.part[e.Key] = e.Revision, true
		return GoesOn
	}
	f.from, f.partial, f.part = e.Revision, 0, nil
	return GoesOn
}

// takeWeak takes an event of models 3 and 4.
func (f *Follower) takeWeak(e *model.Event, give func(model.Event)) {
	switch e.Kind {
	case model.EventCaughtUp:
		f.missing()
		f.shown = nil
		if !f.caught {
			f.caught = true
			give(*e)
		}
	case model.EventHeartbeat:
		f.settle(give)
	default:
		f.version(e, give)
	}
}

// version takes a version of a key, and gives it out if it is greater than what was given out.
func (f *Follower) version(e *model.Event, give func(model.Event)) {
	if f.shown != nil {
		f.shown[e.Key] = true
	}
	before, isKnown := f.known[e.Key]
	isDeleted := e.Kind == model.EventDelete || e.Kind == model.EventExpire
	// Strong writes of one broadcast have one version, and revisions of their own.
	isSameVersion := isKnown && e.Version == before.version
	isOfOrder := isSameVersion && e.Revision > 0 && before.revision > 0
	isLaterOne := isOfOrder && e.Revision > before.revision
	isEarlierOne := isOfOrder && e.Revision < before.revision
	isSameWrite := isSameVersion && !isLaterOne
	isBeforeItsEnd := isSameWrite && !before.exists && !isDeleted // the end of a value has its version
	isOlder := isKnown && e.Version.Less(before.version)
	switch {
	case isOlder, isEarlierOne, isBeforeItsEnd:
		f.behind[e.Key] = late{event: *e}
		return
	case isSameWrite && before.exists == !isDeleted:
		delete(f.behind, e.Key)
		return
	}

	delete(f.behind, e.Key)
	f.known[e.Key] = known{version: e.Version, revision: e.Revision, exists: !isDeleted}
	isOfNothing := isDeleted && !isKnown && f.shown != nil // what the watch was never told of
	if !isOfNothing {
		give(*e)
	}
}

// missing notes the keys that were given out, and that a stream which has caught up does not show.
func (f *Follower) missing() {
	for key, k := range f.known {
		if k.exists && !f.shown[key] {
			f.behind[key] = late{event: model.Event{Kind: model.EventDelete, Key: key}}
		}
	}
}

// settle gives out what a stream shows of the keys that have been behind for long.
func (f *Follower) settle(give func(model.Event)) {
	for _, key := range slices.Sorted(maps.Keys(f.behind)) {
		l := f.behind[key]
		if l.beats++; l.beats < settleBeats {
			f.behind[key] = l
			continue
		}
		delete(f.behind, key)
		isDeleted := l.event.Kind == model.EventDelete || l.event.Kind == model.EventExpire
		f.known[key] = known{version: l.event.Version, revision: l.event.Revision, exists: !isDeleted}
		l.event.Initial = false
		if l.event.Kind == model.EventValue {
			l.event.Kind = model.EventSet
		}
		give(l.event)
	}
}
