package replica

import (
	"quartet/replica/abcast"
	"quartet/replica/lamport"
	"quartet/replica/message"
)

// hello is the boot acknowledgement. A replica that already works in a view says so:
// a master that starts adopts it and learns from it where clocks and numbers stand.
func (m *Machine) hello(to lamport.Node, out *Output) {
	out.send(&message.Hello{
		Header: m.header(), PID: m.cfg.PID, View: m.view, Position: m.position,
		Watermark: m.causal.watermark, Safe: m.causal.safe, LastRID: m.lastRID, Master: m.master.Incarnation,
	}, to)
}

// greet answers the heartbeat of a master whose INSTALL is awaited with a HELLO, and
// reports whether it did. From the first word of a newer master on, the old one is not
// heard and no causal number comes in or goes out (Fill, Gap), so what HELLO says of the
// watermark stays true until the INSTALL.
func (m *Machine) greet(p *message.Probe, out *Output) bool {
	if !p.From.IsMaster() || p.Incarnation < m.master.Incarnation {
		return false
	}
	if p.Incarnation > m.master.Incarnation {
		m.master = message.Member{Node: p.From, Incarnation: p.Incarnation}
		m.awaiting = true
	}
	if m.cast != nil && !m.awaiting {
		return false
	}
	m.hello(p.From, out)
	return true
}

// installable is the door for INSTALL. Views do not change yet: a replica installs one in
// its life, and afterwards only learns of a new master for it. One that names another
// incarnation of this replica is for a process that lost its memory, and is refused.
func (m *Machine) installable(in *message.Install) bool {
	i := in.View.Index(m.cfg.Self)
	return in.From.IsMaster() && in.Incarnation >= m.master.Incarnation && in.View.Sound() &&
		i >= 0 && in.View.Members[i].Incarnation == m.cfg.Incarnation &&
		(m.cast == nil || m.view.Epoch == in.View.Epoch)
}

// install takes the view, or the new master for it.
func (m *Machine) install(in *message.Install, out *Output) {
	if m.cast == nil {
		m.view = in.View
		m.cast = abcast.New(abcast.Config{
			Self: m.cfg.Self, Incarnation: m.cfg.Incarnation, View: in.View,
			Clock: &m.clock, Mutant: m.cfg.Mutant.Broadcast,
		})
	}
	if next := (message.Member{Node: in.From, Incarnation: in.Incarnation}); m.awaiting || next != m.master {
		m.master, m.awaiting = next, false
		m.void(in.Marks.Last)
		m.causal.since = in.Clock
	}
	m.marks(in.Marks)
	m.told.watermark = 0
	out.send(&message.Installed{Header: m.header()}, m.master.Node)
}

// report answers the master's heartbeat.
func (m *Machine) report(p *message.Probe, out *Output) {
	s := m.Stats()
	out.send(&message.Report{
		Header: m.header(), Nonce: p.Nonce, Position: s.Position, Watermark: s.Watermark, Safe: s.Safe,
		Keys: uint64(s.Keys), Pending: uint64(max(s.Pending, 0)), Tentative: uint64(s.Tentative), Queue: uint64(s.Queue),
	}, p.From)
}
