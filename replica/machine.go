package replica

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/abcast"
	"quartet/replica/acceptor"
	"quartet/replica/dedup"
	"quartet/replica/durable"
	"quartet/replica/layers"
	"quartet/replica/listing"
	"quartet/replica/store"
	"quartet/replica/view"
	"quartet/replica/watching"
)

// Config is what a replica is born with.
type Config struct {
	Self        lamport.Node
	Incarnation uint64 // greater than that of any earlier process under this name; with a Saved the machine keeps that one's
	Life        uint64 // drawn for this process: tells it from all others with the same disk
	PID         int    // told to the master, for people
	Store       store.Store
	// Saved is what the replica's disk holds beside Store; nil: nothing.
	Saved *durable.Saved
	// Forms are those of transactions and lists, as package codec has them; nil: none is served.
	Forms Forms
	// Durable fills Output.Turn.
	Durable bool

	// Keeps is what the data survive, for the master to know.
	Keeps message.Keeps

	// WaitTicks is how long a get or set may wait for this replica to reach its
	// minimum timestamp or position before it is refused.
	WaitTicks uint64
	// HelloTicks is how often HELLO is repeated while there is no view.
	HelloTicks uint64
	// Limits are those of the table of executed requests.
	dedup.Limits
	// Collecting says when tombstones are collected.
	Collecting Collecting
	// ChunkBytes is about how large the pieces are in which a learner is loaded; 0: 256 KiB.
	ChunkBytes int

	// Changes is how many changes the log keeps that watches go on from; 0: 100,000, which the
	// public contract promises.
	Changes int

	// ListLooks is how many keys a turn looks at for lists, at the most; 0: 2,048.
	ListLooks int

	// Publish fills Output.Published.
	Publish bool

	// Delivered, if set, sees each operation of a DATA as it is delivered: for the simulation.
	// It takes the order from one position to another.
	Delivered func(place lamport.Version, from, to uint64, d *message.Data, op *message.Operation)

	// Listed, if set, sees each list that begins, and can look at what it is to show: for the
	// simulation.
	Listed func(r *message.Request, what func(key string) store.Record)
}

// Forms are those of what is said inside of requests and answers.
type Forms interface {
	layers.Forms
	listing.Forms
}

// Output collects what a turn sends. The caller resets Sends between turns.
type Output struct {
	Sends []abcast.Send
	// Turn is what must be on disk before any of Sends leaves, together with all that was
	// put into the store since the last one; only if Config.Durable. nil: nothing, and what
	// was put into the store must not be on disk yet either.
	Turn *durable.Turn

	Events []watching.Event // for watchers

	// Published is what this replica, as the first member, has delivered (rule O28).
	Published []message.Change
}

func (o *Output) send(msg message.Message, to ...lamport.Node) {
	o.Sends = append(o.Sends, abcast.Send{To: to, Msg: msg})
}

// Stats is what a machine tells of itself.
type Stats struct {
	Phase     message.Phase
	Epoch     uint64
	Clock     uint64
	Position  uint64
	Watermark uint64
	Safe      uint64
	Keys      int
	Pending   int // requests taken and not yet answered
	Tentative int // weak writes not yet committed
	Own       int // of them, accepted by this replica
	Queue     int // DATA received and not yet delivered
	Refused   uint64

	Watches int
	Ahead   uint64 // bytes that were sent to their watchers and are not acknowledged

	Tombstones  int    // that the store holds
	Collections uint64 // of tombstones, by this process
	Collected   uint64 // ticks since the last of them, and 1; 0: there was none
}

// Machine is a replica as a state machine. One goroutine owns it. A turn is any number
// of Step and Tick calls and then one EndTurn: what a turn took in leaves as one batch.
//
// It is in one of four conditions: it works in a view (cast is set); it is wedged (rest);
// it is outside of the view and loads (learner); or it has never heard of a view (none).
type Machine struct {
	cfg   Config
	clock lamport.Clock
	epoch // in which it works, is wedged, or is outside

	self       view.Self
	acceptor   acceptor.Acceptor
	learner    view.Learner
	neighbours view.Neighbours

	master message.Member // the newest that was heard
	full   full
	fault  string // an invariant was found broken: nothing is done any more

	forwarded uint64 // the present time of the master whose FORWARD is being taken, as far as this replica knows

	lastRID  uint64
	ticks    uint64
	wall     uint64 // see Wall
	nonce    uint64 // of the newest heartbeat of master
	probedAt uint64 // tick of the last heartbeat of its master
	refused  uint64

	shut        lamport.Version // the door takes no weak write up to it
	proposedAt  uint64          // tick: a horizon
	collectedAt uint64          // tick, and 1: tombstones
	collections uint64

	layers *layers.Layers

	linearizable linearizable
	sequential   sequential
	causal       causal
	eventual     eventual
	disciplines  [model.Eventual + 1]discipline // the four, by the code of their model

	answers []message.Answer
	pending int
	watches *watching.Watches
	lists   *listing.Lists
	events  []watching.Event // to be sent with this turn
	turn    durable.Turn     // what is not handed over to the disk yet
	applied applied

	published published
}

// New returns a replica without a view, or, with Saved, one that is wedged in the view in
// which it was stopped. Its first Tick says HELLO.
func New(cfg Config) *Machine {
	if place := handlers.missing(); place != "" {
		panic("replica: nothing says what is to be done about " + place)
	}
	m := &Machine{cfg: cfg}
	m.cfg.Collecting = cfg.Collecting.filled()
	m.layers = layers.New(m.layersConfig())
	m.watches = watching.New(watched{layers: m.layers, record: &m.record}, streamNames(&cfg))
	m.lists = listing.New(listing.Config{Self: cfg.Self, Life: cfg.Life, Forms: cfg.Forms, Layers: m.layers, Looks: cfg.ListLooks})
	m.self = view.NewSelf(cfg.Self, cfg.Incarnation, cfg.Life)
	m.learner = view.NewLearner(cfg.Self, m.layers, cfg.Incarnation)
	m.neighbours = view.Neighbours{Self: cfg.Self}

	m.linearizable.machine, m.sequential.machine, m.eventual.machine = m, m, m
	m.causal = newCausal(m)
	m.disciplines = m.disciplined()
	if cfg.Saved != nil {
		m.restore(cfg.Saved)
	}
	m.self.Start()
	m.turn.Changed = true
	return m
}

func (m *Machine) layersConfig() layers.Config {
	cfg := layers.Config{
		Store: m.cfg.Store, Forms: m.cfg.Forms, Limits: m.cfg.Limits, Seed: m.cfg.Incarnation,
		Changes: m.cfg.Changes,
	}
	if m.cfg.Durable {
		cfg.Journal = &m.turn
	}
	return cfg
}

// Stats returns the machine's figures.
func (m *Machine) Stats() Stats {
	tentative, own := m.layers.Tentative()
	s := Stats{
		Phase: m.phase(), Epoch: m.record.Epoch, Clock: m.clock.Now(), Position: m.layers.Position(),
		Watermark: m.causal.watermark, Safe: m.causal.safe,
		Keys: m.layers.Keys(), Pending: m.pending, Tentative: tentative, Own: own, Queue: m.queued(), Refused: m.refused,
		Tombstones: m.layers.Tombstones(), Collections: m.collections, Collected: m.collected(),
	}
	s.Watches, s.Ahead = m.watches.Len(), m.watches.Ahead()
	if m.cast != nil {
		s.Refused += m.cast.Refused()
	}
	return s
}

// Record returns the record of the epoch that the machine knows; Epoch 0 means none.
func (m *Machine) Record() message.Record { return m.record }

// Installed reports whether the machine works in a view.
func (m *Machine) Installed() bool { return m.cast != nil }

// Incarnation is the machine's own; one that was removed from a view goes on as another.
func (m *Machine) Incarnation() uint64 { return m.self.Incarnation() }

// Dismissed reports whether an operator took this replica out of the cluster.
func (m *Machine) Dismissed() bool { return m.self.Dismissed() }

// Replaced reports whether another process of this replica was started later: this one is to
// end.
func (m *Machine) Replaced() bool { return m.self.Replaced() }

// Foreign says why the data of this replica belong to another cluster, or "": this process is to
// end, and to leave them as they are.
func (m *Machine) Foreign() string { return m.self.Foreign() }

// Reason says why what this replica holds counts for nothing, or "".
func (m *Machine) Reason() string { return m.self.Reason() }

// Full makes the machine refuse writes for want of room, each for a reason, which is a sentence;
// "": they are not refused. Deletes are told apart from sets and all else that may leave a value.
func (m *Machine) Full(sets, deletes string) { m.full = full{sets: sets, deletes: deletes} }

// Step takes a message. One that breaks a rule is counted and dropped.
func (m *Machine) Step(msg message.Message, out *Output) {
	if m.fault != "" {
		return
	}
	h := msg.Head()
	if h.From.IsReplica() {
		m.neighbours.Hear(h.From, m.ticks)
		if msg.Kind() == message.KindBeat && h.Epoch != m.record.Epoch {
			return // it has said all by being heard
		}
	}
	react := m.reaction(msg)
	if react.take == nil || !m.admits(msg, h) {
		m.refused++
		return
	}

	in, record := msg.(*message.Install)
	nextEpoch := record && in.Record.Epoch > m.record.Epoch
	if nextEpoch || m.record.Epoch == 0 || m.learner.Loads() {
		// Outside of a view there is no order to guard: the cluster's clock is taken over,
		// however far it has come.
		m.clock.Restore(h.Clock)
	}
	if err := m.clock.Witness(h.Clock); err != nil {
		m.refused++
		return
	}
	react.take(m, msg, out)
}

// Tick counts time: waits that have lasted too long, HELLO, lost messages.
func (m *Machine) Tick(out *Output) {
	m.ticks++
	m.watches.Tick()
	m.lists.Tick()
	switch {
	case m.fault != "":
	case m.cast != nil:
		out.Sends = m.cast.Tick(out.Sends)
		m.proposeEnds()
		m.proposeHorizon()
		m.sweep()
		if n := 5 * max(m.cfg.HelloTicks, 1); m.ticks-m.probedAt >= n && m.ticks%n == 0 {
			m.hello(lamport.Master(1), out) // perhaps nobody knows any more that it is here
		}
	case m.cfg.HelloTicks == 0 || m.ticks%m.cfg.HelloTicks == 1%m.cfg.HelloTicks:
		m.hello(lamport.Master(1), out)
	}
}

// EndTurn sends the batch of the turn: the DATA of the operations it took, what became
// deliverable, the answers, and the ACKs that are due.
func (m *Machine) EndTurn(out *Output) {
	out.Turn = nil
	if m.fault != "" {
		return
	}
	if m.cast != nil {
		m.work(out)
	} else {
		m.serveCausal()
		m.pull(out)
	}
	m.makePages()
	m.ask(out)
	m.flushAnswers(out)
	m.flushPrepared(out)
	m.beat(out)
	m.tellWatchers(out)
	m.flushPublished(out)
	m.persist(out)
}

// work is the turn of a member.
func (m *Machine) work(out *Output) {
	m.flushReads()
	m.commitCausal()
	for again := true; again; again = m.cast.Submitted() {
		out.Sends = m.cast.Flush(out.Sends)
		m.queueSequential()
		m.deliverAll()
		m.serveCausal()
		m.serveWaiting()
		m.commitCausal()
		m.agree()
	}
	if m.sequential.waits() {
		out.Sends = m.cast.Hurry(out.Sends)
	}
	publishes := m.cfg.Publish && m.publishes
	if publishes || m.watches.Len() > 0 {
		out.Sends = m.cast.Follow(out.Sends)
	}
	out.Sends = m.cast.Settle(out.Sends)
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

// receive sees the DATA that arrived, before they can be delivered.
func (m *Machine) receive(fresh []*message.Data) {
	for _, d := range fresh {
		for i := range d.Ops {
			op := &d.Ops[i]
			m.lastRID = max(m.lastRID, op.Request.RID)
			if op.Op == message.OpWeak {
				m.layers.Hold(&op.Request, 0)
			}
		}
	}
}

// deliver executes a DATA at its place in the total order. Everything here is a
// function of the delivered sequence alone, the same on every member.
func (m *Machine) deliver(d *message.Data) {
	place := abcast.PlaceOf(d)
	m.layers.Advance(d.Time)
	own := d.From == m.cfg.Self && d.Incarnation == m.self.Incarnation()
	for i := range d.Ops {
		if m.fault != "" {
			return
		}
		op := &d.Ops[i]
		if m.cfg.Delivered != nil {
			from := m.layers.Position()
			m.cfg.Delivered(lamport.Version{Epoch: m.record.Epoch, Timestamp: place}, from, from+m.takes(op), d, op)
		}
		m.execute(op, d, own)
	}
	if m.cfg.Durable {
		m.turn.Delivered = append(m.turn.Delivered, durable.DataID{From: d.From, Seq: d.Seq})
	}
}

// takes is how many positions an operation takes at its place.
func (m *Machine) takes(op *message.Operation) uint64 {
	if op.Op == message.OpCommit {
		return m.commits(op.Number)
	}
	return op.Count()
}

// execute lets an operation of d take effect at its place.
func (m *Machine) execute(op *message.Operation, d *message.Data, own bool) {
	if op.Op == message.OpCommit {
		m.deliverCommit(op.Number)
		return
	}

	m.layers.Count(op.Count())
	switch op.Op {
	case message.OpStrong:
		m.deliverStrong(&op.Request, d, own)
	case message.OpReads:
		if own {
			m.deliverReads(op)
		}
	case message.OpWeak:
		m.layers.CommitWeak(&op.Request, 0, m.revision())
	case message.OpEnd:
		m.deliverEnd(op)
	case message.OpHorizon:
		m.deliverHorizon(op)
	case message.OpAgree:
		m.deliverAgree(op, d)
	}
}

// hasRevisions reports whether the writes of this epoch have revisions (rule O1).
func (m *Machine) hasRevisions() bool { return m.record.Level >= message.LevelRevisions }

// revision is that of what the operation at the present position leaves.
func (m *Machine) revision() uint64 {
	if !m.hasRevisions() {
		return leastRevision
	}
	return m.layers.Position()
}

// leastRevision is that of everything which was written before there were revisions.
const leastRevision = 1

// stop ends the machine at a broken invariant: it serves nothing wrong.
func (m *Machine) stop(why string) { m.fault = why }

// Fault returns why the machine stopped, or "".
func (m *Machine) Fault() string { return m.fault }

// answer ends a request.
func (m *Machine) answer(answer model.Answer) {
	a := message.Answer{Answer: answer}
	a.Clock.Time = m.clock.Now()
	m.pending--
	m.answers = append(m.answers, a)
}

func (m *Machine) fail(r *message.Request, code model.Code, reason string) {
	m.answer(model.Answer{RID: r.RID, Code: code, Reason: reason})
}

// flushAnswers tells the master the answers, how far this replica has the causal numbers without
// a gap, and the round that it has received. Outside of a working view it tells no number, since
// that would be an acknowledgement.
func (m *Machine) flushAnswers(out *Output) {
	watermark, owed := m.causal.watermark, m.linearizable.owed
	if m.cast == nil {
		watermark = 0
	}
	m.linearizable.owed = false

	isTold := m.cast == nil || m.told == watermark
	isEchoOwed := owed && m.echo() > 0
	if len(m.answers) == 0 && isTold && !isEchoOwed {
		return
	}

	m.told = watermark
	for first := 0; first == 0 || first < len(m.answers); {
		left := message.NewBudget()
		next := first + message.Fit(&left, m.answers[first:], answerBytes)
		out.send(&message.Answers{
			Header: m.header(), Round: m.echo(), Watermark: watermark, Position: m.layers.Position(),
			Answers: m.answers[first:next:next],
		}, m.master.Node)
		if next == first {
			break
		}
		first = next
	}

	if n := len(m.answers); n > 0 {
		// Its memory now belongs to the messages; the next turn's batch is often as large.
		m.answers = make([]message.Answer, 0, min(n, message.MostItems))
	}
}

// answerBytes is about what an answer takes in a message.
func answerBytes(a *message.Answer) int { return message.ItemBytes + a.Size() }

func (m *Machine) header() message.Header {
	return message.Header{From: m.cfg.Self, Incarnation: m.self.Incarnation(), Epoch: m.record.Epoch, Clock: m.clock.Now()}
}
