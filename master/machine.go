package master

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master/membership"
	"quartet/master/membership/proposer"
	"quartet/replica/abcast"
	"quartet/replica/dedup"
)

// Config is what a master is born with. Durations are in ticks.
type Config struct {
	Self        lamport.Node
	Draw        uint64         // a random number, see membership.Config
	Incarnation uint64         // greater than that of any earlier master of this cluster
	Replicas    []lamport.Node // of a cluster that begins, in rising order, 1 to 9
	Missing     int            // how many of them may be missing; below 0: so many that a majority remains
	Cluster     uint64         // random: the identity of a cluster that begins
	Nonce       uint64         // random: see membership.Config
	Voting      bool           // the replicas decide the records of views: no Command is given to a store
	NextRID     uint64         // the first id to give out; greater than all given out before
	Clock       uint64         // no smaller than any Lamport time told before

	TimeoutTicks uint64 // a request without an outcome is answered Unknown
	ProbeTicks   uint64 // heartbeat
	SuspectTicks uint64 // silence that makes a replica suspected
	ReadmitTicks uint64 // how long one that was silent stays out of the view
	JoinTicks    uint64 // how long a change of views waits for a learner that is nearly loaded
	CheckTicks   uint64 // how often the store of the view's record is tried while all is well; 0: never
	AgainTicks   uint64 // a repeated request is forwarded once more if the first is this old

	// OrderedGets makes every linearizable get an ordered operation, rather than a fenced one:
	// dearer, and safe even from a master that lives on where an operator has given up more
	// replicas than may be missing.
	OrderedGets bool

	// Limits are those of the table of identities: Window counts writes and gets, each by itself;
	// beyond it only causal writes are remembered, since replicas recognise all other ones.
	dedup.Limits

	MaxInFlight int // requests taken and not answered; more are refused

	Older bool // see membership.Config
}

// Incoming is a client's request, checked at the door.
type Incoming struct {
	Token   uint64 // the caller's own name for it; comes back in the Reply
	Request message.Request
	Replica lamport.Node   // asked for by the client; 0: any
	Told    message.Told   // what it goes on from; zero: nothing that could be of another history
	Cursor  message.Cursor // of a list that goes on from an earlier page
	Age     uint64         // ticks since the client has sent it first; 0: now, or not known
	Wall    uint64         // milliseconds since 1970: now
	Draw    uint32         // a random number: picks the replica

	// ReadOnly says of a Txn that all its steps are gets: it is read like a get of its model.
	ReadOnly bool
}

// Reply is an answer to a client.
type Reply struct {
	model.Answer
	Token    uint64
	Repeated bool // the outcome of an earlier sending
	Unjudged bool // what the request goes on from was not found to be of this history
}

// Sent says that a request left for a replica, or for all of them, for the first time.
type Sent struct {
	Token uint64
	To    lamport.Node // 0: to all: a causal write
}

// Output collects what a turn sends. The caller resets it between turns.
type Output struct {
	Sends    []abcast.Send
	Replies  []Reply
	Sent     []Sent   // requests that are in Sends, and were in none before
	Heard    []uint64 // tokens of requests that a replica has told of; one may stand there twice
	Statuses []StatusReply
	Command  *membership.Command // for the store of the view's record; its outcome goes to Result
	Learned  *message.Record     // with Config.Voting: the newest record, where it is another than before
}

func (o *Output) send(msg message.Message, to ...lamport.Node) {
	o.Sends = append(o.Sends, abcast.Send{To: to, Msg: msg})
}

// Machine is the master as a state machine. One goroutine owns it. A turn is any number
// of Request, Refuse, Status, Step and Tick calls and then one EndTurn.
type Machine struct {
	cfg     Config
	clock   lamport.Clock
	nextRID uint64
	ticks   uint64
	refused uint64
	resent  uint64

	members  *membership.Machine
	proposer *proposer.Proposer // nil: the records are in a store
	replicas []*peer            // all that are known, in rising order
	nonce    uint64

	flights   map[uint64]*flight
	sent      []Sent    // in this turn
	queue     []*flight // for any replica, until one is free
	queueDraw uint32
	paused    []*flight // wait for the view
	inFlight  int
	deadlines []deadline // rising
	writes    window[*known]
	gets      window[uint64] // identity → digest
	earlier   *dedup.Memory  // causal writes that were in writes before
	horizon   uint64         // those that were retired before this time may be forgotten

	served   message.History   // while no record was read: see History
	early    []early           // wait for all members of their epoch to install its record
	ahead    []ahead           // wait for the record to be read
	left     []message.History // of histories that have ended, the newest last: found by reading the record
	fences   fences
	primary  primary
	statuses []statusWait
}

// New returns a master that has not heard of any replica.
func New(cfg Config) *Machine {
	if kind := handlers.missing(); kind != 0 {
		panic("master: nothing says what is to be done about " + kind.String())
	}
	cfg.Limits = cfg.Limits.Filled()
	m := &Machine{
		cfg: cfg, nextRID: max(cfg.NextRID, 1), flights: map[uint64]*flight{},
		writes: newWindow[*known](cfg.Window), gets: newWindow[uint64](cfg.Window),
		primary: newPrimary(), earlier: dedup.New(cfg.Incarnation),
	}
	m.writes.retire = m.retire
	m.clock.Restore(cfg.Clock)
	m.members = membership.New(membership.Config{
		Self: cfg.Self, Incarnation: cfg.Incarnation, Draw: cfg.Draw, Replicas: cfg.Replicas, Missing: cfg.Missing,
		Cluster: cfg.Cluster, Nonce: cfg.Nonce, Voting: cfg.Voting,
		SuspectTicks: cfg.SuspectTicks, ReadmitTicks: cfg.ReadmitTicks, JoinTicks: cfg.JoinTicks,
		AgainTicks: againTicks, CheckTicks: cfg.CheckTicks,
		QuietTicks: quietBeats * max(cfg.ProbeTicks, 1), Older: cfg.Older,
	}, &m.clock)
	m.beginVoting()
	m.refresh()
	return m
}

// NextRID returns the id that the next request will get.
func (m *Machine) NextRID() uint64 { return m.nextRID }

// Now returns the Lamport time: no reply given so far carries a greater one.
func (m *Machine) Now() uint64 { return m.clock.Now() }

// InFlight returns how many requests wait for an answer.
func (m *Machine) InFlight() int { return m.inFlight }

// Refused counts messages that were dropped because they broke a rule.
func (m *Machine) Refused() uint64 { return m.refused }

// Resent counts requests that were forwarded once more: to another replica, in another
// epoch, or since a client has sent them again.
func (m *Machine) Resent() uint64 { return m.resent }

// quietBeats is how many heartbeats without an answer, or without a word of one replica to
// another, make silence.
const quietBeats = 3

// againTicks is how long PREPARE and INSTALL are given before they are repeated.
const againTicks = 5

// Step takes a message from a replica. One that breaks a rule is counted and dropped.
func (m *Machine) Step(msg message.Message, out *Output) {
	h := msg.Head()
	if hello, ok := msg.(*message.Hello); ok {
		var members membership.Output
		if m.members.Refuses(hello, &members) {
			m.refused++
			out.Sends = append(out.Sends, members.Sends...)
			return
		}
	}
	if !m.members.Heard(h) {
		m.refused++
		return
	}
	if !m.members.Leads() {
		// Before this master leads an epoch the survivors' clocks are the cluster's, however
		// far they have come; MaxJump guards a clock that runs.
		m.clock.Restore(h.Clock)
	}
	if err := m.clock.Witness(h.Clock); err != nil {
		m.refused++
		return
	}
	m.handler(msg)(m, msg, out)
}

// ridGap is more ids than a master can give out before it finds that it is superseded.
const ridGap = 1 << 20

// passRID makes sure that no id is given out twice. One that is not below those that this
// master's directory has reserved came from a master with another directory, which may
// have given out more than a replica has seen.
func (m *Machine) passRID(seen uint64) {
	if seen >= m.nextRID {
		m.nextRID = seen + ridGap
	}
}

// answers takes outcomes, whatever the epoch is in which they came about: what was
// delivered anywhere is inside the cut. Those of fenced gets are an exception.
func (m *Machine) answers(a *message.Answers, out *Output) {
	p := m.peer(a.From)
	if p == nil {
		return
	}
	m.watermark(p, a.Head(), a.Watermark)
	current := m.current(p, a.Head())
	if current {
		m.echoed(p, a)
	}
	if len(a.Answers) > 0 {
		p.busyUntil = 0
	}

	for i := range a.Answers {
		f := m.flights[a.Answers[i].RID]
		f.heard(out)
		switch {
		case f == nil: // answered before: by another replica, or Unknown
		case p.gone() && f.request.Model == model.Eventual: // it has been sent again: who answers here takes it along when it goes
		case m.fenced(f):
			if current { // else it is sent again
				m.read(p, f, &a.Answers[i], out)
			}
		case f.request.Model.Strong() && !m.members.Stands(a.Epoch): // it may still come to nothing
			m.early = append(m.early, early{p, a.Answers[i], a.Epoch})
		case isStale(f, &a.Answers[i]):
			m.stampAnew(p, f, a.Epoch, a.Answers[i].Timestamp)
		default:
			m.answer(p, f, &a.Answers[i], out)
		}
	}
	m.release(out)
}

// Tick counts time: timeouts, heartbeats, what has to be repeated.
func (m *Machine) Tick(out *Output) {
	m.ticks++
	m.expire(out)
	m.forgetOld()
	m.members.Tick()
	m.refresh()
	m.tickVoting(out)
	m.fenceAgain()
	if m.ticks%max(m.cfg.ProbeTicks, 1) == 0 {
		m.probe(out)
	}
}

// EndTurn sends the batch of the turn: one FORWARD to each replica that has something
// to hear.
func (m *Machine) EndTurn(out *Output) {
	m.dismiss()
	var members membership.Output
	m.members.Advance(&members)
	isNews := members.Command != nil || len(members.Sends) > 0 || members.Decided != nil || members.Probe
	if isNews {
		m.take(&members, out)
	}
	m.settleEarly(out)
	m.settleAhead(out)
	m.acknowledge(out)
	m.answerFound(out)
	m.launchPaused(out)
	m.moveOn(out)
	m.depart(out)
	m.fence()
	for _, p := range m.replicas {
		if p.member || p.hasWorked {
			m.forward(p, out)
		}
	}
	out.Sent = append(out.Sent, m.sent...)
	m.sent = m.sent[:0]
	m.answerStatus(out)
}

// hears reports whether a turn has something for p.
func (m *Machine) hears(p *peer) bool {
	marks := &m.primary.marks
	if len(p.requests) > 0 || len(p.writes) > 0 {
		return true
	}
	heldIsNew := p.leads && p.told.Held < marks.Held
	safeIsNew := p.told.Safe < marks.Safe
	news := safeIsNew || heldIsNew
	return p.works && news
}

// forward sends what the turn put aside for p, cut into messages.
func (m *Machine) forward(p *peer, out *Output) {
	marks := m.primary.marks
	for p.confirms || m.hears(p) {
		p.told = marks
		var round uint64
		if p.confirms {
			round = m.fences.round
			if p.owes == 0 {
				p.owes, p.owesSince = round, m.ticks
			}
		}

		left := message.NewBudget()
		w := message.Fit(&left, p.writes, func(w *message.CausalWrite) int { return message.ItemBytes + w.Request.Size() })
		n := message.Fit(&left, p.requests, func(r *message.Request) int { return message.ItemBytes + r.Size() })
		f := &message.Forward{
			Header: m.header(), Round: round, Time: m.time(), Marks: marks, Requests: p.requests[:n:n],
			Writes: p.writes[:w:w],
		}

		m.leaveOut(f)
		p.requests, p.writes = p.requests[n:], p.writes[w:]
		p.confirms = p.confirms && len(p.requests) > 0
		out.send(f, p.node)
	}
	p.requests, p.writes, p.reads = nil, nil, false // their memory now belongs to the messages
}

// leaveOut takes the time at which a request came from those for which the FORWARD says the same.
func (m *Machine) leaveOut(f *message.Forward) {
	for i := range f.Requests {
		if r := &f.Requests[i]; r.Came == f.Time {
			r.Came = 0
		}
	}
}

func (m *Machine) header() message.Header {
	return message.Header{From: m.cfg.Self, Incarnation: m.members.Incarnation(), Epoch: m.members.Record().Epoch, Clock: m.clock.Now()}
}
