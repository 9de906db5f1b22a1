package master

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// handler takes a message of a replica that the membership lets speak.
type handler func(m *Machine, msg message.Message, out *Output)

// on is a handler of messages of one type.
func on[M message.Message](take func(*Machine, M, *Output)) handler {
	return func(m *Machine, msg message.Message, out *Output) { take(m, msg.(M), out) }
}

// dropped: the message is counted.
func dropped(m *Machine, _ message.Message, _ *Output) { m.refused++ }

// table has a place for each kind of message.
type table [message.KindLast + 1]handler

// handlers says what each message means to a master. The master is in one condition for all of
// them: what a change of views makes of HELLO, STATE and INSTALLED is package membership's.
// [New] checks that no place is empty.
var handlers = table{
	message.KindAnswers:   on((*Machine).answers),
	message.KindReport:    on((*Machine).takeReport),
	message.KindGap:       on((*Machine).fill),
	message.KindHello:     on((*Machine).hello),
	message.KindState:     on((*Machine).state),
	message.KindInstalled: on((*Machine).installed),
	message.KindVote:      on((*Machine).vote),

	// What only replicas are told.
	message.KindInstall:  dropped,
	message.KindForward:  dropped,
	message.KindProbe:    dropped,
	message.KindPrepare:  dropped,
	message.KindOutdated: dropped,
	message.KindPoll:     dropped,
	message.KindData:     dropped,
	message.KindAck:      dropped,
	message.KindFill:     dropped,
	message.KindPull:     dropped,
	message.KindChunk:    dropped,
	message.KindBeat:     dropped,
}

// missing returns the first kind of which nothing is said, or 0.
func (t *table) missing() message.Kind {
	for kind := message.Kind(1); kind <= message.KindLast; kind++ {
		if t[kind] == nil {
			return kind
		}
	}
	return 0
}

func (m *Machine) handler(msg message.Message) handler {
	if kind := msg.Kind(); kind > 0 && kind <= message.KindLast {
		return handlers[kind]
	}
	return dropped
}

func (m *Machine) takeReport(r *message.Report, _ *Output) {
	m.members.Reported(r)
	if p := m.peer(r.From); p != nil {
		m.watermark(p, r.Head(), r.Watermark)
		p.report = *r
	}
}

func (m *Machine) hello(h *message.Hello, out *Output) {
	if h.LastRID >= lamport.Limit || h.Phase == 0 {
		m.refused++
		return
	}
	m.passRID(h.LastRID)
	var members membership.Output
	m.members.Hello(h, &members)
	m.take(&members, out)
}

func (m *Machine) state(s *message.State, _ *Output) {
	if !m.members.State(s) {
		m.refused++
		return
	}
	m.passRID(s.LastRID)
	m.refresh()
}

func (m *Machine) installed(i *message.Installed, _ *Output) {
	m.members.Installed(i)
	m.refresh()
}
