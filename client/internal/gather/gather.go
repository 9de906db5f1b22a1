package gather

// Durations are in nanoseconds of one clock that never goes back.
const (
	LeastPatience = 1_000_000  // 1 ms
	MostPatience  = 10_000_000 // 10 ms
	Linger        = 100_000    // 0.1 ms: how long the flusher waits for one more that is due

	// AloneFor is how long requests are sent one by one after nobody listened for a batch.
	AloneFor = 10_000_000_000 // 10 s
)

// Limits bound a message.
type Limits struct {
	Count int // requests, at most
}

// Core decides for requests of type R. It belongs to one goroutine at a time: the shell has a
// lock around every call. Make it with [New].
type Core[R any] struct {
	gate
	limits Limits

	queue   []entry[R] // what waits, in the order in which it came
	leaving []entry[R] // what is being sent
	next    int        // of leaving: the first that has not left
	most    int        // bytes of a message
	single  bool       // what is being sent leaves one by one
	message []R        // the last of [Core.Next]
	alone   int64      // until then batches are not tried
}

type entry[R any] struct {
	request R
	size    int
	lone    bool
}

// Message is one message on its way, as the core knows it.
type Message struct {
	left  int64
	batch bool
	heard bool
}

// New returns a core for which nothing waits.
func New[R any](limits Limits) *Core[R] {
	return &Core[R]{gate: gate{rules: &table}, limits: limits}
}

// Add takes a request of so many bytes. A lone one never stands in a batch.
func (c *Core[R]) Add(r R, size int, lone bool) Effect {
	c.queue = append(c.queue, entry[R]{r, size, lone})
	c.waiting++
	c.due = max(c.due-1, 0)
	return c.happens(added)
}

// Begin reports whether the caller is to send now: then it calls [Core.Next] until there is no
// message left, each of at most so many bytes. Otherwise somebody else sends, or has sent.
func (c *Core[R]) Begin(now int64, most int) (bool, Effect) {
	if c.state == sending {
		return false, Effect{}
	}
	effect := c.happens(begun)
	if c.state != sending {
		return false, effect
	}
	c.queue, c.leaving, c.next = c.leaving[:0], c.queue, 0
	c.waiting = 0
	c.most, c.single = most, now < c.alone
	return true, effect
}

// Next returns the next message that is to leave, until the next call, and takes it for one
// that is on its way. Without one it is nil, and what is sent is sent: the caller does what
// the effect says then, which may be to begin again.
func (c *Core[R]) Next(now int64) ([]R, Message, Effect) {
	clear(c.message)
	c.message = c.message[:0]
	if c.next == len(c.leaving) {
		clear(c.leaving)
		c.leaving = c.leaving[:0]
		return nil, Message{}, c.happens(ended)
	}

	n := c.fits(c.leaving[c.next:])
	for _, e := range c.leaving[c.next : c.next+n] {
		c.message = append(c.message, e.request)
	}
	c.next += n
	c.away++
	return c.message, Message{left: now, batch: n > 1}, Effect{}
}

// fits says how many of the first requests make one message; at least 1.
func (c *Core[R]) fits(rest []entry[R]) int {
	if c.single {
		return 1
	}
	size := 0
	for i := range rest {
		size += rest[i].size
		tooLong := size > c.most || i == c.limits.Count
		full := i > 0 && tooLong
		if full || rest[i].lone {
			return max(i, 1)
		}
	}
	return len(rest)
}

// Answered takes note of a message's first answer, or of its end; later ones change nothing.
func (c *Core[R]) Answered(m *Message, now int64) Effect {
	if m.heard {
		return Effect{}
	}
	m.heard = true
	c.away--
	if m.batch { // smoothed as TCP does round trips (RFC 6298, 2.3)
		c.usual += (min(now-m.left, MostPatience) - c.usual) / 8
	}
	return c.happens(answered)
}

// Unsent takes back a message that has not left after all.
func (c *Core[R]) Unsent(m *Message) Effect {
	m.batch = false // nothing is learned of it
	return c.Answered(m, 0)
}

// Handing takes note of a message of replies that are about to be handed out, of which due wake
// a goroutine: what is added waits until [Core.Handed].
func (c *Core[R]) Handing(m *Message, due int, now int64) Effect {
	c.handing = true
	c.due += due
	return c.Answered(m, now)
}

// Handed takes note that they have been handed out, and that so many of those that were due
// had no reply.
func (c *Core[R]) Handed(silent int) Effect {
	c.handing = false
	c.due = max(c.due-silent, 0)
	return c.happens(handed)
}

// Late takes note that patience is over. It may come when it is stopped already: then what
// waits may leave earlier than it had to.
func (c *Core[R]) Late() Effect {
	c.armed = false
	return c.happens(late)
}

// Gathered reports whether the flusher is to begin: those that are due have come, or have not
// for [Linger] after the last of them, or what waits fills a message.
func (c *Core[R]) Gathered(now int64) bool {
	if c.state != ordered {
		return true
	}
	nothingNew := c.waiting == c.looked
	nobodyComes := c.due == 0 || now-c.grown >= Linger
	settled := nothingNew && nobodyComes
	if c.waiting >= c.limits.Count || settled {
		c.due = 0 // they do something else
		return true
	}
	if !nothingNew {
		c.looked, c.grown = c.waiting, now
	}
	return false
}

// Alone has requests sent one by one for [AloneFor]: nobody took a batch.
func (c *Core[R]) Alone(now int64) { c.alone = now + AloneFor }

// Close says that there will be no flusher any more: what comes is sent by whoever adds it.
// Whoever closes calls Begin afterwards, for what waits already. It reports whether the core
// was open.
func (c *Core[R]) Close() bool {
	was := c.closed
	c.closed = true
	return !was
}
