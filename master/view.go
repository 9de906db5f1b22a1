package master

import (
	"fmt"
	"strings"

	"quartet/replica/lamport"
	"quartet/replica/message"
)

// peer is what the master knows of a configured replica.
type peer struct {
	node        lamport.Node
	incarnation uint64 // of the process that was heard; 0: none yet
	pid         int
	hello       *message.Hello // the newest
	member      bool           // of the view, with this incarnation
	works       bool           // has acknowledged the view to this master
	leads       bool           // is the member that orders the commits of causal writes
	heard       uint64         // tick
	lost        bool           // its process is known to have ended
	suspected   bool
	watermark   uint64
	busyUntil   uint64 // tick: it has a batch that it has not answered
	report      message.Report

	told     message.Marks
	requests []message.Request     // of this turn
	writes   []message.CausalWrite // of this turn
}

// ready reports whether p works in the view; it may be suspected all the same.
func (p *peer) ready() bool { return p.member && p.works }

// serves reports whether p can be given requests.
func (p *peer) serves() bool { return p.ready() && !p.suspected }

func (m *Machine) peer(n lamport.Node) *peer {
	for _, p := range m.replicas {
		if p.node == n {
			return p
		}
	}
	return nil
}

// hello takes a boot acknowledgement. When every configured replica has sent one, the
// view is formed: a new one of replicas that have none, or the one that they already
// work in (a master that was restarted adopts them).
func (m *Machine) hello(p *peer, h *message.Hello, out *Output) {
	if h.Incarnation < p.incarnation || h.View.Epoch > 0 && !h.View.Sound() || max(h.Watermark, h.Safe, h.LastRID) >= lamport.Limit {
		m.refused++
		return
	}
	if h.Incarnation != p.incarnation {
		p.incarnation, p.works, p.lost, p.suspected = h.Incarnation, false, false, false
		p.member, p.hello = m.memberOf(h), nil
	}
	p.pid = h.PID
	m.nextRID = max(m.nextRID, h.LastRID+1)
	if h.Master != m.cfg.Incarnation {
		// It was said before the replica heard of this master. An older one may still be
		// heard there, so what it says of view and numbers may not stay true: ask anew.
		out.send(&message.Probe{Header: m.header(), Nonce: m.nonce, Marks: m.primary.marks}, p.node)
		return
	}
	p.hello = h
	switch {
	case m.view.Epoch == 0:
		m.form(out)
	case p.member:
		p.works = false
		m.install(p, out)
	}
}

func (m *Machine) memberOf(h *message.Hello) bool {
	i := m.view.Index(h.From)
	return i >= 0 && m.view.Members[i].Incarnation == h.Incarnation
}

// form decides the view once all configured replicas have reported. Members of an
// older view keep it: a replica that was started anew beside them has lost what it
// acknowledged there and must not stand in for its former self.
func (m *Machine) form(out *Output) {
	var newest message.View // taken over only when all have reported
	for _, p := range m.replicas {
		if p.hello == nil {
			return
		}
		if p.hello.View.Epoch > newest.Epoch {
			newest = p.hello.View
		}
	}
	m.view = newest
	if m.view.Epoch == 0 {
		m.view = message.View{Epoch: 1, Faults: m.cfg.Faults}
		for _, p := range m.replicas {
			m.view.Members = append(m.view.Members, message.Member{Node: p.node, Incarnation: p.incarnation})
		}
	}
	for _, p := range m.replicas {
		p.member = m.memberOf(p.hello)
		p.leads = p.member && p.node == m.view.Members[0].Node
		if p.member {
			p.watermark = p.hello.Watermark
			m.primary.marks.Last = max(m.primary.marks.Last, p.hello.Watermark)
			m.primary.marks.Safe = max(m.primary.marks.Safe, p.hello.Safe)
		}
	}
	m.primary.first = m.primary.marks.Last + 1
	for _, p := range m.replicas {
		if p.member {
			m.install(p, out)
		}
	}
}

func (m *Machine) install(p *peer, out *Output) {
	out.send(&message.Install{Header: m.header(), View: m.view, Marks: m.primary.marks}, p.node)
}

// installAgain repeats INSTALL where it or its answer was lost.
func (m *Machine) installAgain(out *Output) {
	for _, p := range m.replicas {
		if p.member && !p.works && !p.lost {
			m.install(p, out)
		}
	}
}

func (m *Machine) installed(p *peer) {
	if p.member {
		p.works = true
	}
}

// Lost tells the machine that the process of a replica has ended.
func (m *Machine) Lost(n lamport.Node) {
	if p := m.peer(n); p != nil {
		p.lost, p.suspected = true, true
	}
}

// probe is the heartbeat: it asks every configured replica how it is, and suspects those
// that were silent for too long. A suspected one that is heard again is trusted again.
func (m *Machine) probe(out *Output) {
	m.nonce++
	to := make([]lamport.Node, 0, len(m.replicas))
	for _, p := range m.replicas {
		p.suspected = p.lost || p.works && m.ticks-p.heard > m.cfg.SuspectTicks
		to = append(to, p.node)
	}
	out.send(&message.Probe{Header: m.header(), Nonce: m.nonce, Marks: m.primary.marks}, to...)
}

// Ready reports whether the cluster serves all four models: every member works, is not
// suspected, and every configured replica is a member.
func (m *Machine) Ready() bool { return m.whyNotReady() == "" }

func (m *Machine) whyNotReady() string {
	var boot, silent, outside []string
	for _, p := range m.replicas {
		switch {
		case p.incarnation == 0 || m.view.Epoch > 0 && p.member && !p.works && !p.lost:
			boot = append(boot, p.node.String())
		case m.view.Epoch > 0 && !p.member:
			outside = append(outside, p.node.String())
		case p.suspected:
			silent = append(silent, p.node.String())
		}
	}
	switch {
	case len(boot) > 0:
		return "waiting for the boot acknowledgement of " + strings.Join(boot, ", ")
	case len(silent) > 0:
		return strings.Join(silent, ", ") + " does not answer, and the strong models need every member of the view"
	case len(outside) > 0:
		return strings.Join(outside, ", ") + ": started anew and not in the view"
	case m.view.Epoch == 0:
		return "no view yet"
	}
	return ""
}

// whyNotStrong says why requests that need every member cannot be served now, or "".
func (m *Machine) whyNotStrong() string {
	for _, mem := range m.view.Members {
		if p := m.peer(mem.Node); p == nil || !p.serves() || p.incarnation != mem.Incarnation {
			return fmt.Sprintf("replica %s does not answer, and this request needs every member of the view", mem.Node)
		}
	}
	if m.view.Epoch == 0 {
		return m.whyNotReady()
	}
	return ""
}
