package client

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/client/inbox"
)

// sending is one request on its way, once. Whoever sets over first decides its end.
type sending struct {
	item   bus.BatchItem
	text   bool // wants the text form, which no batch has
	waited bool // a goroutine waits for the end: it may send its next request then

	traceparent, tracestate string // of W3C Trace Context, which no batch has either; "": none
	done                    func(*bus.Reply, error)
	over                    atomic.Bool
}

// end hands the end on, unless there was one. err may be an [*unsent].
func (s *sending) end(reply *bus.Reply, err error) {
	if s.over.CompareAndSwap(false, true) {
		s.done(reply, err)
	}
}

// cancel forgets the sending and reports whether done is never called then.
func (s *sending) cancel() bool { return s.over.CompareAndSwap(false, true) }

// gatherer sends requests: a lone one at once and by itself, as any client of the bus
// would, and those that come while others are on their way in batches. While a message has
// not been answered at all what comes gathers, for patience at the longest: so the batches
// grow with the load, and who waits for something slow keeps nobody for long.
type gatherer struct {
	c       *Client
	wake    chan struct{} // capacity 1: the flusher has something to do
	closing chan struct{}
	ended   sync.WaitGroup

	mu        sync.Mutex
	queue     []*sending
	spare     []*sending    // what queue grows in next
	scheduled bool          // a flush will come
	holding   bool          // replies are being handed out: a flush comes after them
	closed    bool          // there is no flusher any more
	away      int           // messages sent of which nothing has been answered
	due       int           // goroutines that a batch's answers have woken, and that have sent nothing since
	patient   bool          // the timer runs
	usual     time.Duration // from a batch to its first answer, smoothed
	timer     *time.Timer
	alone     time.Time // until then batches are not tried: nobody took one

	sending sync.Mutex // one flush at a time, so that requests leave in their order
	writer  bus.BatchWriter
	reader  bus.AnswersReader // of the goroutine that hands out replies
}

// One message on its way, and the next one large, was measured faster than two or three
// smaller ones; patience is twice what a batch usually takes until its first answer, within
// bounds.
const (
	leastPatience = time.Millisecond
	mostPatience  = 10 * time.Millisecond
	linger        = 100 * time.Microsecond // see yield
)

// aloneFor is how long requests are sent one by one after nobody listened for a batch.
const aloneFor = 10 * time.Second

func newGatherer(c *Client) *gatherer {
	g := &gatherer{c: c, wake: make(chan struct{}, 1), closing: make(chan struct{})}
	g.ended.Add(1)
	go g.flusher()
	return g
}

func (g *gatherer) close() {
	g.mu.Lock()
	again := g.closed
	g.closed = true
	g.mu.Unlock()
	if again {
		return
	}
	close(g.closing)
	g.ended.Wait()
	g.flush() // into the closed inbox: each ends with its error
}

// flusher lets goroutines that have just been woken by their replies add to what leaves: a
// program that has sent a batch is likely to send as many requests again.
func (g *gatherer) flusher() {
	defer g.ended.Done()
	for {
		select {
		case <-g.wake:
			g.yield()
			g.flush()
		case <-g.closing:
			return
		}
	}
}

// yield gives up the processor until those that are due have come, for linger at the
// longest after the last of them, and as long as that lets the queue grow.
func (g *gatherer) yield() {
	grown := time.Now()
	for before := -1; ; {
		g.mu.Lock()
		n, due := len(g.queue), g.due
		if n >= bus.MaxBatch || n == before && (due == 0 || time.Since(grown) >= linger) {
			g.due = 0 // they do something else
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		if n != before {
			before, grown = n, time.Now()
		}
		runtime.Gosched()
	}
}

// add takes a request that is known to be well formed. done is called once, unless the
// sending is cancelled before.
func (g *gatherer) add(s *sending) {
	g.mu.Lock()
	g.queue = append(g.queue, s)
	g.due = max(g.due-1, 0)
	switch {
	case g.scheduled || g.holding:
		g.mu.Unlock()
	case g.away > 0 && !g.closed:
		g.wait()
		g.mu.Unlock()
	default:
		g.scheduled = true
		lone := g.due == 0 || g.closed
		g.mu.Unlock()
		if lone {
			g.flush()
		} else {
			g.signal()
		}
	}
}

// signal wakes the flusher. A token that is there already will do: what it finds then is
// all that has gathered. (It must not wait for room: the flusher itself comes here.)
func (g *gatherer) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// wait bounds how long the queue is kept; mu is held.
func (g *gatherer) wait() {
	switch {
	case g.patient:
		return
	case g.timer == nil:
		g.timer = time.AfterFunc(g.patience(), g.impatient)
	default:
		g.timer.Reset(g.patience())
	}
	g.patient = true
}

// patience is how long the queue is kept; mu is held.
func (g *gatherer) patience() time.Duration {
	return min(max(2*g.usual, leastPatience), mostPatience)
}

func (g *gatherer) impatient() {
	g.mu.Lock()
	g.patient = false
	g.mu.Unlock()
	g.flush()
}

// flush sends what has gathered. Those that cannot be sent are told so by a goroutine of
// its own: who hears it may send the next request, and that may fail in the same way.
func (g *gatherer) flush() {
	failed := g.send()
	if len(failed) == 0 {
		return
	}
	go func() {
		for _, f := range failed {
			f.sending.end(nil, &unsent{f.err})
		}
	}()
}

type failure struct {
	sending *sending
	err     error
}

func (g *gatherer) send() (failed []failure) {
	g.sending.Lock()
	defer g.sending.Unlock()
	g.mu.Lock()
	queue := g.queue
	g.queue, g.spare, g.scheduled = g.spare[:0], nil, false
	if g.patient && g.timer.Stop() {
		g.patient = false
	}
	single := time.Now().Before(g.alone)
	g.mu.Unlock()
	most := int(min(bus.BatchBytes, g.c.nc.MaxPayload()-headerRoom))
	for rest := queue; len(rest) > 0; {
		n := 1
		if !single {
			n = fits(rest, most)
		}
		var err error
		if n == 1 {
			err = g.sendLone(rest[0])
		} else {
			err = g.sendBatch(rest[:n])
		}
		if err != nil {
			for _, s := range rest[:n] {
				failed = append(failed, failure{s, err})
			}
		}
		rest = rest[n:]
	}
	clear(queue)
	g.mu.Lock()
	g.spare = queue[:0]
	g.mu.Unlock()
	return failed
}

// headerRoom is what a batch's own headers take of the bus's max_payload, at the most.
const headerRoom = 1024

// fits says how many of the first requests make one batch of most bytes; at least 1.
func fits(queue []*sending, most int) int {
	size := 0
	for i, s := range queue {
		if size += s.item.Size(); s.lone() || i > 0 && (size > most || i == bus.MaxBatch) {
			return max(i, 1)
		}
	}
	return len(queue)
}

func (g *gatherer) sendLone(s *sending) error {
	if s.over.Load() {
		return nil
	}
	body, err := s.body()
	if err != nil {
		return err
	}
	g.left()
	var strangers atomic.Int32 // a timer may end what a message has begun
	_, err = g.c.in.SendForMany(g.c.subjects.Request(), s.header(), body, g.c.o.timeout, func(m *nats.Msg, err error) bool {
		if err == nil && !bus.IsReply(m) {
			strangers.Add(1)
			return true
		}
		g.answered()
		if err != nil {
			s.end(nil, besides(int(strangers.Load()), err))
			return false
		}
		reply, err := bus.ParseReply(m)
		s.end(&reply, err)
		return false
	})
	if err != nil {
		g.answered()
	}
	return err
}

func (g *gatherer) left() {
	g.mu.Lock()
	g.away++
	g.mu.Unlock()
}

// answered takes note of the first answer to a message, or of its end.
func (g *gatherer) answered() {
	g.mu.Lock()
	g.away--
	flush := len(g.queue) > 0 && !g.scheduled && !g.holding && g.away == 0 && !g.closed
	g.scheduled = g.scheduled || flush
	g.mu.Unlock()
	if flush {
		g.signal()
	}
}

// batch is one message of several requests, of which some are not answered yet.
type batch struct {
	g         *gatherer
	sent      time.Time
	mu        sync.Mutex
	sendings  []*sending // by index; nil: answered
	open      int
	heard     bool         // something has been answered
	strangers atomic.Int32 // messages that were no answers: a timer reads it, too
	waited    int          // open ones that goroutines wait for; of the goroutine that hands out replies
}

func (g *gatherer) sendBatch(sendings []*sending) error {
	b := &batch{g: g, sent: time.Now(), sendings: append([]*sending(nil), sendings...), open: len(sendings)}
	g.writer.Begin(len(sendings))
	for _, s := range sendings {
		g.writer.Add(&s.item)
		if s.waited {
			b.waited++
		}
	}
	g.left()
	_, err := g.c.in.SendForMany(g.c.subjects.Batch(), g.c.named, g.writer.Bytes(), g.c.o.timeout, b.got)
	if err != nil {
		g.answered()
	}
	return err
}

// got takes a message of answers, or the end of all that are still open.
func (b *batch) got(m *nats.Msg, err error) bool {
	if errors.Is(err, inbox.ErrRefused) {
		return b.refused(nil, bus.ErrNoResponders)
	}
	if err != nil {
		b.first()
		b.end(nil, besides(int(b.strangers.Load()), err))
		return false
	}
	if !bus.IsReply(m) && !bus.IsAnswers(m.Data) {
		b.strangers.Add(1)
		return true
	}
	if len(m.Data) == 0 || len(m.Header[bus.HeaderAck]) > 0 {
		reply, err := bus.ParseReply(m)
		return b.refused(&reply, err)
	}
	history := bus.HistoryOf(m.Header)
	b.g.hold(b.waited)
	b.first()
	err = b.g.reader.Read(m.Data, func(index int, r *bus.Reply) {
		if s := b.take(index); s != nil {
			if s.waited {
				b.waited--
			}
			r.Model, r.Type, r.History = s.item.Model, s.item.Type, history
			r.Body = bytes.Clone(r.Body) // who keeps one value need not keep the message
			s.end(r, nil)
		}
	})
	if err != nil {
		b.g.c.o.log.Warn("client: bad answers to a batch", "error", err, "bytes", len(m.Data))
	}
	b.mu.Lock()
	open := b.open
	b.mu.Unlock()
	b.g.release(b.waited)
	return open > 0
}

// first takes note of the batch's first answer, or of its end without one.
func (b *batch) first() {
	b.mu.Lock()
	heard := b.heard
	b.heard = true
	b.mu.Unlock()
	if !heard {
		b.g.learn(time.Since(b.sent))
		b.g.answered()
	}
}

// learn smooths what batches take, as TCP does round trips (RFC 6298, 2.3).
func (g *gatherer) learn(d time.Duration) {
	g.mu.Lock()
	g.usual += (min(d, mostPatience) - g.usual) / 8
	g.mu.Unlock()
}

func (b *batch) take(index int) *sending {
	b.mu.Lock()
	defer b.mu.Unlock()
	if index >= len(b.sendings) || b.sendings[index] == nil {
		return nil
	}
	s := b.sendings[index]
	b.sendings[index] = nil
	b.open--
	return s
}

// refused takes an answer to the batch as a whole. Where nobody listens for batches, or the
// server lets none through, each request is sent by itself.
func (b *batch) refused(reply *bus.Reply, err error) bool {
	b.first()
	if !errors.Is(err, bus.ErrNoResponders) {
		b.end(reply, err)
		return false
	}
	b.g.mu.Lock()
	b.g.alone = time.Now().Add(aloneFor)
	b.g.mu.Unlock()
	for _, s := range b.rest() {
		b.g.add(s)
	}
	return false
}

func (b *batch) rest() []*sending {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []*sending
	for _, s := range b.sendings {
		if s != nil {
			rest = append(rest, s)
		}
	}
	b.sendings, b.open = nil, 0
	return rest
}

func (b *batch) end(reply *bus.Reply, err error) {
	for _, s := range b.rest() {
		s.end(reply, err)
	}
}

// hold keeps what is added while replies are handed out until release. due of those
// replies wake a goroutine, at the most.
func (g *gatherer) hold(due int) {
	g.mu.Lock()
	g.holding = true
	g.due += due
	g.mu.Unlock()
}

// release ends hold: so many of those that were due have had no reply.
func (g *gatherer) release(silent int) {
	g.mu.Lock()
	g.holding = false
	g.due = max(g.due-silent, 0)
	flush, closed := len(g.queue) > 0 && !g.scheduled, g.closed
	g.scheduled = g.scheduled || flush && !closed
	g.mu.Unlock()
	switch {
	case flush && closed:
		g.flush()
	case flush:
		g.signal()
	}
}

// lone reports whether a sending has what a request of a batch cannot have.
func (s *sending) lone() bool { return s.text || s.traceparent != "" }

func (s *sending) body() ([]byte, error) {
	const overhead = 64 // what both encodings add, at most
	r := &s.item.Request.Request
	body := make([]byte, 0, r.Size()+overhead)
	if s.text {
		return bus.AppendText(body, r), nil
	}
	return bus.AppendMsgpack(body, r)
}

// newSending returns one sending of r, as old as r.Age says.
func (c *Client) newSending(r *Request, done func(*bus.Reply, error)) *sending {
	s := &sending{text: r.Text, done: done, item: bus.BatchItem{Request: bus.Request{Request: r.Request}, Options: r.Options}}
	s.item.Client, s.item.InSession = c.o.name, false // a Client's sessions are no tokens
	s.trace(r)
	return s
}
