package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/big"
	"slices"
	"sort"
	"strings"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/replica/store"
)

// reference executes the one order as the design words it, in as few lines as possible
// and with none of the machine's code: the committed layer that every replica must have.
type reference struct {
	keys    []string
	store   map[string]record
	done    map[string]bool // requests, by identity
	memory  memory          // of those that are not forgotten
	causal  map[uint64]*message.Request
	up      uint64 // causal numbers committed
	effects []history.Effect

	last     uint64              // position of the newest write
	past     map[string][]record // what stood at each key, by revision; kind 0: nothing did from there on
	outcomes map[string]ended    // of strong writes, by identity
	gone     map[string]bool     // by identity: sets whose value stands nowhere any more

	collection collection
	putBack    bool // disks are put back
	older      bool // the epoch is of a build that knew no levels (rule O1)
}

// revision is that of what a write at a position leaves.
func (r *reference) revision(position uint64) uint64 {
	if r.older {
		return 1
	}
	return position
}

// record is what stands at a key; its zero value: nothing ever did.
type record struct {
	kind     store.Kind
	value    string
	version  lamport.Version
	number   uint64
	revision uint64
	expires  uint64
	by       string // the identity of the set that wrote it; "": no set did
}

// has reports whether there is a value.
func (r record) has() bool { return r.kind == store.KindValue }

// ended is the first outcome of a strong write.
type ended struct {
	code               model.Code
	position, revision uint64
	result             string
}

func newReference(o *Options, window int) reference {
	r := reference{
		store: make(map[string]record), done: make(map[string]bool), causal: make(map[uint64]*message.Request),
		past: make(map[string][]record), outcomes: make(map[string]ended), gone: make(map[string]bool),
	}
	for i := range o.Keys {
		r.keys = append(r.keys, string(rune('a'+i)))
	}
	r.putBack = o.PutBack
	r.memory = memory{window: window, keep: uint64(o.Keep)}
	return r
}

// memory says which requests are still known: the last ones, and those that took effect not
// long ago by the time that DATA tell.
type memory struct {
	window int
	keep   uint64 // 0: nothing is forgotten

	epoch, tick, now, horizon uint64
	entries                   []remembered // oldest first
}

type remembered struct {
	id string
	at uint64
}

func (m *memory) advance(epoch, tick uint64) {
	if epoch > m.epoch {
		m.epoch, m.tick = epoch, 0
	}
	if tick <= m.tick {
		return
	}
	if m.tick > 0 {
		m.now += tick - m.tick
	}
	m.tick = tick
	for m.keep > 0 && len(m.entries) > m.window && m.entries[0].at+m.keep < m.now {
		m.horizon = m.entries[0].at + 1
		m.entries = m.entries[1:]
	}
}

func (m *memory) knows(id string) bool {
	return slices.ContainsFunc(m.entries, func(r remembered) bool { return r.id == id })
}

// tooOld reports whether a request was sent first when what took effect then may be
// forgotten by now.
func (m *memory) tooOld(q *message.Request) bool {
	return q.First > 0 && m.horizon > 0 && m.now+min(q.First, m.tick) < m.tick+m.horizon+m.keep/5
}

// late reports whether a request whose session tells no age has come to the master so long ago
// that it may be one that is forgotten: it was sent first within the promised time before that.
func (m *memory) late(q *message.Request, d *message.Data) bool {
	came := q.Came
	if came == 0 {
		came = d.Time
	}
	if q.First > 0 || came == 0 || m.horizon == 0 || m.tick <= came+m.keep*2/15 {
		return false
	}
	return m.now+came < m.tick+m.horizon+m.keep*4/5
}

// number notes which write has a causal number; it never changes.
func (r *reference) number(w *message.CausalWrite) string {
	if had := r.causal[w.Number]; had != nil && had.RID != w.Request.RID {
		return fmt.Sprintf("causal number %d is given to request %d, and was given to %d", w.Number, w.Request.RID, had.RID)
	}
	r.causal[w.Number] = &w.Request
	return ""
}

// void forgets the numbers above last, since a new master may give them to other writes, and
// returns what they were.
func (r *reference) void(last uint64) map[uint64]*message.Request {
	forgotten := make(map[uint64]*message.Request)
	for n, w := range r.causal {
		if n > last {
			forgotten[n] = w
			delete(r.causal, n)
		}
	}
	return forgotten
}

// apply executes an operation that takes the order from one position to another, and says what is
// wrong with it, or "".
func (r *reference) apply(at lamport.Version, from, to uint64, d *message.Data, op *message.Operation) string {
	takes := op.Count()
	switch op.Op {
	case message.OpStrong:
		late := r.memory.tooOld(&op.Request) || r.memory.late(&op.Request, d)
		if !late || r.memory.knows(name(&op.Request)) {
			if what := r.execute(&op.Request, at, 0, to); what != "" {
				return what
			}
		}

	case message.OpWeak:
		if !op.Request.Version.Less(at) {
			return fmt.Sprintf("the version %s of a weak write is not below its place %s", op.Request.Version, at)
		}
		if what := r.execute(&op.Request, op.Request.Version, 0, to); what != "" {
			return what
		}

	case message.OpEnd:
		old := r.store[op.Request.Key]
		if old.has() && old.revision == op.Number {
			r.memory.entries = append(r.memory.entries, remembered{"", r.memory.now})
			return r.put(op.Request.Key, record{kind: store.KindTombstone, version: old.version, number: old.number, revision: to})
		}

	case message.OpHorizon:
		r.collection.propose(op.Request.Version)

	case message.OpAgree:
		if r.collection.agree(op.Request.Version, d.From) {
			r.collect(to)
		}

	case message.OpCommit:
		takes = max(op.Number, r.up+1) - r.up
		if r.older {
			takes = 1
		}
		for position := from; r.up < op.Number; r.up++ {
			w := r.causal[r.up+1]
			if w == nil {
				return fmt.Sprintf("causal writes up to %d are committed, and nobody gave out number %d", op.Number, r.up+1)
			}
			if !w.Version.Less(at) {
				return fmt.Sprintf("the version %s of causal write %d is not below the place of its commit, %s", w.Version, r.up+1, at)
			}
			position = min(position+1, from+takes)
			if what := r.execute(w, w.Version, r.up+1, position); what != "" {
				return what
			}
		}
	}

	if to-from != takes {
		return fmt.Sprintf("it takes the order from position %d to %d, and stands for %d operations", from, to, takes)
	}
	return ""
}

func name(q *message.Request) string {
	if q.Identity == "" {
		return fmt.Sprintf("#%d", q.RID)
	}
	return q.Identity
}

// execute takes effect once for each identity, where the key holds nothing greater. (Two
// strong sets of one DATA have one version; the second comes later.) A weak set that is
// forgotten and comes again may be committed again as long as nothing becomes of that.
func (r *reference) execute(q *message.Request, version lamport.Version, number, position uint64) string {
	id := name(q)
	if r.memory.knows(id) {
		return ""
	}
	r.memory.entries = append(r.memory.entries, remembered{id, r.memory.now})

	old := r.store[q.Key]
	greater := old.kind == 0 || !version.Less(old.version)
	isBelow := !q.Model.Strong() && !r.collection.floor.Less(version)
	if isBelow && old.kind == 0 {
		greater = false
	}
	if r.done[id] {
		overwrites := greater && version != old.version
		if q.Model.Strong() || overwrites {
			return fmt.Sprintf("%s takes effect a second time", request(q))
		}
		return ""
	}
	r.done[id] = true
	if isBelow && !r.putBack { // a disk that is put back may bring back what was lost with it
		return fmt.Sprintf("%s is executed after the tombstones up to %s were collected", request(q), r.collection.floor)
	}

	if position <= r.last && !r.older {
		return fmt.Sprintf("%s is to have position %d, and a write has position %d", request(q), position, r.last)
	}
	r.last = position
	if !q.Model.Strong() {
		r.effects = append(r.effects, history.Effect{
			Identity: q.Identity, ID: q.RID, Key: q.Key, Value: string(q.Value), Position: position,
		})
		if left, _, _ := change(q, old); greater && version != old.version {
			left.version, left.number, left.revision = version, number, r.revision(position)
			return r.put(q.Key, left)
		}
		return ""
	}

	if q.Type == model.Txn {
		return r.transaction(q, version, position)
	}
	if !greater {
		return fmt.Sprintf("a strong write at %s finds %q with the greater version %s", version, old.value, old.version)
	}
	return r.strong(q, old, version, position)
}

// strong lets a write of models 1 and 2 take effect, or finds that it cannot.
func (r *reference) strong(q *message.Request, old record, version lamport.Version, position uint64) string {
	left, result, done := change(q, old)
	if !done {
		revision := uint64(0)
		if old.has() {
			revision = old.revision
		}
		r.outcomes[name(q)] = ended{code: model.Failed, position: position, revision: revision}
		return ""
	}
	r.outcomes[name(q)] = ended{code: model.OK, position: position, revision: r.revision(position), result: result}
	r.effects = append(r.effects, history.Effect{Identity: q.Identity, ID: q.RID, Key: q.Key, Value: string(q.Value), Position: position})
	left.version, left.revision = version, r.revision(position)
	return r.put(q.Key, left)
}

// change is what a write makes of what stands at its key; done: it can be done.
func change(q *message.Request, old record) (left record, result string, done bool) {
	if q.HasIf {
		absent := q.If == 0 && !old.has()
		same := q.If != 0 && q.If == old.revision
		if !absent && !same {
			return record{}, "", false
		}
	}

	switch q.Type {
	case model.Set:
		left = record{kind: store.KindValue, value: string(q.Value), by: name(q)}
		if q.TTL > 0 {
			left.expires = q.Wall + q.TTL
		}
	case model.Delete:
		left = record{kind: store.KindTombstone}
	case model.Add:
		sum, by := new(big.Int), new(big.Int)
		isNumber := true
		if old.has() {
			_, isNumber = sum.SetString(old.value, 10)
		}
		if _, ok := by.SetString(string(q.Value), 10); !ok || !isNumber {
			return record{}, "", false
		}
		if !sum.Add(sum, by).IsInt64() {
			return record{}, "", false
		}
		left = record{kind: store.KindValue, value: sum.String(), expires: old.expires}
		result = sum.String()
	}
	return left, result, true
}

// put leaves a record at a key. Its revision rises, and a value that another one, or none, has
// taken the place of never stands there again.
func (r *reference) put(key string, left record) string {
	old := r.store[key]
	if past := r.past[key]; len(past) > 0 && left.revision <= past[len(past)-1].revision && !r.older {
		return fmt.Sprintf("the revision of %s goes from %d to %d", key, past[len(past)-1].revision, left.revision)
	}
	if old.by != "" {
		r.gone[old.by] = true
	}
	if r.gone[left.by] {
		return fmt.Sprintf("%q comes back at %s, at position %d", left.value, key, left.revision)
	}
	r.store[key] = left
	r.past[key] = append(r.past[key], left)
	return ""
}

// at is what stood at a key at a position.
func (r *reference) at(key string, position uint64) record {
	past := r.past[key]
	n := sort.Search(len(past), func(i int) bool { return past[i].revision > position })
	if isNone := n == 0 || past[n-1].kind == 0; isNone {
		return record{}
	}
	return past[n-1]
}

// print is a fingerprint of the store.
func (r *reference) print() uint64 {
	return r.printOf(func(key string) (store.Record, bool) {
		have, ok := r.store[key]
		return store.Record{
			Kind: have.kind, Value: []byte(have.value), Version: have.version, Number: have.number,
			Revision: have.revision, Expires: have.expires,
		}, ok
	})
}

func (r *reference) printOf(get func(string) (store.Record, bool)) uint64 {
	h := fnv.New64a()
	var b []byte
	for _, key := range r.keys {
		if have, ok := get(key); ok {
			v := have.Version
			b = append(append(append(b[:0], key...), byte(have.Kind)), have.Value...)
			for _, n := range [...]uint64{v.Epoch, v.Time, uint64(v.Node), have.Number, have.Revision, have.Expires} {
				b = binary.BigEndian.AppendUint64(b, n)
			}
			h.Write(b)
		}
	}
	return h.Sum64()
}

// list compares a store with the reference in words.
func (r *reference) list(get func(string) (store.Record, bool)) string {
	var b strings.Builder
	for _, key := range r.keys {
		have, _ := get(key)
		want := r.store[key]
		fmt.Fprintf(&b, " %s: it has %q (kind %d, version %s, number %d, revision %d, expires %d), "+
			"the whole order so far makes %q (kind %d, version %s, number %d, revision %d, expires %d);",
			key, have.Value, have.Kind, have.Version, have.Number, have.Revision, have.Expires,
			want.value, want.kind, want.version, want.number, want.revision, want.expires)
	}
	return b.String()
}
