package master

import (
	"fmt"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master/membership"
)

// peer is what the master has for a replica.
type peer struct {
	node      lamport.Node
	known     *membership.Replica
	member    bool   // of the record's view
	works     bool   // has acknowledged it
	hasWorked bool   // as the process that it is, so it serves gets and eventual requests in every condition
	served    bool   // it did so at the end of the last turn …
	servedPID int    // … as this process
	leaving   bool   // an operator wants it out: it gets nothing new
	leftAt    uint64 // nonce of the newest PROBE at that time
	leads     bool   // is the member that orders the commits of causal writes
	pid       int
	watermark uint64
	busyUntil uint64 // tick: it has a batch that it has not answered
	echo      uint64 // the highest round that it has received in this epoch
	confirms  bool   // what leaves for it in this turn carries the round
	reads     bool   // fenced gets are in it
	owes      uint64 // a round that it was sent and has not echoed; 0: none
	owesSince uint64 // tick
	held      []held // its answers to fenced gets that others have not confirmed
	report    message.Report

	told     message.Marks
	requests []message.Request     // of this turn
	writes   []message.CausalWrite // of this turn
}

// serves reports whether p can be given any request.
func (p *peer) serves() bool { return p.works && !p.known.Suspected && !p.leaving }

// servesWeak reports whether p can be given gets of model 3 and requests of model 4:
// these go on while the view changes.
func (p *peer) servesWeak() bool { return p.hasWorked && !p.known.Suspected && !p.leaving }

// gone reports whether p was taken out of the cluster, or is about to be.
func (p *peer) gone() bool { return p.known.Removed || p.known.Left }

func (m *Machine) peer(n lamport.Node) *peer {
	for _, p := range m.replicas {
		if p.node == n {
			return p
		}
	}
	return nil
}

// refresh takes over what the membership knows.
func (m *Machine) refresh() {
	known := m.members.Replicas()
	record := m.members.Record()
	isSame := func(k *membership.Replica, p *peer) bool { return k == p.known }
	if !slices.EqualFunc(known, m.replicas, isSame) {
		replicas := make([]*peer, len(known))
		for i, k := range known {
			if replicas[i] = m.peer(k.Node); replicas[i] == nil {
				replicas[i] = &peer{node: k.Node}
			}
			replicas[i].known = k
		}
		m.replicas = replicas
	}
	for _, p := range m.replicas {
		if p.pid != p.known.PID {
			p.pid, p.hasWorked = p.known.PID, false
		}
		p.leaving = p.leaving && m.members.Removable(p.node)
		p.member = m.members.Member(p.known)
		p.works = m.members.Leads() && m.members.Works(p.known)
		atWork := p.hasWorked || p.works || m.members.AtWork(p.known)
		p.hasWorked = atWork && m.members.MayServe(p.known)
		p.leads = p.works && p.node == record.Members[0].Node
	}

	m.served = message.History{}
	if !m.members.Leads() {
		m.served = m.historyServed()
	}
}

// decided begins the work in a new epoch: whatever waits for an outcome is sent again
// under its rID, since what the replicas had of it they have delivered up to the cut, or
// dropped (rule F5).
func (m *Machine) decided(r *message.Record, out *Output) {
	m.clock.Restore(r.Start)
	for _, p := range m.replicas {
		p.watermark, p.busyUntil, p.told = r.High, 0, message.Marks{}
		p.writes = nil
	}
	m.unfence()
	m.refresh()
	for _, p := range m.replicas {
		p.requests = onItsWay(p)
	}
	void := m.renumber(r.High, out)
	rids := make([]uint64, 0, len(m.flights))
	for rid, f := range m.flights { // sorted below
		if m.repeats(f) {
			rids = append(rids, rid)
		}
	}
	slices.Sort(rids)
	for _, rid := range rids {
		f := m.flights[rid]
		f.asked, f.replica, f.round, f.read = nil, 0, 0, false
		m.paused = append(m.paused, f)
	}
	m.paused = append(m.paused, void...)
	slices.SortStableFunc(m.paused, func(a, b *flight) int { return int(a.request.RID) - int(b.request.RID) })
}

// onItsWay is what this turn had for p when the record was decided and is not sent again with
// all the rest: requests that need no view, of a replica that goes on.
func onItsWay(p *peer) []message.Request {
	if !p.hasWorked {
		return nil
	}
	needsView := func(r message.Request) bool { return ofViews(&r) }
	return slices.DeleteFunc(p.requests, needsView)
}

// repeats reports whether a flight is to be sent again after a change of views.
func (m *Machine) repeats(f *flight) bool {
	r := &f.request
	switch {
	case f.replica == 0: // it waits here, or is the primary's
		return false
	case ofViews(r):
		return f.number == 0
	}
	p := m.peer(f.replica)
	return p == nil || !p.hasWorked
}

// launchPaused launches what has waited for the view. A request that names a replica waits for
// that replica, if it is on its way into the view; else it is [Machine.strand]ed.
func (m *Machine) launchPaused(out *Output) {
	if len(m.paused) == 0 {
		return
	}
	if m.members.Changing() {
		m.refusePaused(out)
		return
	}

	kept := m.paused[:0]
	for _, f := range m.paused {
		if m.flights[f.request.RID] != f {
			continue // answered meanwhile
		}

		p := m.peer(f.wanted)
		isComing := p != nil && p.member && !p.works && !p.known.Suspected
		canServe := p != nil && p.serves()
		isAway := f.wanted != 0 && !canServe
		switch {
		case causalWrite(&f.request): // the primary's, whatever replica it names
			if !m.heldBySome() {
				kept = append(kept, f)
				continue
			}
			if p = m.recaller(&f.request); p == nil && m.mayRecall(&f.request) {
				kept = append(kept, f)
				continue
			}

		case m.hasEnded(f):
			m.land(f, m.own(f.request.RID, model.Misdirected, whyEnded), out)
			continue

		case isComing:
			kept = append(kept, f)
			continue

		case isAway:
			if m.strand(f, p, out) {
				continue
			}
			p = nil // another finishes it
		}
		m.launch(f, p, uint32(f.request.RID))
	}
	clear(m.paused[len(kept):])
	m.paused = kept
}

// strand ends a flight whose client has named a replica, p, that is not in the view that it has
// waited for, unless another replica must finish it; it reports whether the flight has ended.
//
// A get has no effect, and whoever names a replica wants that replica's state: it is refused (rule
// P1). So is a write that no replica has been sent. A write that one has been sent may have been
// executed, and a refusal would be a lie: another replica finishes it (rule P2).
func (m *Machine) strand(f *flight, p *peer, out *Output) bool {
	mayHaveHappened := f.writes && f.forwarded
	if mayHaveHappened {
		return false
	}

	if goesOn(&f.request) {
		m.land(f, m.own(f.request.RID, model.Gone, whyNoList(f.wanted)), out)
		return true
	}
	why := fmt.Sprintf("replica %s has left the cluster", f.wanted)
	if p != nil && m.members.Record().Configures(f.wanted) {
		why = m.whyNotServed(p)
	}
	m.land(f, m.own(f.request.RID, model.Unavailable, why), out)
	return true
}

// whyNotServed says that a replica which a request names takes none now, and why.
func (m *Machine) whyNotServed(p *peer) string {
	why := m.members.WhyNot(p.known)
	if p.leaving {
		why = "it is being taken out of the cluster"
	}
	return fmt.Sprintf("replica %s cannot serve requests now: %s", p.node, why)
}

// heldBySome reports whether so many members work that a number can become safe: a causal
// set that is numbered earlier would be sent to nobody, and each member would have to ask.
func (m *Machine) heldBySome() bool {
	return m.count(func(p *peer) bool { return p.works && !p.known.Suspected }) > m.members.Record().Faults
}

// refusePaused refuses what waits while no view can be formed. What was forwarded before
// may have been executed, so it goes on waiting.
func (m *Machine) refusePaused(out *Output) {
	why := m.members.Short()
	if why == "" {
		return
	}
	kept := m.paused[:0]
	for _, f := range m.paused {
		switch {
		case m.flights[f.request.RID] != f: // it has landed
		case f.forwarded: // it may have been executed: the next view will tell
			kept = append(kept, f)
		default: // nobody has it: that is a definite refusal
			m.land(f, m.own(f.request.RID, model.Unavailable, why), out)
		}
	}
	clear(m.paused[len(kept):])
	m.paused = kept
}

// Lost tells the machine that the process pid of a replica has ended.
func (m *Machine) Lost(n lamport.Node, pid int) {
	m.members.Lost(n, pid)
	m.refresh()
}

// Silent tells the machine that a replica does not answer, by other signs than its silence.
func (m *Machine) Silent(n lamport.Node) {
	m.members.Silent(n)
	m.refresh()
}

// Result takes the outcome of a command for the record's store.
func (m *Machine) Result(r membership.Result, out *Output) {
	var members membership.Output
	m.members.Result(r, &members)
	m.take(&members, out)
}

// Remove takes a replica out of the cluster, and reports whether there is such a one that
// can be spared. It gets no more requests, and leaves the view once nothing is held by it
// alone, or if it cannot be reached.
func (m *Machine) Remove(n lamport.Node) bool {
	p := m.peer(n)
	if p == nil || !m.members.Removable(n) {
		return false
	}
	if !p.leaving {
		p.leaving, p.leftAt = true, m.nonce
	}
	return true
}

// dismiss lets those go that are to leave and hold nothing alone any more.
func (m *Machine) dismiss() {
	for _, p := range m.replicas {
		if !p.leaving || p.known.Removed {
			continue
		}
		drained := p.report.Nonce > p.leftAt && p.report.Own == 0 && p.works && p.report.Epoch == m.members.Record().Epoch
		for _, f := range m.flights { // any order
			if f.replica == p.node && !f.request.Model.Strong() {
				drained, p.leftAt = false, m.nonce // only what it says later counts
			}
		}
		if drained || p.known.Suspected || !p.member {
			m.members.Remove(p.node, drained)
		}
	}
}

// Recover lets the next view be formed of the replicas that are there.
func (m *Machine) Recover() { m.members.Recover() }

// LostRecord reports whether the store of the record has lost it, and it is not made anew yet.
func (m *Machine) LostRecord() bool {
	_, lost := m.members.LostRecord()
	return lost
}

// AtRisk returns the members of the newest view that are missing, and those that are
// there.
func (m *Machine) AtRisk() (absent, present []lamport.Node) { return m.members.AtRisk() }

// Base returns the replica whose state is to be gone on with if no member is left, and its
// position; 0: there is none.
func (m *Machine) Base() (lamport.Node, uint64) {
	if r := m.members.Base(); r != nil {
		return r.Node, r.Position
	}
	if r := m.members.GoneBack(); r != nil {
		return r.Node, r.Position
	}
	return 0, 0
}

// take hands on what the membership sends and asks for.
func (m *Machine) take(members *membership.Output, out *Output) {
	out.Sends = append(out.Sends, members.Sends...)
	if members.Command != nil {
		m.command(members.Command, out)
	}
	if members.Probe {
		m.probe(out)
	}
	if members.Decided != nil {
		m.decided(members.Decided, out)
	}
	m.refresh()
}

// probe is the heartbeat: it asks every replica how it is.
func (m *Machine) probe(out *Output) {
	m.nonce++
	m.members.Asked(m.nonce)
	if to := m.members.Nodes(); len(to) > 0 {
		out.send(&message.Probe{Header: m.header(), Nonce: m.nonce, Marks: m.primary.marks}, to...)
	}
}

// Apart lists which replicas have not heard which others for the suspicion time.
func (m *Machine) Apart() []membership.Pair { return m.members.Apart() }

// Discounted calls f for each replica with why what it holds counts for nothing, or "".
func (m *Machine) Discounted(f func(n lamport.Node, why string)) {
	for _, p := range m.replicas {
		f(p.node, m.members.Discounted(p.known))
	}
}

// Ready reports whether the cluster serves all four models.
func (m *Machine) Ready() bool { return m.members.Why() == "" }

// Superseded reports whether a newer master was found: this one is to end.
func (m *Machine) Superseded() bool { return m.members.Superseded() }

// Complete reports whether every configured replica works.
func (m *Machine) Complete() bool {
	for _, n := range m.members.Record().Configured {
		if p := m.peer(n); p == nil || !p.serves() {
			return false
		}
	}
	return m.Ready()
}

// whyNotStrong says why requests of models 1 and 2 cannot be taken now, or "": those that need
// the view, or that nothing is delivered in it.
func (m *Machine) whyNotStrong() string {
	if why := m.whyNoView(); why != "" {
		return why
	}
	return m.members.Split()
}

// whyNoView says why requests that need the view cannot be taken now, or "". While the view
// changes they are taken, and wait.
func (m *Machine) whyNoView() string {
	isWithoutRecord := !m.members.Leads() && m.members.Record().Epoch == 0
	if isWithoutRecord || m.members.Superseded() {
		return m.members.Why()
	}
	if why := m.members.Short(); why != "" {
		return why
	}
	return ""
}

// whyNoReplica says that no replica can serve requests.
func (m *Machine) whyNoReplica() string {
	why := m.members.Why()
	if why == "" {
		why = "none answers"
	}
	return fmt.Sprintf("no replica can serve requests now: %s", why)
}
