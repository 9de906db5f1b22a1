package replica

import "quartet/bus/message"

// published is what this replica publishes of the log of changes (rule O28).
type published struct {
	next uint64           // index: those before it are published, or are others' to publish
	out  []message.Change // to be sent with this turn
}

// isFirst reports whether this replica is the first member of a record's view.
func (m *Machine) isFirst(r *message.Record) bool {
	return len(r.View.Members) > 0 && r.View.Members[0].Node == m.cfg.Self
}

// publish takes what has been delivered since the last call: in the epoch that the machine is in.
func (m *Machine) publish() {
	if !m.cfg.Publish {
		return
	}
	log := m.layers.Changes()
	from := max(m.published.next, log.First())
	m.published.next = log.Next()
	if !m.publishes {
		return
	}
	for i := from; i < log.Next(); i++ {
		m.published.out = append(m.published.out, log.At(i))
	}
}

// flushPublished ends a turn for those who hear published changes.
func (m *Machine) flushPublished(out *Output) {
	m.publish()
	out.Published = append(out.Published, m.published.out...)
	clear(m.published.out)
	m.published.out = m.published.out[:0]
}
