package master

import (
	"slices"

	"quartet/bus/message"
	"quartet/bus/model"
)

// ahead is a request that goes on from a later epoch than this master knows: either another
// master leads the cluster by now, or the request comes from a history that has ended. The
// record says which, once it has been read anew.
type ahead struct {
	in     Incoming
	asked  uint64 // the command that was outstanding, or the last, when the request came
	latest uint64 // tick
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
	whyAhead = "the request goes on from a later view than this master knows, " +
		"and the record of the views cannot be read now; ask again later"
)

// History is the point of the history at which this master stands; zero: none is known. While
// nobody can read the store's record it is that of the newest record of a replica that serves what
// needs no view (rule W1): what is answered then is of that epoch, and a session that took it for
// one of the epoch that it knew before would seem to know more than that epoch ever brought.
func (m *Machine) History() message.History {
	if record := m.members.Record(); record.Epoch > 0 {
		return record.History()
	}
	return m.served
}

// historyServed is the history of the newest record of a replica that serves what needs no view.
func (m *Machine) historyServed() message.History {
	var newest *message.Record
	for _, p := range m.replicas {
		held := p.known.Record()
		if serves := p.weak && held != nil; !serves {
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
	if record.Epoch == 0 && m.ofWhatReplicasHold(told) {
		return message.Ours
	}
	verdict := record.Judge(told, m.members.Began())
	if verdict == message.Ahead && slices.Contains(m.left, told.History) {
		return message.Ended
	}
	return verdict
}

// ofWhatReplicasHold reports whether what a client was told is of the history of the newest record
// that a replica holds, while nobody can read the store's: else sessions would wait for that, also
// with what needs no view (rule W1). Whatever else it may be is for the record to say.
func (m *Machine) ofWhatReplicasHold(told *message.Told) bool {
	held := m.members.Held()
	return held != nil && held.Judge(told, message.Unknown) == message.Ours
}

// misdirected refuses a request that does not go on from this history, or keeps it until
// the record has been read, and reports whether it did.
func (m *Machine) misdirected(in *Incoming, out *Output) bool {
	switch m.judgeAll(in) {
	case message.Ours:
		return false
	case message.Ahead:
		if len(m.ahead) >= mostAhead {
			m.refuseUnjudged(in.Token, model.Unavailable, whyAhead, out)
			return true
		}
		m.ahead = append(m.ahead, ahead{in: *in, asked: m.members.LookUp(), latest: m.ticks + aheadWait})
		m.inFlight++
	case message.OtherCluster:
		m.refuseUnjudged(in.Token, model.Misdirected, whyOtherCluster, out)
	default:
		m.refuseUnjudged(in.Token, model.Misdirected, whyEnded, out)
	}
	return true
}

// judgeAll is [Machine.Judge] of all that a request goes on from: a list's cursor has a history, too.
func (m *Machine) judgeAll(in *Incoming) message.Verdict {
	verdict := m.Judge(&in.Told)
	if verdict != message.Ours || in.Cursor.List == 0 {
		return verdict
	}
	told := in.Cursor.Told()
	return m.Judge(&told)
}

// ahead is which of the histories that a request goes on from this master has not come to yet.
func (m *Machine) aheadOf(in *Incoming) message.History {
	if m.Judge(&in.Told) == message.Ahead {
		return in.Told.History
	}
	return in.Cursor.History
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
		settled := m.judgeAll(&a.in) != message.Ahead
		read := m.members.Seen() > a.asked // by a command that was given after the request had come
		switch {
		case !settled && !read && m.ticks < a.latest:
			m.ahead = append(m.ahead, *a)
			m.members.LookUp()
			continue
		case !settled && read: // no master leads, or has led, that epoch with that record
			m.left = append(m.left[max(0, len(m.left)-mostLeft+1):], m.aheadOf(&a.in))
		}
		m.inFlight--
		if settled || read {
			m.Request(a.in, out)
		} else {
			m.refuseUnjudged(a.in.Token, model.Unavailable, whyAhead, out)
		}
	}
}
