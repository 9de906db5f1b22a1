package master

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// Status is the cluster as the master sees it.
type Status struct {
	Incarnation uint64 // of the master
	Ready       bool
	Why         string // it is not ready, or ""
	Epoch       uint64
	Configured  int // replicas of the cluster; 0: no view yet
	Clock       uint64
	NextRID     uint64
	InFlight    int
	Marks       message.Marks
	Replicas    []ReplicaStatus
}

// ReplicaStatus is one configured replica.
type ReplicaStatus struct {
	Node        lamport.Node
	Incarnation uint64
	PID         int
	Member      bool          // of the view, working, and not suspected
	Serves      bool          // it has been a member as the process that it is, and is not suspected
	Answers     bool          // a process of it has been heard, and is not silent now
	Reason      string        // why it is no member, or ""
	Keeps       message.Keeps // of a member: what its data survive
	Report      message.Report
	Unheard     []lamport.Node // other replicas that it has not heard for the suspicion time
}

// StatusReply answers a [Machine.Status] call.
type StatusReply struct {
	Token  uint64
	Status Status
}

// statusWait is a status request that waits for fresh reports.
type statusWait struct {
	token uint64
	nonce uint64
	until uint64
}

// statusTicks is how long a status waits for the reports of the replicas.
const statusTicks = 30

// Status asks the replicas how they are; the answer comes in an Output when those that
// work have reported, or after statusTicks with what is known by then.
func (m *Machine) Status(token uint64, out *Output) {
	m.probe(out)
	m.statuses = append(m.statuses, statusWait{token: token, nonce: m.nonce, until: m.ticks + statusTicks})
}

func (m *Machine) answerStatus(out *Output) {
	kept := m.statuses[:0]
	for _, w := range m.statuses {
		if m.ticks < w.until && !m.reported(w.nonce) {
			kept = append(kept, w)
			continue
		}
		out.Statuses = append(out.Statuses, StatusReply{Token: w.token, Status: m.Snapshot()})
	}
	m.statuses = kept
}

func (m *Machine) reported(nonce uint64) bool {
	for _, p := range m.replicas {
		if p.serves() && p.report.Nonce < nonce {
			return false
		}
	}
	return true
}

// Incarnation is this master's own: see [membership.Machine.Incarnation].
func (m *Machine) Incarnation() uint64 { return m.members.Incarnation() }

// Stands is the epoch of the view that stands, in which all four models are served; 0: none does.
func (m *Machine) Stands() uint64 {
	if !m.Ready() {
		return 0
	}
	return m.members.Record().Epoch
}

// Snapshot returns the cluster as it is known now.
func (m *Machine) Snapshot() Status {
	why := m.members.Why()
	record := m.members.Record()
	s := Status{
		Incarnation: m.members.Incarnation(),
		Ready:       why == "", Why: why, Epoch: record.Epoch, Configured: len(record.Configured), Clock: m.clock.Now(), NextRID: m.nextRID,
		InFlight: m.inFlight, Marks: m.primary.marks,
	}
	apart := m.members.Apart()
	for _, p := range m.replicas {
		r := p.known
		report := p.report
		report.Position, report.Keys = max(report.Position, r.Position), max(report.Keys, r.Keys)
		s.Replicas = append(s.Replicas, ReplicaStatus{
			Node: p.node, Incarnation: r.Incarnation, PID: r.PID,
			Member: p.works && !r.Suspected, Serves: p.hasWorked && !r.Suspected,
			Answers: r.Incarnation > 0 && !r.Lost && !r.Suspected,
			Reason:  m.members.WhyNot(r), Keeps: r.Keeps, Report: report,
			Unheard: unheard(apart, p.node),
		})
	}
	return s
}

// unheard are those whom a replica does not hear.
func unheard(apart []membership.Pair, deaf lamport.Node) []lamport.Node {
	var list []lamport.Node
	for _, pair := range apart {
		if pair.Deaf == deaf {
			list = append(list, pair.Of)
		}
	}
	return list
}
