package kv

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
)

// Headers of the messages in a shadow, beside those of JetStream.
const (
	headerRevision = bus.HeaderRevision // of the change, in the cluster's order
	headerMore     = bus.HeaderMore     // true: the next message is of a change with the same revision
)

// Headers that clients and servers of JetStream use.
const (
	headerOperation  = "KV-Operation"
	headerRollup     = "Nats-Rollup"
	headerTTL        = "Nats-TTL"
	headerReason     = "Nats-Marker-Reason"
	headerLast       = "Nats-Expected-Last-Sequence"
	headerLastOfKey  = "Nats-Expected-Last-Subject-Sequence"
	headerLastFilter = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerStream     = "Nats-Expected-Stream"
	headerLastID     = "Nats-Expected-Last-Msg-Id"
	headerBatch      = "Nats-Batch-Id"
	headerSchedule   = "Nats-Schedule"
	headerIncrement  = "Nats-Incr"

	operationDelete = "DEL"    // of headerOperation
	operationPurge  = "PURGE"  // of headerOperation
	rollupOfKey     = "sub"    // of headerRollup: earlier messages of the key go
	reasonMaxAge    = "MaxAge" // of headerReason: the value's time was over
)

// bucket is a bucket that the facade knows.
type bucket struct {
	f        *Facade
	name     string
	record   *record
	revision uint64 // of the record
	seen     bool   // by the newest reading of the records

	// Opening: its numbers are known, and its feed has caught up, before it is served.
	open    bool
	opening int        // counts the openings: what an earlier one has found out concerns nobody
	again   time.Time  // when it is to be opened again, after that has failed; zero: it is not
	failed  int        // openings in a row that the server's JetStream did not answer
	probed  time.Time  // when it was looked whether there can be a shadow, while there is none
	held    []heldCall // calls that wait until it is open

	// Changes, and their numbers.
	feed     *feed
	numbers  *numbers
	before   *numbers          // those of a shadow that was lost: what was there then and is not now was deleted
	initial  []model.Event     // what was there, until the feed has caught up
	resumed  uint64            // the revision of the shadow's last message: of it a part may be there
	acked    uint64            // the newest revision in the bucket that anybody was told by this master
	absences absences          // … and what is gone
	purging  map[string]int    // keys: how many purges are under way
	purged   map[uint64]string // revisions of purges whose changes are still to come; their markers' TTL

	// Writes that the cluster has not answered.
	inFlight int   // how many
	pending  int64 // bytes of their values

	// Its record is being written.
	emptying  bool        // its keys are being deleted, and then it is gone
	removed   []*nats.Msg // who is to be told that it is gone
	reserving bool        // more numbers are being reserved

	shadowed bool   // there is a shadow
	out      outbox // to the shadow
}

// ErrNoStream is what [Streams] return where a shadow is not there, or holds no such bucket's
// messages.
var ErrNoStream = errors.New("kv: there is no such stream")

// ErrNoJetStream is what [Streams] return where there can be no shadow: the account has no
// JetStream.
var ErrNoJetStream = errors.New("kv: the clients' account of the NATS server has no JetStream")

// hold keeps a call until the bucket is open.
func (b *bucket) hold(m *nats.Msg, again func()) { b.held = b.f.kept(b.held, m, again) }

// opened lets the calls go on that have waited.
func (b *bucket) opened() {
	b.open = true
	letGoOn(&b.held)
}

// change takes a change that the feed tells: it has the next number, and is sent to the shadow.
func (b *bucket) change(e *model.Event) {
	key := e.Key[len(b.name)+1:]
	if !isShown(key) {
		b.f.counts.Unshown++
		return
	}
	isTold := e.Revision == b.resumed && b.numbers.keys[key].revision == e.Revision
	if isTold {
		return // of a transaction of which the rest was lost
	}
	b.f.counts.Changes++

	next := entry{revision: e.Revision, at: b.f.host.Now().UnixNano()}
	header := nats.Header{headerRevision: {strconv.FormatUint(e.Revision, 10)}}
	if e.More {
		header[headerMore] = []string{"true"}
	}
	switch e.Kind {
	case model.EventDelete:
		b.markDeleted(&next, header)
	case model.EventExpire:
		if b.record.Config.MarkerTTL == 0 {
			b.ended(key, e)
			return
		}
		b.markEnded(&next, header)
	}

	next.size = sizeOf(b.record.Config.Storage, subjectPrefix+b.name+"."+key, len(e.Value))
	number := b.numbers.take(key, next)
	b.store(number, b.subject(key), header, e.Value)
}

// markDeleted has a change leave the marker of a delete, or of a purge if a purge was answered with
// its revision.
func (b *bucket) markDeleted(next *entry, header nats.Header) {
	if ttl, found := b.purged[next.revision]; found {
		delete(b.purged, next.revision)
		next.marker = isPurged
		header[headerOperation], header[headerRollup] = []string{operationPurge}, []string{rollupOfKey}
		b.endsAfter(next, header, ttl)
		return
	}
	next.marker = isDeleted
	header[headerOperation] = []string{operationDelete}
	if age := b.record.Config.MaxAge; age > 0 {
		b.endsAfter(next, header, wholeSeconds(age))
	}
}

// markEnded has a change leave the marker of a value's end.
func (b *bucket) markEnded(next *entry, header nats.Header) {
	next.marker = isEnded
	header[headerReason], header[headerRollup] = []string{reasonMaxAge}, []string{rollupOfKey}
	header[headerOperation] = []string{operationPurge} // so that clients without markers see an end, too
	b.endsAfter(next, header, wholeSeconds(b.record.Config.MarkerTTL))
}

// ended takes the end of a value of which nothing is to be seen: what the shadow holds of the key
// goes.
func (b *bucket) ended(key string, e *model.Event) {
	newest, found := b.numbers.keys[key]
	b.numbers.remove(key)
	header := nats.Header{headerRevision: {strconv.FormatUint(e.Revision, 10)}}
	b.store(b.numbers.skip(e.Revision), b.mark(), header, nil)
	if !found || !b.shadowed {
		return
	}
	body := jsonOf(purgeRequest{Filter: subjectPrefix + b.name + "." + key, Sequence: newest.number + 1})
	b.inTurn(func() {
		b.f.ask(&nats.Msg{Subject: apiPrefix + "STREAM.PURGE." + b.shadow().Name, Data: body}, func(*nats.Msg) {})
	})
}

// endsAfter has a marker end, here and in the shadow. ttl is as a header says it; "": never.
func (b *bucket) endsAfter(e *entry, header nats.Header, ttl string) {
	if ttl == "" {
		return
	}
	after, err := parseTTL(ttl)
	if err != nil || after == 0 {
		return
	}
	header[headerTTL] = []string{ttl}
	e.until = e.at + int64(after)
}

// wholeSeconds is a time in nanoseconds as a header says it.
func wholeSeconds(t int64) string {
	seconds := (time.Duration(t) + time.Second - 1).Truncate(time.Second)
	return seconds.String()
}

// isShown reports whether a key can be a part of a subject, which names it.
func isShown(key string) bool { return bus.IsPlain(key) }

// read takes what was there when the feed began, and changes after that.
func (b *bucket) read(e *model.Event) {
	switch e.Kind {
	case model.EventValue:
		b.initial = append(b.initial, *e)
	case model.EventCaughtUp:
		b.caughtUp()
	default:
		if e.Kind.Changes() {
			b.change(e)
			b.passAbsences()
		}
	}
}

// caughtUp numbers what was there, in the order in which it was written.
func (b *bucket) caughtUp() {
	slices.SortStableFunc(b.initial, func(x, y model.Event) int { return cmp.Compare(x.Revision, y.Revision) })
	for i := range b.initial {
		e := &b.initial[i]
		e.Kind = model.EventSet
		e.More = i+1 < len(b.initial) && b.initial[i+1].Revision == e.Revision
		b.change(e)
	}
	b.initial = nil
	if b.before != nil {
		b.deleteMissing()
	}
	b.passAbsences()
	if !b.open {
		b.opened()
	}
}

// deleteMissing tells of the keys that a lost shadow had and that are there no more.
func (b *bucket) deleteMissing() {
	for _, key := range slices.Sorted(maps.Keys(b.before.keys)) {
		was := b.before.keys[key]
		if _, found := b.numbers.keys[key]; !found && was.marker == isValue {
			b.change(&model.Event{Kind: model.EventDelete, Key: b.name + "/" + key, Revision: b.feed.upTo})
		}
	}
	b.before = nil
}
