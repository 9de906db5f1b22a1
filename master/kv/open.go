package kv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// Shadow says what a shadow is called, where it hears, and what it keeps.
type Shadow struct {
	Name     string   // of the stream: no two shadows have the same, for servers may show what a deleted one held
	Bucket   string   // in its description
	Subjects []string // where it hears
	Source   string   // of what it renames: the first of Subjects
	Target   string   // what that is renamed to
	Depth    int      // messages that are kept of a key
	First    uint64   // its first sequence
	InMemory bool     // it goes with its server
}

// Stored is a message of a shadow, without its value.
type Stored struct {
	Sequence uint64
	At       time.Time
	Key      string // "": it is of none
	Revision uint64
	More     bool   // the next message has this revision, too
	Marker   string // what its headers say of it: [Stored.marker]
	TTL      string // of a marker
	Size     int32  // of the value
}

// ShadowPrefix begins the names of the shadows of a cluster with a prefix of subjects. All but
// letters, digits and "-" stand as "_" and two hexadecimal digits.
func ShadowPrefix(prefix string) string {
	const digits = "0123456789ABCDEF"
	var name strings.Builder
	for i := range len(prefix) {
		c := prefix[i]
		if isBucket(string(c)) && c != '_' {
			name.WriteByte(c)
			continue
		}
		name.WriteByte('_')
		name.WriteByte(digits[c>>4])
		name.WriteByte(digits[c&15])
	}
	return name.String() + "_kv_"
}

// shadow is the bucket's shadow as it should be.
func (b *bucket) shadow() Shadow {
	c := &b.record.Config
	source := b.subject(">")
	return Shadow{
		Name: fmt.Sprintf("%s%s-%d", b.f.shadows, b.name, b.record.First), Bucket: b.name, Subjects: []string{source, b.mark()}, Source: source,
		Target: subjectPrefix + b.name + ".>", Depth: int(c.History), First: b.record.First,
		InMemory: c.Storage == "memory",
	}
}

// reopen reads the shadow anew, and goes on from what it holds.
func (b *bucket) reopen() {
	if b.open {
		b.f.counts.Reopened++
	}
	b.close()
	b.start()
}

// close ends what the bucket does, but for the calls that wait for it.
func (b *bucket) close() {
	b.open, b.opening, b.initial, b.again = false, b.opening+1, nil, time.Time{}
	b.shadowed = false
	if b.feed != nil {
		b.feed.end()
	}
	b.out.end()
}

// job runs work beside the loop; what it returns is called unless the bucket was closed meanwhile.
func (b *bucket) job(work func(ctx context.Context) func()) {
	opening := b.opening
	b.f.host.Job(func(ctx context.Context) func() {
		done := work(ctx)
		return func() {
			if b.opening == opening {
				done()
			}
		}
	})
}

// start opens the bucket by what its shadow holds.
func (b *bucket) start() {
	s := b.shadow()
	b.job(func(ctx context.Context) func() {
		var held []Stored
		last, err := b.f.o.Streams.Open(ctx, s, func(m Stored) { held = append(held, m) })
		return func() { b.found(held, last, err) }
	})
}

// openAgain is how long it takes until a bucket is opened again after that has failed.
const openAgain = time.Second

// found goes on with what the shadow holds.
func (b *bucket) found(held []Stored, last uint64, err error) {
	switch {
	case errors.Is(err, ErrNoStream), errors.Is(err, ErrNoJetStream):
		b.renumber(err)
		return
	case err != nil && b.failed > 0: // what needs no shadow is served without
		b.f.log.Error("a bucket's stream cannot be read: no watches, keys and history", "bucket", b.name, "error", err)
		b.renumber(ErrNoJetStream)
		return
	case err != nil:
		b.failed++
		b.f.log.Warn("a bucket's stream cannot be read; again in a moment", "bucket", b.name, "error", err)
		b.again = b.f.host.Now().Add(openAgain)
		return
	}

	b.failed = 0
	b.numbers = newNumbers(int(b.record.Config.History), b.record.First)
	from := ""
	for i := range held {
		b.restore(&held[i])
		from = strconv.FormatUint(held[i].Revision, 10)
	}
	b.resumed = 0
	if n := len(held); n > 0 && held[n-1].More {
		b.resumed = held[n-1].Revision
		from = strconv.FormatUint(b.resumed-1, 10)
	}
	b.numbers.goTo(last + 1)
	b.shadowed = true
	b.out.begin(last)
	b.follow(from)
}

// restore notes a message of the shadow.
func (b *bucket) restore(m *Stored) {
	b.numbers.goTo(m.Sequence)
	if m.Key == "" {
		b.numbers.skip(m.Revision)
		return
	}
	e := entry{revision: m.Revision, at: m.At.UnixNano(), marker: m.marker()}
	e.size = sizeOf(b.record.Config.Storage, subjectPrefix+b.name+"."+m.Key, int(m.Size))
	if after, err := parseTTL(m.TTL); err == nil && after > 0 {
		e.until = e.at + int64(after)
	}
	b.numbers.take(m.Key, e)
}

// marker is what the message leaves in a key's place.
func (m *Stored) marker() marker {
	switch m.Marker {
	case operationDelete:
		return isDeleted
	case operationPurge:
		return isPurged
	case reasonMaxAge:
		return isEnded
	}
	return isValue
}

// follow begins the bucket's feed after a revision; "": with what is there.
func (b *bucket) follow(from string) {
	b.feed = &feed{f: b.f, model: model.Linearizable, prefix: b.name + "/", take: b.read, lost: b.lost, holds: b.holds, waits: b.waiting()}
	b.feed.begin(from)
}

// waiting are the calls that wait for changes which the feed before has not told.
func (b *bucket) waiting() waits {
	if b.feed == nil {
		return waits{}
	}
	return b.feed.waits
}

// lost goes on where changes that are missing are kept no more: with what is there now.
func (b *bucket) lost() {
	b.f.log.Warn("a bucket's changes since its stream was written are kept no more: it is written anew", "bucket", b.name)
	b.before = b.numbers
	b.close()
	b.renumber(ErrNoStream)
}

// renumber begins the bucket's numbers anew, above all that was told, and makes its shadow anew,
// unless there can be none.
func (b *bucket) renumber(why error) {
	next := *b.record
	next.First = next.Ceiling + 1
	next.Ceiling += ceilingStep

	opening := b.opening
	b.writeRecord(&next, func(a *master.Reply) {
		if b.opening != opening {
			return
		}
		if a.Code != model.OK {
			b.f.log.Warn("a bucket's numbers cannot be reserved; again in a moment", "bucket", b.name, "error", a.Reason)
			b.again = b.f.host.Now().Add(openAgain)
			return
		}

		b.numbers = newNumbers(int(next.Config.History), next.First)
		b.resumed = 0
		if errors.Is(why, ErrNoJetStream) {
			b.follow("")
			return
		}
		b.make()
	})
}

// make makes the shadow, and begins it with what is there.
func (b *bucket) make() {
	s := b.shadow()
	b.job(func(ctx context.Context) func() {
		err := b.f.o.Streams.Make(ctx, s)
		return func() {
			if err != nil {
				b.f.log.Warn("a bucket's stream cannot be made: no watches, keys and history", "bucket", b.name, "error", err)
			} else {
				b.shadowed = true
				b.out.begin(s.First - 1)
			}
			b.follow("")
		}
	})
}

// writeRecord writes the bucket's record, if nobody else has written it meanwhile. done is called
// whatever has happened to the bucket: the change may be told before the answer, and open it again.
func (b *bucket) writeRecord(next *record, done func(*master.Reply)) {
	r := model.NewSet(model.Linearizable, recordKey(b.name), next.encode())
	r.HasIf, r.If = true, b.revision
	b.f.host.Ask(r, bus.Options{}, "", func(a *master.Reply) {
		if a.Code == model.OK && a.Revision > b.revision { // else the catalog has told it already
			b.record, b.revision = next, a.Revision
		}
		done(a)
	})
}

// holds reports whether a change has to wait: whether it is a purge is known when that is answered.
func (b *bucket) holds(e *model.Event) bool {
	return e.Kind == model.EventDelete && b.purging[e.Key] > 0
}

// tick looks at what waits.
func (b *bucket) tick(now time.Time) {
	if !b.again.IsZero() && now.After(b.again) {
		b.again = time.Time{}
		b.start()
	}
	if b.feed != nil {
		b.feed.tick(now)
	}
	b.absences.waits.expire(now)
	if b.record.State == stateDeleting {
		b.empty()
		return
	}
	b.held = b.f.expired(b.held, now)
	if b.numbers != nil {
		b.numbers.forgetEnded(now)
		b.reserve()
	}
	b.probe(now)

	if b.shadowed && b.out.isLate(now) {
		b.f.log.Warn("a bucket's stream does not store: it is read again", "bucket", b.name)
		b.reopen()
		return
	}
	b.out.barriers.expire(now)
}

// probeAgain is how often it is looked whether a bucket without a shadow can have one.
const probeAgain = 10 * time.Second

// probe looks whether a bucket without a shadow can have one by now.
func (b *bucket) probe(now time.Time) {
	isDue := b.open && !b.shadowed && now.Sub(b.probed) > probeAgain
	if !isDue {
		return
	}
	b.probed = now
	s := b.shadow()
	b.job(func(ctx context.Context) func() {
		_, err := b.f.o.Streams.Open(ctx, s, func(Stored) {})
		return func() {
			if err == nil || errors.Is(err, ErrNoStream) {
				b.failed = 0
				b.reopen()
			}
		}
	})
}

// reserve reserves more numbers before those that are reserved are used.
func (b *bucket) reserve() {
	left := int64(b.record.Ceiling) - int64(b.numbers.last())
	if !b.open || left > ceilingStep/2 || b.reserving {
		return
	}
	b.reserving = true
	next := *b.record
	next.Ceiling += ceilingStep
	b.writeRecord(&next, func(*master.Reply) { b.reserving = false })
}
