package membership

import (
	"strings"

	"quartet/bus/message"
	"quartet/bus/trouble"
)

// rebuild makes the record anew from what the replicas hold (rule F11): the store has lost it,
// or has one that is older than theirs. The newest that any replica holds is written back if
// every replica that it configures says that it knows of no later one, or if an operator has
// agreed to lose what a later one may have brought.
func (m *Machine) rebuild(out *Output) {
	base := m.held()
	if base == nil || m.waits || base.Epoch == 0 {
		return
	}
	if missing := m.unheardOf(base); len(missing) > 0 && !m.recover && !m.cfg.Mutant.RebuildFromOne {
		return
	}
	record := *base
	m.proposal, m.stage = &record, deciding
	m.command++
	m.waits = true
	out.Command = &Command{Number: m.command, Propose: &record, Revision: m.revision}
}

// held is the newest record that this master or a replica knows; nil: none.
func (m *Machine) held() *message.Record {
	var newest *message.Record
	if m.record.Epoch > 0 {
		newest = &m.record
	}
	for _, r := range m.replicas {
		if k := r.record; k != nil && (newest == nil || k.Epoch > newest.Epoch) {
			newest = k
		}
	}
	return newest
}

// unheardOf returns the replicas that a record configures and that have not said that they know
// of no later one: members as the processes that it names, and all of them obeying this master,
// so that no earlier one can ask them any more.
func (m *Machine) unheardOf(record *message.Record) []string {
	var list []string
	for _, n := range record.Configured {
		r := m.Replica(n)
		i := record.Index(n)
		away := r == nil || r.Lost || r.Suspected || !r.obeys || r.Phase == 0
		changed := !away && i >= 0 && (r.Incarnation != record.Members[i].Incarnation || r.Back != "")
		other := !away && r.record != nil && r.record.Epoch == record.Epoch && r.record.Nonce != record.Nonce
		if away || changed || other {
			list = append(list, n.String())
		}
	}
	return list
}

// lose takes note that the store has no record, or one that is older than what is known.
func (m *Machine) lose(revision uint64) {
	m.lost, m.revision = true, revision
	m.stage, m.readAt = reading, m.ticks+readTicks
}

// newestHeard is the newest epoch that a replica has said it knows.
func (m *Machine) newestHeard() uint64 {
	var newest uint64
	for _, r := range m.replicas {
		if r.record != nil {
			newest = max(newest, r.record.Epoch)
		}
	}
	return newest
}

// LostRecord reports whether the store has lost the record, and returns the newest that is held
// elsewhere; nil: nobody has said so yet.
func (m *Machine) LostRecord() (*message.Record, bool) {
	if !m.lost {
		return nil, false
	}
	return m.held(), true
}

// whyLost says what is missing to make a lost record anew.
func (m *Machine) whyLost() string {
	base := m.held()
	if base == nil {
		return trouble.RecordUnheld.Say()
	}
	if missing := m.unheardOf(base); len(missing) > 0 && !m.recover {
		return trouble.RecordUnsure.Say(base.Epoch, strings.Join(missing, ", "))
	}
	return trouble.RecordAnew.Say(base.Epoch)
}
