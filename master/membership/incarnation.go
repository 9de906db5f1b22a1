package membership

import "math/bits"

// Incarnation is this master's own: it may rise until a replica has obeyed it.
func (m *Machine) Incarnation() uint64 { return m.cfg.Incarnation }

// newer takes note of a master with a greater incarnation. Whoever was obeyed before is
// superseded, and ends. A master that nobody has obeyed yet goes on above it: it was started
// later, by a clock that was set back, or at the same time (rule F12). So does one that the
// replicas have not told the record yet: they may obey it and have heard of no other since they
// were started.
func (m *Machine) newer(incarnation uint64) {
	isUnread := m.cfg.Voting && m.record.Epoch == 0
	isObeyed := m.obeyed && !isUnread
	if isObeyed || m.stage == deciding || m.record.Master == m.cfg.Incarnation {
		m.stage = stopped
		return
	}
	m.cfg.Incarnation = incarnation + 1 + further(m.cfg.Draw, incarnation)
	for _, r := range m.replicas {
		r.obeys = false
	}
}

// further is how far above an incarnation a master of this draw goes on (splitmix64): less than the
// power of two above the draw. It is another number for each that it goes above: with one and the
// same, masters that have gone on above each other in whatever order would come to one sum, and
// have one incarnation.
func further(draw, above uint64) uint64 {
	z := draw + above*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) & (1<<bits.Len64(draw) - 1)
}
