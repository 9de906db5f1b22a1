package replica

import (
	"quartet/bus/message"
	"quartet/bus/model"
)

// readsOnly returns r's transaction if it is one of gets alone: such a one has no place in the
// order, and takes the way of a get of its model.
func (m *Machine) readsOnly(r *message.Request) (*model.Transaction, bool) {
	if r.Type != model.Txn || m.writes(r) {
		return nil, false
	}
	t, err := m.cfg.Forms.ParseTransaction(r.Value)
	return &t, err == nil
}

// writes reports whether r is to have a place in the order.
func (m *Machine) writes(r *message.Request) bool {
	if r.Type == model.Txn && m.cfg.Forms != nil {
		return m.cfg.Forms.TransactionWrites(r.Value)
	}
	return r.Writes()
}

// readTransaction answers a transaction of gets alone: all of them at one position.
func (m *Machine) readTransaction(r *message.Request, t *model.Transaction, position uint64) model.Answer {
	a := model.Answer{RID: r.RID, Code: model.OK, Position: position}
	code, results := m.layers.Read(t)
	a.Value = results
	if code == model.Failed {
		a.Code, a.Reason = model.Failed, stepFailed
	}
	return a
}

const stepFailed = "a step of the transaction could not be done: its condition does not hold, it adds to what is " +
	"no number or beyond 64 bits, or what is read comes to more than 512 KiB; nothing was changed"
