package masternode

import (
	"time"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/master"
	"quartet/master/ledger"
)

// taken is a client's request that is not answered yet.
type taken struct {
	reply   string // subject; "": nobody wants to know
	at      time.Time
	client  string
	request bus.Request
	batch   *batch       // that it came in; nil: it came alone
	index   int          // in batch
	traced  *Traced      // nil: nobody follows it
	session *bus.Session // that it belongs to, as it was before; nil: to none

	tellHistory bool // the reply says at which point of the history it was given
	packed      bool // a list's page goes on as its replica wrote it

	own      bool                // the facade's own, which nobody counts
	done     func(*master.Reply) // the facade has asked, and is told in place of a client; nil: a client has
	readOnly bool                // a Txn of gets alone

	eventFields uint64 // of an event of a watch in a frame, that its client reads; 0: it reads no frames

	token            uint64        // under which the machine knows it
	forwarded, heard time.Duration // since at, until it left for a replica and until one answered; 0: not
	sent             lamport.Node  // the replica for which it left first; 0: for none, or for all
}

// echo is the body of the reply to a text request that writes and has nothing else to say; nil: it
// is another.
func echo(r *model.Request) []byte {
	switch r.Type {
	case model.Set:
		return bus.AppendEcho(nil, r.Key, r.Value)
	case model.Delete:
		return []byte(r.Key)
	}
	return nil
}

// count writes the ledger, and tells whoever follows the request.
func (n *node) count(t *taken, r *master.Reply) {
	n.opts.Ledger.Record(ledger.Entry{
		RID: r.RID, Client: t.client, Model: t.request.Model, Type: t.request.Type, Key: t.request.Key,
		Replica: r.Replica, Code: r.Code, Received: t.at, Taken: time.Since(t.at), Duplicate: r.Repeated,
		Position: r.Position, Timestamp: r.Timestamp, Clock: r.Clock, Forwarded: t.forwarded, Heard: t.heard,
		Sent: t.sent, ReadOnly: t.readOnly,
	})
	n.tracing.answered(t, r)
	if !r.Code.Answered() {
		n.service.fail(t.request.Model, r.Code, r.Reason)
	}
}

// reply answers a client and writes the ledger.
func (n *node) reply(r *master.Reply) {
	t := n.waiting.remove(r.Token)
	if t == nil {
		return
	}

	if !t.own {
		n.count(t, r)
	}
	if n.debug {
		n.opts.Log.Debug("out", "kind", "REPLY", "to", t.reply, "rids", r.RID, "code", r.Code,
			"clock", r.Clock, "replica", r.Replica, "position", r.Position, "revision", r.Revision, "timestamp", r.Timestamp)
	}

	if n.kv != nil {
		n.kv.facade.Answered(&t.request.Request, r)
	}
	if t.done != nil {
		t.done(r)
		return
	}
	if t.reply == "" || isToldByItsReplica(t, r.Code) {
		return
	}
	out := bus.Reply{Answer: r.Answer, Model: t.request.Model, Type: t.request.Type, Encoding: t.request.Encoding}
	if r.Code == model.OK && t.request.Encoding == bus.Text {
		out.Body = echo(&t.request.Request)
	}

	if t.packed && r.Code == model.OK {
		out.Body = r.Value
	}

	now := n.machine.History()
	if t.session != nil && r.Code != model.Malformed && !r.Unjudged {
		out.Session = t.session.Seen(&out, now).Token()
	}
	if t.tellHistory && !r.Unjudged {
		out.History = now
	}

	if t.batch != nil {
		n.answer(t.batch, t.index, &out)
		return
	}
	if err := n.clients.PublishMsg(n.replies.Msg(t.reply, &out)); err != nil {
		n.noteSend(err)
	}
}
