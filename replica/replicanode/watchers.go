package replicanode

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/watching"
)

// front is the connection on which a replica speaks to watchers: in the clients' account where
// there is one (an embedded server has it), else that of the nodes.
type front struct {
	nc    *nats.Conn
	owned bool // it is to be closed with the process
	sub   *bus.Subscription
}

// openFront joins the clients, and hears what watchers acknowledge. rejoined is called where the
// connection is there again.
func (n *node) openFront(ctx context.Context, nodes *nats.Conn, rejoined func()) error {
	n.front.nc = nodes
	dial := bus.DialOptions{
		URL: n.opts.URL, Name: "quartet replica " + n.opts.ID.String() + " to watchers", Connect: n.opts.Front, Log: n.opts.Log,
		Rejoined: rejoined,
	}
	if n.opts.User != "" {
		dial.User, dial.Password, dial.Connect = bus.FrontUser, n.opts.Password, n.opts.Connect
	}
	if n.opts.User != "" || n.opts.Front != nil {
		nc, err := bus.Dial(ctx, dial)
		if err == nil {
			n.front.nc, n.front.owned = nc, true
		} else {
			n.log.Info("the server has no account of clients beside the nodes': watchers hear this replica where the nodes are", "error", err)
		}
	}

	var err error
	n.front.sub, err = bus.Subscribe(n.front.nc, n.subjects.Flows(n.opts.ID), n.inbox.Push)
	if err != nil {
		n.closeFront()
	}
	return err
}

func (n *node) closeFront() {
	if n.front.sub != nil {
		_ = n.front.sub.Close() // the connection may be gone: then nothing comes in either
	}
	if n.front.owned {
		n.front.nc.Close()
	}
}

// flow takes an acknowledgement of a watch, or the server's word that nobody listens to it, and
// reports whether the message was one.
func (n *node) flow(m *nats.Msg) bool {
	replica, rid, sequence, ok := n.subjects.ParseFlow(m.Subject)
	if !ok || replica != n.opts.ID {
		return false
	}
	switch {
	case bus.NobodyListens(m):
		n.machine.Unheard(rid)
	case !n.machine.Acknowledged(rid, sequence) && m.Reply != "" && !n.subjects.Reserved(m.Reply):
		// An earlier process of this replica served it, and could not say that it ends.
		end := bus.Event{Event: model.Event{
			Kind: model.EventEnd, Code: model.Unavailable, Reason: "replica " + n.opts.ID.String() + " serves no such watch: ask again",
		}}
		n.noteSend(n.front.nc.PublishMsg(bus.EventMsg(m.Reply, "", &end, false)))
	}
	return true
}

// tellWatchers publishes events, those for a watcher that reads frames in frames. One that cannot
// be sent is lost: its watcher sees the gap.
func (n *node) tellWatchers(events []watching.Event) {
	for i := range events {
		e := &events[i]
		mayStandInAFrame := e.To.Fields > 0 && bus.Framed(&e.Event) && e.History == (message.History{})
		if mayStandInAFrame {
			n.frames.add(e, n.tellFrame)
			continue
		}

		n.frames.end(e.Watch, n.tellFrame) // what was told before it leaves before it
		reply := ""
		if e.Flow {
			reply = n.subjects.Flow(n.opts.ID, e.Watch, e.Sequence)
		}
		n.noteSend(n.front.nc.PublishMsg(n.events.Msg(e.To.Reply, reply, &bus.Event{Event: e.Event, Stream: e.Stream, History: e.History}, e.To.JSON)))
	}
	n.frames.endAll(n.tellFrame)
}

// tellFrame publishes the frame of a watch: a message without headers.
func (n *node) tellFrame(f *frame) {
	if f.flow == 0 {
		n.noteSend(n.front.nc.Publish(f.to, f.events.Take()))
		return
	}
	reply := n.subjects.Flow(n.opts.ID, f.watch, f.flow)
	n.noteSend(n.front.nc.PublishRequest(f.to, reply, f.events.Take()))
}

// publish publishes committed changes, each on the subject of its key, at most once: nobody is told
// what is lost.
func (n *node) publish(changes []message.Change) {
	for i := range changes {
		n.noteSend(n.front.nc.PublishMsg(n.events.Change(n.subjects.Change(changes[i].Key), &changes[i])))
	}
}

// farewellWait bounds the end of the watches at a clean stop.
const farewellWait = time.Second

// endWatches tells all watchers that this process ends: they go on elsewhere.
func (n *node) endWatches() {
	events := n.machine.EndWatches()
	if len(events) == 0 {
		return
	}
	n.tellWatchers(events)
	if err := n.front.nc.FlushTimeout(farewellWait); err != nil {
		n.log.Info("watchers may not have heard that this replica ends", "error", err)
	}
}
