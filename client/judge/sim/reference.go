package sim

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"quartet/bus/lamport"
	"quartet/bus/message"
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
}

type record struct {
	value   string
	version lamport.Version
}

func newReference(o *Options, window int) reference {
	r := reference{store: make(map[string]record), done: make(map[string]bool), causal: make(map[uint64]*message.Request)}
	for i := range o.Keys {
		r.keys = append(r.keys, string(rune('a'+i)))
	}
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

// void forgets the numbers above last: a new master may give them to other writes.
func (r *reference) void(last uint64) {
	for n := range r.causal {
		if n > last {
			delete(r.causal, n)
		}
	}
}

func (r *reference) apply(at lamport.Version, position uint64, d *message.Data, op *message.Operation) string {
	switch op.Op {
	case message.OpStrong:
		v := at
		if old := r.store[op.Request.Key]; v.Less(old.version) {
			return fmt.Sprintf("a strong set at %s finds %q with the greater version %s", v, old.value, old.version)
		}
		late := r.memory.tooOld(&op.Request) || r.memory.late(&op.Request, d)
		if !late || r.memory.knows(name(&op.Request)) {
			return r.execute(&op.Request, v, position)
		}

	case message.OpWeak:
		if !op.Request.Version.Less(at) {
			return fmt.Sprintf("the version %s of a weak write is not below its place %s", op.Request.Version, at)
		}
		return r.execute(&op.Request, op.Request.Version, position)

	case message.OpCommit:
		for ; r.up < op.Number; r.up++ {
			w := r.causal[r.up+1]
			if w == nil {
				return fmt.Sprintf("causal writes up to %d are committed, and nobody gave out number %d", op.Number, r.up+1)
			}
			if !w.Version.Less(at) {
				return fmt.Sprintf("the version %s of causal write %d is not below the place of its commit, %s", w.Version, r.up+1, at)
			}
			if what := r.execute(w, w.Version, position); what != "" {
				return what
			}
		}
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
func (r *reference) execute(q *message.Request, version lamport.Version, position uint64) string {
	id := name(q)
	if r.memory.knows(id) {
		return ""
	}
	r.memory.entries = append(r.memory.entries, remembered{id, r.memory.now})
	old, ok := r.store[q.Key]
	greater := !ok || !version.Less(old.version)
	if r.done[id] {
		overwrites := greater && version != old.version
		if q.Model.Strong() || overwrites {
			return fmt.Sprintf("%s takes effect a second time", request(q))
		}
		return ""
	}
	r.done[id] = true
	r.effects = append(r.effects, history.Effect{Identity: q.Identity, ID: q.RID, Key: q.Key, Value: string(q.Value), Position: position})
	if greater {
		r.store[q.Key] = record{string(q.Value), version}
	}
	return ""
}

// print is a fingerprint of the store.
func (r *reference) print() uint64 {
	return r.printOf(func(key string) (store.Record, bool) {
		have, ok := r.store[key]
		return store.Record{Value: []byte(have.value), Version: have.version}, ok
	})
}

func (r *reference) printOf(get func(string) (store.Record, bool)) uint64 {
	h := fnv.New64a()
	for _, key := range r.keys {
		if have, ok := get(key); ok {
			h.Write([]byte(key))
			h.Write(have.Value)
			v := have.Version
			for _, n := range []uint64{v.Epoch, v.Time, uint64(v.Node)} {
				h.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), byte(n >> 32)})
			}
		}
	}
	return h.Sum64()
}

// list compares a store with the reference in words.
func (r *reference) list(get func(string) (store.Record, bool)) string {
	var b strings.Builder
	for _, key := range r.keys {
		have, _ := get(key)
		fmt.Fprintf(&b, " %s: it has %q (%s), the whole order so far makes %q (%s);", key, have.Value, have.Version, r.store[key].value, r.store[key].version)
	}
	return b.String()
}
