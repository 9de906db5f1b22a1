package master

import (
	"quartet/replica/abcast"
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
)

// Config is what a master is born with. Durations are in ticks.
type Config struct {
	Self        lamport.Node
	Incarnation uint64         // greater than that of any earlier master of this cluster
	Replicas    []lamport.Node // configured, in rising order, 1 to 9
	Faults      int            // f: how many of them may be missing in a view that follows
	NextRID     uint64         // the first id to give out; greater than all given out before
	Clock       uint64         // no smaller than any Lamport time told before

	TimeoutTicks uint64 // a request without an outcome is answered Unknown
	ProbeTicks   uint64 // heartbeat
	SuspectTicks uint64 // silence that makes a replica suspected
	AgainTicks   uint64 // a repeated request is forwarded once more if the first is this old

	Window      int // identities remembered; at least 100,000 outside of tests
	MaxInFlight int // requests taken and not answered; more are refused

	// RestampRetries stamps a repeated weak set anew: a mutant, for the simulation only.
	RestampRetries bool
}

// Incoming is a client's request, checked at the door.
type Incoming struct {
	Token   uint64 // the caller's own name for it; comes back in the Reply
	Request message.Request
	Replica lamport.Node // asked for by the client; 0: any
	Draw    uint32       // a random number: picks the replica
}

// Reply is an answer to a client.
type Reply struct {
	Token     uint64
	RID       uint64
	Code      model.Code
	Reason    string
	Replica   lamport.Node // that served it; 0: none did
	Clock     lamport.Timestamp
	Value     []byte
	Position  uint64
	Timestamp uint64
	Repeated  bool // the outcome of an earlier sending
}

// Output collects what a turn sends. The caller resets it between turns.
type Output struct {
	Sends    []abcast.Send
	Replies  []Reply
	Statuses []StatusReply
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

	view     message.View
	replicas []*peer // configured, in rising order
	nonce    uint64

	flights   map[uint64]*flight
	queue     []*flight // for any replica, until one is free
	queueDraw uint32
	inFlight  int
	deadlines []deadline // rising
	sets      window[*known]
	gets      window[uint64] // identity → digest

	primary  primary
	statuses []statusWait
}

// New returns a master that has not heard of any replica.
func New(cfg Config) *Machine {
	m := &Machine{
		cfg: cfg, nextRID: max(cfg.NextRID, 1), flights: map[uint64]*flight{},
		sets: newWindow[*known](cfg.Window), gets: newWindow[uint64](cfg.Window),
		primary: newPrimary(),
	}
	m.clock.Restore(cfg.Clock)
	for _, n := range cfg.Replicas {
		m.replicas = append(m.replicas, &peer{node: n})
	}
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

// Step takes a message from a replica. One that breaks a rule is counted and dropped.
func (m *Machine) Step(msg message.Message, out *Output) {
	h := msg.Head()
	p := m.peer(h.From)
	if p == nil {
		m.refused++
		return
	}
	hello, isHello := msg.(*message.Hello)
	if !isHello && (h.Incarnation != p.incarnation || p.member && h.Epoch != m.view.Epoch) {
		m.refused++
		return
	}
	if isHello && m.view.Epoch == 0 {
		// Before there is a view the survivors' clocks are the cluster's, however far
		// they have come; MaxJump guards a clock that runs.
		m.clock.Restore(h.Clock)
	}
	if err := m.clock.Witness(h.Clock); err != nil {
		m.refused++
		return
	}
	p.heard = m.ticks
	switch msg := msg.(type) {
	case *message.Hello:
		m.hello(p, hello, out)
	case *message.Installed:
		m.installed(p)
	case *message.Answers:
		m.watermark(p, msg.Watermark)
		if len(msg.Answers) > 0 {
			p.busyUntil = 0
		}
		for i := range msg.Answers {
			m.answer(p, &msg.Answers[i], out)
		}
	case *message.Report:
		m.watermark(p, msg.Watermark)
		p.report = *msg
	case *message.Gap:
		m.fill(msg, out)
	default:
		m.refused++
	}
}

// Tick counts time: timeouts, heartbeats, INSTALL again where it was lost.
func (m *Machine) Tick(out *Output) {
	m.ticks++
	m.expire(out)
	if m.ticks%max(m.cfg.ProbeTicks, 1) == 0 {
		m.probe(out)
		m.installAgain(out)
	}
}

// EndTurn sends the batch of the turn: one FORWARD to each replica that has something
// to hear.
func (m *Machine) EndTurn(out *Output) {
	m.acknowledge(out)
	m.answerFound(out)
	m.depart(out)
	for _, p := range m.replicas {
		if p.ready() {
			m.forward(p, out)
		}
	}
	m.answerStatus(out)
}

// forward sends what the turn put aside for p, cut so that a message stays below 1 MiB
// with one value of the largest size in it.
func (m *Machine) forward(p *peer, out *Output) {
	const most, mostBytes, overhead = 1024, 256 << 10, 64
	marks := m.primary.marks
	for len(p.requests) > 0 || len(p.writes) > 0 || p.told.Safe < marks.Safe || p.leads && p.told.Held < marks.Held {
		p.told = marks
		n, w, size := 0, 0, 0
		for ; w < len(p.writes) && w < most && size < mostBytes; w++ {
			r := &p.writes[w].Request
			size += overhead + len(r.Key) + len(r.Value) + len(r.Identity)
		}
		for ; n < len(p.requests) && n+w < most && size < mostBytes; n++ {
			r := &p.requests[n]
			size += overhead + len(r.Key) + len(r.Value) + len(r.Identity)
		}
		f := &message.Forward{Header: m.header(), Marks: marks, Requests: p.requests[:n:n], Writes: p.writes[:w:w]}
		p.requests, p.writes = p.requests[n:], p.writes[w:]
		out.send(f, p.node)
	}
	p.requests, p.writes = nil, nil // their memory now belongs to the messages
}

func (m *Machine) header() message.Header {
	return message.Header{From: m.cfg.Self, Incarnation: m.cfg.Incarnation, Epoch: m.view.Epoch, Clock: m.clock.Now()}
}
