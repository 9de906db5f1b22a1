package sim

import (
	"fmt"
	"math/bits"

	"quartet/replica"
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
)

// invariants watches the machines from outside, after every turn:
//
//   - every delivered sequence is a prefix of one order, whose places rise;
//   - nothing is delivered that a member has not received;
//   - positions count the delivered operations;
//   - clocks, positions, watermarks and safe watermarks never fall, safe <= watermark;
//   - a safe number is held by f+1 members;
//   - the store at a position is what the reference makes of the order (reference.go);
//   - no machine has stopped.
type invariants struct {
	c        *cluster
	off      bool
	log      []delivered      // the one order
	next     []int            // by replica: how much of it was delivered
	position []uint64         // by replica
	stats    []replica.Stats  // by replica, after its last turn
	received map[place]uint64 // DATA by place in the order: a bit for each replica that has it
	ref      reference
	master   uint64                     // the incarnation whose INSTALL was seen last
	stamps   map[string]lamport.Version // of weak sets, by identity, in one master's life
	prints   []uint64                   // of the reference's store, after so many operations of the log
}

// place is where a DATA stands in the order.
type place struct {
	epoch uint64
	at    lamport.Timestamp
}

type delivered struct {
	at       lamport.Timestamp
	position uint64
	op       *message.Operation
}

func newInvariants(c *cluster) invariants {
	n := c.opts.Replicas
	w := invariants{
		c: c, off: c.opts.HistoriesOnly, next: make([]int, n), position: make([]uint64, n),
		stats: make([]replica.Stats, n), received: make(map[place]uint64),
		stamps: make(map[string]lamport.Version), ref: newReference(c.opts.Keys),
	}
	w.prints = append(w.prints, w.ref.print())
	return w
}

// stepped sees what a replica received, and what it sends: its own DATA it has.
func (w *invariants) stepped(i int, msg message.Message) {
	if d, ok := msg.(*message.Data); ok && !w.off {
		w.received[place{d.Epoch, lamport.Timestamp{Time: d.Clock, Node: d.From}}] |= 1 << i
	}
}

// delivered is called by replica i before it executes op, which takes it to position.
func (c *cluster) delivered(i int, at lamport.Timestamp, position uint64, op *message.Operation) {
	w := &c.watch
	k := w.next[i]
	w.next[i]++
	c.trace("%6d  %s delivers %s at %s, position %d", c.now, c.nodes[i].id, describeOp(op), at, position)
	if w.off {
		if k == len(w.log) {
			w.log = append(w.log, delivered{at, position, op})
		}
		return
	}
	if k == len(w.log) {
		if k > 0 && at.Less(w.log[k-1].at) {
			c.fail("invariant", "%s delivers %s at %s after the order had come to %s", c.nodes[i].id, describeOp(op), at, w.log[k-1].at)
		}
		w.log = append(w.log, delivered{at, position, op})
		if what := w.ref.apply(c.nodes[i].replica.View().Epoch, at, position, op); what != "" {
			c.fail("invariant", "%s", what)
		}
		w.prints = append(w.prints, w.ref.print())
	}
	e := &w.log[k]
	if e.at != at || e.position != position || !sameOp(e.op, op) {
		c.fail("invariant", "%s delivers as number %d %s at %s, position %d; another replica delivered %s at %s, position %d",
			c.nodes[i].id, k+1, describeOp(op), at, position, describeOp(e.op), e.at, e.position)
	}
	if w.position[i] += op.Count(); w.position[i] != position {
		c.fail("invariant", "%s calls position %d what is its operation %d", c.nodes[i].id, position, w.position[i])
	}
	w.store(i, k)
	// A DATA of the replica's own turn is not sent yet when nobody else is there.
	has := w.received[place{c.nodes[i].replica.View().Epoch, at}]
	if own := at.Node == c.nodes[i].id; own {
		has |= 1 << i
	}
	if bits.OnesCount64(has) < c.opts.Replicas {
		c.fail("invariant", "%s delivers %s at %s, which not every member has received (has: %b)", c.nodes[i].id, describeOp(op), at, has)
	}
}

// store compares a replica's store with the reference after k operations of the order.
func (w *invariants) store(i, k int) {
	committed := w.c.nodes[i].store
	if got := w.ref.printOf(committed.Get); got != w.prints[k] {
		w.c.fail("invariant", "the store of %s after %d operations of the order is not what the order makes: %s",
			w.c.nodes[i].id, k, w.ref.list(committed.Get))
	}
}

// turned checks a replica after its turn.
func (w *invariants) turned(i int) {
	m := w.c.nodes[i].replica
	if why := m.Fault(); why != "" {
		w.c.fail("invariant", "%s stopped: %s", w.c.nodes[i].id, why)
	}
	if w.off {
		return
	}
	old, now := w.stats[i], m.Stats()
	w.stats[i] = now
	id := w.c.nodes[i].id
	for _, f := range []struct {
		what     string
		old, now uint64
	}{
		{"clock", old.Clock, now.Clock}, {"position", old.Position, now.Position}, {"epoch", old.Epoch, now.Epoch},
		{"safe watermark", old.Safe, now.Safe}, {"watermark", old.Watermark, now.Watermark},
	} {
		if f.now < f.old {
			w.c.fail("invariant", "the %s of %s falls from %d to %d", f.what, id, f.old, f.now)
		}
	}
	if now.Safe > now.Watermark {
		w.c.fail("invariant", "%s reads causal numbers up to %d and holds them up to %d", id, now.Safe, now.Watermark)
	}
	if now.Pending < 0 {
		w.c.fail("invariant", "%s has answered more than it was asked", id)
	}
	if now.Safe > old.Safe {
		holders := 0
		for r := range w.next {
			if w.c.nodes[r].replica.Stats().Watermark >= now.Safe {
				holders++
			}
		}
		if holders <= w.c.faults() {
			w.c.fail("invariant", "%s lets causal number %d be read, which %d members hold", id, now.Safe, holders)
		}
	}
	if now.Position != old.Position {
		w.store(i, w.next[i])
	}
}

// numbered sees what the master sends: which write got which causal number.
func (w *invariants) numbered(msg message.Message) {
	switch f := msg.(type) {
	case *message.Install:
		if f.Incarnation > w.master {
			w.master = f.Incarnation
			w.ref.void(f.Marks.Last)
		}
	case *message.Forward:
		for i := range f.Requests {
			w.stamped(&f.Requests[i])
		}
		w.given(f.Writes)
	case *message.Fill: // a number that no FORWARD carried: no replica could be sent one then
		w.given(f.Writes)
	}
}

func (w *invariants) given(writes []message.CausalWrite) {
	for i := range writes {
		w.stamped(&writes[i].Request)
		if what := w.ref.number(&writes[i]); what != "" && !w.off {
			w.c.fail("invariant", "%s", what)
		}
	}
}

// stamped checks that a weak set has one version, however often it is sent: stamped
// again it would be a younger write, and come back over one that it lost to. (Clients see
// that only in rare schedules: the first version that is delivered counts.)
func (w *invariants) stamped(r *message.Request) {
	if w.off || r.Type != model.Set || r.Model.Strong() || r.Identity == "" {
		return
	}
	if r.Version == (lamport.Version{}) {
		return // the question of a new master, whether this set was numbered
	}
	if had, ok := w.stamps[r.Identity]; ok && had != r.Version {
		w.c.fail("invariant", "the weak set %s has version %s, and had %s", request(r), r.Version, had)
	}
	w.stamps[r.Identity] = r.Version
}

func sameOp(a, b *message.Operation) bool {
	return a == b || a.Op == b.Op && a.Number == b.Number && a.Request.RID == b.Request.RID && a.Request.Identity == b.Request.Identity &&
		a.Request.Key == b.Request.Key && string(a.Request.Value) == string(b.Request.Value) && a.Request.Version == b.Request.Version &&
		fmt.Sprint(a.Reads) == fmt.Sprint(b.Reads)
}
