// Package layers is the state of a replica. It promises that every write that has reached the
// replica stands where it belongs, and takes effect once. It has three parts:
//
//   - The committed layer is the result of the delivered prefix of the order. Models 1 and 2
//     read it alone. It stands in a [store.Store].
//   - The tentative layer is the weak writes that were received and are not delivered yet.
//     Models 3 and 4 read the greater version of both.
//   - The table of executed requests (rules S5 and S6) says how each set ended the first
//     time, so that none takes effect twice.
//
// Two replicas that were told of the same delivered operations in the same order hold the same
// committed layer and the same table, whatever else each has received and when. What is to be
// told, and when, is the machine's to decide (package replica). The package is pure: no I/O,
// clock, goroutine or lock.
package layers

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/changes"
	"quartet/replica/dedup"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// Config is what the layers of a replica are born with.
type Config struct {
	Store store.Store

	// Forms are those of transactions, as package codec has them; nil: none is carried out.
	Forms Forms

	// Journal is where the layers note what the disk is to learn beside the records that
	// they put into Store: Executed, Weak and WeakGone. nil: there is no disk.
	Journal *durable.Turn

	dedup.Limits        // of the table of executed requests
	Seed         uint64 // of the table's hashes

	Changes     int // that their log keeps; 0: 100,000
	ChangeBytes int // … and about how many bytes of them at the most; 0: 256 MiB
}

// Forms reads transactions, and writes what they come to.
type Forms interface {
	ParseTransaction(b []byte) (model.Transaction, error)
	TransactionWrites(b []byte) bool // some step of it writes; of what is none, true
	AppendResults(dst []byte, r *model.Results) ([]byte, error)
}

// Layers is what a replica holds. It has one owner: no method may run at the same time as
// another.
type Layers struct {
	cfg       Config
	store     store.Store
	tentative tentative
	executed  executed
	changes   *changes.Log // of the committed layer
	seen      seen
	position  uint64 // ordered operations delivered
	unsaved   int    // bytes of values committed since the last call of Saved
	usual     usual  // what the disk learned at once last

	committedPast past // of the committed layer
	newestPast    past // of what models 3 and 4 read
	preparing     []*Snapshot

	collection message.Collection // of tombstones
	sweep      sweep
}

// New returns layers over what stands in cfg.Store.
func New(cfg Config) *Layers {
	return &Layers{
		cfg: cfg, store: cfg.Store, tentative: newTentative(), executed: newExecuted(&cfg),
		changes:       changes.New(cfg.Changes, cfg.ChangeBytes),
		committedPast: past{seed: cfg.Seed}, newestPast: past{seed: cfg.Seed},
	}
}

// Position is how many ordered operations are delivered.
func (l *Layers) Position() uint64 { return l.position }

// Keys is how many keys have a value in the committed layer.
func (l *Layers) Keys() int { return l.store.Live() }

// Tentative is how many weak writes wait for their delivery, and how many of them were
// accepted by this replica.
func (l *Layers) Tentative() (all, own int) { return len(l.tentative.held), l.tentative.own }

// Committed returns what stands at key in the committed layer.
func (l *Layers) Committed(key string) (store.Record, bool) { return l.at(key) }

// Newest returns what models 3 and 4 read at key: the greater version of the two layers, a value or
// a tombstone; Kind 0: neither layer has one. committed says that it is the committed layer's.
func (l *Layers) Newest(key string) (rec store.Record, committed bool) {
	rec, committed = l.at(key)
	if h := l.tentative.newest(key); h != nil && l.above(&rec, committed).Less(h.version) {
		return h.record(), false
	}
	return rec, committed
}

// Executed returns how the set with r's identity ended, if it has taken effect in the order.
func (l *Layers) Executed(r *message.Request) (Outcome, bool) { return l.executed.lookup(r) }

// Received returns how the weak set with r's identity will end, if it waits for its delivery.
func (l *Layers) Received(r *message.Request) (Outcome, bool) {
	h := l.tentative.find(r)
	if h == nil {
		return Outcome{}, false
	}
	return Outcome{RID: h.rid, Digest: h.digest, Timestamp: h.number}, true
}

// TooOld reports whether a set that is not in the table may have been forgotten by it
// (rule S6). tick is the present time of the master that carries the set.
func (l *Layers) TooOld(r *message.Request, tick uint64) bool { return l.executed.tooOld(r, tick) }

// Late reports whether a set that is not in the table, and whose client does not say how old it
// is, has waited for so long that the table may have forgotten it (rule S6). said is the time of
// the FORWARD or DATA that has the set, tick is as for TooOld.
func (l *Layers) Late(r *message.Request, said, tick uint64) bool {
	return l.executed.late(r, said, tick)
}

// Tick is the greatest master's time that a DATA of this epoch has brought; 0: none.
func (l *Layers) Tick() uint64 { return l.executed.order.Tick }

// Advance takes the time that a delivered DATA tells into the order's time, and forgets what
// is too old then.
func (l *Layers) Advance(tick uint64) { l.executed.advance(tick) }

// NewEpoch makes the next time that is told the first of its epoch: it may be another
// master's, which counts its own ticks. What was to be collected, and is not, is proposed anew.
func (l *Layers) NewEpoch() {
	l.executed.order.Tick = 0
	l.collection.Horizon, l.collection.Agreed = lamport.Version{}, 0
}

// Count takes n ordered operations more into the position.
func (l *Layers) Count(n uint64) { l.position += n }

// Hold takes a weak write (causal, if number is not 0) into the tentative layer, unless its
// request was executed already.
func (l *Layers) Hold(r *message.Request, number uint64) {
	if _, done := l.executed.lookup(r); !done {
		l.touch(r.Key)
		l.tentative.add(r, number)
		l.tell()
	}
}

// Accept takes an eventual write of a client, which is known neither to the table nor to the
// tentative layer, into the tentative layer.
func (l *Layers) Accept(r *message.Request) {
	l.touch(r.Key)
	l.tentative.add(r, 0)
	l.tentative.accept(r)
	l.keep(r)
	l.tell()
}

// Forget drops every version of r's identity from the tentative layer.
func (l *Layers) Forget(r *message.Request) {
	l.forget(r)
	l.tell()
}

func (l *Layers) forget(r *message.Request) {
	for h := l.tentative.find(r); h != nil; h = h.nextOfIdentity {
		l.touch(h.key)
	}
	l.tentative.remove(r, func(h *held) {
		if h.kept && l.cfg.Journal != nil {
			l.cfg.Journal.WeakGone = append(l.cfg.Journal.WeakGone, durable.WeakID{RID: h.rid, Version: h.version})
		}
	})
}

// ForgetCausal drops the causal writes from the tentative layer.
func (l *Layers) ForgetCausal() {
	for _, h := range l.tentative.causal() {
		if !h.left() {
			l.Forget(h.request())
		}
	}
}

// EachEventual calls f for the eventual writes of the tentative layer, in the order of their
// versions, and notes each for the disk. Those that were executed meanwhile leave the layer
// instead.
func (l *Layers) EachEventual(f func(*message.Request)) {
	for _, h := range l.tentative.eventual() {
		if h.left() {
			continue // another version of an identity that left just now
		}

		r := h.request()
		if _, done := l.executed.lookup(r); done {
			l.Forget(r)
			continue
		}
		l.keep(r)
		f(r)
	}
}

// KeepEventual notes all eventual writes of the tentative layer for the disk: the DATA that
// held them are dropped.
func (l *Layers) KeepEventual() {
	if l.cfg.Journal == nil {
		return
	}
	for _, h := range l.tentative.eventual() {
		l.keep(h.request())
	}
}

// Unsaved is how many bytes of values were committed since the last call of Saved.
func (l *Layers) Unsaved() int { return l.unsaved }

// Saved says that all that was committed is handed over to the disk: what stands in the journal.
func (l *Layers) Saved() {
	l.unsaved = 0
	if l.cfg.Journal != nil {
		l.usual.learned(l.cfg.Journal)
	}
}

// Restore makes the layers what a disk says. The committed layer is in the store already.
func (l *Layers) Restore(s *durable.Saved) {
	l.position = s.State.Position
	earlier := s.Earlier
	if earlier == nil {
		earlier = dedup.New(l.executed.seed)
	}
	l.executed.begin(s.State.Entries-uint64(len(s.Executed)), earlier)
	for i := range s.Executed {
		l.executed.add(imported(&s.Executed[i]))
	}
	l.executed.order = s.State.Order
	l.restoreChanges(s)
	l.collection = s.State.Collected
	l.sweep.on = l.Tombstones() > 0

	for i := range s.Weak {
		r := &s.Weak[i]
		if _, done := l.executed.lookup(r); !done {
			l.tentative.add(r, 0)
			l.tentative.version(r).kept = true
			l.tentative.accept(r)
		}
	}
}

// keep notes a tentative write that no DATA on this replica's disk holds.
func (l *Layers) keep(r *message.Request) {
	if l.cfg.Journal == nil {
		return
	}
	if h := l.tentative.version(r); h != nil && !h.kept {
		h.kept = true
		l.cfg.Journal.Weak = append(l.cfg.Journal.Weak, r)
	}
}
