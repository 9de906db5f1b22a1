package abcast

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// ackedMost is how many rIDs one message acknowledges. How many operations a DATA has is for
// [message.NewBudget] to say.
const ackedMost = 2048

const (
	// window is how far ahead of a gap DATA are kept; what is beyond is asked for later.
	window = 1 << 14
	// resendMost bounds the answer to one gap request, in messages and bytes.
	resendMost  = 256
	resendBytes = 4 << 20
	// askAgain is how many ticks a gap request is given before it is repeated.
	askAgain = 2
	// solicitAfter is how many ticks without progress, with work waiting, make a
	// member ask the others for their ACKs.
	solicitAfter = 3
	// listenTicks is for how many ticks a member that has asked for ACKs is told at once of strong
	// operations. It asks again after half of them.
	listenTicks = 100
)

// Send is a message and the members it goes to.
type Send struct {
	To  []lamport.Node
	Msg message.Message
}

// Config is what a member needs to know of itself.
type Config struct {
	Self        lamport.Node
	Incarnation uint64
	View        message.View // contains Self
	Clock       *lamport.Clock
	Keep        bool // [Broadcast.Kept] is asked for
}

// member is what this process knows of a member of the view.
type member struct {
	node     lamport.Node
	held     uint64                   // DATA held without a gap
	ahead    map[uint64]*message.Data // DATA held beyond a gap, by seq
	lastTime uint64                   // time of DATA number held
	heard    uint64                   // S3

	announcedSeq   uint64 // the newest announcement that held does not cover yet
	announcedClock uint64

	received []uint64 // received_j[·], by index of the sender
	awaited  int      // DATA of this member in the queue for which clients wait
	owed     bool     // it has not been told of all that was received here
	due      bool     // it is to be told in this turn
	listens  uint64   // until this tick it is told at once of strong operations, whose they may be

	askedFor uint64 // the first seq of the last gap request, and when it was made
	askedAt  uint64
}

// Broadcast is one member's part of the broadcast in one epoch.
type Broadcast struct {
	cfg     Config
	clock   *lamport.Clock
	self    int
	members []member
	peers   []lamport.Node
	queue   holdback

	sent      []*message.Data // own DATA that not all members have received; sent[0] is number sentBase+1
	sentBase  uint64
	lastSeq   uint64
	time      uint64 // the greatest of the master's that was heard
	outgoing  []message.Operation
	urgent    bool              // somebody waits for the delivery of one of outgoing
	gathering uint64            // the tick of the first of outgoing
	fresh     []*message.Data   // received in this turn, each once, in order of its sender's seq
	kept      []*message.Data   // received or sent since Kept was last called
	place     lamport.Timestamp // of the last that was delivered
	acked     []uint64          // rIDs of what was received since the last ACK
	ticks     uint64
	progress  uint64 // the tick of the last delivery or receipt by all
	refused   uint64
	hurried   lamport.Timestamp // the head of the queue that Hurry asked for last
	asked     uint64            // until this tick the others tell of strong operations at once
}

// New returns the broadcast of cfg.View with nothing sent or received.
func New(cfg Config) *Broadcast {
	n := len(cfg.View.Members)
	b := &Broadcast{cfg: cfg, clock: cfg.Clock, self: cfg.View.Index(cfg.Self), members: make([]member, n)}
	for i, m := range cfg.View.Members {
		b.members[i] = member{node: m.Node, ahead: map[uint64]*message.Data{}, received: make([]uint64, n)}
		if i != b.self {
			b.peers = append(b.peers, m.Node)
		}
	}
	return b
}

// Refused counts messages that were dropped because they broke a rule.
func (b *Broadcast) Refused() uint64 { return b.refused }

// Queued is how many DATA were received and not yet delivered.
func (b *Broadcast) Queued() int { return len(b.queue) }

// Heard takes note of the time of the epoch's master, which the next DATA tell.
func (b *Broadcast) Heard(time uint64) { b.time = max(b.time, time) }

// Submit appends an operation to the DATA that the end of this turn sends. If nobody
// waits for its delivery it may wait itself: see [Broadcast.Flush].
func (b *Broadcast) Submit(op message.Operation, urgent bool) {
	if len(b.outgoing) == 0 {
		b.gathering = b.ticks
	}
	b.urgent = b.urgent || urgent
	b.outgoing = append(b.outgoing, op)
}

// Submitted reports whether the next Flush would send something.
func (b *Broadcast) Submitted() bool { return len(b.outgoing) > 0 && !b.gathers() }

// gathers reports whether operations that nobody waits for are kept for a larger DATA:
// while the last is on its way, but not beyond a tick.
func (b *Broadcast) gathers() bool {
	return !b.urgent && len(b.sent) > 0 && len(b.outgoing) < message.MostItems && b.gathering == b.ticks
}

// Peers are the other members.
func (b *Broadcast) Peers() []lamport.Node { return b.peers }

// Data receives a DATA of this epoch, sender's incarnation checked and clock witnessed.
func (b *Broadcast) Data(d *message.Data) {
	i := b.cfg.View.Index(d.From)
	if i < 0 || i == b.self || len(d.Received.Received) != len(b.members) || d.Seq == 0 || d.LastSeq < d.Seq {
		b.refused++
		return
	}
	m := &b.members[i]
	b.merge(m, d.Received.Received)
	switch {
	case d.Seq <= m.held:
		m.due = true // the sender has not heard that it arrived
		return
	case d.Seq > m.held+window:
		return
	}
	m.ahead[d.Seq] = d
	b.advance(m)
	b.announce(m, d.Clock, d.LastSeq)
}

// advance takes over the DATA that stand without a gap behind those held.
func (b *Broadcast) advance(m *member) {
	for {
		d, ok := m.ahead[m.held+1]
		if !ok {
			break
		}
		delete(m.ahead, d.Seq)
		if d.Clock <= m.lastTime { // S1 broken by the sender: never take it over
			b.refused++
			return
		}
		m.held, m.lastTime = d.Seq, d.Clock
		m.heard = max(m.heard, d.Clock)
		isStrong := b.hold(m, d)
		b.fresh = append(b.fresh, d)
		b.keep(d)
		b.acked = d.AppendOwnRIDs(b.acked)
		b.owe(isStrong)
	}
	if m.announcedSeq <= m.held {
		m.heard = max(m.heard, m.announcedClock)
	}
}

// hold puts a DATA of m into the queue, and reports whether somebody waits for it.
func (b *Broadcast) hold(m *member, d *message.Data) bool {
	e := entry{at: PlaceOf(d), data: d, awaited: awaited(d)}
	if e.awaited {
		m.awaited++
	}
	b.queue.insert(e)
	return e.awaited
}

// announce applies rule S3 to an announcement (clock, lastSeq) of m.
func (b *Broadcast) announce(m *member, clock, lastSeq uint64) {
	if lastSeq <= m.held {
		m.heard = max(m.heard, clock)
		return
	}
	if lastSeq >= m.announcedSeq {
		m.announcedSeq, m.announcedClock = lastSeq, max(m.announcedClock, clock)
	}
}

// Ack receives an ACK of this epoch, sender's incarnation checked and clock witnessed.
func (b *Broadcast) Ack(a *message.Ack) {
	i := b.cfg.View.Index(a.From)
	if i < 0 || i == b.self || len(a.Received.Received) != len(b.members) {
		b.refused++
		return
	}
	m := &b.members[i]
	b.merge(m, a.Received.Received)
	b.announce(m, a.Clock, a.LastSeq)
	if a.Solicit {
		m.due, m.listens = true, b.ticks+listenTicks
	}
}

// merge takes over what m says it has received. Nobody can have received more of a
// sender's DATA than were sent; of our own we know, and a larger claim is refused.
func (b *Broadcast) merge(m *member, received []uint64) {
	if received[b.self] > b.lastSeq {
		b.refused++
		return
	}
	for s, n := range received {
		if n > m.received[s] {
			m.received[s] = n
			b.progress = b.ticks
		}
	}
}

// Gap answers a request for own DATA again: duplicates do no harm, so whatever is
// still kept of the range is sent as it was.
func (b *Broadcast) Gap(g *message.Gap, sends []Send) []Send {
	if b.cfg.View.Index(g.From) < 0 || g.First == 0 || g.Last < g.First {
		b.refused++
		return sends
	}
	to, left := []lamport.Node{g.From}, message.Budget{Items: resendMost, Bytes: resendBytes}
	first := max(g.First, b.sentBase+1)
	for seq := first; seq <= min(g.Last, b.lastSeq) && left.Left(); seq++ {
		d, size := b.sent[seq-b.sentBase-1], 0
		for i := range d.Ops {
			size += opBytes(&d.Ops[i])
		}
		left.Spend(size)
		sends = append(sends, Send{To: to, Msg: d})
	}
	return sends
}

// Wait puts a turn into the queue behind all that stands there now, own DATA of this
// turn included if [Broadcast.Flush] was called; [Broadcast.Next] gives it back as nil.
// It is not broadcast and needs no acknowledgement.
func (b *Broadcast) Wait() {
	b.queue.insert(entry{at: lamport.Timestamp{Time: b.clock.Increment(), Node: b.cfg.Self}})
}

// Fresh returns the DATA that were received since it was last called.
func (b *Broadcast) Fresh() []*message.Data {
	fresh := b.fresh
	b.fresh = b.fresh[len(b.fresh):]
	return fresh
}

func (b *Broadcast) keep(d *message.Data) {
	if b.cfg.Keep {
		b.kept = append(b.kept, d)
	}
}

// Kept returns the DATA that were received or sent since it was last called: what must
// be on disk before it is acknowledged or leaves.
func (b *Broadcast) Kept() []*message.Data {
	kept := b.kept
	b.kept = nil
	return kept
}

// Contiguous returns how many DATA of each member are held without a gap.
func (b *Broadcast) Contiguous() []uint64 {
	held := make([]uint64, len(b.members))
	for i := range b.members {
		held[i] = b.members[i].held
	}
	return held
}

// Told returns, for each member, how many DATA of each it has told that it holds: of its own,
// as many as it has announced. What the member itself holds stands in its own place.
func (b *Broadcast) Told() [][]uint64 {
	told := make([][]uint64, len(b.members))
	for i := range b.members {
		m := &b.members[i]
		if i == b.self {
			told[i] = b.Contiguous()
			continue
		}
		told[i] = slices.Clone(m.received)
		told[i][i] = max(told[i][i], m.held, m.announcedSeq)
	}
	return told
}

// Place is where the last delivered DATA stood.
func (b *Broadcast) Place() lamport.Timestamp { return b.place }

// Next delivers the head of the queue if S4 holds for it. A nil DATA with ok true is
// a turn that [Broadcast.Wait] put there.
func (b *Broadcast) Next() (d *message.Data, ok bool) {
	if len(b.queue) == 0 {
		return nil, false
	}
	if head := b.queue[0]; head.data != nil && !b.deliverable(head.data) {
		return nil, false
	}
	e := b.queue.remove()
	b.progress = b.ticks
	if e.data != nil {
		b.place = e.at
		if e.awaited {
			b.members[b.cfg.View.Index(e.data.From)].awaited--
		}
	}
	return e.data, true
}

// deliverable is rule S4.
func (b *Broadcast) deliverable(d *message.Data) bool {
	sender := b.cfg.View.Index(d.From)
	for j := range b.members {
		m := &b.members[j]
		if j == b.self {
			continue // it holds what is in its queue, and its clock has witnessed d's time
		}
		if m.heard < d.Clock {
			return false
		}
		if j != sender && m.received[sender] < d.Seq {
			return false
		}
	}
	return true
}
