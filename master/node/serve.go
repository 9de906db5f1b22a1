package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/master"
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
)

// serve runs turns until ctx ends.
func (n *node) serve(ctx context.Context) error {
	return n.loop(ctx, func(time.Time) (bool, error) { return false, nil }, nil)
}

const drainWait = 2 * time.Second

// drain closes the door and waits a little for the requests that are under way.
func (n *node) drain(now <-chan struct{}) error {
	for _, s := range n.subs {
		_ = s.Close() // the connection may be gone: then nothing comes in either
	}
	n.opts.Log.Info("draining", "requests", n.machine.InFlight())
	ctx, cancel := context.WithTimeout(context.Background(), drainWait)
	defer cancel()
	go func() {
		select {
		case <-now:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := n.loop(ctx, func(time.Time) (bool, error) { return n.machine.InFlight() == 0 && n.inbox.Len() == 0, nil }, nil)
	if ferr := n.clients.FlushTimeout(time.Second); ferr != nil {
		n.opts.Log.Warn("the last replies may not have reached their clients", "error", ferr)
	}
	return err
}

// loop runs turns until done says so or ctx ends, which is stopped.
func (n *node) loop(ctx context.Context, done func(time.Time) (bool, error), stopped error) error {
	ticker := time.NewTicker(Tick)
	defer ticker.Stop()
	var batch []event
	var ends []ended
	for {
		over, err := done(time.Now())
		if over || err != nil {
			return err
		}
		tick := false
		select {
		case <-n.inbox.Ready():
		case <-n.super.ended.Ready():
			ends = n.super.ended.Drain(ends)
			for _, e := range ends {
				if err := n.childEnded(e); err != nil {
					return err
				}
			}
		case <-ticker.C:
			tick = true
		case <-ctx.Done():
			return stopped
		}
		batch = n.inbox.Drain(batch)
		if err := n.turn(batch, tick); err != nil {
			return err
		}
	}
}

// childEnded reacts to the end of a replica's process. Before the cluster is ready it
// ends the start; afterwards the replica is suspected at once.
func (n *node) childEnded(e ended) error {
	if n.machine.Snapshot().Epoch == 0 {
		return fmt.Errorf("master: replica %s ended during the start: %w (see %s/%s.out and %s.log)", e.node, e.err, n.opts.LogDir, e.node, e.node)
	}
	n.opts.Log.Error("a replica's process has ended; linearizable and sequential requests need every member of the view and are refused from now on",
		"replica", e.node, "error", e.err)
	n.machine.Lost(e.node)
	return nil
}

// turn steps the machine through a batch and sends what came of it. Ids and times are
// reserved on disk before anything that carries them leaves.
func (n *node) turn(batch []event, tick bool) error {
	for i := range batch {
		e := &batch[i]
		switch e.source {
		case fromNode:
			if msg, ok := n.link.Receive(e.msg); ok {
				n.machine.Step(msg, &n.out)
			}
		case fromClient:
			n.request(e)
		case askStatus:
			n.lastToken++
			n.asked[n.lastToken] = e.msg.Reply
			n.machine.Status(n.lastToken, &n.out)
		case askReport:
			n.report(e.msg.Reply)
		}
	}
	if tick {
		n.machine.Tick(&n.out)
		n.watch()
	}
	n.machine.EndTurn(&n.out)
	if err := n.dir.reserve(n.machine.NextRID(), n.machine.Now()); err != nil {
		return err
	}
	n.flush()
	return nil
}

func (n *node) flush() {
	for _, s := range n.out.Sends {
		n.noteSend(n.link.Send(s.Msg, s.To...))
	}
	for i := range n.out.Replies {
		n.reply(&n.out.Replies[i])
	}
	for i := range n.out.Statuses {
		n.status(&n.out.Statuses[i])
	}
	clear(n.out.Sends)
	clear(n.out.Replies)
	n.out.Sends, n.out.Replies, n.out.Statuses = n.out.Sends[:0], n.out.Replies[:0], n.out.Statuses[:0]
}

// noteSend logs when sending begins and ceases to fail; what is lost is repaired.
func (n *node) noteSend(err error) {
	if failing := err != nil; failing != n.failing {
		n.failing = failing
		if failing {
			n.opts.Log.Warn("cannot send", "error", err)
		} else {
			n.opts.Log.Info("sending again")
		}
	}
}

// watch logs messages that the machine refused.
func (n *node) watch() {
	if refused := n.machine.Refused(); refused != n.refused {
		n.opts.Log.Warn("messages of replicas refused: of another epoch or incarnation, or against a rule", "new", refused-n.refused, "all", refused)
		n.refused = refused
	}
}

// request checks a client's request at the door and hands it to the machine.
func (n *node) request(e *event) {
	if e.msg.Reply != "" && n.subjects.Reserved(e.msg.Reply) {
		n.opts.Log.Warn("request dropped: its reply subject is not a client's", "reply", e.msg.Reply)
		return
	}
	r, err := bus.ParseRequest(e.msg.Data)
	if n.debug {
		n.opts.Log.Debug("in", "kind", "REQUEST", "reply", e.msg.Reply, "consistency", r.Model, "request", r.Type, "key", r.Key, "bytes", len(e.msg.Data), "error", err)
	}
	t := &taken{reply: e.msg.Reply, at: e.at, request: r}
	n.lastToken++
	token := n.lastToken
	n.taken[token] = t
	if err != nil {
		n.refuse(token, err)
		return
	}
	o, err := bus.ParseOptions(e.msg.Header, r.Model)
	t.client = o.Client
	if err != nil {
		n.refuse(token, err)
		return
	}
	in := master.Incoming{Token: token, Draw: n.rand.Uint32(), Request: message.Request{
		Identity: o.Identity, Model: r.Model, Type: r.Type, Key: r.Key, Value: r.Value, Min: o.MinTimestamp,
	}}
	if r.Model == model.Sequential {
		in.Request.Min = o.MinPosition
	}
	if o.Replica != "" && !(r.Model == model.Causal && r.Type == model.Set) {
		if in.Replica, err = lamport.ParseNode(o.Replica); err != nil {
			n.machine.Refuse(token, model.Malformed, fmt.Sprintf("replica %q is not one of this cluster's", o.Replica), &n.out)
			return
		}
	}
	n.machine.Request(in, &n.out)
}

func (n *node) refuse(token uint64, err error) {
	code, reason := model.Malformed, err.Error()
	if e, ok := err.(*bus.Error); ok {
		code, reason = e.Code, e.Reason
	}
	n.machine.Refuse(token, code, reason, &n.out)
}

func (n *node) status(s *master.StatusReply) {
	reply := n.asked[s.Token]
	delete(n.asked, s.Token)
	n.respond(reply, StatusOf(&s.Status, n.opts.Version, os.Getpid()))
}

func (n *node) report(reply string) { n.respond(reply, n.opts.Ledger.Summary()) }

// respond answers with JSON on a subject that is a client's.
func (n *node) respond(reply string, v any) {
	if reply == "" || n.subjects.Reserved(reply) {
		return
	}
	b, err := json.Marshal(v)
	if err == nil {
		err = n.clients.PublishMsg(&nats.Msg{Subject: reply, Data: b})
	}
	if err != nil {
		n.opts.Log.Warn("cannot answer", "reply", reply, "error", err)
	}
}
