package kv

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// cut holds a shadow as it is while somebody reads it from its beginning. The server gives each
// consumer what it finds when it comes to it: of a key that is overwritten meanwhile it finds
// nothing, and whoever lists the keys then lacks one. Nobody but the facade writes to the shadow,
// so it waits with that until what has begun is read. What it does not wait with is the answer to
// a write, or to a get.
type cut struct {
	readers []reader
	after   uint64              // what has a greater number is held
	until   time.Time           // zero: nothing is held
	next    []func(isOpen bool) // readers that are to see what is held
	rests   time.Time           // readers that were too slow: no other one is waited for until then
}

// reader is a consumer that reads a shadow from its beginning.
type reader struct {
	name    string
	begun   bool // it was asked for
	asked   bool // how far it is
	unknown int  // how often the server did not know it yet
}

// Bounds of how long a shadow is held. Large buckets are held for longer: a server sends some
// 300,000 messages a second.
const (
	holdLeast  = 250 * time.Millisecond
	holdOfKey  = 5 * time.Microsecond
	holdMost   = 4 * time.Second
	unknownFor = 5 // looks, of a tick each, after which an unknown consumer is taken for gone
)

// holds reports whether the shadow is held.
func (c *cut) holds() bool { return !c.until.IsZero() }

// readsAll reports whether a consumer with that policy begins with what is there.
func readsAll(policy string) bool {
	return policy == "" || policy == "all" || policy == "last_per_subject"
}

// reading calls begin when the shadow holds what was acknowledged so far, and holds it then until
// the consumer of that name has read it. ok: it does. Name "": it is not to be held.
func (b *bucket) reading(name string, begin func(ok bool)) {
	b.feed.await(b.acked, func(told bool) {
		o, c := &b.out, &b.out.cut
		isResting := b.f.host.Now().Before(c.rests)
		isNews := c.holds() && o.last > c.after
		switch {
		case !told:
			begin(false)
		case name == "" || isResting || len(b.numbers.keys) == 0:
			b.settled(begin)
		case isNews: // what it is to see comes after this reading
			c.next = append(c.next, func(isOpen bool) {
				if !isOpen {
					begin(false)
					return
				}
				b.reading(name, begin)
			})
		default:
			b.holdFor(name)
			o.await(c.after, b.f.host.Now(), func(stored bool) {
				c.begun(name, stored)
				begin(stored)
			})
		}
	})
}

// holdFor holds what is to be stored from now on.
func (b *bucket) holdFor(name string) {
	c, now := &b.out.cut, b.f.host.Now()
	if !c.holds() {
		b.f.cutting = append(b.f.cutting, b)
		lasts := min(max(holdLeast, time.Duration(len(b.numbers.keys))*holdOfKey), holdMost)
		c.after, c.until = b.out.last, now.Add(lasts)
	}
	c.readers = append(c.readers, reader{name: name})
}

// begun notes that a reader is asked for, or that it will not be.
func (c *cut) begun(name string, is bool) {
	for i := range c.readers {
		if c.readers[i].name != name {
			continue
		}
		if c.readers[i].begun = is; !is {
			c.readers = slices.Delete(c.readers, i, i+1)
		}
		return
	}
}

// look asks how far the readers are, and lets the shadow go on when all have read it.
func (c *cut) look(b *bucket, now time.Time) (over bool) {
	isLate := now.After(c.until)
	switch {
	case !c.holds():
		return true
	case isLate:
		c.rests = now.Add(holdMost)
		c.release(b)
		return !c.holds()
	case len(c.readers) == 0:
		c.release(b)
		return !c.holds()
	}
	for i := range c.readers {
		if r := &c.readers[i]; r.begun && !r.asked {
			r.asked = true
			c.ask(b, r.name)
		}
	}
	return false
}

// release lets what was held go on, up to the next reading.
func (c *cut) release(b *bucket) {
	next := c.next
	*c = cut{rests: c.rests}
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
			c.heard(name, m)
		}
	})
}

// heard takes the server's word of how far a reader is. nil: it said nothing.
func (c *cut) heard(name string, m *nats.Msg) {
	var info struct {
		Pending uint64 `json:"num_pending"`
		Error   *Error `json:"error"`
	}
	isAnswer := m != nil && json.Unmarshal(m.Data, &info) == nil
	for i := range c.readers {
		r := &c.readers[i]
		if r.name != name || !r.asked {
			continue
		}
		r.asked = false
		switch {
		case isAnswer && info.Error == nil && info.Pending > 0:
			return // it reads
		case isAnswer && info.Error != nil && r.unknown < unknownFor: // it may be on its way
			r.unknown++
			return
		}
		c.readers = slices.Delete(c.readers, i, i+1)
		return
	}
}

// tickCuts looks at the shadows that are held.
func (f *Facade) tickCuts(now time.Time) {
	held := f.cutting
	f.cutting = nil
	for _, b := range held {
		if !b.out.cut.look(b, now) && !slices.Contains(f.cutting, b) {
			f.cutting = append(f.cutting, b)
		}
	}
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
