package replica

import (
	"fmt"

	"quartet/bus/message"
)

// condition is what the machine is about.
type condition uint8

const (
	booting  condition = iota // it has never heard of a view
	working                   // it works in a view
	wedged                    // it is wedged in a view
	learning                  // it is outside of the view and loads
	copied                    // … and holds what a wedged member holds
	conditions
)

var conditionNames = [conditions]string{"booting", "working", "wedged", "learning", "copied"}

func (m *Machine) condition() condition {
	loads := m.learner.Loads()
	switch {
	case m.cast != nil: // it takes part in an epoch's broadcast
		return working
	case loads && m.rest != nil: // loaded, with what a wedged member had not delivered
		return copied
	case loads:
		return learning
	case m.rest != nil: // its own epoch has ended for it, or it came back with its disk
		return wedged
	default: // it knows of no view
		return booting
	}
}

// reaction is what a message means in a condition.
type reaction struct {
	name string
	take func(m *Machine, msg message.Message, out *Output) // nil: the message is dropped
}

// dropped: the message is counted and changes nothing, not even the clock.
var dropped = reaction{name: "dropped"}

// on is a reaction to messages of one type.
func on[M message.Message](name string, take func(*Machine, M, *Output)) reaction {
	return reaction{name: name, take: func(m *Machine, msg message.Message, out *Output) { take(m, msg.(M), out) }}
}

// What may be the answer to a message.
var (
	probes    = on("probed", (*Machine).probed)
	prepares  = on("prepare", (*Machine).prepare)
	installs  = on("install", func(m *Machine, msg *message.Install, out *Output) { m.install(&msg.Record, out) })
	forwards  = on("forward", (*Machine).forward)
	votes     = on("vote", (*Machine).poll)
	outdates  = on("outdated", (*Machine).outdated)
	takesData = on("data", (*Machine).data)
	takesAck  = on("ack", func(m *Machine, msg *message.Ack, _ *Output) { m.cast.Ack(msg) })
	resends   = on("resend", (*Machine).resend)
	fills     = on("fill", (*Machine).gap)
	isFilled  = on("filled", (*Machine).filled)
	donates   = on("donate", (*Machine).donate)
	loads     = on("chunk", (*Machine).chunk)
	heard     = on("heard", func(*Machine, *message.Beat, *Output) {}) // it has said all by being heard
)

// reactions has a place for each kind of message and each condition.
type reactions [message.KindLast + 1][conditions]reaction

// handlers says what each message means in each condition, once the door has let its sender in
// (door.go). [New] checks that no place is empty.
var handlers = reactions{
	//                     booting   working    wedged    learning  copied
	message.KindProbe:    {probes, probes, probes, probes, probes},
	message.KindPrepare:  {prepares, prepares, prepares, prepares, prepares},
	message.KindInstall:  {installs, installs, installs, installs, installs},
	message.KindForward:  {forwards, forwards, forwards, forwards, forwards},
	message.KindOutdated: {outdates, outdates, outdates, outdates, outdates},
	message.KindPoll:     {votes, votes, votes, votes, votes},

	message.KindData: {dropped, takesData, dropped, dropped, dropped},
	message.KindAck:  {dropped, takesAck, dropped, dropped, dropped},
	message.KindGap:  {dropped, resends, fills, dropped, fills},
	message.KindFill: {dropped, isFilled, isFilled, dropped, isFilled},

	message.KindPull:  {dropped, donates, donates, dropped, dropped},
	message.KindChunk: {dropped, dropped, dropped, loads, loads},
	message.KindBeat:  {dropped, heard, heard, heard, heard},

	// What only a master is told.
	message.KindHello:     {dropped, dropped, dropped, dropped, dropped},
	message.KindInstalled: {dropped, dropped, dropped, dropped, dropped},
	message.KindAnswers:   {dropped, dropped, dropped, dropped, dropped},
	message.KindReport:    {dropped, dropped, dropped, dropped, dropped},
	message.KindState:     {dropped, dropped, dropped, dropped, dropped},
	message.KindVote:      {dropped, dropped, dropped, dropped, dropped},
}

// missing returns the first place that is empty, or "".
func (t *reactions) missing() string {
	for kind := message.Kind(1); kind <= message.KindLast; kind++ {
		for c := range conditions {
			if t[kind][c].name == "" {
				return fmt.Sprintf("%v while %s", kind, conditionNames[c])
			}
		}
	}
	return ""
}

// reaction is what a message means now.
func (m *Machine) reaction(msg message.Message) reaction {
	kind := msg.Kind()
	if kind == 0 || kind > message.KindLast {
		return dropped
	}
	return handlers[kind][m.condition()]
}

func (m *Machine) data(d *message.Data, _ *Output) {
	m.cast.Data(d)
	m.receive(m.cast.Fresh())
}

// gap sends what is missing of the causal numbers again, or of somebody's DATA. A wedged member
// sends no DATA of its own accord.
func (m *Machine) gap(g *message.Gap, out *Output) {
	if g.Causal {
		m.fill(g, out)
		return
	}
	m.bring(g, out)
}

// resend sends again what is missing: causal numbers, or own DATA. What others have sent is for a
// wedged member to bring.
func (m *Machine) resend(g *message.Gap, out *Output) {
	switch {
	case g.Causal:
		m.fill(g, out)
	case g.Of == 0:
		out.Sends = m.cast.Gap(g, out.Sends)
	}
}

// filled takes what was asked for. Only a wedged replica asks for DATA in this way.
func (m *Machine) filled(f *message.Fill, _ *Output) {
	m.causalWrites(f.Writes)
	if m.rest != nil {
		m.brought(f.Data)
	}
}
