package master

import "quartet/bus/message"

// early is the outcome of a request of models 1 or 2 that a member has told from an epoch whose
// record not all members have installed: it has delivered the request by the cut of that record. If
// the store loses the record, and another one of the same epoch is decided, its cut may leave the
// request out, and what was told comes to nothing (rule F11): so no client hears of it yet.
type early struct {
	from   *peer
	answer message.Answer
	epoch  uint64
}

// settleEarly takes the outcomes whose epochs stand by now. Those of requests that were answered
// meanwhile, or have timed out, are forgotten.
func (m *Machine) settleEarly(out *Output) {
	if len(m.early) == 0 {
		return
	}
	waiting := m.early
	m.early = nil
	for i := range waiting {
		e := &waiting[i]
		f := m.flights[e.answer.RID]
		switch {
		case f == nil: // answered, or given up
		case m.members.Stands(e.epoch):
			m.answer(e.from, f, &e.answer, out)
		default:
			m.early = append(m.early, *e)
		}
	}
}
