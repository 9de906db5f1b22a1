package master

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// stamp gives a weak write its version, once for each request.
func (m *Machine) stamp() lamport.Version {
	v := lamport.Version{Epoch: m.members.Record().Epoch, Timestamp: m.now()}
	if !m.members.Leads() { // the replicas may know better
		v.Epoch = m.members.NewestEpoch()
		v.Node = stampNode(m.cfg.Nonce)
	}
	return v
}

// stampNode is the node in the versions that a master gives before it leads an epoch (rule
// W1). The master of that epoch may live, and stamps as m1, too: two writes of one version
// would be one write to some replicas and two to others. It is drawn from the process's random
// number, from beyond the numbers of all nodes.
func stampNode(nonce uint64) lamport.Node {
	const first = 2 * uint64(lamport.MasterBase)
	return lamport.Node(first + nonce%(1<<32-first))
}

// isStale reports whether a replica says of a weak write that its stamp is too old.
func isStale(f *flight, a *message.Answer) bool {
	return a.Code == model.NotFound && f.writes && f.request.Model == model.Eventual
}

// stampAnew gives a weak write another version, since a replica, in an epoch, has said that it
// has a time which is older than tombstones that were collected: with this one the write was
// executed nowhere, and will not be, whoever else was sent it (rule O42). What is said of an
// earlier version than the present one was acted upon.
func (m *Machine) stampAnew(p *peer, f *flight, epoch, time uint64) {
	if f.request.Version.Time != time {
		return
	}
	f.request.Version = m.stamp()
	f.request.Version.Epoch = max(f.request.Version.Epoch, epoch)
	if f.known != nil {
		f.known.version = f.request.Version
	}

	f.asked, f.replica = nil, 0
	if f.wanted == 0 {
		p = nil
	}
	m.launchOrPause(f, p, uint32(f.request.RID))
}
