package membership

import (
	"slices"
	"strings"

	"quartet/bus/message"
	"quartet/bus/trouble"
)

// rebuild makes the record anew from what the replicas hold (rule F11): the store has lost it, or
// has an older record than theirs. The newest record that any replica holds is written back if
// every replica that it configures says that it knows of no later one, or if an operator has
// agreed to lose what a later record may have brought.
func (m *Machine) rebuild(out *Output) {
	base := m.Held()
	if base == nil || m.waits || base.Epoch == 0 {
		return
	}
	if missing := m.unheardOf(base); len(missing) > 0 && !m.recover && !m.stillLeads(base, missing) {
		return
	}
	record := *base
	m.proposal, m.stage = &record, deciding
	m.command++
	m.waits = true
	out.Command = &Command{Number: m.command, Propose: &record, Revision: m.revision}
}

// Held is the newest record that this master or a replica knows; nil: none. Of records that are
// not of one history it is the one that can be written back, else the one of which the fewest
// replicas have not spoken, else the latest (rule F14).
func (m *Machine) Held() *message.Record {
	var best *message.Record
	var missing int
	for _, k := range m.known() {
		switch n := len(m.unheardOf(k)); {
		case best == nil:
			best, missing = k, n
		case best.Branched(k) && n < missing:
			best, missing = k, n
		case best.Branched(k) && n > missing: // fewer have not spoken of the other
		case k.Epoch > best.Epoch:
			best, missing = k, n
		}
	}
	return best
}

// known are the records that this master and the replicas know; where this master knows one,
// those of its history only, unless the store may have lost that one before anybody was told of it.
func (m *Machine) known() []*message.Record {
	var list []*message.Record
	if m.record.Epoch > 0 {
		list = append(list, &m.record)
	}
	for _, r := range m.replicas {
		if r.record != nil && m.counts(r.record) {
			list = append(list, r.record)
		}
	}
	return list
}

// counts reports whether a record that a replica holds may be the cluster's.
func (m *Machine) counts(held *message.Record) bool { return !m.ofAnother(held) || m.onlyRead() }

// onlyRead reports whether the store has lost the record that this master has read there, and that
// another one had decided: that it has read it shows not that any replica was told of it, and the
// replicas may have gone on with another record since.
func (m *Machine) onlyRead() bool { return m.lost && !m.Leads() }

// unheardOf returns the replicas that a record configures and that have not said that they know
// of no later one: members as the processes that it names, with what these must have known, and
// all of them since the store was found without it, and obeying this master, so that no earlier one
// can ask them, or tell them anything, any more.
func (m *Machine) unheardOf(record *message.Record) []string {
	var list []string
	for _, n := range record.Configured {
		r := m.Replica(n)
		i := record.Index(n)
		away := r == nil || r.Lost || r.Suspected || r.Phase == 0 || !m.answeredSince(r, m.foundNonce)
		if away || m.contradicts(r, i, record) {
			list = append(list, n.String())
		}
	}
	return list
}

// stillLeads reports whether a record may be written back although some of the replicas that it
// configures have not spoken: this very process leads its epoch, and no other can have decided a
// later one. For that it would have asked all members but f, and none of those obeys this master
// any more; here more than f have answered a heartbeat that this master sent after it had found the
// record lost. missing are those who have not.
func (m *Machine) stillLeads(record *message.Record, missing []string) bool {
	if !m.Leads() || record.Nonce != m.record.Nonce {
		return false
	}
	configured, members := 0, 0
	for _, n := range record.Configured {
		if slices.Contains(missing, n.String()) {
			continue
		}
		configured++
		if record.Index(n) >= 0 {
			members++
		}
	}
	return configured > record.Missing && members > record.Faults
}

// Established reports whether this master leads an epoch whose record every member has installed:
// it, and all that it comes from, are the cluster's history for good.
func (m *Machine) Established() bool { return m.Leads() && m.established }

// SureToLead reports whether this master leads, and no other had decided a later epoch when it sent
// the heartbeat after the one with this nonce: more than f of the members, and of the configured
// replicas, have answered that one, or a later one, and obey this master. To decide another has to
// ask all but f.
func (m *Machine) SureToLead(nonce uint64) bool {
	if !m.Established() || m.Changing() || m.lost || m.restores {
		return false
	}
	configured, members := 0, 0
	for _, n := range m.record.Configured {
		r := m.Replica(n)
		if r == nil || !m.answeredSince(r, nonce) {
			continue
		}
		configured++
		if m.Member(r) {
			members++
		}
	}
	return configured > m.record.Missing && members > m.record.Faults
}

// answeredSince reports whether a replica obeys this master, and has answered a heartbeat that was
// sent after the one with this nonce: what it says is no older.
func (m *Machine) answeredSince(r *Replica, nonce uint64) bool { return r.obeys && r.answered > nonce }

// Asked takes note of the newest heartbeat that was sent.
func (m *Machine) Asked(nonce uint64) { m.asks = nonce }

// behind reports whether a replica knows less than the members of a record must have known when
// they let it be decided: the record before it.
func (m *Machine) behind(r *Replica, record *message.Record) bool {
	return r.record != nil && r.record.Epoch+1 < record.Epoch
}

// lose notes that the store has no record, or an older record than is known.
func (m *Machine) lose(revision uint64) {
	if !m.lost || revision != m.revision {
		m.foundNonce = m.asks
	}
	m.lost, m.revision = true, revision
	m.stage, m.readAt = reading, m.ticks+readTicks
	if m.onlyRead() {
		m.countAgain()
	}
}

// older reports whether what stands in the store is older than what was known of its history
// when it was read.
func (m *Machine) older(stands *message.Record) bool {
	if stands.Epoch < m.record.Epoch {
		return true
	}
	return slices.ContainsFunc(m.knownWhenRead, func(k *message.Record) bool {
		return k.Epoch > stands.Epoch && !k.Branched(stands)
	})
}

// LostRecord reports whether the store has lost the record, or too few of those answer who decide
// it, and returns the newest that is held elsewhere; nil: nobody has said so yet.
func (m *Machine) LostRecord() (*message.Record, bool) {
	isUnread := m.isMute && m.record.Epoch == 0
	if !m.lost && !isUnread {
		return nil, false
	}
	return m.Held(), true
}

// whyLost says what is missing to make a lost record anew.
func (m *Machine) whyLost() string {
	base := m.Held()
	if base == nil {
		return trouble.RecordUnheld.Say()
	}
	if missing := m.unheardOf(base); len(missing) > 0 && !m.recover && !m.stillLeads(base, missing) {
		return trouble.RecordUnsure.Say(base.Epoch, strings.Join(missing, ", "))
	}
	return trouble.RecordAnew.Say(base.Epoch)
}

// ofAnother reports whether this master knows a record, and k is not of its history.
func (m *Machine) ofAnother(k *message.Record) bool {
	return m.record.Epoch > 0 && k.Branched(&m.record)
}

// contradicts reports whether r, the member i of a record or none (-1), is no longer what the
// record says, or knows a record of another history.
func (m *Machine) contradicts(r *Replica, i int, record *message.Record) bool {
	member := i >= 0
	if member {
		if r.Incarnation != record.Members[i].Incarnation || r.Back != "" || m.behind(r, record) {
			return true
		}
	}
	if r.record == nil {
		return false
	}

	counts := member || r.record.Epoch == record.Epoch
	return counts && r.record.Branched(record)
}
