package sim

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"sort"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/replica"
)

// invariants watches the machines from outside, after every turn:
//
//   - every delivered sequence is a prefix of one order, whose places rise;
//   - nothing is delivered in a view that a member of it has not received, and nothing
//     that its record's cut leaves out;
//   - who has answered PREPARE acknowledges, sends and echoes nothing more in that epoch, and
//     answers no fenced get;
//   - a linearizable get is answered from no earlier epoch than the one that stood when it
//     reached its master;
//   - positions count the delivered operations;
//   - while a process is a member its clock, position, watermark and safe watermark never
//     fall, and safe <= watermark;
//   - a safe number was reached by f+1 members of the epoch, or is not above its record's
//     high-water;
//   - a set of models 1 to 3 that is sent again has its first outcome, and nothing is refused as
//     too old before it is;
//   - the store at a position is what the reference makes of the order (reference.go);
//   - no machine has stopped.
type invariants struct {
	c        *cluster
	off      bool
	log      []delivered         // the one order
	stats    []replica.Stats     // by replica, after its last turn
	received map[place]uint64    // DATA by place in the order: a bit for each replica that has it
	reached  map[uint64][]uint64 // by a record's nonce, then by replica: the highest causal number that it held in that epoch
	wedged   map[wedge]bool
	fenced   map[uint64]bool // gets that were forwarded with a round, by rID
	told     map[uint64]bool // requests whose outcome a client was told, by rID
	ref      reference
	voided   map[uint64]map[uint64]*message.Request // by a record's nonce: the causal numbers that it has made void
	firsts   map[string]*reply                      // the first of each identity that was acknowledged
	stamps   map[string]lamport.Version             // of weak sets, by master and identity
	prints   []uint64                               // of the reference's store, after so many operations of the log

	readySince int64 // since when the cluster is ready, and nothing is lost any more
}

// place is where a DATA stands in the order.
type place = lamport.Version

// wedge names a process that has answered PREPARE in an epoch.
type wedge struct {
	node               lamport.Node
	incarnation, epoch uint64
}

type delivered struct {
	at       place
	position uint64
	op       *message.Operation
	data     *message.Data   // that brought it
	byCut    bool            // no replica has delivered it while its view worked
	in       *message.Record // of its epoch
}

func newInvariants(c *cluster) invariants {
	n := c.opts.Replicas
	w := invariants{
		c: c, off: c.opts.HistoriesOnly, stats: make([]replica.Stats, n), received: make(map[place]uint64),
		reached: make(map[uint64][]uint64), wedged: make(map[wedge]bool), fenced: make(map[uint64]bool),
		told: make(map[uint64]bool), voided: make(map[uint64]map[uint64]*message.Request),
		firsts: make(map[string]*reply), stamps: make(map[string]lamport.Version),
		ref: newReference(&c.opts, c.window()),
	}
	w.prints = append(w.prints, w.ref.print())
	return w
}

// born begins the life of a process.
func (w *invariants) born(i int) {
	w.stats[i] = replica.Stats{}
}

// recorded sees the record of a new epoch.
func (w *invariants) recorded(r *message.Record) {
	w.voided[r.Nonce] = w.ref.void(r.High)
}

// givenUp sees that a record comes to nothing: what it had made void is not, and what replicas have
// delivered by its cut alone is in no order. Nobody was told of it, and who has delivered it begins
// anew (rule F11).
func (w *invariants) givenUp(r *message.Record) {
	maps.Copy(w.ref.causal, w.voided[r.Nonce])
	k := slices.IndexFunc(w.log, func(e delivered) bool { return e.byCut && e.at.Epoch+1 == r.Epoch })
	if k < 0 || w.off {
		return
	}

	for i := range w.log[k:] {
		if e := &w.log[k+i]; e.op.Op == message.OpStrong && w.told[e.op.Request.RID] {
			w.c.fail("invariant", "a client was told of %s, which only the cut of epoch %d has brought, and that record is given up",
				describeOp(e.op), r.Epoch)
		}
	}
	order, causal := w.log[:k], w.ref.causal
	w.log, w.prints = nil, nil
	w.ref = newReference(&w.c.opts, w.c.window())
	w.ref.causal = causal
	w.prints = append(w.prints, w.ref.print())
	for i := range order {
		w.append(order[i])
	}
}

// append takes an operation into the order, as the next one.
func (w *invariants) append(e delivered) {
	before := uint64(0)
	if n := len(w.log); n > 0 {
		before = w.log[n-1].position
	}
	w.log = append(w.log, e)
	w.ref.memory.advance(e.at.Epoch, e.data.Time)
	if e.op.Op == message.OpEnd {
		w.ends(e.op.Request.Key, e.op.Number)
	}
	w.ref.collection.begin(e.in)
	w.ref.older = w.c.levelOf(e.at.Epoch) == 0
	if what := w.ref.apply(e.at, before, e.position, e.data, e.op); what != "" {
		w.c.fail("invariant", "%s", what)
	}
	w.prints = append(w.prints, w.ref.print())
}

// stepped sees what a replica received.
func (w *invariants) stepped(i int, msg message.Message) {
	if w.off {
		return
	}
	var data []*message.Data
	switch m := msg.(type) {
	case *message.Data:
		data = append(data, m)
	case *message.Fill: // what a wedged member has brought
		data = m.Data
	}
	for _, d := range data {
		w.received[place{Epoch: d.Epoch, Timestamp: lamport.Timestamp{Time: d.Clock, Node: d.From}}] |= 1 << i
	}
}

// sent sees what a replica sends: its own DATA it has.
func (w *invariants) sent(i int, msg message.Message) {
	if w.off {
		return
	}
	h := msg.Head()
	name := wedge{h.From, h.Incarnation, h.Epoch}
	works := false
	switch msg := msg.(type) {
	case *message.State:
		w.wedged[name] = true
	case *message.Answers:
		works = msg.Round > 0 || slices.ContainsFunc(msg.Answers, func(a message.Answer) bool { return w.fenced[a.RID] })
	case *message.Data, *message.Ack:
		works = true
	}
	if works && w.wedged[name] {
		w.c.fail("invariant", "%s has told what it holds in epoch %d, and sends %s", h.From, h.Epoch, describe(msg))
	}
	w.stepped(i, msg)
}

// replied sees what a master answers.
func (w *invariants) replied(m *master.Machine, r *master.Reply) {
	s := w.c.tokens[r.Token]
	w.told[r.RID] = w.told[r.RID] || r.Code == model.OK
	if executed, known := r.Code.Executed(); known && !executed && s != nil && s.request.Identity != "" {
		// Its identity is free again, and the next sending is a write of its own.
		delete(w.stamps, fmt.Sprintf("%d/%s", m.Incarnation(), s.request.Identity))
	}
	if w.off || s == nil || r.Replica == 0 || s.request.Model != model.Linearizable || s.request.Type != model.Get {
		return
	}
	if now := m.Snapshot().Epoch; now < s.epoch {
		w.c.fail("invariant", "%s was answered in epoch %d, and epoch %d stood when it came", s, now, s.epoch)
	}
}

// heardAgain sees what a session hears of a set: what it heard first it hears again.
func (w *invariants) heardAgain(s *sending, o *reply) {
	r := &s.request
	if w.off || !r.Writes() || r.Identity == "" {
		return
	}
	age := w.c.now - s.first
	promised := w.c.opts.Keep == 0 || !s.session.tellsAge || age < w.c.promised()
	if o.Code == model.Gone && promised {
		w.c.fail("invariant", "%s is refused as too old after %d units", s, age)
	}
	isFirst := o.Code == model.OK || o.Code == model.Failed
	if !isFirst || r.Model == model.Eventual { // of that another replica may not know yet
		return
	}
	first := w.firsts[r.Identity]
	if first == nil {
		w.firsts[r.Identity] = o
		return
	}
	if !first.same(o) {
		w.c.fail("invariant", "%s came to %+v, and is told now %+v", s, first.Answer, o.Answer)
	}
}

// same reports whether o tells of the same first outcome.
func (first *reply) same(o *reply) bool {
	a, b := &first.Answer, &o.Answer
	return a.RID == b.RID && a.Code == b.Code && a.Position == b.Position && a.Timestamp == b.Timestamp &&
		a.HasRevision == b.HasRevision && a.Revision == b.Revision && string(a.Value) == string(b.Value)
}

// upTo is how many operations of the order end at or below a position.
func (w *invariants) upTo(position uint64) int {
	return sort.Search(len(w.log), func(k int) bool { return w.log[k].position > position })
}

// delivered is called by replica i before it executes op, which takes it from position before to
// position.
func (c *cluster) delivered(i int, at place, before, position uint64, d *message.Data, op *message.Operation) {
	w := &c.watch
	id := c.nodes[i].id
	k := w.upTo(before)
	c.nodes[i].first = c.nodes[i].first || k == len(w.log)
	c.trace("%6d  %s delivers %s at %s, position %d", c.now, id, describeOp(op), at, position)

	last := uint64(0)
	if k > 0 {
		last = w.log[k-1].position
	}

	if w.off {
		if k == len(w.log) {
			w.log = append(w.log, delivered{at: at, position: position, op: op})
		}
		return
	}

	if last != before {
		c.fail("invariant", "%s delivers %s at position %d, and no operation of the order ends at %d", id, describeOp(op), position, before)
		return
	}
	if k == len(w.log) {
		if k > 0 && at.Less(w.log[k-1].at) {
			c.fail("invariant", "%s delivers %s at %s after the order had come to %s", id, describeOp(op), at, w.log[k-1].at)
		}
		if r := c.record(); r != nil && at.Epoch+1 < r.Epoch {
			c.fail("invariant", "%s delivers %s at %s first of all, and the record of epoch %d stands", id, describeOp(op), at, r.Epoch)
		}
		record := c.nodes[i].replica.Record()
		w.append(delivered{at: at, position: position, op: op, data: d, byCut: true, in: &record})
	}

	e := &w.log[k]
	e.byCut = e.byCut && !c.nodes[i].replica.Installed()
	if e.at != at || e.position != position || !sameOp(e.op, op) {
		c.fail("invariant", "%s delivers as number %d %s at %s, position %d; another replica delivered %s at %s, position %d",
			id, k+1, describeOp(op), at, position, describeOp(e.op), e.at, e.position)
	}

	if p := w.stats[i].Phase; p != message.PhaseLearning && p != message.PhaseCaught {
		w.store(i, k) // some keys of a copy may be ahead of its table until the cut is delivered
	}
	if c.nodes[i].replica.Installed() {
		w.stable(i, at, op)
	}
}

// stable checks condition (B) for what is delivered while the view works. Afterwards the
// cut decides.
func (w *invariants) stable(i int, at place, op *message.Operation) {
	c := w.c
	// A DATA of the replica's own turn is not sent yet when nobody else is there.
	has := w.received[at]
	if at.Node == c.nodes[i].id {
		has |= 1 << i
	}
	record := c.nodes[i].replica.Record()
	var members uint64
	for _, m := range record.Members {
		members |= 1 << (m.Node - 1)
	}
	if bits.OnesCount64(has&members) < len(record.Members) {
		c.fail("invariant", "%s delivers %s at %s, which not every member has received (has: %b)", c.nodes[i].id, describeOp(op), at, has)
	}
}

// store compares a replica's store with the reference after k operations of the order.
func (w *invariants) store(i, k int) {
	committed := w.c.nodes[i].replica.Committed
	if got := w.ref.printOf(committed); got != w.prints[k] {
		w.c.fail("invariant", "the store of %s after %d operations of the order is not what the order makes: %s",
			w.c.nodes[i].id, k, w.ref.list(committed))
	}
}

// turned checks a replica after its turn.
func (w *invariants) turned(i int) {
	m := w.c.nodes[i].replica
	id := w.c.nodes[i].id
	if w.off {
		return
	}

	if why := m.Fault(); why != "" {
		w.c.fail("invariant", "%s stopped: %s", id, why)
	}
	if why := m.Reason(); why != "" && !w.c.opts.PutBack {
		w.c.fail("invariant", "%s counts for nothing, and no disk was put back: %s", id, why)
	}
	if m.Replaced() {
		w.c.fail("invariant", "%s is to end for a later process, and there is none", id)
	}

	old, now := w.stats[i], m.Stats()
	w.stats[i] = now
	if now.Pending < 0 {
		w.c.fail("invariant", "%s has answered more than it was asked", id)
	}

	// An array: this is done in every turn.
	figures, n := [5]figure{{"clock", old.Clock, now.Clock}, {"epoch", old.Epoch, now.Epoch}}, 2
	member := now.Phase == message.PhaseMember
	was := old.Phase == message.PhaseMember || old.Phase == message.PhaseWedged
	if member && was {
		figures[2], figures[3], n = figure{"position", old.Position, now.Position}, figure{"safe watermark", old.Safe, now.Safe}, 4
		if old.Epoch == now.Epoch {
			figures[4], n = figure{"watermark", old.Watermark, now.Watermark}, 5
		}
	}
	for _, f := range figures[:n] {
		if f.now < f.old {
			w.c.fail("invariant", "the %s of %s falls from %d to %d", f.what, id, f.old, f.now)
		}
	}

	if !member {
		return
	}
	if now.Safe > now.Watermark {
		w.c.fail("invariant", "%s reads causal numbers up to %d and holds them up to %d", id, now.Safe, now.Watermark)
	}
	w.safe(i, now)
	if now.Position != old.Position {
		w.store(i, w.upTo(now.Position))
	}
}

type figure struct {
	what     string
	old, now uint64
}

// safe checks that whatever may be read is held by f+1 members.
func (w *invariants) safe(i int, now replica.Stats) {
	record := w.c.nodes[i].replica.Record()
	if newest := w.c.record(); newest.Epoch != record.Epoch {
		return
	}
	reached := w.reached[record.Nonce]
	if reached == nil {
		reached = make([]uint64, len(w.c.nodes))
		w.reached[record.Nonce] = reached
	}
	reached[i] = max(reached[i], now.Watermark)
	if now.Safe <= record.High {
		return
	}
	holders := 0
	for _, m := range record.Members {
		if reached[m.Node-1] >= now.Safe {
			holders++
		}
	}
	if holders <= record.Faults {
		w.c.fail("invariant", "%s lets causal number %d be read, which %d members hold", w.c.nodes[i].id, now.Safe, holders)
	}
}

// numbered sees what a master sends: which gets are fenced, and which write got which causal
// number. One that does not lead the newest epoch numbers in vain.
func (w *invariants) numbered(msg message.Message) {
	h, r := msg.Head(), w.c.record()
	w.named(msg)
	if f, ok := msg.(*message.Forward); ok && f.Round > 0 && !w.off {
		for i := range f.Requests {
			if q := &f.Requests[i]; q.Model == model.Linearizable && q.Type == model.Get {
				w.fenced[q.RID] = true
			}
		}
	}
	if r == nil || h.Epoch != r.Epoch || h.Incarnation != r.Master {
		return
	}
	var writes []message.CausalWrite
	switch f := msg.(type) {
	case *message.Forward:
		for i := range f.Requests {
			w.stamped(h, 0, &f.Requests[i])
		}
		writes = f.Writes
	case *message.Fill: // a number that no FORWARD carried: no replica could be sent one then
		writes = f.Writes
	}
	for i := range writes {
		w.stamped(h, writes[i].Number, &writes[i].Request)
		if what := w.ref.number(&writes[i]); what != "" && !w.off {
			w.c.fail("invariant", "%s", what)
		}
	}
}

// named checks that only who leads an epoch stamps the weak sets of it under its own name: two
// writes of one version would be one write to some replicas and two to others (rule W1). Where the
// store loses records, which one was an epoch's is not known afterwards.
func (w *invariants) named(msg message.Message) {
	f, ok := msg.(*message.Forward)
	if !ok || w.off || w.c.opts.LostRecords > 0 {
		return
	}
	records := w.c.registry.records
	for i := range f.Requests {
		v := f.Requests[i].Version
		if v.Node != f.From || v.Epoch == 0 || v.Epoch > uint64(len(records)) {
			continue
		}
		if leader := records[v.Epoch-1].Master; leader != f.Incarnation {
			w.c.fail("invariant", "the weak set %s has version %s, stamped by master %d, and master %d led that epoch",
				request(&f.Requests[i]), v, f.Incarnation, leader)
		}
	}
}

// stamped checks that a weak set has one version, however often it is sent: stamped
// again it would be a younger write, and come back over one that it lost to. (Clients see
// that only in rare schedules: the first version that is delivered counts.)
func (w *invariants) stamped(h *message.Header, number uint64, r *message.Request) {
	if w.off || !r.Writes() || r.Model.Strong() || r.Identity == "" {
		return
	}
	if r.Model == model.Causal && number == 0 {
		return // the question of a new master, whether this set was numbered
	}
	name := fmt.Sprintf("%d/%s", h.Incarnation, r.Identity)
	if number > 0 { // a number that was void may have been given to the same set again
		name += fmt.Sprintf("/%d/%d", h.Epoch, number)
	}
	had, ok := w.stamps[name]
	mayStampAnew := !w.ref.collection.floor.Less(had)
	if ok && had != r.Version && !mayStampAnew {
		w.c.fail("invariant", "the weak set %s of master %d has version %s, and had %s", request(r), h.Incarnation, r.Version, had)
	}
	w.stamps[name] = r.Version
}

func sameOp(a, b *message.Operation) bool {
	if a == b {
		return true
	}
	return a.Op == b.Op && a.Number == b.Number && a.Request.RID == b.Request.RID && a.Request.Identity == b.Request.Identity &&
		a.Request.Key == b.Request.Key && string(a.Request.Value) == string(b.Request.Value) && a.Request.Version == b.Request.Version &&
		fmt.Sprint(a.Reads) == fmt.Sprint(b.Reads)
}
