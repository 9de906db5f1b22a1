package client

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client/inbox"
	"quartet/client/internal/gather"
)

// lone is a message of one request, in the form that any client of the bus would send.
type lone struct {
	g         *gatherer
	message   gather.Message
	sending   *sending
	door      string       // where it was sent
	strangers atomic.Int32 // messages that were no answers: a timer reads it, too
}

// door is where requests of a type are sent: those that read, of a user who may do no more, to a
// subject of their own.
func (c *Client) door(t model.Type) string {
	if c.reads.Load() && reads(t) {
		return c.subjects.Read()
	}
	return c.subjects.Request()
}

// reads reports whether requests of a type are served where only reads are.
func reads(t model.Type) bool { return t == model.Get || t == model.List || t == model.Watch }

// tryReading reports, of a request that the server has refused, whether it is to be sent where only
// reads are served.
func (c *Client) tryReading(t model.Type, refused string) bool {
	if !reads(t) || refused != c.subjects.Request() {
		return false
	}
	c.reads.Store(true)
	return true
}

func (g *gatherer) sendLone(s *sending, m gather.Message) error {
	l := &lone{g: g, message: m, sending: s, door: g.c.door(s.item.Type)}
	if s.over.Load() { // given up
		g.unsent(&l.message)
		return nil
	}
	body, err := s.body()
	if err == nil {
		_, err = g.c.in.SendForMany(l.door, s.header(), body, g.c.o.timeout, l.got)
	}
	if err != nil {
		g.unsent(&l.message)
	}
	return err
}

// got takes the answer, or the end without one.
func (l *lone) got(m *nats.Msg, err error) bool {
	if err == nil && !bus.IsReply(m) {
		l.strangers.Add(1)
		return true
	}
	l.g.answered(&l.message)
	if errors.Is(err, inbox.ErrRefused) && l.g.c.tryReading(l.sending.item.Type, l.door) {
		l.g.add(l.sending)
		return false
	}
	if err != nil {
		l.sending.end(nil, besides(int(l.strangers.Load()), err))
		return false
	}
	reply, err := bus.ParseReply(m)
	l.sending.end(&reply, err)
	return false
}

// batch is one message of several requests, of which some are not answered yet.
type batch struct {
	g         *gatherer
	message   gather.Message // of the gatherer's lock
	strangers atomic.Int32   // messages that were no answers: a timer reads it, too
	waited    int            // open ones that goroutines wait for; of the goroutine that hands out replies

	mu       sync.Mutex
	sendings []*sending // by index; nil: answered
	open     int
}

func (g *gatherer) sendBatch(sendings []*sending, m gather.Message) error {
	b := &batch{g: g, message: m, sendings: append([]*sending(nil), sendings...), open: len(sendings)}
	g.writer.Begin(len(sendings))
	for _, s := range sendings {
		g.writer.Add(&s.item)
		if s.waited {
			b.waited++
		}
	}
	_, err := g.c.in.SendForMany(g.c.subjects.Batch(), g.c.named, g.writer.Bytes(), g.c.o.timeout, b.got)
	if err != nil {
		g.unsent(&b.message)
	}
	return err
}

// got takes a message of answers, or the end of all that are still open.
func (b *batch) got(m *nats.Msg, err error) bool {
	if errors.Is(err, inbox.ErrRefused) {
		return b.refused(nil, bus.ErrNoResponders)
	}
	if err != nil {
		b.g.answered(&b.message)
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
	return b.handOut(m)
}

// handOut tells each request that a message answers, and reports whether others are open.
func (b *batch) handOut(m *nats.Msg) bool {
	b.g.handing(&b.message, b.waited)
	history := bus.HistoryOf(m.Header)
	err := b.g.reader.Read(m.Data, func(index int, r *bus.Reply) {
		s := b.take(index)
		if s == nil {
			return
		}
		if s.waited {
			b.waited--
		}
		r.History = history
		r.Body = bytes.Clone(r.Body) // who keeps one value need not keep the message
		if r.Code != model.OK {
			r.Value = bytes.Clone(r.Value)
		}
		r.Of(s.item.Model, s.item.Type)
		s.end(r, nil)
	})
	if err != nil {
		b.g.c.o.log.Warn("client: bad answers to a batch", "error", err, "bytes", len(m.Data))
	}

	b.mu.Lock()
	open := b.open
	b.mu.Unlock()
	b.g.handed(b.waited)
	return open > 0
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
	b.g.answered(&b.message)
	if !errors.Is(err, bus.ErrNoResponders) {
		b.end(reply, err)
		return false
	}
	b.g.sendAlone()
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
