package sim

import (
	"fmt"
	"math"
	"math/rand/v2"

	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/client/judge/history"
)

// Runs of [OpsFromSeed]: sessions delete, add, set conditions and times to live as well, and what
// they hear is held against the one order, as the reference executes it. The checkers of package
// history are not asked: the order says more.

// OpsFromSeed draws a run in which sessions make every type of request. In half of the runs the
// nodes' clocks on the wall differ, and jump.
func OpsFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x0b5e55))
	o.Ops, o.Skewed = true, r.IntN(2) == 0
	o.Requests += 6
	o.Keys = 1 + r.IntN(3)
	return o
}

// What sessions ask for in such runs, each as often as it stands there.
var (
	strongTypes = [...]model.Type{
		model.Set, model.Set, model.Set, model.Get, model.Get, model.Get, model.Delete, model.Add, model.Add,
		model.Txn, model.Txn,
	}
	weakTypes = [...]model.Type{model.Set, model.Set, model.Set, model.Get, model.Get, model.Get, model.Delete, model.Delete}
)

// inventOperation makes up the next request.
func (s *session) inventOperation(c *cluster) *sending {
	s.made++
	w := &sending{session: s, try: 1}
	r := &w.request
	r.Model = s.models[c.rand.IntN(len(s.models))]
	r.Key = string(rune('a' + c.rand.IntN(c.opts.Keys)))
	if r.Model.Strong() {
		r.Type = strongTypes[c.rand.IntN(len(strongTypes))]
	} else {
		r.Type = weakTypes[c.rand.IntN(len(weakTypes))]
	}

	switch r.Type {
	case model.Set:
		r.Value = s.value(c)
		if c.rand.IntN(3) == 0 {
			r.TTL = 10 + c.rand.Uint64N(600)
		}
	case model.Add:
		r.Value = fmt.Append(nil, c.rand.IntN(20)-10)
		if c.rand.IntN(12) == 0 {
			r.Value = fmt.Append(nil, math.MaxInt64)
		}
	}
	if r.Type == model.Txn {
		r.Key = ""
		r.Value = s.transaction(c)
	} else if r.Model.Strong() && r.Writes() && c.rand.IntN(2) == 0 {
		r.HasIf, r.If = true, s.guess(c, r.Key)
	}

	if r.Writes() && !readOnly(r.Value, r.Type) && c.rand.IntN(4) > 0 {
		r.Identity = fmt.Sprintf("%s.%d", s.name, s.made) // as the Go package makes them
		r.Digest = r.Request.Digest()
	}
	if c.rand.IntN(4) == 0 {
		w.replica = lamport.Replica(1 + c.rand.IntN(c.opts.Replicas))
	}
	return w
}

// value is one that nobody else sets: a number, or none.
func (s *session) value(c *cluster) []byte {
	if c.rand.IntN(2) == 0 {
		return fmt.Append(nil, 10_000*(s.index+1)+s.made)
	}
	return fmt.Appendf(nil, "%s-%d", s.name, s.made)
}

// guess is a revision that a key may have: what the session has heard last, or nothing of that.
func (s *session) guess(c *cluster, key string) uint64 {
	switch c.rand.IntN(6) {
	case 0:
		return 0
	case 1:
		return 1 + c.rand.Uint64N(s.position+1)
	default:
		return s.revisions[key]
	}
}

// wallStart is the time on the wall, in milliseconds since 1970, at which a run begins.
const wallStart = 1_800_000_000_000

// wall is a node's clock on the wall. It may jump until everything heals.
func (c *cluster) wall(n *node) uint64 {
	switch {
	case !c.opts.Skewed:
	case c.healed:
		n.skew = 0
	case c.rand.IntN(200) == 0:
		n.skew = c.rand.Int64N(3000) - 1500
	}
	return uint64(wallStart + c.now*10/tickUnits + n.skew)
}

// ending says which value is still to end, or "".
func (c *cluster) ending() string {
	if !c.opts.Ops {
		return ""
	}
	living := c.living()
	for _, key := range c.watch.ref.keys {
		for _, n := range living {
			if rec, _ := n.replica.Committed(key); rec.Expires > 0 {
				return fmt.Sprintf("the value of %s at %s is to end at %d; ", key, n.id, rec.Expires)
			}
		}
	}
	return ""
}

// endsLate finds a value that lives for more than a second after its end while the cluster is ready
// (OPERATIONS.md): nothing is lost, and the clocks agree.
func (c *cluster) endsLate() {
	leader := c.leader()
	isReady := c.healed && leader != nil && leader.Ready()
	if !isReady || c.watch.off {
		c.watch.readySince = c.now
		return
	}
	for _, key := range c.watch.ref.keys {
		for _, n := range c.living() {
			rec, _ := n.replica.Committed(key)
			if rec.Expires == 0 {
				continue
			}
			end := (int64(rec.Expires) - wallStart) * tickUnits / 10
			if late := c.now - max(end, c.watch.readySince); late > endsWithin*tickUnits {
				c.fail("liveness", "%s holds the value of %s %d ticks after its end", n.id, key, late/tickUnits)
			}
		}
	}
}

// endsWithin is how many ticks a value may live after its end: 1 s.
const endsWithin = 100

// ends sees the end of a value when it is delivered first.
func (w *invariants) ends(key string, revision uint64) {
	old, now := w.ref.store[key], wallStart+w.c.now*10/tickUnits
	isTheOne := old.has() && old.revision == revision
	if isTheOne && !w.c.opts.Skewed && uint64(now) < old.expires {
		w.c.fail("invariant", "%q ends at %s at %d, and was to live until %d", old.value, key, now, old.expires)
	}
}

// heard compares what a session hears with the one order.
func (w *invariants) heard(s *sending, o *reply) {
	r := &s.request
	if w.off || !w.c.opts.Ops || !o.Code.Answered() {
		return
	}
	switch {
	case readOnly(r.Value, r.Type):
		w.heardOfReads(s, o)
	case r.Model.Strong() && r.Writes():
		w.heardOfWrite(s, o)
	case r.Type == model.Get && r.Model.Strong():
		w.heardOfGet(s, o)
	case r.Type == model.Get:
		w.heardOfWeakGet(s, o)
	}
}

func (w *invariants) heardOfWrite(s *sending, o *reply) {
	id := s.request.Identity
	if id == "" {
		id = fmt.Sprintf("#%d", o.RID)
	}
	want, ok := w.ref.outcomes[id]
	got := ended{code: o.Code, position: o.Position, revision: o.Revision, result: string(o.Value)}
	isTold := o.HasRevision || s.request.Type == model.Txn
	if !ok || got != want || !isTold {
		w.c.fail("history", "%s hears %+v (a revision: %t), and what the order makes of it is %+v (found: %t)",
			s, got, o.HasRevision, want, ok)
	}
}

func (w *invariants) heardOfGet(s *sending, o *reply) {
	want := w.ref.at(s.request.Key, o.Position)
	if !want.is(o) {
		w.c.fail("history", "%s hears %s, and at position %d the order has made %+v of it", s, said(o), o.Position, want)
	}
}

// heardOfWeakGet: what has a revision stands in the order. Anything else is not committed yet, and
// somebody has asked for it. A causal session never reads what is before its own write.
func (w *invariants) heardOfWeakGet(s *sending, o *reply) {
	key, wrote := s.request.Key, s.session.wrote[s.request.Key]
	isBefore := s.request.Model == model.Causal && o.Timestamp > 0 && o.Timestamp < wrote
	switch {
	case isBefore:
		w.c.fail("history", "%s hears %s, of timestamp %d, and has written %d", s, said(o), o.Timestamp, wrote)
	case o.Code == model.NotFound && o.HasRevision:
		w.c.fail("history", "%s hears a revision of nothing: %s", s, said(o))
	case o.HasRevision:
		if want := w.ref.at(key, o.Revision); !want.is(o) {
			w.c.fail("history", "%s hears %s, and at that revision the order has made %+v of it", s, said(o), want)
		}
	case o.Code == model.OK && !w.c.values[key+"="+string(o.Value)]:
		w.c.fail("history", "%s hears %s, and nobody has set that", s, said(o))
	}
}

// is reports whether o is the answer to a get that finds r.
func (r record) is(o *reply) bool {
	if !r.has() {
		return o.Code == model.NotFound && !o.HasRevision
	}
	return o.Code == model.OK && o.HasRevision && string(o.Value) == r.value && o.Revision == r.revision && o.Expires == r.expires
}

func said(o *reply) string {
	return fmt.Sprintf("%d %q, revision %d (given: %t), expires %d", o.Code, o.Value, o.Revision, o.HasRevision, o.Expires)
}

// judgeOperations judges what only all of a run shows: the order of positions respects time, and
// sessions.
func (c *cluster) judgeOperations() {
	seen := map[string]bool{}
	var ops []history.Operation
	for _, o := range c.history {
		isAnswered := model.Code(o.Code).Answered()
		if again := o.Identity != "" && seen[o.Identity]; !again && isAnswered && o.Model.Strong() {
			ops = append(ops, o)
		}
		seen[o.Identity] = true
	}
	for i := range ops {
		for k := range ops {
			if a, b := &ops[i], &ops[k]; isBefore(a, b) && standsBehind(a, b) {
				c.fail("history", "%s had ended before %s began, and stands behind it", a, b)
				return
			}
		}
	}
}

// isBefore reports whether b must not stand before a in the order: it began when a had ended, and
// both are linearizable, or of one session.
func isBefore(a, b *history.Operation) bool {
	if a.Return >= b.Call {
		return false
	}
	bothLinearizable := a.Model == model.Linearizable && b.Model == model.Linearizable
	return bothLinearizable || a.Session == b.Session
}

// standsBehind reports whether a's position is behind that of b: a write has one of its own.
func standsBehind(a, b *history.Operation) bool {
	if b.Type.Writes() && !readOnly([]byte(b.Value), b.Type) {
		return b.Position <= a.Position
	}
	return b.Position < a.Position
}
