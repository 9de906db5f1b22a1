package masternode

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
	"quartet/master/kv"
	"quartet/master/kv/shadow"
)

// kvHost is what the facade for NATS key-value clients needs of this process: [kv.Host].
type kvHost struct {
	n       *node
	facade  *kv.Facade
	sends   []*nats.Msg
	begun   bool
	sending bool // the turn's replies are being given out: what is asked now is taken in the next turn
}

// newFacade makes the facade.
func (n *node) newFacade() error {
	domain := ""
	if n.opts.Connection != nil {
		domain = n.opts.Connection.Domain()
	}
	streams, err := shadow.New(n.clients, domain)
	if err != nil {
		return err
	}
	n.kv = &kvHost{n: n}
	inbox := n.clients.NewInbox() + "."
	n.kv.facade = kv.New(kv.Options{Subjects: n.subjects, Inbox: inbox, Host: n.kv, Streams: streams, Log: n.opts.Log})

	sub, err := bus.Subscribe(n.clients, inbox+">", n.push(kvHears))
	if err != nil {
		return err
	}
	n.subs = append(n.subs, sub)
	return nil
}

// later calls f in the loop, in a turn to come.
func (n *node) later(f func()) { n.inbox.Push(event{source: fromJob, call: f, at: time.Now()}) }

// Ask is [kv.Host.Ask].
func (h *kvHost) Ask(r model.Request, o bus.Options, reply string, done func(*master.Reply)) {
	t := &taken{
		reply: reply, at: time.Now(), request: bus.Request{Request: r, Encoding: bus.Msgpack}, packed: r.Type == model.List, done: done,
		own: o.Client != kv.ClientName, eventFields: bus.EventMost,
	}
	if h.sending {
		h.n.later(func() { h.n.incoming(t, &o, nil) })
		return
	}
	h.n.incoming(t, &o, nil)
}

// Send is [kv.Host.Send].
func (h *kvHost) Send(m *nats.Msg) { h.sends = append(h.sends, m) }

// Job is [kv.Host.Job].
func (h *kvHost) Job(work func(ctx context.Context) func()) {
	go func() {
		if done := work(h.n.commands); done != nil {
			h.n.later(done)
		}
	}()
}

// History is [kv.Host.History].
func (h *kvHost) History() bus.History { return h.n.machine.History() }

// Now is [kv.Host.Now].
func (h *kvHost) Now() time.Time { return time.Now() }

// Causal is [kv.Host.Causal].
func (h *kvHost) Causal() uint64 { return h.n.machine.Snapshot().Marks.Last }

// request takes a message of a client of buckets.
func (h *kvHost) request(m *nats.Msg) {
	if h.n.notAClients(m.Reply) {
		return
	}
	h.facade.Request(m)
}

// tick tells the facade that 10 ms have passed. It begins when the cluster serves for the first
// time.
func (h *kvHost) tick() {
	if h == nil {
		return
	}
	if !h.begun && h.n.machine.Ready() {
		h.begun = true
		h.facade.Begin()
	}
	h.facade.Tick()
}

// flush sends what the facade has said in this turn.
func (h *kvHost) flush() {
	h.facade.Flush()
	for i, m := range h.sends {
		if err := h.n.clients.PublishMsg(m); err != nil {
			h.n.noteSend(err)
		}
		h.sends[i] = nil
	}
	h.sends = h.sends[:0]
}
