package replica

import (
	"fmt"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// A life is one process of a replica: a number that it draws when it starts (rule F8). A disk
// keeps those that have used it since the newest record that it knows, and each record names
// the life under which a member takes part. So a disk that was put back to an older copy is
// told by a record that names a life of which it knows nothing.
type lives []uint64

// livesMost bounds the list. Of a replica that is started more often without that it learns of
// a record the first life and the last ones are kept.
const livesMost = 64

// with returns the list with one life more.
func (l lives) with(life uint64) lives {
	if len(l) >= livesMost {
		l = slices.Delete(slices.Clone(l), 1, len(l)-livesMost+2)
	}
	return append(slices.Clip(l), life)
}

// since returns the lives from the one that a record names; those before it can be named by
// no later record.
func (l lives) since(life uint64) lives {
	if i := slices.Index(l, life); i >= 0 {
		return slices.Clone(l[i:])
	}
	return l
}

// named returns what a record says of this replica's process, or nil if it names none of its
// incarnation.
func (m *Machine) named(r *message.Record) *message.Member {
	if i := r.Index(m.cfg.Self); i >= 0 && r.Members[i].Incarnation == m.cfg.Incarnation {
		return &r.Members[i]
	}
	return nil
}

// remembers reports whether the process that a record names has worked with what this replica
// holds.
func (m *Machine) remembers(named *message.Member) bool {
	return named.Life == 0 || m.cfg.Mutant.NoLives || slices.Contains(m.lives, named.Life)
}

// isThis reports whether the process that a record names is this one, and not an earlier one
// with the same disk. One that was born after the record's members had said what they hold
// does not work in its epoch: what an earlier one has done there, if its disk was put back
// since, nobody could tell from what this one does.
func (m *Machine) isThis(named *message.Member) bool {
	return named.Life == 0 || m.cfg.Mutant.NoLives || named.Life == m.cfg.Life
}

// goBack makes a replica whose data are older than what it has told a learner. What it has is
// a prefix of the order, as that of any learner, so it is loaded with the rest.
func (m *Machine) goBack(r *message.Record, why string) {
	m.back = why
	m.outside(r)
}

// setAside ends the part of a replica in the cluster that cannot follow it: it has delivered
// what the others' record leaves out. It keeps what it has, and says why, until somebody
// looks: no process that is started again would be any better off, and what only it holds is
// not given up by a machine.
func (m *Machine) setAside(why string) {
	m.aside = why
	m.turn.Changed = true
}

// forked reports whether a record shows that the epoch which this replica knows was decided
// otherwise than here: its record was lost, and nothing had been done by it.
func (m *Machine) forked(r *message.Record) bool {
	if m.record.Epoch == 0 {
		return false
	}
	if r.Epoch == m.record.Epoch {
		return r.Nonce != m.record.Nonce && r.Master > m.record.Master
	}
	return slices.ContainsFunc(r.Lineage, func(a message.Ancestor) bool {
		return a.Epoch == m.record.Epoch && a.Nonce != m.record.Nonce
	})
}

// worked reports whether this replica has delivered something in the epoch that it knows: then
// every member had installed its record.
func (m *Machine) worked() bool {
	var none lamport.Timestamp
	switch {
	case m.cast != nil:
		return m.cast.Place() != none
	case m.rest != nil && m.load == nil:
		return m.rest.Place != none
	}
	return false
}

// reason says why what this replica holds counts for nothing, or "".
func (m *Machine) reason() string {
	if m.aside != "" {
		return m.aside
	}
	return m.back
}

// past is what HELLO says of where this replica comes from.
func (m *Machine) past() message.Past {
	p := message.Past{Life: m.cfg.Life, Reason: m.reason()}
	if m.record.Epoch > 0 {
		r := m.record
		p.Record = &r
	}
	return p
}

// proof is what STATE says beside what it holds.
func (m *Machine) proof() message.Proof {
	p := message.Proof{Life: m.cfg.Life, View: m.record.Nonce, Safe: m.causal.safe}
	if m.rest != nil && m.load == nil {
		p.Told = m.rest.Told
	}
	return p
}

// outdated is told by a master that knows a later process of this replica. A process that is
// new goes on above it, whatever the clocks say that incarnations are drawn from; one that was
// replaced ends.
func (m *Machine) outdated(o *message.Outdated) {
	switch {
	case o.Life != 0 && o.Life != m.cfg.Life: // it is meant for another process of this name
		return
	case o.Replaced:
		m.replaced = true
		return
	case o.Newest < m.cfg.Incarnation, o.Newest == m.cfg.Incarnation && m.load == nil:
		return // it has gone on as a greater one since it said what this answers
	}
	m.rename(o.Newest)
}

// rename makes this process a new incarnation, above one that is known. What was a member is
// one no more.
func (m *Machine) rename(above uint64) {
	if above >= lamport.Limit {
		m.refused++
		return
	}
	if m.record.Epoch > 0 && m.load == nil {
		m.back = fmt.Sprintf("its data are of an earlier process than incarnation %d, which was known: they were put back to an older copy", above)
		m.cfg.Incarnation = max(m.cfg.Incarnation, above)
		record := m.record
		m.outside(&record)
		return
	}
	m.cfg.Incarnation = max(m.cfg.Incarnation, above) + 1
	m.lives = lives{m.cfg.Life}
	m.turn.Changed = true
}
