package replica

import (
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/listing"
	"quartet/replica/store"
)

// A list begins where a get of its model would be answered, and its first page is held back by the
// fence as that get's answer is. It is of the cut of that moment, and so are all further pages,
// which only this process can serve and which need no view, no turn and no fence (rules O30 to
// O34).

// beginList begins a list whose turn has come.
func (m *Machine) beginList(r *message.Request) {
	cut := listing.Cut{History: m.record.History(), Position: m.layers.Position()}
	if r.Model == model.Causal {
		cut.Timestamp = m.causal.safe
	}
	if m.cfg.Listed != nil {
		m.cfg.Listed(r, m.shows(r))
	}
	m.lists.Begin(r, cut)
}

// shows is what a list that begins now is to show of each key.
func (m *Machine) shows(r *message.Request) func(key string) store.Record {
	return func(key string) store.Record {
		if r.Model.Strong() {
			rec, _ := m.layers.Committed(key)
			return rec
		}
		rec, _ := m.layers.Newest(key)
		return rec
	}
}

// goOnList goes on with a list that this process keeps.
func (m *Machine) goOnList(r *message.Request) {
	if refusal := m.lists.GoOn(r); refusal.Code != 0 {
		m.fail(r, refusal.Code, refusal.Reason)
	}
}

// makePages goes on with the pages that are being made.
func (m *Machine) makePages() {
	for _, d := range m.lists.Run() {
		m.answer(model.Answer{
			RID: d.Request.RID, Code: d.Code, Reason: d.Reason, Value: d.Page, Position: d.Position, Timestamp: d.Timestamp,
		})
	}
}

// needsItsEpoch reports whether a list is to be dropped with the epoch in which it was asked for:
// it begins, and its master asks again in the next one. A page of a cut that was told needs none.
func needsItsEpoch(r *message.Request) bool { return r.Model.Strong() && !listing.GoesOn(&r.Request) }
