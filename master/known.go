package master

import (
	"quartet/replica/lamport"
	"quartet/replica/model"
)

// known is what the master remembers of a set's identity (Nats-Msg-Id): its one stamp,
// and its first outcome once there is one. The replicas' table of executed requests is
// the authority, and survives the master; this one answers sooner, and keeps a weak
// retry the same write instead of a younger one.
type known struct {
	rid     uint64
	digest  uint64
	version lamport.Version
	number  uint64

	unknown   bool // a sending was answered Unknown
	done      bool
	position  uint64
	timestamp uint64
	replica   lamport.Node
}

func (k *known) settle(r *Reply) {
	k.done, k.rid = true, r.RID
	k.position, k.timestamp, k.replica = r.Position, r.Timestamp, r.Replica
}

// repeated deals with a request whose identity was seen before, and reports whether
// that was all.
func (m *Machine) repeated(in *Incoming, out *Output) bool {
	r := &in.Request
	if d, ok := m.gets.lookup(r.Identity); ok && d != r.Digest {
		m.Refuse(in.Token, model.Conflict, conflict, out)
		return true
	}
	k, ok := m.sets.lookup(r.Identity)
	if !ok {
		return false
	}
	if k.digest != r.Digest {
		m.Refuse(in.Token, model.Conflict, conflict, out)
		return true
	}
	if k.done {
		out.Replies = append(out.Replies, Reply{
			Token: in.Token, RID: k.rid, Code: model.OK, Replica: k.replica, Clock: m.now(),
			Position: k.position, Timestamp: k.timestamp, Repeated: true,
		})
		return true
	}
	if m.full(in.Token, out) {
		return true
	}
	if f := m.flights[k.rid]; f != nil {
		m.join(f, in.Token, true)
		if len(f.asked) > 0 && m.ticks-f.since >= m.cfg.AgainTicks {
			m.again(f, in)
		}
		return true
	}
	m.resume(k, in, out)
	return true
}

// again forwards a flight once more, to another replica if there is one: the first
// may be gone, or the forward was lost. Its identity makes that harmless.
func (m *Machine) again(f *flight, in *Incoming) {
	fits := (*peer).serves
	if !f.request.Model.Strong() && !causalSet(&f.request) {
		fits = (*peer).servesWeak
	} else if m.members.Changing() {
		return // it is sent again in the next view
	}
	p := m.draw(in.Draw, func(p *peer) bool { return fits(p) && p.node != f.replica })
	if causalSet(&f.request) {
		p = m.recaller(&f.request)
	} else if asked := m.peer(in.Replica); asked != nil && fits(asked) {
		p = asked
	}
	if p == nil {
		if p = m.peer(f.replica); p == nil || !fits(p) {
			return
		}
	}
	if m.cfg.Mutant.RestampRetries && f.request.Version != (lamport.Version{}) {
		f.request.Version = m.stamp()
	}
	m.dispatch(f, p)
}

// resume starts a new flight for a set whose earlier sending was answered Unknown: the
// same rID, the same stamp.
func (m *Machine) resume(k *known, in *Incoming, out *Output) {
	p, code, why := m.place(in)
	if why != "" {
		m.Refuse(in.Token, code, why, out)
		return
	}
	f := &flight{request: in.Request, known: k, number: k.number, wanted: in.Replica}
	f.request.RID, f.request.Version = k.rid, k.version
	if m.cfg.Mutant.RestampRetries && k.version != (lamport.Version{}) {
		f.request.Version = m.stamp()
	}
	m.flights[k.rid] = f
	m.join(f, in.Token, true)
	m.launchOrPause(f, p, in.Draw)
}

// window remembers the last so many identities.
type window[T any] struct {
	entries map[string]remembered[T]
	order   []place // ring, oldest at next once it is full
	next    int
	size    int
	added   uint64
}

type remembered[T any] struct {
	entry T
	added uint64
}

type place struct {
	id    string
	added uint64
}

// defaultWindow is what the public contract promises for Nats-Msg-Id.
const defaultWindow = 100_000

func newWindow[T any](size int) window[T] {
	if size <= 0 {
		size = defaultWindow
	}
	return window[T]{entries: map[string]remembered[T]{}, size: size}
}

func (w *window[T]) lookup(id string) (T, bool) {
	r, ok := w.entries[id]
	return r.entry, ok
}

// add remembers id. One that was removed and added again has an older place in the ring
// as well, which must not end it early.
func (w *window[T]) add(id string, entry T) {
	w.added++
	p := place{id: id, added: w.added}
	if len(w.order) < w.size {
		w.order = append(w.order, p)
	} else {
		old := w.order[w.next]
		if w.entries[old.id].added == old.added {
			delete(w.entries, old.id)
		}
		w.order[w.next] = p
		w.next = (w.next + 1) % w.size
	}
	w.entries[id] = remembered[T]{entry: entry, added: w.added}
}

func (w *window[T]) remove(id string) { delete(w.entries, id) }
