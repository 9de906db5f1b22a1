package master

import (
	"bytes"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
)

// known is what the master remembers of a write's identity (Nats-Msg-Id): its one version, the one
// time on the wall from which its deadlines count, and its first outcome once there is one. The
// replicas' table of executed requests is the authority, and survives the master. The master's own
// table answers sooner, and keeps a weak retry the same write instead of a younger write.
type known struct {
	rid     uint64
	digest  uint64
	version lamport.Version
	wall    uint64
	number  uint64
	first   uint64 // tick of the earliest first sending that its clients have told; 0: none

	unknown bool // a sending was answered Unknown
	retired bool // there was no room for it, and it is only here since its flight is under way
	done    bool // it has an outcome
	outcome model.Answer
}

// mostOutcome bounds the value of an outcome that the master remembers, in bytes: it may be a sum,
// or all that a transaction has read. A longer one is asked of the replicas again.
const mostOutcome = 1024

// settle takes the first outcome. What it keeps shares no memory with a, whose value is a part of
// a message.
func (k *known) settle(a *model.Answer) {
	k.rid = a.RID
	if k.done = len(a.Value) <= mostOutcome; k.done {
		k.outcome = *a
		k.outcome.Value = bytes.Clone(a.Value)
	}
}

// again is the first outcome, as it is told now.
func (k *known) again(now lamport.Timestamp) model.Answer {
	a := k.outcome
	a.Clock = now
	return a
}

// repeated deals with a request whose identity was seen before, and reports whether nothing
// more is to be done.
func (m *Machine) repeated(in *Incoming, out *Output) bool {
	r := &in.Request
	if d, ok := m.gets.lookup(r.Identity); ok && d != r.Digest {
		m.Refuse(in.Token, model.Conflict, conflict, out)
		return true
	}

	k, ok := m.writes.lookup(r.Identity)
	if !ok {
		return m.repeatedLong(in, out)
	}
	if k.digest != r.Digest {
		m.Refuse(in.Token, model.Conflict, conflict, out)
		return true
	}
	if k.done {
		answer := k.again(m.now())
		out.Replies = append(out.Replies, Reply{Answer: answer, Token: in.Token, Repeated: true})
		return true
	}

	// It has no outcome: the sending joins the flight under way, or begins another one.
	if m.full(in.Token, out) {
		return true
	}
	if f := m.flights[k.rid]; f != nil {
		m.told(f, r)
		m.join(f, in.Token, true)
		if len(f.asked) > 0 && m.ticks-f.since >= m.cfg.AgainTicks {
			m.again(f, in)
		}
		return true
	}
	m.resume(k, in, out)
	return true
}

// repeatedLong is [Machine.repeated] for the causal writes that are kept longer.
func (m *Machine) repeatedLong(in *Incoming, out *Output) bool {
	r := &in.Request
	x, ok := m.earlier.Lookup(r.Identity, 0)
	switch {
	case ok && x.Digest != r.Digest: // one id, two different requests
		m.Refuse(in.Token, model.Conflict, conflict, out)
	case ok: // what the first sending was told
		out.Replies = append(out.Replies, Reply{Answer: m.numbered(x.RID, x.Timestamp), Token: in.Token, Repeated: true})
	case m.tooOld(r): // it may have been executed, and forgotten since
		m.Refuse(in.Token, model.Gone, tooOld, out)
	default:
		return false
	}
	return true
}

// again forwards a flight once more, to another replica if there is one: the first
// may be gone, or the forward was lost. Its identity makes that harmless.
func (m *Machine) again(f *flight, in *Incoming) {
	fits := (*peer).serves
	if !ofViews(&f.request) {
		fits = (*peer).servesWeak
	} else if m.members.Changing() {
		return // it is sent again in the next view
	}

	p := m.draw(in.Draw, func(p *peer) bool { return fits(p) && p.node != f.replica })
	if causalWrite(&f.request) {
		p = m.recaller(&f.request)
	} else if asked := m.peer(in.Replica); asked != nil && fits(asked) {
		p = asked
	}

	if p == nil {
		if p = m.peer(f.replica); p == nil || !fits(p) {
			return
		}
	}
	m.dispatch(f, p)
}

// told takes over what another sending of a flight's write says of its age: the earliest first
// sending of all that were told, of this flight and of those before, is nearest the truth, and
// what is forwarded again must not say less, or a replica that has forgotten the write executes it
// a second time (rule S6). If none says anything, the latest sending counts: it was made in the
// time that is promised.
func (m *Machine) told(f *flight, r *message.Request) {
	k := f.known
	isEarliest := k.first == 0 || r.First < k.first
	if r.First > 0 && isEarliest {
		k.first = r.First
	}
	f.request.First, f.request.Came = k.first, 0
	if k.first == 0 {
		f.request.Came = m.time()
	}
}

// resume starts a new flight for a write whose earlier sending was answered Unknown, or whose
// outcome only replicas remember: the same rID, the same stamp, the same time on the wall. With
// another time one version would have two deadlines, each at some replica (rule P3).
func (m *Machine) resume(k *known, in *Incoming, out *Output) {
	p, code, why := m.place(in)
	if why != "" {
		m.Refuse(in.Token, code, why, out)
		return
	}
	f := &flight{request: in.Request, writes: true, known: k, number: k.number, wanted: in.Replica}
	f.request.RID, f.request.Version, f.request.Wall = k.rid, k.version, k.wall
	m.told(f, &in.Request)
	m.flights[k.rid] = f
	m.join(f, in.Token, true)
	m.launchOrPause(f, p, in.Draw)
}

// retire gives up an identity for which there is no room any more, and reports whether it stays
// all the same. An identity whose flight is under way stays until the flight has landed: a
// second flight would be a second write. The outcomes of causal writes are kept for as long as
// replicas keep them, since no replica is asked before a causal write gets its number. The
// replicas recognise all other writes.
func (m *Machine) retire(id string, k *known) bool {
	if m.flights[k.rid] != nil {
		k.retired = true
		return true
	}
	if k.done && k.outcome.Timestamp > 0 {
		m.earlier.Add(&dedup.Entry{ID: id, RID: k.rid, Digest: k.digest, Timestamp: k.outcome.Timestamp, Time: m.time()})
		for m.earlier.Cost() > m.cfg.KeepBytes {
			m.forgetOldest()
		}
	}
	return false
}

// landed retires an identity whose flight has landed, if there was no room for it before.
func (m *Machine) landed(id string, k *known) {
	if k.retired {
		m.writes.remove(id)
		m.retire(id, k)
	}
}

// forgetOld drops the outcomes of causal writes that are older than the promised time.
func (m *Machine) forgetOld() {
	for {
		x, some := m.earlier.Oldest()
		if !some || x.Time+m.cfg.KeepTicks >= m.time() {
			return
		}
		m.forgetOldest()
	}
}

func (m *Machine) forgetOldest() {
	x, _ := m.earlier.Oldest()
	m.horizon = max(m.horizon, x.Time+1)
	m.earlier.Forget()
}

// tooOld reports whether a causal write that is not remembered was sent for the first time
// when one that took effect may be forgotten by now (rule S6: the replicas say it of all
// other writes).
func (m *Machine) tooOld(r *message.Request) bool {
	return causalWrite(r) && r.First > 0 && m.horizon > 0 && r.First < m.horizon+m.cfg.Margin()
}

const tooOld = "sent for the first time so long ago that whether it took effect then is no longer known; " +
	"this sending was not executed: read the key"

// time is the time by which the replicas count the order's time: this machine's ticks, of 10 ms.
func (m *Machine) time() uint64 { return message.TimeBase + m.ticks }

// first is the time of the first sending of a request that is age ticks old.
func (m *Machine) first(age uint64) uint64 { return m.time() - min(age, m.time()-1) }
