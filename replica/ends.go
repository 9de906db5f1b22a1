package replica

import "quartet/bus/message"

// How values end (rules O5 to O7 of DESIGN.md). A replica never asks a clock what there is: the
// end of a value is an operation in the order. The first member proposes it when its clock on
// the wall has passed the deadline.

// endsMost bounds the ends that the first member has proposed and that are not delivered.
const endsMost = 1000

// Wall tells the machine the clock on the wall, in milliseconds since 1970. It may jump: it moves
// only the moment at which this replica, as the first member, proposes that values end.
func (m *Machine) Wall(now uint64) { m.wall = now }

// proposeEnds orders the end of what is due. Each is proposed once until it is delivered.
func (m *Machine) proposeEnds() {
	isFirst := m.record.Members[0].Node == m.cfg.Self
	if !isFirst || !m.hasRevisions() || m.wall == 0 {
		return
	}

	m.layers.Due(m.wall, func(key string, revision uint64) bool {
		if m.ends[key] == revision {
			return len(m.ends) < endsMost
		}
		if m.ends == nil {
			m.ends = map[string]uint64{}
		}
		m.ends[key] = revision
		end := message.Operation{Op: message.OpEnd, Number: revision}
		end.Request.Key = key
		m.cast.Submit(end, false)
		return len(m.ends) < endsMost
	})
}

// deliverEnd ends a value at its place, if it is still the one that was meant.
func (m *Machine) deliverEnd(op *message.Operation) {
	key := op.Request.Key
	if m.ends[key] == op.Number {
		delete(m.ends, key)
	}
	m.layers.End(key, op.Number, m.revision())
}
