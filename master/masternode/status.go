package masternode

import (
	"os"
	"sync"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master"
)

// statusOf writes a status in the words of the public contract.
func (n *node) statusOf(s *master.Status) bus.Status {
	out := bus.Status{
		Ready: s.Ready, Reason: s.Why, Version: n.opts.Version, Epoch: s.Epoch,
		InProcess: n.opts.InProcess != nil,
		Master: bus.MasterStatus{
			ID: lamport.Master(1).String(), PID: os.Getpid(), Host: host(), Incarnation: s.Incarnation, Clock: s.Clock,
			Last: s.Marks.Last, Safe: s.Marks.Safe, Pending: uint64(s.InFlight),
		},
		Replicas: []bus.ReplicaStatus{}, Masters: n.herald.masters(),
	}
	if n.herald != nil {
		out.Master.Name = n.opts.Name
	}
	if r := n.views.newest; r != nil {
		out.Cluster = bus.ClusterName(r.Cluster)
	}

	k := n.keeping(s)
	out.Data, out.Sync = k.data()
	if n.views.newest != nil && k.said() {
		out.Survives = n.survives(&k)
	}
	if s.Ready && n.room.why != "" {
		out.Reason = n.room.why
	}
	out.Warnings = n.warnings(s)

	processes := n.super.restarts()
	for i := range s.Replicas {
		r := &s.Replicas[i]
		row := bus.ReplicaStatus{
			ID: r.Node.String(), PID: n.pid(r), Incarnation: r.Incarnation, Member: r.Member,
			Clock: r.Report.Clock, Position: r.Report.Position, Timestamp: r.Report.Watermark, Safe: r.Report.Safe,
			Keys: r.Report.Keys, Tombstones: r.Report.Tombstones, CollectedAgo: r.Report.Collected * tickMillis,
			Pending: r.Report.Pending, Tentative: r.Report.Tentative, Queue: r.Report.Queue,
			Reason: n.reason(r), Phase: n.phases[r.Node].Word(), Restarts: processes[r.Node].InARow,
		}
		if len(r.Unheard) > 0 {
			row.Unheard = names(r.Unheard)
		}

		row.Data, row.Sync = keeps[r.Keeps].data, keeps[r.Keeps].sync
		_, row.Supervised = processes[r.Node]
		if err := processes[r.Node].Err; err != nil {
			row.LastError = oneLine(err)
		}
		out.Replicas = append(out.Replicas, row)
	}
	return out
}

// tickMillis is how many milliseconds a replica's tick has.
const tickMillis = 10

// keeps are the words of the contract for what a member says of its data.
var keeps = map[message.Keeps]struct{ data, sync string }{
	message.KeepsMemory:   {bus.DataMemory, ""},
	message.KeepsInterval: {bus.DataDisk, SyncInterval},
	message.KeepsAlways:   {bus.DataDisk, SyncAlways},
}

// host is the name of this machine; "": it has none.
var host = sync.OnceValue(func() string {
	name, _ := os.Hostname()
	return name
})

// noteHello keeps what a replica says of itself, for status.
func (n *node) noteHello(msg message.Message) {
	switch msg := msg.(type) {
	case *message.Hello:
		n.phases[msg.From] = msg.Phase
	case *message.Report, *message.Installed:
		n.phases[msg.Head().From] = message.PhaseMember
	}
}

// noteKeeps hands what the members say of their data on to who asks by other ways than status.
func (n *node) noteKeeps() {
	s := n.machine.Snapshot()
	k := n.keeping(&s)
	n.service.keep(k.data())
}
