package replica

import (
	"quartet/replica/abcast"
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
	"quartet/replica/store"
)

// Config is what a replica is born with.
type Config struct {
	Self        lamport.Node
	Incarnation uint64 // greater than that of any earlier process under this name
	PID         int    // told to the master, for people
	Store       store.Store

	// WaitTicks is how long a get or set may wait for this replica to reach its
	// minimum timestamp or position before it is refused.
	WaitTicks uint64
	// HelloTicks is how often HELLO is repeated while there is no view.
	HelloTicks uint64
	// Window is how many executed sets the table of executed requests keeps; at least
	// 100,000 by contract outside of tests.
	Window int

	// Delivered, if set, sees each operation as it is delivered: for the simulation.
	Delivered func(place lamport.Timestamp, position uint64, op *message.Operation)
	// Mutant removes a rule of the machine or of its broadcast: for the simulation only.
	Mutant Mutant
}

// Mutant removes a rule, so that the simulation can show that the rule is needed. For
// the simulation only.
type Mutant struct {
	Broadcast         abcast.Mutant
	DedupAtReceipt    bool // looks identities up when a request arrives, not when it is delivered
	KeyNotWatermark   bool // compares a causal get's minimum with its key's number
	UnsafeCausalReads bool // applies causal writes before they are safe
	MergeWeak         bool // puts weak writes straight into the committed layer
}

// Output collects what a turn sends. The caller resets Sends between turns.
type Output struct {
	Sends []abcast.Send
}

func (o *Output) send(msg message.Message, to ...lamport.Node) {
	o.Sends = append(o.Sends, abcast.Send{To: to, Msg: msg})
}

// Stats is what a machine tells of itself.
type Stats struct {
	Epoch     uint64
	Clock     uint64
	Position  uint64
	Watermark uint64
	Safe      uint64
	Keys      int
	Pending   int // requests taken and not yet answered
	Tentative int // weak writes not yet committed
	Queue     int // DATA received and not yet delivered
	Refused   uint64
}

// Machine is a replica as a state machine. One goroutine owns it. A turn is any number
// of Step and Tick calls and then one EndTurn: what a turn took in leaves as one batch.
type Machine struct {
	cfg   Config
	clock lamport.Clock
	view  message.View
	cast  *abcast.Broadcast // nil before the first view

	master   message.Member // whom this replica serves
	awaiting bool           // a newer master was heard of; its INSTALL is awaited
	fault    string         // an invariant was found broken: nothing is done any more

	lastRID uint64
	ticks   uint64
	refused uint64

	position  uint64 // ordered operations delivered
	store     store.Store
	tentative tentative
	executed  executed

	linearizable linearizable
	sequential   sequential
	causal       causal

	answers []message.Answer
	pending int
	told    told
}

// told is what the master was last told of the watermark, so that only news is sent.
type told struct{ watermark uint64 }

// New returns a replica without a view. Its first Tick says HELLO.
func New(cfg Config) *Machine {
	return &Machine{
		cfg:       cfg,
		store:     cfg.Store,
		tentative: newTentative(),
		executed:  newExecuted(cfg.Window),
		causal:    newCausal(),
	}
}

// Stats returns the machine's figures.
func (m *Machine) Stats() Stats {
	s := Stats{
		Epoch: m.view.Epoch, Clock: m.clock.Now(), Position: m.position,
		Watermark: m.causal.watermark, Safe: m.causal.safe,
		Keys: m.store.Len(), Pending: m.pending, Tentative: m.tentative.len(), Refused: m.refused,
	}
	if m.cast != nil {
		s.Queue = m.cast.Queued()
		s.Refused += m.cast.Refused()
	}
	return s
}

// View returns the installed view; Epoch 0 means none.
func (m *Machine) View() message.View { return m.view }

// Installed reports whether the machine works in a view.
func (m *Machine) Installed() bool { return m.cast != nil }

// Step takes a message. One that breaks a rule is counted and dropped.
func (m *Machine) Step(msg message.Message, out *Output) {
	if m.fault != "" {
		return
	}
	if p, ok := msg.(*message.Probe); ok && m.greet(p, out) {
		return
	}
	h := msg.Head()
	if !m.admits(msg, h) {
		m.refused++
		return
	}
	if m.cast == nil { // INSTALL: it brings the start clock, however far the cluster has come
		m.clock.Restore(h.Clock)
	}
	if err := m.clock.Witness(h.Clock); err != nil {
		m.refused++
		return
	}
	switch msg := msg.(type) {
	case *message.Install:
		m.install(msg, out)
	case *message.Forward:
		m.marks(msg.Marks)
		m.causalWrites(msg.Writes)
		for i := range msg.Requests {
			m.request(&msg.Requests[i])
		}
	case *message.Probe:
		m.marks(msg.Marks)
		m.report(msg, out)
	case *message.Data:
		m.cast.Data(msg)
		m.receive(m.cast.Fresh())
	case *message.Ack:
		m.cast.Ack(msg)
	case *message.Gap:
		if msg.Causal {
			m.fill(msg, out)
		} else {
			out.Sends = m.cast.Gap(msg, out.Sends)
		}
	case *message.Fill:
		m.causalWrites(msg.Writes)
	default:
		m.refused++
	}
}

// admits is the door: who may say what. Peers must be of this epoch and of the
// incarnation that the view names; the master must be the one that installed the view,
// and only INSTALL may come from a new one.
func (m *Machine) admits(msg message.Message, h *message.Header) bool {
	if in, ok := msg.(*message.Install); ok {
		return m.installable(in)
	}
	if m.cast == nil {
		return false
	}
	if h.From.IsMaster() {
		_, probe := msg.(*message.Probe) // a master without a view asks too
		return h.From == m.master.Node && h.Incarnation == m.master.Incarnation && !m.awaiting &&
			(probe || h.Epoch == m.view.Epoch)
	}
	switch msg.(type) {
	case *message.Forward, *message.Probe:
		return false
	case *message.Fill:
		// A peer that had not heard of the newer master may have sent it. The INSTALL is
		// later than what every member said in its HELLO, and so than any such Fill.
		if m.awaiting || h.Clock < m.causal.since {
			return false
		}
	}
	i := m.view.Index(h.From)
	return i >= 0 && h.From != m.cfg.Self && m.view.Members[i].Incarnation == h.Incarnation && h.Epoch == m.view.Epoch
}

// Tick counts time: waits that have lasted too long, HELLO, lost messages.
func (m *Machine) Tick(out *Output) {
	m.ticks++
	if m.cast == nil {
		if m.cfg.HelloTicks == 0 || m.ticks%m.cfg.HelloTicks == 1%m.cfg.HelloTicks {
			m.hello(lamport.Master(1), out)
		}
		return
	}
	out.Sends = m.cast.Tick(out.Sends)
}

// EndTurn sends the batch of the turn: the DATA of the operations it took, what became
// deliverable, the answers, and the ACKs that are due.
func (m *Machine) EndTurn(out *Output) {
	if m.cast == nil || m.fault != "" {
		return
	}
	m.flushReads()
	m.commitCausal()
	for again := true; again; again = m.cast.Submitted() {
		out.Sends = m.cast.Flush(out.Sends)
		m.queueSequential()
		m.deliverAll()
		m.serveCausal()
		m.serveWaiting()
		m.commitCausal()
	}
	out.Sends = m.cast.Settle(out.Sends)
	if m.sequential.waits() {
		out.Sends = m.cast.Hurry(out.Sends)
	}
	m.askCausal(out)
	m.flushAnswers(out)
}

// deliverAll executes what the order allows.
func (m *Machine) deliverAll() {
	for m.fault == "" {
		d, ok := m.cast.Next()
		if !ok {
			return
		}
		if d == nil {
			m.serveTurn()
			continue
		}
		m.deliver(d)
	}
}

// request takes a forwarded request to its discipline. Validity was checked at the
// master's door; a code that this version does not know is answered, not executed.
func (m *Machine) request(r *message.Request) {
	m.lastRID = max(m.lastRID, r.RID)
	m.pending++
	switch {
	case !r.Type.Valid():
		m.fail(r, model.Malformed, "this replica does not know the request type")
	case r.Model == model.Linearizable && r.Type == model.Get:
		m.linearizableGet(r)
	case r.Model == model.Linearizable:
		m.strongSet(r)
	case r.Model == model.Sequential && r.Type == model.Get:
		m.sequentialGet(r)
	case r.Model == model.Sequential:
		m.sequentialSet(r)
	case r.Model == model.Causal && r.Type == model.Get:
		m.causalGet(r)
	case r.Model == model.Causal && r.Type == model.Set:
		m.recall(r) // a question: the set itself travels as a CausalWrite
	case r.Model == model.Eventual && r.Type == model.Get:
		m.eventualGet(r)
	case r.Model == model.Eventual:
		m.eventualSet(r)
	default:
		m.fail(r, model.Malformed, "this replica does not know the consistency model for this request")
	}
}

// receive sees the DATA that arrived, before they can be delivered.
func (m *Machine) receive(fresh []*message.Data) {
	for _, d := range fresh {
		for i := range d.Ops {
			op := &d.Ops[i]
			m.lastRID = max(m.lastRID, op.Request.RID)
			if op.Op == message.OpWeak {
				m.hold(&op.Request, 0)
			}
		}
	}
}

// deliver executes a DATA at its place in the total order. Everything here is a
// function of the delivered sequence alone, the same on every member.
func (m *Machine) deliver(d *message.Data) {
	place := lamport.Timestamp{Time: d.Clock, Node: d.From}
	own := d.From == m.cfg.Self
	for i := range d.Ops {
		if m.fault != "" {
			return
		}
		op := &d.Ops[i]
		m.position += op.Count()
		if m.cfg.Delivered != nil {
			m.cfg.Delivered(place, m.position, op)
		}
		switch op.Op {
		case message.OpStrong:
			m.deliverStrong(&op.Request, place, own)
		case message.OpReads:
			if own {
				m.deliverReads(op)
			}
		case message.OpWeak:
			m.deliverWeak(&op.Request, 0)
		case message.OpCommit:
			m.deliverCommit(op.Number)
		}
	}
}

// stop ends the machine at a broken invariant: it serves nothing wrong.
func (m *Machine) stop(why string) { m.fault = why }

// Fault returns why the machine stopped, or "".
func (m *Machine) Fault() string { return m.fault }

func (m *Machine) answer(a message.Answer) {
	a.Clock = m.clock.Now()
	m.pending--
	m.answers = append(m.answers, a)
}

func (m *Machine) fail(r *message.Request, code model.Code, reason string) {
	m.answer(message.Answer{RID: r.RID, Code: code, Reason: reason})
}

// flushAnswers tells the master the outcomes and how far the causal numbers have come.
func (m *Machine) flushAnswers(out *Output) {
	if len(m.answers) == 0 && m.told.watermark == m.causal.watermark {
		return
	}
	m.told.watermark = m.causal.watermark
	for first := 0; first == 0 || first < len(m.answers); {
		next := answersThatFit(m.answers[first:]) + first
		out.send(&message.Answers{
			Header: m.header(), Watermark: m.causal.watermark, Position: m.position,
			Answers: m.answers[first:next:next],
		}, m.master.Node)
		if next == first {
			break
		}
		first = next
	}
	if n := len(m.answers); n > 0 {
		// Its memory now belongs to the messages; the next turn's batch is often as large.
		m.answers = make([]message.Answer, 0, min(n, answersMost))
	}
}

const answersMost = 1024

// answersThatFit cuts a batch of answers as abcast cuts DATA: below 1 MiB with one
// value of the largest size in it.
func answersThatFit(answers []message.Answer) int {
	const mostBytes, overhead = 256 << 10, 64
	n, size := 0, 0
	for n < len(answers) && n < answersMost && size < mostBytes {
		size += overhead + len(answers[n].Value) + len(answers[n].Reason)
		n++
	}
	return n
}

func (m *Machine) header() message.Header {
	return message.Header{From: m.cfg.Self, Incarnation: m.cfg.Incarnation, Epoch: m.view.Epoch, Clock: m.clock.Now()}
}
