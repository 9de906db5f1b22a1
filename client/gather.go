package client

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client/internal/gather"
)

// sending is one request on its way, once. Whoever sets over first decides its end.
type sending struct {
	item   bus.BatchItem
	text   bool // wants the text form, which no batch has
	packed bool // wants a page as nodes write it
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

// gatherer sends requests: the shell around [gather.Core], which decides when they leave and
// together with which others. It has the lock, the timer, and the flusher: a goroutine that
// lets others, which replies have just woken, add to what leaves.
type gatherer struct {
	c       *Client
	begun   time.Time     // what the core counts from
	wake    chan struct{} // capacity 1: the flusher has something to do
	closing chan struct{}
	ended   sync.WaitGroup

	mu    sync.Mutex
	core  *gather.Core[*sending]
	timer *time.Timer // made when the core arms it first

	writer bus.BatchWriter   // of the goroutine that sends, which is one at a time
	reader bus.AnswersReader // of the goroutine that hands out replies
}

func newGatherer(c *Client) *gatherer {
	g := &gatherer{
		c: c, begun: time.Now(), wake: make(chan struct{}, 1), closing: make(chan struct{}),
		core: gather.New[*sending](gather.Limits{Count: bus.MaxBatch}),
	}
	g.ended.Add(1)
	go g.flusher()
	return g
}

func (g *gatherer) now() int64 { return int64(time.Since(g.begun)) }

func (g *gatherer) close() {
	g.mu.Lock()
	first := g.core.Close()
	g.mu.Unlock()
	if !first {
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
			for !g.gathered() {
				runtime.Gosched()
			}
			g.flush()
		case <-g.closing:
			return
		}
	}
}

func (g *gatherer) gathered() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.Gathered(g.now())
}

// tell tells the core what has happened, and does what it says then.
func (g *gatherer) tell(what func(*gather.Core[*sending]) gather.Effect) {
	g.mu.Lock()
	effect := what(g.core)
	g.keepTime(effect)
	g.mu.Unlock()
	g.do(effect)
}

// keepTime does what an effect says of the timer; mu is held.
func (g *gatherer) keepTime(e gather.Effect) {
	switch {
	case e.Stop:
		g.timer.Stop() // or it comes early for what waits next
	case e.Arm == 0:
	case g.timer == nil:
		g.timer = time.AfterFunc(time.Duration(e.Arm), func() { g.tell((*gather.Core[*sending]).Late) })
	default:
		g.timer.Reset(time.Duration(e.Arm))
	}
}

func (g *gatherer) do(e gather.Effect) {
	switch {
	case e.Flush:
		g.flush()
	case e.Wake:
		select {
		case g.wake <- struct{}{}:
		default: // it is awake, and finds this too
		}
	}
}

// add takes a request that is known to be well formed. done is called once, unless the
// sending is cancelled before.
func (g *gatherer) add(s *sending) {
	size, lone := s.item.Size(), s.lone()
	g.mu.Lock()
	effect := g.core.Add(s, size, lone)
	g.keepTime(effect)
	g.mu.Unlock()
	g.do(effect)
}

type failure struct {
	sending *sending
	err     error
}

// headerRoom is what a batch's own headers take of the bus's max_payload, at the most.
const headerRoom = 1024

// flush sends what has gathered, unless another goroutine does. Those that cannot be sent are
// told so by a goroutine of its own: who hears it may send the next request, and that may
// fail in the same way.
func (g *gatherer) flush() {
	var failed []failure
	for again := g.begin(); again; {
		again = g.sendAll(&failed) && g.begin()
	}
	if len(failed) == 0 {
		return
	}
	go func() {
		for _, f := range failed {
			f.sending.end(nil, &unsent{f.err})
		}
	}()
}

// begin reports whether this goroutine is the one that sends.
func (g *gatherer) begin() bool {
	most := int(min(bus.BatchBytes, g.c.nc.MaxPayload()-headerRoom))
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	first, effect := g.core.Begin(now, most)
	g.keepTime(effect)
	return first
}

// sendAll sends what begin has taken, and reports whether there is more that it has to send.
func (g *gatherer) sendAll(failed *[]failure) bool {
	for {
		now := g.now()
		g.mu.Lock()
		sendings, message, effect := g.core.Next(now)
		g.keepTime(effect)
		g.mu.Unlock()

		var err error
		switch len(sendings) {
		case 0:
			g.do(gather.Effect{Wake: effect.Wake})
			return effect.Flush
		case 1:
			err = g.sendLone(sendings[0], message)
		default:
			err = g.sendBatch(sendings, message)
		}
		if err != nil {
			for _, s := range sendings {
				*failed = append(*failed, failure{s, err})
			}
		}
	}
}

// answered takes note of the first answer to a message, or of its end.
func (g *gatherer) answered(m *gather.Message) {
	now := g.now()
	g.tell(func(c *gather.Core[*sending]) gather.Effect { return c.Answered(m, now) })
}

// handing has what is added wait until handed: replies are about to be handed out, of which
// due wake a goroutine, at the most.
func (g *gatherer) handing(m *gather.Message, due int) {
	now := g.now()
	g.tell(func(c *gather.Core[*sending]) gather.Effect { return c.Handing(m, due, now) })
}

// handed ends that: so many of those that were due have had no reply.
func (g *gatherer) handed(silent int) {
	g.tell(func(c *gather.Core[*sending]) gather.Effect { return c.Handed(silent) })
}

// sendAlone has requests sent one by one for a while: nobody took a batch.
func (g *gatherer) sendAlone() {
	now := g.now()
	g.tell(func(c *gather.Core[*sending]) gather.Effect { c.Alone(now); return gather.Effect{} })
}

// unsent takes a message back that has not left after all.
func (g *gatherer) unsent(m *gather.Message) {
	g.tell(func(c *gather.Core[*sending]) gather.Effect { return c.Unsent(m) })
}

// lone reports whether a sending has what a request of a batch cannot have.
func (s *sending) lone() bool {
	ranged := s.item.Type == model.List || s.item.Type == model.Watch
	return s.text || s.traceparent != "" || ranged
}

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
	s := &sending{text: r.Text, packed: r.packed, done: done, item: bus.BatchItem{Request: bus.Request{Request: r.Request}, Options: r.Options}}
	s.item.Client, s.item.InSession = c.o.name, false // a Client's sessions are no tokens
	s.trace(r)
	return s
}
