package node

import (
	"time"

	"quartet/bus"
	"quartet/master"
	"quartet/master/ledger"
	"quartet/replica/lamport"
	"quartet/replica/model"
)

// taken is a client's request that is not answered yet.
type taken struct {
	reply   string // subject; "": nobody wants to know
	at      time.Time
	client  string
	request bus.Request
}

// reply answers a client and writes the ledger.
func (n *node) reply(r *master.Reply) {
	t := n.taken[r.Token]
	delete(n.taken, r.Token)
	if t == nil {
		return
	}
	n.opts.Ledger.Record(ledger.Entry{
		RID: r.RID, Client: t.client, Model: t.request.Model, Type: t.request.Type, Key: t.request.Key,
		Replica: r.Replica, Code: r.Code, Received: t.at, Taken: time.Since(t.at), Duplicate: r.Repeated,
	})
	if n.debug {
		n.opts.Log.Debug("out", "kind", "REPLY", "to", t.reply, "rids", r.RID, "code", r.Code, "clock", r.Clock, "replica", r.Replica, "position", r.Position, "timestamp", r.Timestamp)
	}
	if t.reply == "" {
		return
	}
	out := bus.Reply{
		RID: r.RID, Code: r.Code, Reason: r.Reason, Model: t.request.Model, Type: t.request.Type,
		Clock: r.Clock, Replica: r.Replica, Timestamp: r.Timestamp, Position: r.Position,
		HasPosition: t.request.Model.Strong() && r.Replica != 0, Body: r.Value,
	}
	if r.Code == model.OK && t.request.Type == model.Set && t.request.Encoding == bus.Text {
		out.Body = bus.AppendEcho(nil, t.request.Key, t.request.Value)
	}
	if err := n.clients.PublishMsg(n.replies.Msg(t.reply, &out)); err != nil {
		n.noteSend(err)
	}
}

// StatusOf writes a status in the words of the public contract.
func StatusOf(s *master.Status, version string, pid int) bus.Status {
	out := bus.Status{
		Ready: s.Ready, Reason: s.Why, Version: version, Data: bus.DataMemory, Epoch: s.Epoch,
		Master: bus.MasterStatus{
			ID: lamport.Master(1).String(), PID: pid, Incarnation: s.Incarnation, Clock: s.Clock,
			Last: s.Marks.Last, Safe: s.Marks.Safe, Pending: uint64(s.InFlight),
		},
		Replicas: []bus.ReplicaStatus{},
	}
	for _, r := range s.Replicas {
		out.Replicas = append(out.Replicas, bus.ReplicaStatus{
			ID: r.Node.String(), PID: r.PID, Incarnation: r.Incarnation, Member: r.Member,
			Clock: r.Report.Clock, Position: r.Report.Position, Timestamp: r.Report.Watermark, Safe: r.Report.Safe,
			Keys: r.Report.Keys, Pending: r.Report.Pending, Tentative: r.Report.Tentative, Queue: r.Report.Queue,
			Reason: r.Reason,
		})
	}
	return out
}
