package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/listing"
)

// admits is the door: who may say what. What does not come in changes nothing, not even
// the clock. Which messages mean something in which condition is in handlers.go.
func (m *Machine) admits(msg message.Message, h *message.Header) bool {
	if h.From.IsMaster() {
		return m.admitsMaster(msg, h)
	}
	ofThisEpoch := h.Epoch == m.record.Epoch
	if !ofThisEpoch || h.From == m.cfg.Self {
		return false
	}
	switch msg.(type) {
	case *message.Data, *message.Ack, *message.Fill, *message.Chunk:
		return m.isMember(h)
	case *message.Gap, *message.Pull, *message.Beat: // of a learner, too
		return true
	}
	return false
}

// isMember reports whether a peer speaks as the process that the view names.
func (m *Machine) isMember(h *message.Header) bool {
	i := m.record.Index(h.From)
	return i >= 0 && m.record.Members[i].Incarnation == h.Incarnation
}

// admitsMaster reports whether a master's message is taken: that of the newest master. To that one
// this replica may have said that it knows of no later record, so it takes none from an older one
// either (rule F4). In an epoch only the master that its record names gives orders.
func (m *Machine) admitsMaster(msg message.Message, h *message.Header) bool {
	switch msg := msg.(type) {
	case *message.Install:
		if !msg.Record.Sound() {
			return false
		}
		if m.record.Foreign(&msg.Record) { // this process is in the wrong place, whoever says so
			return true
		}
		return msg.Record.Epoch >= m.record.Epoch && h.Incarnation >= m.master.Incarnation
	case *message.Outdated:
		return h.Incarnation >= m.master.Incarnation
	case *message.Probe: // an older master is told that there is a newer one
		return true
	case *message.Prepare:
		return h.Incarnation >= m.master.Incarnation
	case *message.Poll:
		return h.Incarnation >= m.master.Incarnation && isSoundPoll(msg)
	case *message.Forward:
		return h.Incarnation == m.master.Incarnation && h.From == m.master.Node
	case *message.Fill:
		return m.cast != nil && h.Epoch == m.record.Epoch && h.Incarnation == m.record.Master
	}
	return false
}

// heard takes note of a master. From the first message of a newer master on, an older master
// is not obeyed any more.
func (m *Machine) heard(from lamport.Node, incarnation uint64) {
	if incarnation > m.master.Incarnation {
		m.master = message.Member{Node: from, Incarnation: incarnation}
		m.told, m.nonce = 0, 0
	}
}

// forward takes requests. Causal gets and eventual requests are served whatever the epoch is,
// all others only in the epoch of the master that sends them. No answer is given to the others:
// the master sends them again in the next epoch.
func (m *Machine) forward(f *message.Forward, _ *Output) {
	current := m.cast != nil && f.Epoch == m.record.Epoch && f.Incarnation == m.record.Master
	if current {
		m.cast.Heard(f.Time)
		m.marks(f.Marks)
		m.hears(f.Clock)
		m.causalWrites(f.Writes)
		m.confirm(f)
	}

	m.forwarded = f.Time
	if current { // it may have stood in the inbox for long
		m.forwarded = max(f.Time, m.layers.Tick())
	}

	if !m.vouched(f) {
		return
	}
	for i := range f.Requests {
		r := &f.Requests[i]
		if r.Writes() && r.First == 0 && r.Came == 0 {
			r.Came = f.Time
		}

		needsNoView := m.record.Epoch > 0 && servedAnywhere(r)
		if current || needsNoView {
			m.request(r, f.Round > 0)
		}
	}
}

// vouched reports whether a master's requests may concern the data of this replica. A process that
// has just started with a disk may have that of another cluster, or of a copy of this one (rule
// F14). Until a record has shown that the process belongs here, it takes requests only from the
// master that its own record names.
func (m *Machine) vouched(f *message.Forward) bool {
	named := f.Epoch == m.record.Epoch && f.Incarnation == m.record.Master
	return m.self.Belongs() || named
}

// servedAnywhere reports whether a wedged or removed replica may serve r.
func servedAnywhere(r *message.Request) bool {
	if listing.GoesOn(&r.Request) { // of a cut that is here
		return true
	}
	reads := r.Type == model.Get || r.Type == model.List
	isCausalRead := r.Model == model.Causal && reads
	isWeak := r.Model == model.Eventual && r.Type != model.Watch
	return isWeak || isCausalRead
}
