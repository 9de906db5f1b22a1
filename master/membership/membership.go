package membership

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

// Config is what the machine is born with. Durations are in ticks.
type Config struct {
	Self        lamport.Node
	Incarnation uint64
	Draw        uint64         // a random number: two masters that go on above one incarnation have different ones
	Replicas    []lamport.Node // of a cluster that begins, in rising order
	Missing     int            // how many replicas may be missing; below 0: so many that a majority remains
	Cluster     uint64         // random: the identity of a cluster that begins
	Nonce       uint64         // random: the nonces of this master's proposals, and the numbers of its PREPAREs, follow it
	Voting      bool           // the replicas decide the records, and not a store (rules D1 to D9)

	SuspectTicks uint64 // silence that makes a replica suspected
	ReadmitTicks uint64 // how long a replica that was removed for its silence stays out; doubled each time
	JoinTicks    uint64 // how long a change waits for a learner that is nearly loaded
	AgainTicks   uint64 // PREPARE and INSTALL are repeated after it
	CheckTicks   uint64 // how often the record's store is tried while all is well; 0: never
	QuietTicks   uint64 // some heartbeats: who answers none, or hears nothing of another replica, for longer is silent

	Older bool // its records have level 0, as those of builds before there were levels: for the simulation
}

// Output collects what a turn sends and asks for. The caller resets it between turns.
type Output struct {
	Sends   []abcast.Send
	Command *Command        // for the record's store; at most one is outstanding
	Probe   bool            // a heartbeat is to be sent at once
	Decided *message.Record // a new epoch, of which this master is the leader
}

func (o *Output) send(msg message.Message, to ...lamport.Node) {
	o.Sends = append(o.Sends, abcast.Send{To: to, Msg: msg})
}

// Replica is what is known of a replica.
type Replica struct {
	Node        lamport.Node
	Incarnation uint64 // of the process that was heard last; 0: none yet
	Life        uint64 // that it has drawn; 0: it has not said
	Back        string // why what it holds counts for nothing; "": it does
	PID         int
	Phase       message.Phase // as it said; 0: it has not
	Epoch       uint64        // that it knows
	Position    uint64
	Keys        uint64
	Whole       bool          // a learner whose committed layer is a prefix of the order …
	Committed   uint64        // … with the causal numbers up to this
	Keeps       message.Keeps // of a member: what its data survive
	Suspected   bool          // it is silent
	ended       bool          // … as was seen otherwise: its process has ended, and it does not come and go
	Lost        bool          // its process is known to have ended
	Removed     bool          // an operator wants it out
	Left        bool          // and it is; a process of it that is born later may join anew

	drained    bool   // and it holds nothing alone
	heard      uint64 // tick of the last sign of life
	nonce      uint64 // of the newest heartbeat that it has answered
	lostAt     uint64 // tick
	installed  bool   // it has acknowledged the record
	state      *message.State
	admitAfter uint64          // tick
	lateAfter  uint64          // tick; before it, it is not asked for even if no view can be formed without it
	why        string          // it is not admitted earlier
	flaps      int             // how often in a row it was removed for its silence
	settled    uint64          // tick since which it is a member
	born       uint64          // tick of the first word of its process
	since      uint64          // nonce of the newest heartbeat that was sent when its process began to speak
	ears       []ear           // what it hears of the others, rising by node
	listener   listener        // whose ears they are
	gone       []uint64        // lives of processes that a later one has replaced
	stranger   string          // why a process under this name is not heard; "": it is
	branched   string          // Back, if its data are of another history of this cluster
	record     *message.Record // that it knows, as it said
	obeys      bool            // it has heard of no newer master than this one
	answered   uint64          // nonce of the heartbeat of this master that what it said last is an answer to; 0: to none
	fresh      bool            // nothing but its incarnation is known of the process yet
	toTell     bool            // it holds another record than this master, and is told this one once the store has shown it …
	askedAfter uint64          // … to a command after this one
	counted    uint64          // the highest causal number that it has told this master of in the record's epoch
}

// stage is what the machine is about.
type stage uint8

const (
	reading  stage = iota // the record is being read
	booting               // there is no record; all replicas are awaited
	steady                // the record's view works, as far as is known
	changing              // the members are asked to wedge
	deciding              // the next record is proposed
	stopped               // there is a newer master
)

// Machine decides about views. One goroutine owns it. A turn is any number of calls and
// then one Advance.
type Machine struct {
	cfg      Config
	clock    *lamport.Clock // the master's: it has witnessed what the replicas said
	ticks    uint64
	replicas []*Replica // rising

	stage    stage
	record   message.Record
	revision uint64 // of the record in its store
	position uint64 // with which the record's epoch began; Unknown: no member has said so

	began    uint64 // tick of the change
	attempt  uint64 // of the newest PREPARE
	first    uint64 // attempt of the change
	high     uint64 // that the members are asked to hold
	holder   lamport.Node
	cut      []uint64 // DATA of each member that they are asked to hold; nil: nobody lacks any
	asked    uint64   // tick of the last PREPARE
	looked   uint64   // tick at which the record was read last in this change
	sent     bool     // there was one in this change
	stay     bool     // no replica leaves with this change: those that are to leave are needed for it
	told     uint64   // tick of the last INSTALL
	recover  bool     // an operator wants to go on with fewer
	proposal *message.Record
	proposed uint64 // proposals so far
	command  uint64 // number of the outstanding command
	waits    bool   // one is outstanding
	seen     uint64 // number of the last command that has shown what stands in the store
	lookUp   bool   // somebody wants the record to be read, also while the view works
	checking bool   // it is a check, or comes of one
	readAt   uint64 // tick before which the record is not read again

	readAgain uint64 // tick at which it is, while there is none
	checkedAt uint64 // tick of the last check

	obeyed        bool              // a replica has heard of no newer master than this one
	knownWhenRead []*message.Record // that this master and the replicas knew when the record was asked for
	lost          bool              // the store has no record, or an older record than is known
	asks          uint64            // nonce of the newest heartbeat that was sent
	foundNonce    uint64            // of the newest that was sent before the store was found without the record
	restores      bool              // it was found lost while its view works, and is to be written back
	lostRevision  uint64            // what stood in its place then
	established   bool              // every member has installed the record: only then is anything done by it

	deaf bool // a replica is known not to hear another one

	isMute bool // with Config.Voting: too few have answered the last command
}

// New returns a machine that begins by reading the record.
func New(cfg Config, clock *lamport.Clock) *Machine {
	m := &Machine{cfg: cfg, clock: clock, attempt: cfg.Nonce}
	for _, n := range cfg.Replicas {
		m.replicas = append(m.replicas, &Replica{Node: n})
	}
	return m
}

// Record is the newest that is known; Epoch 0: none. It must not be changed.
func (m *Machine) Record() *message.Record { return &m.record }

// Leads reports whether this master leads the record's epoch.
func (m *Machine) Leads() bool {
	return m.stage != stopped && m.record.Epoch > 0 && m.record.Master == m.cfg.Incarnation
}

// Changing reports whether the members are, or may be, wedged.
func (m *Machine) Changing() bool { return m.stage != steady }

// Superseded reports whether there is a newer master: this one has nothing to say.
func (m *Machine) Superseded() bool { return m.stage == stopped }

// Nodes are all replicas that are known, members or not.
func (m *Machine) Nodes() []lamport.Node {
	nodes := make([]lamport.Node, len(m.replicas))
	for i, r := range m.replicas {
		nodes[i] = r.Node
	}
	return nodes
}

// Replica returns what is known of n, or nil.
func (m *Machine) Replica(n lamport.Node) *Replica {
	for _, r := range m.replicas {
		if r.Node == n {
			return r
		}
	}
	return nil
}

// Replicas are all that are known.
func (m *Machine) Replicas() []*Replica { return m.replicas }

// Began is the position with which the record's epoch began; [message.Unknown]: no member
// has said so.
func (m *Machine) Began() uint64 { return m.position }

// LookUp has the record read soon, and returns a number: what [Machine.Seen] returns is
// greater once a command that was given later has shown what stands in the store.
func (m *Machine) LookUp() uint64 {
	m.lookUp = true
	return m.command
}

// Seen is the number of the last command that has shown what stands in the store.
func (m *Machine) Seen() uint64 { return m.seen }

// Member reports whether r's process is a member of the record's view.
func (m *Machine) Member(r *Replica) bool {
	i := m.record.Index(r.Node)
	return i >= 0 && r.Incarnation == m.record.Members[i].Incarnation
}

// Works reports whether r is a member that has installed the record.
func (m *Machine) Works(r *Replica) bool {
	return m.Member(r) && r.installed && m.established
}

// Heard takes note of a message from a replica, and reports whether it comes from its
// newest process.
func (m *Machine) Heard(h *message.Header) bool {
	if !h.From.IsReplica() {
		return false
	}
	r := m.Replica(h.From)
	if r == nil {
		r = m.newcomer(h.From)
	}
	switch {
	case h.Incarnation < r.Incarnation || h.Incarnation == 0 || h.Incarnation >= lamport.Limit:
		return false
	case h.Incarnation > r.Incarnation:
		*r = Replica{
			Node: r.Node, Incarnation: h.Incarnation, Life: r.Life, Back: r.Back, branched: r.branched, gone: r.gone,
			fresh: true, Removed: r.Removed,
			admitAfter: r.admitAfter, lateAfter: r.lateAfter, why: r.why, flaps: r.flaps, born: m.ticks,
			ears: r.ears, listener: r.listener,
		}
		m.lives(r)
	}
	if r.Lost && m.ticks-r.lostAt > m.cfg.SuspectTicks {
		// The word that its process has ended was of an earlier one with the same disk: what
		// that one had sent has arrived by now.
		r.Lost = false
	}
	return true
}

// lives notes a sign of life: a message that answers what this master has sent. A message that a
// replica sends of its own accord is no sign: a replica that hears nothing may say a lot, and all
// would wait for it.
func (m *Machine) lives(r *Replica) { r.heard, r.Suspected, r.ended = m.ticks, false, false }

// answers takes note of the answer to a heartbeat; each counts once.
func (m *Machine) answers(r *Replica, nonce uint64) {
	if nonce > r.nonce {
		r.nonce = nonce
		m.lives(r)
	}
}

// newcomer is a replica that nobody has configured: it may join.
func (m *Machine) newcomer(n lamport.Node) *Replica {
	r := &Replica{Node: n, heard: m.ticks}
	m.replicas = append(m.replicas, r)
	slices.SortFunc(m.replicas, func(a, b *Replica) int { return int(a.Node) - int(b.Node) })
	return r
}

// Hello takes what a replica says of itself, after Heard.
func (m *Machine) Hello(h *message.Hello, out *Output) {
	r := m.Replica(h.From)
	if h.Master > m.cfg.Incarnation {
		m.newer(h.Master)
		return
	}

	if !m.speaks(r, h) {
		return
	}

	if h.Past.Reason != "" {
		r.Back = h.Past.Reason
	}
	if h.Past.Record != nil && h.Past.Record.Epoch == h.Epoch {
		r.record = h.Past.Record
	}

	r.obeys = h.Master == m.cfg.Incarnation
	m.obeyed = m.obeyed || r.obeys

	if r.PID != h.PID { // it has come back with its disk, as the same incarnation
		r.Lost, r.installed = false, false
		r.born = m.ticks
		m.lives(r)
	}

	r.listensAs(listener{h.PID, h.Past.Life})
	r.PID, r.Phase, r.Epoch, r.Position, r.Keys = h.PID, h.Phase, h.Epoch, h.Position, h.Keys
	r.Whole, r.Committed = h.Whole, h.Committed
	m.hears(r, h.Heard)
	r.answered = 0
	if r.obeys {
		m.answers(r, h.Nonce)
		r.answered = h.Nonce
	}

	switch {
	case m.stage == stopped: // another master is at work
	case m.elsewhere(r):
	case m.stage == booting && h.Epoch > 0: // a record was written after this master had looked
		m.stage, m.readAt = reading, m.ticks+readTicks
	case m.record.Epoch == 0: // there is no view to install
	case h.Epoch < m.record.Epoch && m.Leads():
		m.install(r, out)
	case h.Epoch < m.record.Epoch, h.Epoch == m.record.Epoch && r.holdsAnother(&m.record):
		m.tellLater(r)
	case h.Epoch > m.record.Epoch && m.stage != deciding: // another master has decided
		m.stage = reading
	}
}

// holdsAnother reports whether r has another record of the epoch than this.
func (r *Replica) holdsAnother(record *message.Record) bool {
	return r.record != nil && r.record.Epoch == record.Epoch && r.record.Nonce != record.Nonce
}

// mayBe reports whether pid is the replica's process, as far as is known.
func (r *Replica) mayBe(pid int) bool { return r.PID == pid || r.PID == 0 }

// further reports whether r has come further than another replica, or there is none.
func (r *Replica) further(than *Replica) bool { return than == nil || r.Position > than.Position }

// State takes what a wedged replica holds, after Heard. What it has said to another master shows
// not that it obeys this one (rule F3).
func (m *Machine) State(s *message.State) bool {
	r := m.Replica(s.From)
	if ours := s.Attempt-m.first <= m.attempt-m.first; !ours {
		return false
	}
	if s.Epoch != m.record.Epoch || len(s.Contiguous) != len(m.record.Members) || max(s.Watermark, s.LastRID) >= lamport.Limit {
		return false
	}
	if s.Proof.View != 0 && s.Proof.View != m.record.Nonce { // it holds that of another view with this number
		return false
	}
	if r.Life != 0 && r.Life != s.Proof.Life { // of an earlier process, or of a process that has not said HELLO yet
		return false
	}
	m.lives(r)
	heldMore := func(old *message.State) bool { return old.Watermark > s.Watermark || s.Lacks(old.Contiguous) }
	if r.state == nil || !heldMore(r.state) { // else it is an older one, and comes late
		r.state = s
	}
	m.compare()
	return true
}

// Installed takes the acknowledgement of a record, after Heard.
func (m *Machine) Installed(h *message.Installed) {
	if h.View != 0 && h.View != m.record.Nonce {
		return
	}
	if r := m.Replica(h.From); h.Epoch == m.record.Epoch && m.Member(r) {
		if m.position == message.Unknown {
			m.position = h.Position
		}
		r.Keeps = h.Keeps
		if r.PID == 0 { // this master has found it at work, and it need not say HELLO
			r.PID, r.listener = h.PID, listener{pid: h.PID}
		}
		if !r.installed {
			r.installed, r.settled = true, m.ticks
		}
		held := m.record
		r.Back, r.record = "", &held
		m.establish()
		r.Phase, r.Epoch = message.PhaseMember, h.Epoch
		m.lives(r)
	}
}

// Stands reports whether nothing of an epoch can be given up any more, nor what was delivered at
// the end of the one before by its cut: every member has installed its record, or a later one is
// decided.
func (m *Machine) Stands(epoch uint64) bool {
	isPresent := epoch == m.record.Epoch && m.established
	return isPresent || epoch < m.record.Epoch
}

// establish takes note that every member works in the epoch, once it is so.
func (m *Machine) establish() {
	for _, member := range m.record.Members {
		if r := m.Replica(member.Node); r == nil || !m.Member(r) || !r.installed {
			return
		}
	}
	m.established = true
}

// Reported takes what a working member says of itself, after Heard.
func (m *Machine) Reported(p *message.Report) {
	r := m.Replica(p.From)
	m.answers(r, p.Nonce)
	works := m.Leads() && m.Member(r) && r.installed
	if works && p.Epoch == m.record.Epoch { // it obeys this master: to a heartbeat of another it says HELLO
		r.obeys, r.answered = true, max(r.answered, p.Nonce)
	}
	m.hears(r, p.Heard)
	if p.Epoch == m.record.Epoch {
		r.Phase, r.Epoch, r.Position, r.Keys = message.PhaseMember, p.Epoch, p.Position, p.Keys
	}
}

// Lost tells that the process pid of a replica has ended.
func (m *Machine) Lost(n lamport.Node, pid int) {
	if r := m.Replica(n); r != nil && r.mayBe(pid) {
		r.Lost, r.Suspected, r.lostAt = true, true, m.ticks
	}
}

// Silent tells that a replica does not answer, by other signs than its silence (rule M8): it counts
// as suspected until it shows that it lives.
func (m *Machine) Silent(n lamport.Node) {
	if r := m.Replica(n); r != nil {
		r.Suspected, r.ended = true, true
	}
}

// Removable reports whether n is a replica of the cluster and not the only one.
func (m *Machine) Removable(n lamport.Node) bool {
	return m.Replica(n) != nil && m.record.Configures(n) && len(m.record.Configured) > 1
}

// Remove takes a replica out of the cluster with the next record, and reports whether it
// can. One that is not drained, since it cannot be reached, stays if it answers in time:
// it may hold weak writes alone.
func (m *Machine) Remove(n lamport.Node, drained bool) bool {
	if !m.Removable(n) {
		return false
	}
	r := m.Replica(n)
	r.Removed, r.drained = true, drained
	return true
}

// leaves reports whether r is not to be in the next record.
func (m *Machine) leaves(r *Replica) bool {
	empty := r.drained || r.state == nil
	return !m.stay && r.Removed && empty
}

// Recover lets the view that is to be formed now be formed of the replicas that are there. While
// the view stands it does nothing: no operator has been asked about what may happen later.
func (m *Machine) Recover() {
	isUndecidable := m.isMute && m.stage == reading
	m.recover = m.recover || m.stage == changing || m.stage == deciding || m.lost || isUndecidable
}

// Tick counts time: silence makes suspicion.
func (m *Machine) Tick() {
	m.ticks++
	const calm = 60 // times SuspectTicks
	kept := m.replicas[:0]
	for _, r := range m.replicas {
		silent := m.ticks-r.heard > m.cfg.SuspectTicks
		if silent && r.Incarnation > 0 {
			r.Suspected = true
		}
		if r.installed && m.ticks-r.settled > calm*m.cfg.SuspectTicks {
			r.flaps = 0
		}
		beforeTheFirst := m.record.Epoch == 0 && slices.Contains(m.cfg.Replicas, r.Node)
		known := m.record.Configures(r.Node) || beforeTheFirst
		if known || !silent {
			kept = append(kept, r)
		}
	}
	clear(m.replicas[len(kept):])
	m.replicas = kept
	m.listen()
}

// install tells a replica the record, unless it is to end with it, and is needed still.
func (m *Machine) install(r *Replica, out *Output) {
	if m.isNeeded(r) {
		return // it says HELLO again, and again
	}
	out.send(&message.Install{Header: m.header(), Record: m.record}, r.Node)
}

func (m *Machine) header() message.Header {
	return message.Header{From: m.cfg.Self, Incarnation: m.cfg.Incarnation, Epoch: m.record.Epoch, Clock: m.clock.Now()}
}
