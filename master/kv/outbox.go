package kv

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// outbox is what a bucket sends to its shadow, in the order of numbers. What the shadow has no room
// for yet waits, and so does everything while somebody reads the shadow from its beginning.
type outbox struct {
	last     uint64    // number of the newest message that the shadow is to hold
	sent     uint64    // … of the newest one that was sent
	stored   uint64    // all up to this number are stored
	newest   *nats.Msg // with number sent, until the end of the turn
	sentAt   time.Time
	bytes    int    // that were sent and are not stored
	lots     []lot  // that were sent and are not stored
	waiting  []item // what is to be sent after that
	barriers waits  // for what is stored
	cut      cut
}

// lot is what one turn has sent.
type lot struct {
	number uint64 // of its last message
	bytes  int
}

// item is a message that waits, or what is to be done in its place.
type item struct {
	number uint64
	m      *nats.Msg
	do     func()
}

// A server that has more than so much to store drops what comes beyond it (10,000 messages or 128
// MiB, nats-server 2.15.2).
const (
	windowMessages = 4096
	windowBytes    = 16 << 20
)

// begin begins the outbox of a shadow that holds everything up to a number.
func (o *outbox) begin(number uint64) { *o = outbox{last: number, sent: number, stored: number} }

// end ends it, and everything that waits for it.
func (o *outbox) end() {
	barriers, next := o.barriers, o.cut.next
	*o = outbox{}
	barriers.drop()
	for _, again := range next {
		again(false)
	}
}

// store has a message stored in the shadow, which takes it only as its next.
func (b *bucket) store(number uint64, subject string, header nats.Header, value []byte) {
	if !b.shadowed {
		return
	}
	header[headerLast] = []string{strconv.FormatUint(number-1, 10)}
	b.out.last = number
	b.put(item{number: number, m: &nats.Msg{Subject: subject, Header: header, Data: value}})
}

// inTurn calls do when everything that is to be stored so far was sent.
func (b *bucket) inTurn(do func()) { b.put(item{number: b.out.last, do: do}) }

func (b *bucket) put(i item) {
	if len(b.out.waiting) > 0 || !b.hasRoom(&i) {
		b.out.waiting = append(b.out.waiting, i)
		return
	}
	b.dispatch(i)
}

// hasRoom reports whether an item can be sent.
func (b *bucket) hasRoom(i *item) bool {
	o := &b.out
	isFull := o.sent-o.stored >= windowMessages || o.bytes >= windowBytes
	isHeld := o.cut.holds() && i.number > o.cut.after
	return !isFull && !isHeld
}

// dispatch sends a message.
func (b *bucket) dispatch(i item) {
	if i.do != nil {
		i.do()
		return
	}

	o := &b.out
	if o.newest == nil {
		b.f.dirty = append(b.f.dirty, b)
		o.lots = append(o.lots, lot{})
	}

	this := &o.lots[len(o.lots)-1]
	this.number = i.number
	this.bytes += len(i.m.Data)
	o.bytes += len(i.m.Data)
	o.sent, o.newest = i.number, i.m

	if o.cut.depth == isDeep {
		o.cut.messages++
		o.cut.bytes += len(i.m.Data)
	}

	b.f.counts.Stored++
	b.f.host.Send(i.m)
}

// drain sends what has waited, as far as there is room.
func (b *bucket) drain() {
	o := &b.out
	n := 0
	for n < len(o.waiting) && b.hasRoom(&o.waiting[n]) {
		b.dispatch(o.waiting[n])
		o.waiting[n] = item{}
		n++
	}
	o.waiting = o.waiting[n:]
	if len(o.waiting) == 0 {
		o.waiting = nil // its memory may be that of a large bucket
	}
}

// Flush is called before what a turn has sent leaves: of each shadow only the newest message asks
// to be acknowledged, for it is taken only after all others.
func (f *Facade) Flush() {
	for i, b := range f.dirty {
		if o := &b.out; o.newest != nil {
			o.newest.Reply, o.newest, o.sentAt = f.inbox(ofShadow, b.name), nil, f.host.Now()
		}
		f.dirty[i] = nil
	}
	f.dirty = f.dirty[:0]
}

// subject is where the shadow hears of a key.
func (b *bucket) subject(key string) string { return b.f.ingest + b.name + ".k." + key }

// mark is where it hears of what leaves nothing behind.
func (b *bucket) mark() string { return b.f.ingest + b.name + ".m" }

// stored takes a shadow's acknowledgement.
func (f *Facade) stored(bucket string, m *nats.Msg) {
	b := f.buckets[bucket]
	if b == nil || !b.shadowed {
		return
	}
	sequence, err := parseStored(m.Data)
	if err != nil {
		f.log.Warn("a bucket's stream has refused a message: it is read again", "bucket", b.name, "error", err)
		b.reopen()
		return
	}

	o := &b.out
	o.stored = max(o.stored, sequence)
	for len(o.lots) > 0 && o.lots[0].number <= o.stored {
		o.bytes -= o.lots[0].bytes
		o.lots = o.lots[1:]
	}
	b.drain()
	o.barriers.release(o.stored)
}

// settled calls done when the shadow holds all that clients were told so far.
func (b *bucket) settled(done func(stored bool)) { b.reading(beginning{}, done) }

// await calls done when everything up to a number is stored, or when that takes too long.
func (o *outbox) await(number uint64, now time.Time, done func(stored bool)) {
	if number <= o.stored {
		done(true)
		return
	}
	o.barriers.add(number, now.Add(feedWait), done)
}

// ackWait is how long a shadow may take to store what it was sent.
const ackWait = 5 * time.Second

// isLate reports whether a shadow does not store what it was sent.
func (o *outbox) isLate(now time.Time) bool { return o.stored < o.sent && now.Sub(o.sentAt) > ackWait }
