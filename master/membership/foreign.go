package membership

import (
	"fmt"

	"quartet/bus/message"
)

// foreign reports whether a HELLO comes from a process with the data of another cluster (rule
// F14). What it says concerns this one in nothing.
func (m *Machine) foreign(h *message.Hello) bool {
	known := h.Past.Record
	return known != nil && m.record.Epoch > 0 && known.Foreign(&m.record)
}

// refer tells a process with the data of another cluster the record of this one: it ends then,
// and leaves its data as they are.
func (m *Machine) refer(h *message.Hello, out *Output) {
	if r := m.Replica(h.From); r != nil {
		r.stranger = fmt.Sprintf("its directory holds the data of another cluster (%016x, and this one is %016x): "+
			"move the directory away, and the replica is loaded from the others", h.Past.Record.Cluster, m.record.Cluster)
	}
	out.send(&message.Install{Header: m.header(), Record: m.record}, h.From)
}

// forgetForeign forgets what was heard of processes with the data of another cluster before this
// master knew which one it serves.
func (m *Machine) forgetForeign() {
	for _, r := range m.replicas {
		if r.record != nil && r.record.Foreign(&m.record) {
			*r = Replica{Node: r.Node, heard: m.ticks, Removed: r.Removed}
		}
	}
}

// elsewhere reports whether a replica knows a later epoch of another history of this cluster, as
// with a directory of a copy of the cluster that was started beside it. The store's record decides
// which history is this master's: what the replica holds counts for nothing. Where the store has
// lost that record the histories are told apart as [Machine.Held] says.
func (m *Machine) elsewhere(r *Replica) bool {
	known := r.record
	if known == nil || m.onlyRead() || m.record.Epoch == 0 || known.Epoch <= m.record.Epoch || !known.Branched(&m.record) {
		return false
	}
	r.Back = fmt.Sprintf("its data are of another history of this cluster, as a copy of it has that was started elsewhere: "+
		"epoch %d there, and epoch %d here, come of different ones; move its directory away, and it is loaded from "+
		"the others", known.Epoch, m.record.Epoch)
	r.branched = r.Back
	return true
}

// countAgain lets count what was taken for another history's by a record that the store has lost.
func (m *Machine) countAgain() {
	for _, r := range m.replicas {
		if r.Back == r.branched {
			r.Back, r.branched = "", ""
		}
	}
}

// Discounted says why what a replica holds counts for nothing, or "".
func (m *Machine) Discounted(r *Replica) string {
	if r.stranger != "" {
		return r.stranger
	}
	return r.Back
}
