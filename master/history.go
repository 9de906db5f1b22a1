package master

import (
	"slices"

	"quartet/bus/message"
	"quartet/bus/model"
)

// ahead is a request that goes on from a later epoch than this master knows, or from another
// history than that of its record: either another master leads the cluster by now, or the store has
// lost what that one wrote, or the request comes from a history that has ended. It is the last once
// the record has been read anew, and this master is sure to lead since.
type ahead struct {
	in        Incoming
	asked     uint64 // the command that was outstanding, or the last, when the request came
	heartbeat uint64 // the nonce of the last that was sent by then
	latest    uint64 // tick
}

const (
	mostAhead = 1024 // requests that wait for the record
	aheadWait = 200  // ticks that they wait
	mostLeft  = 64   // points of ended histories that are remembered
)

const (
	whyOtherCluster = "the request goes on from what another cluster had said (its session's token, or its history): " +
		"nothing of it is known here; begin a new session"
	whyEnded = "the request goes on from a history of this cluster that has ended, as when a backup was restored " +
		"or an operator went on without some of the replicas; begin a new session"
	whyAhead = "the request goes on from another view than this master knows, and which one counts cannot be " +
		"found out now: the record of the views cannot be read, or no view can be formed; ask again later"
)

// History is the point of the history at which this master stands; zero: none is known. While it
// does not lead it is that of the newest record of a replica that serves what needs no view (rule
// W1), if that is later than the record that was read, or none was: what is answered then is of
// that epoch, and a session that took it for one of an earlier epoch would seem to know more than
// that brought.
func (m *Machine) History() message.History {
	if record := m.members.Record(); record.Epoch > m.served.Epoch || m.served.Epoch == 0 {
		return record.History()
	}
	return m.served
}

// historyServed is the history of the newest record of a replica that serves what needs no view.
func (m *Machine) historyServed() message.History {
	var newest *message.Record
	for _, p := range m.replicas {
		held := p.known.Record()
		if serves := p.hasWorked && held != nil; !serves {
			continue
		}
		if newest == nil || newest.Epoch < held.Epoch {
			newest = held
		}
	}

	if newest == nil {
		return message.History{}
	}
	return newest.History()
}

// Judge says whether what a client was told is of this cluster's history, as far as this
// master knows.
func (m *Machine) Judge(told *message.Told) message.Verdict {
	if told.Cluster == 0 {
		return message.Ours
	}
	record := m.members.Record()
	if !m.members.Leads() && m.ofWhatReplicasHold(told) {
		return message.Ours
	}
	verdict := record.Judge(told, m.members.Began())
	if verdict == message.Ahead && slices.Contains(m.left, told.History) {
		return message.Ended
	}
	return verdict
}

// ofWhatReplicasHold reports whether what a client was told is of the history of the newest record
// that a replica holds, while this master does not lead: it may have read no record, or an older
// one, and else sessions would wait for that, also with what needs no view (rule W1). Whatever else
// it may be is for the record to say.
func (m *Machine) ofWhatReplicasHold(told *message.Told) bool {
	held := m.members.Held()
	return held != nil && held.Judge(told, message.Unknown) == message.Ours
}

// isSure reports whether a verdict stands whatever the store may have lost: that a history has
// ended shows the record of an epoch which every member has installed, since no other takes its
// place.
func (m *Machine) isSure(verdict message.Verdict, of message.History) bool {
	switch verdict {
	case message.Ahead:
		return false
	case message.Ended:
		return m.members.Established() || slices.Contains(m.left, of)
	}
	return true
}

// misdirected refuses a request that does not go on from this history, or keeps it until that is
// sure, and reports whether it did.
func (m *Machine) misdirected(in *Incoming, out *Output) bool {
	verdict, of := m.judgeAll(in)
	isSure := m.isSure(verdict, of)
	switch {
	case verdict == message.Ours:
		return false
	case !isSure && len(m.ahead) >= mostAhead:
		m.refuseUnjudged(in.Token, model.Unavailable, whyAhead, out)
	case !isSure: // a later record may stand in the store: it is looked up, and then judged again
		m.ahead = append(m.ahead, ahead{in: *in, asked: m.members.LookUp(), heartbeat: m.nonce, latest: m.ticks + aheadWait})
		m.inFlight++
	case verdict == message.OtherCluster:
		m.refuseUnjudged(in.Token, model.Misdirected, whyOtherCluster, out)
	default:
		m.refuseUnjudged(in.Token, model.Misdirected, whyEnded, out)
	}
	return true
}

// hasEnded reports whether a flight goes on from a history that has ended since it was taken: it
// was on its way, or waited, when an operator went on without some of the replicas. A write that
// was forwarded may have been executed, and goes on.
func (m *Machine) hasEnded(f *flight) bool {
	mayHaveHappened := f.writes && f.forwarded
	isJudged := f.judged == m.members.Record().Epoch
	if f.told.Cluster == 0 || isJudged || mayHaveHappened {
		return false
	}
	verdict := m.Judge(&f.told)
	f.judged = m.judgedBy()
	return verdict == message.Ended && m.isSure(verdict, f.told.History)
}

// judgedBy is the epoch whose record says for good what is of this history, with the position with
// which the epoch began; 0: that may not be known yet.
func (m *Machine) judgedBy() uint64 {
	if !m.members.Established() {
		return 0
	}
	return m.members.Record().Epoch
}

// judgeAll is [Machine.Judge] of all that a request goes on from, and the history of which that
// speaks: a list's cursor has one, too.
func (m *Machine) judgeAll(in *Incoming) (message.Verdict, message.History) {
	verdict := m.Judge(&in.Told)
	if verdict != message.Ours || in.Cursor.List == 0 {
		return verdict, in.Told.History
	}
	told := in.Cursor.Told()
	return m.Judge(&told), told.History
}

func (m *Machine) refuseUnjudged(token uint64, code model.Code, why string, out *Output) {
	m.Refuse(token, code, why, out)
	out.Replies[len(out.Replies)-1].Unjudged = true
}

// settleAhead answers or serves what has waited for the record.
func (m *Machine) settleAhead(out *Output) {
	if len(m.ahead) == 0 {
		return
	}
	waiting := m.ahead
	m.ahead = nil
	for i := range waiting {
		a := &waiting[i]
		verdict, of := m.judgeAll(&a.in)
		isSure := m.isSure(verdict, of)
		wasRead := m.members.Seen() > a.asked // by a command that was given after the request had come
		leads := wasRead && m.members.SureToLead(a.heartbeat)
		switch {
		case !isSure && !leads && m.ticks < a.latest:
			m.ahead = append(m.ahead, *a)
			m.members.LookUp()
			continue
		case !isSure && leads: // no master leads, or has led, that epoch with that record
			m.left = append(m.left[max(0, len(m.left)-mostLeft+1):], of)
		}
		m.inFlight--
		if isSure || leads {
			m.Request(a.in, out)
		} else {
			m.refuseUnjudged(a.in.Token, model.Unavailable, whyAhead, out)
		}
	}
}
