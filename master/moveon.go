package master

import "slices"

// moveOn sends what needs no view, and waits at a replica that is silent or has ended, to another
// one at once (rule W2): the next view, in which all is sent again that waits for an outcome, takes
// as long as the store of the record does.
func (m *Machine) moveOn(out *Output) {
	var away []*peer
	for _, p := range m.replicas {
		serves := p.hasWorked && !p.known.Suspected
		isAnother := p.servedPID != 0 && p.servedPID != p.pid
		hasGone := !serves || isAnother
		if p.served && hasGone {
			away = append(away, p)
		}
		p.served, p.servedPID = serves, p.pid
	}
	if len(away) == 0 {
		return
	}

	var rids []uint64
	for rid, f := range m.flights { // sorted below
		isThere := slices.ContainsFunc(away, func(p *peer) bool { return p.node == f.replica })
		if isThere && !ofViews(&f.request) && !goesOn(&f.request) {
			rids = append(rids, rid)
		}
	}
	slices.Sort(rids)
	for _, rid := range rids {
		f := m.flights[rid]
		if f.wanted == f.replica && m.strand(f, m.peer(f.replica), out) {
			continue
		}
		if !f.writes { // what it may still say of a get concerns nobody
			f.asked = nil
		}
		m.again(f, &Incoming{Draw: uint32(rid)})
	}
}
