package codec

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
)

func (e *Encoder) hello(m *message.Hello) {
	if !validPhase(m.Phase) {
		e.fail("unknown phase")
	}
	e.uint(uint64(max(m.PID, 0)))
	e.uint(uint64(m.Phase))
	e.uints4(m.Position, m.Keys, m.LastRID, m.Master)
	e.uint(m.Nonce)
	e.bool(m.Whole)
	e.uint(m.Committed)
	e.heard(m.Heard)
	e.past(&m.Past)
}

func (e *Encoder) heard(list []message.Heard) {
	if len(list) > MaxMembers {
		e.fail("more replicas heard than there can be")
	}
	e.array(len(list))
	for _, h := range list {
		if !h.Node.IsReplica() {
			e.fail("one was heard that is no replica")
		}
		e.array(heardFields)
		e.uint(uint64(h.Node))
		e.uint(h.Silent)
	}
}

func (e *Encoder) past(p *message.Past) {
	if len(p.Reason) > MaxReason {
		e.fail("reason too long")
	}
	e.array(pastFields)
	e.uint(p.Life)
	e.str(p.Reason)
	e.optionalRecord(p.Record)
}

func (e *Encoder) proof(p *message.Proof) {
	if len(p.Told) > MaxMembers {
		e.fail("vector too long")
	}
	e.array(proofFields)
	e.uint(p.Life)
	e.uint(p.View)
	e.uint(p.Safe)
	e.array(len(p.Told))
	for _, v := range p.Told {
		e.vector(v)
	}
}

func (e *Encoder) gap(m *message.Gap) {
	if !validHolder(m.Of) {
		e.fail("DATA of what is no replica")
	}
	e.bool(m.Causal)
	e.uint(m.First)
	e.uint(m.Last)
	e.uint(uint64(m.Of))
}

func (e *Encoder) prepare(m *message.Prepare) {
	if !validHolder(m.Holder) {
		e.fail("holder that is no replica")
	}
	e.uint(m.Attempt)
	e.uint(m.High)
	e.uint(uint64(m.Holder))
	e.vector(m.Cut)
}

func (e *Encoder) state(m *message.State) {
	e.uint(m.Attempt)
	e.vector(m.Contiguous)
	e.uint(m.Watermark)
	e.uint(m.Position)
	e.uint(m.LastRID)
	e.proof(&m.Proof)
}

func (e *Encoder) pull(m *message.Pull) {
	e.uint(m.Nonce)
	e.uint(m.Entry)
	e.cursor(m.Cursor)
	e.bool(m.Scanned)
	e.bool(m.Wedged)
	e.vector(m.Held)
	e.uint(m.Number)
	e.uint(m.Changes)
}

func (e *Encoder) chunk(m *message.Chunk) {
	e.uint(m.Nonce)
	e.bool(m.Restart)
	e.uint(m.Position)
	e.timestamp(m.Place)

	e.uint(m.First)
	e.list(len(m.Entries))
	for i := range m.Entries {
		e.executed(&m.Entries[i])
	}
	e.uint(m.Last)

	e.list(len(m.Records))
	for i := range m.Records {
		e.keyRecord(&m.Records[i])
	}

	e.cursor(m.Cursor)
	e.bool(m.Scanned)
	e.uint(m.LastRID)

	// Of a wedged member, or empty.
	e.bool(m.Wedged)
	e.bool(m.Done)
	e.vector(m.Contiguous)
	e.dataList(m.Data)
	e.writes(m.Writes)
	e.uint(m.Committed)
	e.uint(m.Watermark)
	e.uint(m.Safe)

	e.uints4(m.Order.Now, m.Order.Tick, m.Order.Horizon, m.Order.Oldest)
	e.changes(&m.Changes)
	e.removed(m.Removed)
	e.collection(&m.Collection)
}

func (e *Encoder) dataList(list []*message.Data) {
	e.list(len(list))
	for _, d := range list {
		e.data(d)
	}
}

func (e *Encoder) changes(c *message.Changes) {
	e.array(changesFields)
	e.uint(c.Since)
	e.uint(c.To)
	e.changeList(c.List)
}

func (e *Encoder) changeList(list []message.Change) {
	e.list(len(list))
	for i := range list {
		c := &list[i]
		if fault := changeFault(c); fault != "" {
			e.fail(fault)
		}
		e.array(changeFields)
		e.uint(c.Revision)
		e.uint(uint64(c.Kind))
		e.str(c.Key)
		e.value(c.Value)
		e.uint(c.Version.Epoch)
		e.timestamp(c.Version.Timestamp)
		e.uint(c.Number)
		e.uint(c.Expires)
	}
}

// removed writes keys that have no record any more.
func (e *Encoder) removed(keys []string) {
	e.list(len(keys))
	for _, key := range keys {
		if fault := keyFault(key); fault != "" {
			e.fail(fault)
		}
		e.str(key)
	}
}

func (e *Encoder) collection(c *message.Collection) {
	e.array(collectFields)
	e.version(c.Floor)
	e.uint(c.Position)
	e.version(c.Horizon)
	e.uint(c.Agreed)
}

func (e *Encoder) cursor(s string) {
	if len(s) > MaxCursor {
		e.fail("cursor too long")
	}
	e.str(s)
}

// timestamp is two fields.
func (e *Encoder) timestamp(t lamport.Timestamp) {
	e.uint(t.Time)
	e.uint(uint64(t.Node))
}

// version is three fields.
func (e *Encoder) version(v lamport.Version) {
	e.uint(v.Epoch)
	e.timestamp(v.Timestamp)
}

// record has the fields of its view first. See recordFault for what is refused.
func (e *Encoder) record(r *message.Record) {
	if fault := recordFault(r); fault != "" {
		e.fail(fault)
		return // its numbers may be negative
	}
	e.array(recordFields)
	e.uint(r.Epoch)
	e.uint(uint64(r.Faults))
	e.array(len(r.Members))
	for i := range r.Members {
		e.array(memberFields)
		e.uint(uint64(r.Members[i].Node))
		e.uint(r.Members[i].Incarnation)
		e.uint(r.Members[i].Life)
	}

	e.array(len(r.Configured))
	for _, n := range r.Configured {
		e.uint(uint64(n))
	}
	e.uint(uint64(r.Missing))
	e.vector(r.Cut)
	e.uints4(r.High, r.Start, r.Master, r.Nonce)
	e.uint(r.Since)

	e.uint(r.Cluster)
	e.array(len(r.Lineage))
	for _, a := range r.Lineage {
		e.array(ancestorFields)
		e.uints4(a.Epoch, a.Nonce, a.High, a.Position)
	}
	e.uint(r.Level)
}

// data is a DATA inside of something else: its header comes with it, Acked does not.
func (e *Encoder) data(d *message.Data) {
	if d == nil {
		e.fail("no DATA where one belongs")
		return
	}
	e.array(dataFields)
	e.header(&d.Header)
	e.dataBody(d)
}

func (e *Encoder) executed(x *message.Executed) {
	if fault := executedFault(x); fault != "" {
		e.fail(fault)
	}
	e.array(executedFields)
	e.str(x.Identity)
	e.uints4(x.RID, x.Digest, x.Position, x.Timestamp)
	e.str(x.Key)
	e.uint(x.Time)
	e.outcome(x)
}

// outcome writes what an entry says beside OK.
func (e *Encoder) outcome(x *message.Executed) {
	if x.Code == 0 && x.Revision == 0 && x.Result == nil {
		e.array(0)
		return
	}
	e.array(outcomeFields)
	e.uint(uint64(x.Code))
	e.uint(x.Revision)
	e.value(x.Result)
}

func (e *Encoder) keyRecord(r *message.KeyRecord) {
	if fault := keyRecordFault(r); fault != "" {
		e.fail(fault)
	}
	e.array(keyRecordFields)
	e.str(r.Key)
	e.uint(uint64(r.Kind))
	e.value(r.Value)
	e.uint(r.Version.Epoch)
	e.timestamp(r.Version.Timestamp)
	e.uint(r.Number)
	e.uint(r.RID)
	e.uint(r.Revision)
	e.uint(r.Expires)
}
