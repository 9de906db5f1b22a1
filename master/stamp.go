package master

import "quartet/bus/lamport"

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
