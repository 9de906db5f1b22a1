package kv

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// cut sees to it that whoever reads a shadow from its beginning is sent what stood there when it
// began. The server gives each consumer what it finds when it comes to it: of a key that is
// overwritten meanwhile it finds nothing, and whoever lists the keys then lacks one. Nobody but the
// facade writes to the shadow, so it first holds what is to be stored: most readers are done then.
// For those that are not it has the shadow keep what is overwritten, and goes on storing. The
// answer to a write, or to a get, waits for neither.
type cut struct {
	readers []reader
	after   uint64              // what has a greater number is held
	until   time.Time           // zero: nothing is held
	next    []func(isOpen bool) // readers that are to see what is held, or wait for a depth
	depth   depth
	unsure  bool      // the server did not say whether it has made the shadow deep
	again   time.Time // when the server is to be asked to change the depth, after that has failed

	// While the shadow keeps what is overwritten: how much it was sent.
	messages int
	bytes    int
}

// depth is whether a shadow keeps what is overwritten.
type depth uint8

const (
	isShallow   depth = iota // as many messages of a key as the bucket's history has
	isDeepening              // the server is asked to keep all
	isDeep
	isLevelling // the server is asked to keep as many as the history has
)

// reader is a consumer that reads a shadow from its beginning.
type reader struct {
	name    string
	begun   bool      // it was asked for
	asked   bool      // the server is asked how far it is
	askAt   time.Time // when next
	since   time.Time // when it began
	unknown int       // how often the server did not know it yet
	back    time.Time // it is gone and was not done: until then its client may go on with another one

	idle     int    // answers without anything sent or pending
	isKnown  bool   // the server has said how far it was
	upTo     uint64 // number of the newest message when the server first knew it: the cut is up to there
	sent     uint64 // messages that it was sent
	advanced time.Time
}

// Bounds of readings.
const (
	holdMost   = 250 * time.Millisecond // of what is held
	unknownFor = 5                      // looks, of a tick each, after which an unknown consumer is taken for gone
	stuckFor   = 30 * time.Second       // a reader that takes nothing is waited for so long
	backWithin = 15 * time.Second       // a client that hears nothing asks again: nats.go after 10 s
	lookOften  = 10 * time.Millisecond  // how often a reader is looked at, at the most and at the least
	lookSeldom = time.Second
	idleFor    = 20 // answers after which it is believed that a consumer has nothing
	depthAgain = 500 * time.Millisecond
	holdFailed = 10 * time.Second // what is held, if the server does not make the shadow deep

	// What a shadow is sent at the most while it keeps what is overwritten.
	deepMessages = 1 << 16
	deepBytes    = 64 << 20
)

// holds reports whether the shadow is held.
func (c *cut) holds() bool { return !c.until.IsZero() }

// isOver reports whether there is nothing to look after.
func (c *cut) isOver() bool {
	return len(c.readers) == 0 && !c.holds() && c.depth == isShallow && !c.unsure
}

// readsPast reports whether a consumer with that policy is sent what is there: a client whose
// connection was cut goes on by its sequence.
func readsPast(policy string) bool {
	return policy == "" || policy == "all" || policy == "last_per_subject" || policy == "by_start_sequence"
}

// beginning is with what a consumer begins.
type beginning struct {
	name    string   // of the consumer; "": it is sent nothing that is there
	filters []string // subjects of which it is sent what is there
}

// mostFiltered is how many keys are held against a filter with wildcards, so that a bucket of a
// million does not hold up the loop. In one that has more something is taken to be there.
const mostFiltered = 10_000

// stands reports whether something stands in the bucket that a consumer is to be sent.
func (b *bucket) stands(start beginning) bool {
	if start.name == "" {
		return false
	}

	for _, filter := range start.filters {
		if key := keyOf(b.name, filter); isShown(key) {
			if _, found := b.numbers.keys[key]; found {
				return true
			}
			continue
		}

		if len(b.numbers.keys) > mostFiltered {
			return true
		}
		for key := range b.numbers.keys {
			if collides(filter, subjectPrefix+b.name+"."+key) {
				return true
			}
		}
	}
	return false
}

// reading calls begin when the shadow holds what was told so far. What stands there then stays
// until the consumer that begins with it has read it. ok: it does.
func (b *bucket) reading(start beginning, begin func(ok bool)) {
	b.abreast(func(told bool) {
		o, c, now := &b.out, &b.out.cut, b.f.host.Now()
		isNews := c.holds() && o.last > c.after

		switch {
		case !told:
			begin(false)
		case !b.stands(start):
			o.await(o.last, now, begin)
		case isNews, c.depth == isLevelling: // what it is to see comes after this reading
			c.next = append(c.next, func(isOpen bool) {
				if !isOpen {
					begin(false)
					return
				}
				b.reading(start, begin)
			})
		default:
			b.expect(start.name)
			o.await(o.last, now, func(stored bool) {
				c.begun(start.name, stored)
				begin(stored)
			})
		}
	})
}

// expect looks after a reader that is about to begin.
func (b *bucket) expect(name string) {
	c, now := &b.out.cut, b.f.host.Now()
	if !slices.Contains(b.f.cutting, b) {
		b.f.cutting = append(b.f.cutting, b)
	}
	if !c.holds() && c.depth == isShallow {
		c.after, c.until = b.out.last, now.Add(holdMost)
	}
	c.readers = append(c.readers, reader{name: name, since: now, advanced: now})
}

// begun notes that a reader is asked for, or that it will not be.
func (c *cut) begun(name string, is bool) {
	for i := range c.readers {
		if r := &c.readers[i]; r.name != name || r.begun {
			continue
		}
		if c.readers[i].begun = is; !is {
			c.readers = slices.Delete(c.readers, i, i+1)
		}
		return
	}
}

// look asks how far the readers are, and lets the shadow go on.
func (c *cut) look(b *bucket, now time.Time) {
	c.giveUp(b, now)
	isDone, isLate, mayAsk := len(c.readers) == 0, now.After(c.until), now.After(c.again)
	isShort := c.holds() && c.depth == isShallow
	mayBeDeep, isAsked := c.depth == isDeep || c.unsure, c.depth == isDeepening || c.depth == isLevelling
	isToLevel := isDone && !c.holds() && mayBeDeep && !isAsked
	switch {
	case isShort && isDone:
		c.release(b)
	case isShort && isLate && mayAsk:
		c.deepen(b, now)
	case isToLevel && mayAsk:
		c.level(b)
	}

	for i := range c.readers {
		r := &c.readers[i]
		isDue := r.begun && !r.asked && r.back.IsZero() && now.After(r.askAt)
		if isDue {
			r.asked = true
			r.askAt = now.Add(min(max(lookOften, now.Sub(r.since)/20), lookSeldom))
			c.ask(b, r.name)
		}
	}
}

// giveUp forgets the readers that are not waited for any longer.
func (c *cut) giveUp(b *bucket, now time.Time) {
	isTooMuch := c.messages > deepMessages || c.bytes > deepBytes
	if isTooMuch && c.depth == isDeep && len(c.readers) > 0 {
		b.f.log.Warn("readers of a bucket are too slow: they may miss keys that were overwritten",
			"bucket", b.name, "readers", len(c.readers), "changes", c.messages, "bytes", c.bytes)
		c.readers = nil
	}
	c.readers = slices.DeleteFunc(c.readers, func(r reader) bool {
		isGone, isStuck := !r.back.IsZero() && now.After(r.back), now.Sub(r.advanced) > stuckFor
		if isStuck && !isGone {
			b.f.log.Warn("a reader of a bucket takes nothing: it may miss keys that were overwritten", "bucket", b.name, "consumer", r.name)
		}
		return isGone || isStuck
	})
}

// deepen has the shadow keep what is overwritten, and lets go on what is held then.
func (c *cut) deepen(b *bucket, now time.Time) {
	c.depth = isDeepening
	b.keep(0, func(err error) {
		isToTryAgain := err != nil && now.Before(c.until.Add(holdFailed))
		if isToTryAgain {
			c.depth, c.unsure, c.again = isShallow, true, b.f.host.Now().Add(depthAgain)
			return
		}
		if err != nil {
			b.f.log.Warn("a bucket's stream cannot be made to keep what is overwritten: who reads it now may miss keys", "bucket", b.name, "error", err)
		}
		c.depth, c.messages, c.bytes = isDeep, 0, 0
		c.release(b)
	})
}

// level has the shadow keep no more than the bucket's history.
func (c *cut) level(b *bucket) {
	c.depth = isLevelling
	b.keep(b.shadow().Depth, func(err error) {
		c.depth, c.unsure = isShallow, false
		if err != nil {
			b.f.log.Warn("a bucket's stream keeps what was overwritten; again in a moment", "bucket", b.name, "error", err)
			c.depth, c.again = isDeep, b.f.host.Now().Add(depthAgain)
		}
		c.release(b)
	})
}

// keep has the shadow keep so many messages of each key; 0: all.
func (b *bucket) keep(depth int, done func(error)) {
	s := b.shadow()
	b.job(func(ctx context.Context) func() {
		err := b.f.o.Streams.Keep(ctx, s, depth)
		return func() { done(err) }
	})
}

// release lets what was held go on, up to the next reading.
func (c *cut) release(b *bucket) {
	next := c.next
	c.next, c.after, c.until = nil, 0, time.Time{}
	for _, again := range next {
		again(true)
	}
	b.drain()
}

// ask asks the server how far a reader is.
func (c *cut) ask(b *bucket, name string) {
	opening := b.opening
	subject := apiPrefix + "CONSUMER.INFO." + b.shadow().Name + "." + name
	b.f.ask(&nats.Msg{Subject: subject}, func(m *nats.Msg) {
		if b.opening == opening {
			c.heard(b, name, m)
		}
	})
}

// consumerInfo is what is read of the server's word of how far a consumer is.
type consumerInfo struct {
	Pending   uint64 `json:"num_pending"`
	Delivered struct {
		Messages uint64 `json:"consumer_seq"`
		Number   uint64 `json:"stream_seq"`
	} `json:"delivered"`
	Error *Error `json:"error"`
}

// heard takes the server's word of how far a reader is. nil: it said nothing.
func (c *cut) heard(b *bucket, name string, m *nats.Msg) {
	i := slices.IndexFunc(c.readers, func(r reader) bool { return r.name == name && r.asked })
	if i < 0 {
		return
	}
	r := &c.readers[i]
	r.asked = false
	var info consumerInfo
	isAnswer := m != nil && json.Unmarshal(m.Data, &info) == nil
	switch {
	case !isAnswer:
	case info.Error == nil:
		if r.takes(&info, b.out.sent, b.f.host.Now()) {
			c.readers = slices.Delete(c.readers, i, i+1)
		}
	case r.unknown < unknownFor: // it may be on its way
		r.unknown++
	default:
		r.back = b.f.host.Now().Add(backWithin)
	}
}

// deleted notes that a client has deleted a consumer.
func (c *cut) deleted(name string) {
	c.readers = slices.DeleteFunc(c.readers, func(r reader) bool { return r.name == name })
}

// takes notes how far the reader is. newest: what the shadow was sent by now. isDone: it was sent
// all that stood there when it began.
//
// The server knows a consumer a moment before it has counted what is pending for it, and says that
// this is nothing, and that the client listens (nats-server 2.15.2: on a busy machine for some tens
// of ms). Something stood there for the reader ([bucket.stands]), so only what it was sent, or the
// same answer again and again, shows that it was counted.
func (r *reader) takes(info *consumerInfo, newest uint64, now time.Time) (isDone bool) {
	if !r.isKnown {
		r.isKnown, r.upTo = true, newest
	}
	if info.Delivered.Messages != r.sent {
		r.sent, r.advanced = info.Delivered.Messages, now
	}
	isCounted := r.sent > 0
	if info.Pending == 0 && !isCounted {
		r.idle++
	}
	isBelieved := isCounted || r.idle >= idleFor
	hasNothing := info.Pending == 0 && isBelieved
	return hasNothing || info.Delivered.Number >= r.upTo
}

// tickCuts looks at the shadows that are read.
func (f *Facade) tickCuts(now time.Time) {
	for _, b := range slices.Clone(f.cutting) {
		b.out.cut.look(b, now)
	}
	f.cutting = slices.DeleteFunc(f.cutting, func(b *bucket) bool { return b.out.cut.isOver() })
}

// nameOf is the name of a consumer that is to be made; "": the server gives it one.
func nameOf(rest string, config map[string]json.RawMessage) string {
	if name, _, _ := strings.Cut(strings.TrimPrefix(rest, "."), "."); name != "" {
		return name
	}
	for _, field := range []string{"durable_name", "name"} {
		var name string
		if json.Unmarshal(config[field], &name) == nil && name != "" {
			return name
		}
	}
	return ""
}
