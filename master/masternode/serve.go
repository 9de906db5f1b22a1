package masternode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/host/loop"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/master/masternode/supervise"
	"quartet/replica/listing"
)

// serve makes turns until ctx ends.
func (n *node) serve(ctx context.Context) error {
	_, err := n.loop.Run(ctx, func(loop.Turn) (bool, error) { return false, nil })
	return err
}

const (
	drainWait = 2 * time.Second
	// handWait is until servers know that the next master's doors are open, before this one's are
	// closed.
	handWait = 50 * time.Millisecond
)

// drain closes the door and waits a little for the requests that are under way: those, too, that
// have come through it and wait.
func (n *node) drain(now <-chan struct{}) error {
	if n.herald != nil && n.opts.Standby {
		ctx, cancel := context.WithTimeout(context.Background(), handWait)
		defer cancel()
		if err := n.serve(ctx); err != nil {
			return err
		}
	}

	for _, s := range n.subs {
		_ = s.Drain() // the connection may be gone: then nothing comes in either
	}
	n.opts.Log.Info("draining", "requests", n.machine.InFlight())
	if status := n.machine.Snapshot(); n.views.newest != nil {
		n.opts.Ledger.Describe(n.described(&status)) // which masters there are has changed
	}

	ctx, cancel := context.WithTimeout(context.Background(), drainWait)
	defer cancel()
	go func() {
		select {
		case <-now:
			cancel()
		case <-ctx.Done():
		}
	}()
	_, err := n.loop.Run(ctx, func(loop.Turn) (bool, error) {
		isShut := !slices.ContainsFunc(n.subs, func(s *bus.Subscription) bool { return !s.Ended() })
		return isShut && n.machine.InFlight() == 0 && n.inbox.Len() == 0, nil
	})
	if ferr := n.clients.FlushTimeout(time.Second); ferr != nil {
		n.opts.Log.Warn("the last replies may not have reached their clients", "error", ferr)
	}
	return err
}

// Look looks at the processes of our own replicas, and at each tick at the room on the disk,
// the store of the views' record and the files. It is a method of [loop.Shell], as those below
// are.
func (n *node) Look(t loop.Turn) error {
	if t.Tick {
		n.lookRoom(t.Now)
		n.heal(t.Now)
		n.lookFiles(t.Now)
	}
	if t.Tick || t.Woken {
		return n.supervise(t.Now)
	}
	return nil
}

// Take takes one event to where it belongs.
func (n *node) Take(e *event) {
	switch e.source {
	case fromNode:
		if msg, ok := n.link.Receive(e.msg); ok {
			n.noteHello(msg)
			n.machine.Step(msg, &n.out)
			n.waiting.heard(n.out.Heard, e.at)
			n.out.Heard = n.out.Heard[:0]
			if msg.Kind() == message.KindInstalled {
				n.noteKeeps()
			}
		}
	case fromStore:
		n.decided(e.ended)
	case fromClient:
		n.request(e)
	case readFromClient:
		n.read(e)
	case batchFromClient:
		n.requests(e)
	case askStatus:
		n.lastToken++
		n.asked[n.lastToken] = e.msg.Reply
		n.machine.Status(n.lastToken, &n.out)
	case askReport:
		n.report(e.msg.Reply)
	case askRecover:
		n.recoverView(e.msg)
	case askRemove:
		n.removeReplica(e.msg)
	case askLead:
		n.handOver(e.msg)

	case kvRequest:
		n.kv.request(e.msg)
	case kvHears:
		n.kv.facade.Hear(e.msg)
	case fromJob:
		e.call()
	}
}

// Tick tells the machine that 10 ms have passed.
func (n *node) Tick(now time.Time) {
	n.machine.Tick(&n.out)
	n.kv.tick()
	n.watch(now)
	n.herald.led(n.machine.Incarnation(), n.machine.Stands())
}

// EndTurn ends the machine's turn. Once a newer master is known nothing leaves any more.
func (n *node) EndTurn() error {
	n.machine.EndTurn(&n.out)
	if n.machine.Superseded() {
		if !n.opts.Standby {
			n.opts.Log.Error("a newer master leads this cluster: this one ends, those of its replicas that are processes go on")
		}
		return ErrSuperseded
	}
	return nil
}

// Persist reserves on disk the ids and times that leave with this turn.
func (n *node) Persist() error { return n.dir.reserve(n.machine.NextRID(), n.machine.Now()) }

// lookFiles sees that the files of this master's directory are there.
func (n *node) lookFiles(now time.Time) {
	switch again, err := n.dir.renew(now); {
	case err != nil && !n.filesGone:
		n.filesGone = true
		n.opts.Log.Error("files of this master were removed and cannot be written again: "+
			"a master after this one may not find its replicas", "dir", n.dir.path, "error", err)
	case err == nil && again:
		n.filesGone = false
		n.opts.Log.Warn("files of this master were removed by somebody and are written again: "+
			"is a cleaner of temporary files at work?", "dir", n.dir.path)
	}
}

// supervise tells the machine of replicas' processes that have ended: it need not wait
// until their silence shows it. In the very first start of a cluster such an end is the
// end of the start: it is a mistake that somebody should see. While the record is unread nobody
// knows whether it is the first.
func (n *node) supervise(now time.Time) error {
	for _, e := range n.super.step(now) {
		switch {
		case e.Kind == supervise.Started:
		case n.views.newest == nil && !n.views.unread:
			return fmt.Errorf("master: replica %s ended during the start: %w (see %s)", e.Node, e.Err, n.logs(e.Node))
		case errors.Is(e.Err, supervise.ErrReplaced): // the other process goes on, whatever its pid
		default:
			n.machine.Lost(e.Node, e.PID)
		}
	}
	return nil
}

// another reports whether a process of a replica other than pid answers this master; with pid 0,
// whether any does.
func (n *node) another(r lamport.Node, pid int) bool {
	if n.machine == nil {
		return false // this master stands by
	}
	for _, s := range n.machine.Snapshot().Replicas {
		if s.Node == r {
			return s.Answers && !isOf(pid, s.PID)
		}
	}
	return false
}

// isOf reports whether the process that answers may be that of pid: nothing is known of it, or it
// has this pid. No process is that of pid 0.
func isOf(pid, answering int) bool {
	if pid == 0 {
		return false
	}
	return answering == 0 || answering == pid
}

// Send sends what the turn produced: to replicas, to clients, and to the store of the record.
func (n *node) Send() {
	if len(n.out.Sent) > 0 {
		n.waiting.sent(n.out.Sent, time.Now())
		n.out.Sent = n.out.Sent[:0]
	}
	for _, s := range n.out.Sends {
		n.noteSend(n.link.Send(s.Msg, s.To...))
	}
	if n.kv != nil {
		n.kv.sending = true
	}
	for i := range n.out.Replies {
		n.reply(&n.out.Replies[i])
	}
	n.flushAnswers()
	if n.kv != nil {
		n.kv.sending = false
		n.kv.flush()
	}
	for i := range n.out.Statuses {
		n.status(&n.out.Statuses[i])
	}

	if n.out.Command != nil {
		n.execute(n.out.Command)
		n.out.Command = nil
	}
	if n.out.Learned != nil {
		n.views.unread = false
		n.learn(n.out.Learned)
		n.out.Learned = nil
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

// sayUnready is how long a cluster may be not ready before that is worth a word: a change
// of views takes a moment.
const sayUnready = 2 * time.Second

// watch logs messages that the machine refused, and that the cluster is not ready.
func (n *node) watch(now time.Time) {
	if refused := n.machine.Refused(); refused != n.refused {
		n.opts.Log.Warn("messages of replicas refused: of another epoch or incarnation, or against a rule",
			"new", refused-n.refused, "all", refused)
		n.refused = refused
	}
	n.noteLinks()
	n.machine.Discounted(n.noteDiscount)
	switch ready := n.machine.Ready(); {
	case ready && n.said:
		n.opts.Log.Info("ready again", "after", now.Sub(n.unready))
		n.unready, n.said = time.Time{}, false
	case ready:
		n.unready = time.Time{}
	case n.unready.IsZero():
		n.unready = now
	case !n.said && now.Sub(n.unready) >= sayUnready:
		n.said = true
		n.opts.Log.Error("not ready", "reason", n.why())
	}
}

// noteDiscount logs once that what a replica holds counts for nothing.
func (n *node) noteDiscount(r lamport.Node, why string) {
	if n.discounts[r] == why {
		return
	}
	n.discounts[r] = why
	if why != "" {
		n.opts.Log.Error("what a replica holds counts for nothing", "replica", r, "reason", why)
	}
}

// noteLinks logs which replicas cease, and begin again, to hear which others.
func (n *node) noteLinks() {
	apart := n.machine.Apart()
	if slices.Equal(apart, n.apart) {
		return
	}
	for _, pair := range apart {
		if !slices.Contains(n.apart, pair) {
			n.opts.Log.Error("a replica does not hear another one, and the master hears both: "+
				"look at the network between them", "replica", pair.Deaf, "unheard", pair.Of)
		}
	}
	for _, pair := range n.apart {
		if !slices.Contains(apart, pair) {
			n.opts.Log.Info("a replica is no longer known not to hear another one", "replica", pair.Deaf, "heard", pair.Of)
		}
	}
	n.apart = apart
}

// notAClients reports whether nobody may be answered on that subject; then the request is
// dropped.
func (n *node) notAClients(reply string) bool {
	if reply == "" || !n.subjects.Reserved(reply) {
		return false
	}
	n.opts.Log.Warn("request dropped: its reply subject is not a client's", "reply", reply)
	return true
}

// request takes a client's request.
func (n *node) request(e *event) {
	if n.notAClients(e.msg.Reply) {
		return
	}
	t, o, err := takenOf(e)
	n.tracing.take(t, e.msg.Header)
	n.incoming(t, &o, err)
}

// read takes a request that came where only reads are served.
func (n *node) read(e *event) {
	if n.notAClients(e.msg.Reply) {
		return
	}
	t, o, err := takenOf(e)
	if err == nil && !isRead(t.request.Type) {
		err = &bus.Error{
			Code: model.Forbidden,
			Reason: fmt.Sprintf("on %s gets, lists and watches are served, and no %s: that takes a user who may publish to %s",
				n.subjects.Read(), t.request.Type.Word(), n.subjects.Request()),
		}
	}
	n.tracing.take(t, e.msg.Header)
	n.incoming(t, &o, err)
}

func isRead(t model.Type) bool { return t == model.Get || t == model.List || t == model.Watch }

// takenOf reads a request from its body and, what that does not say, from its headers.
func takenOf(e *event) (t *taken, o bus.Options, err error) {
	t = &taken{reply: e.msg.Reply, at: e.at}
	if t.request, err = bus.ParseRequest(e.msg.Data); err != nil {
		return t, o, err
	}
	o, err = bus.OptionsOf(&t.request, e.msg.Header)
	t.eventFields = bus.EventFields(e.msg.Header)
	t.packed = t.request.Type == model.List && t.request.Encoding == bus.Msgpack && bus.AnswerFields(e.msg.Header) == bus.AnswerMost
	return t, o, err
}

// incoming hands a request to the machine, unless its form was found wrong.
func (n *node) incoming(t *taken, o *bus.Options, err error) {
	r := &t.request
	if n.debug {
		n.opts.Log.Debug("in", "kind", "REQUEST", "reply", t.reply, "consistency", r.Model,
			"request", r.Type, "key", r.Key, "bytes", len(r.Value), "error", err)
	}
	t.client, t.tellHistory, t.readOnly = o.Client, o.AsksHistory, err == nil && readOnly(&r.Request)
	if o.InSession {
		s := o.Session // of its own, so that o stays where it is
		t.session = &s
	}

	n.lastToken++
	t.token = n.lastToken
	n.waiting.add(t)
	if err != nil {
		n.refuse(t.token, err)
		return
	}

	told := goesOnFrom(&r.Request, o)
	writes := r.Writes() && !t.readOnly
	if writes && n.room.refuses(r.Type) != "" && n.machine.Judge(&told) == message.Ours {
		n.machine.Refuse(t.token, model.Unavailable, n.room.why, &n.out)
		return
	}

	if r.Type == model.Watch {
		if fault := watchFault(t); fault != "" {
			n.machine.Refuse(t.token, model.Malformed, fault, &n.out)
			return
		}
	}

	cursor, err := cursorOf(&r.Request)
	if err != nil {
		n.refuse(t.token, err)
		return
	}
	in := master.Incoming{
		Token: t.token, Draw: n.rand.Uint32(), Told: told, Age: ticksOf(o.Age), Wall: wall(t.at), ReadOnly: t.readOnly,
		Cursor:  cursor,
		Request: message.Request{Identity: o.Identity, Request: r.Request, Min: o.Minimum(r.Model), Watcher: watcher(t)},
	}
	isPrimarys := r.Model == model.Causal && writes // no replica can be named
	if o.Replica != "" && !isPrimarys {
		if in.Replica, err = lamport.ParseNode(o.Replica); err != nil {
			n.machine.Refuse(t.token, model.Malformed, fmt.Sprintf("replica %q is not one of this cluster's", o.Replica), &n.out)
			return
		}
	}
	n.machine.Request(in, &n.out)
}

// cursorOf is where a list goes on that does; zero of all other requests.
func cursorOf(r *model.Request) (message.Cursor, error) {
	if !listing.GoesOn(r) {
		return message.Cursor{}, nil
	}
	cursor, err := codec.ParseNext(r.Range.From)
	if err != nil {
		return cursor, fmt.Errorf("what a list goes on from, %s or from, is not the %s or next of a page: %q; begin again without it",
			bus.HeaderFrom, bus.HeaderNext, r.Range.From)
	}
	return cursor, nil
}

// readOnly reports whether r, whose form was found good, is a transaction of gets alone.
func readOnly(r *model.Request) bool {
	return r.Type == model.Txn && !codec.TransactionWrites(r.Value)
}

// wall is a time in milliseconds since 1970.
func wall(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) }

// ticksOf is how many ticks some milliseconds are, rounded up.
func ticksOf(ms uint64) uint64 {
	const tick = uint64(loop.Tick / time.Millisecond)
	ticks := ms / tick
	if ms%tick > 0 {
		ticks++
	}
	return ticks
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
	n.respond(reply, n.statusOf(&s.Status))
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
