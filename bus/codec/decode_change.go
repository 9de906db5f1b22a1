package codec

import (
	"bytes"
	"math"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

func (d *Decoder) phase() message.Phase {
	p := message.Phase(d.limited(math.MaxUint8, "phase"))
	if d.err == nil && !validPhase(p) {
		d.fail("unknown phase %d", p)
	}
	return p
}

func (d *Decoder) holder() lamport.Node {
	n := d.node()
	if d.err == nil && !validHolder(n) {
		d.fail("holder %d is no replica", n)
	}
	return n
}

func (d *Decoder) timestamp() lamport.Timestamp {
	return lamport.Timestamp{Time: d.uint(), Node: d.node()}
}

// gap, fill and prepare end earlier in versions in which wedged members brought each other no DATA.

func (d *Decoder) gap(h message.Header) *message.Gap {
	g := &message.Gap{Header: h, Causal: d.bool(), First: d.uint(), Last: d.uint()}
	if d.revisions {
		g.Of = d.holder()
	}
	return g
}

func (d *Decoder) fill(h message.Header) *message.Fill {
	f := &message.Fill{Header: h, Writes: d.writes()}
	if d.revisions {
		f.Data = d.dataList()
	}
	return f
}

func (d *Decoder) prepare(h message.Header) *message.Prepare {
	p := &message.Prepare{Header: h, Attempt: d.uint(), High: d.uint(), Holder: d.holder()}
	if d.revisions {
		p.Cut = d.uints(MaxMembers)
	}
	return p
}

func (d *Decoder) chunk(h message.Header) *message.Chunk {
	c := &message.Chunk{
		Header: h, Nonce: d.uint(), Restart: d.bool(), Position: d.uint(), Place: d.timestamp(),
		First: d.uint(), Entries: d.entries(), Last: d.uint(), Records: d.keyRecords(),
		Cursor: d.str(MaxCursor, "cursor"), Scanned: d.bool(), LastRID: d.uint(),
		Wedged: d.bool(), Done: d.bool(), Contiguous: d.uints(MaxMembers), Data: d.dataList(), Writes: d.writes(),
		Committed: d.uint(), Watermark: d.uint(), Safe: d.uint(), Order: d.orderTime(),
	}
	c.Changes = d.changes(c.Position)
	if d.revisions { // no tombstones were collected before
		c.Removed, c.Collection = d.removed(), d.collection()
	}
	return c
}

// position reads a place in the log of changes, of which earlier versions say nothing.
func (d *Decoder) position() uint64 {
	if !d.revisions {
		return 0
	}
	return d.uint()
}

// changes reads a piece of the log of changes. A member of an earlier version has none: the log
// begins where that member is.
func (d *Decoder) changes(position uint64) message.Changes {
	if !d.revisions {
		return message.Changes{Since: position, To: position}
	}
	d.tuple(changesFields, "changes")
	return message.Changes{Since: d.uint(), To: d.uint(), List: d.changeList()}
}

func (d *Decoder) changeList() []message.Change {
	n := d.list(MaxList, changeFields+1)
	if n == 0 {
		return nil
	}
	list := make([]message.Change, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.change(&list[i])
	}
	return list
}

func (d *Decoder) change(c *message.Change) {
	d.tuple(changeFields, "change")
	c.Revision, c.Kind = d.uint(), message.ChangeKind(d.limited(math.MaxUint8, "kind of a change"))
	c.Key = d.str(model.MaxKey, "key")
	c.Value = bytes.Clone(d.value(model.MaxKeyValue))
	c.Version = lamport.Version{Epoch: d.uint(), Timestamp: d.timestamp()}
	c.Number, c.Expires = d.uint(), d.uint()
	if d.err != nil {
		return
	}
	if fault := changeFault(c); fault != "" {
		d.fail("%s", fault)
	}
}

// stamp reads a version, which is three fields.
func (d *Decoder) stamp() lamport.Version {
	return lamport.Version{Epoch: d.uint(), Timestamp: d.timestamp()}
}

func (d *Decoder) removed() []string {
	n := d.list(MaxList, 1)
	if n == 0 {
		return nil
	}
	keys := make([]string, n)
	for i := 0; i < n && d.err == nil; i++ {
		keys[i] = d.str(model.MaxKey, "key")
		if fault := keyFault(keys[i]); d.err == nil && fault != "" {
			d.fail("%s", fault)
		}
	}
	return keys
}

func (d *Decoder) collection() message.Collection {
	d.tuple(collectFields, "collection of tombstones")
	return message.Collection{Floor: d.stamp(), Position: d.uint(), Horizon: d.stamp(), Agreed: d.uint()}
}

func (d *Decoder) orderTime() message.OrderTime {
	return message.OrderTime{Now: d.time(), Tick: d.time(), Horizon: d.time(), Oldest: d.time()}
}

func (d *Decoder) record() message.Record {
	old := !d.times // of a version without lineage
	d.tuple(d.fields(recordFields, 1, 2), "record of an epoch")
	r := message.Record{
		View:       message.View{Epoch: d.uint(), Faults: int(d.limited(MaxMembers, "faults")), Members: d.members(old)},
		Configured: d.nodes(), Missing: int(d.limited(MaxMembers, "missing")), Cut: d.uints(MaxMembers),
		High: d.uint(), Start: d.uint(), Master: d.uint(), Nonce: d.uint(), Since: d.uint(),
	}
	if !old {
		r.Cluster, r.Lineage = d.uint(), d.lineage()
	}
	if d.revisions {
		r.Level = d.uint()
	}
	if d.err != nil {
		return message.Record{}
	}
	if fault := recordFault(&r); fault != "" {
		d.fail("%s", fault)
	}
	return r
}

func (d *Decoder) lineage() []message.Ancestor {
	n := d.list(message.MaxLineage, ancestorFields+1)
	if n == 0 {
		return nil
	}
	lineage := make([]message.Ancestor, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.tuple(ancestorFields, "ancestor")
		lineage[i] = message.Ancestor{Epoch: d.uint(), Nonce: d.uint(), High: d.uint(), Position: d.uint()}
	}
	return lineage
}

func (d *Decoder) members(old bool) []message.Member {
	fields := memberFields
	if old {
		fields--
	}
	n := d.list(MaxMembers, fields+1)
	if n == 0 {
		return nil
	}
	members := make([]message.Member, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.tuple(fields, "member")
		members[i] = message.Member{Node: d.node(), Incarnation: d.uint()}
		if !old {
			members[i].Life = d.uint()
		}
	}
	return members
}

// past reads what earlier versions do not say.
func (d *Decoder) past(version uint64) message.Past {
	if version <= withoutLives {
		return message.Past{}
	}
	d.tuple(pastFields, "past")
	return message.Past{Life: d.uint(), Reason: d.str(MaxReason, "reason"), Record: d.optionalRecord()}
}

// proof reads what earlier versions do not say.
func (d *Decoder) proof(version uint64) message.Proof {
	if version <= withoutLives {
		return message.Proof{}
	}
	d.tuple(proofFields, "proof")
	p := message.Proof{Life: d.uint(), View: d.uint(), Safe: d.uint()}
	if n := d.list(MaxMembers, 1); n > 0 {
		p.Told = make([][]uint64, n)
		for i := 0; i < n && d.err == nil; i++ {
			p.Told[i] = d.uints(MaxMembers)
		}
	}
	return p
}

func (d *Decoder) nodes() []lamport.Node {
	n := d.list(MaxMembers, 1)
	if n == 0 {
		return nil
	}
	nodes := make([]lamport.Node, n)
	for i := 0; i < n && d.err == nil; i++ {
		nodes[i] = d.node()
	}
	return nodes
}

// data reads a DATA inside of something else.
func (d *Decoder) data() *message.Data {
	d.tuple(d.fields(dataFields, 0, 1), "DATA")
	h := d.header()
	if d.err != nil {
		return nil
	}
	return &message.Data{Header: h, Seq: d.uint(), Received: d.received(), Ops: d.operations(), Time: d.time()}
}

func (d *Decoder) dataList() []*message.Data {
	n := d.list(MaxList, d.fields(dataFields, 0, 1)+1)
	if n == 0 {
		return nil
	}
	list := make([]*message.Data, n)
	for i := 0; i < n && d.err == nil; i++ {
		list[i] = d.data()
	}
	return list
}

func (d *Decoder) entries() []message.Executed {
	n := d.list(MaxList, d.fields(executedFields, 1, 1)+1)
	if n == 0 {
		return nil
	}
	entries := make([]message.Executed, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.executed(&entries[i])
	}
	return entries
}

func (d *Decoder) executed(x *message.Executed) {
	d.tuple(d.fields(executedFields, 1, 1), "entry")
	x.Identity = d.str(model.MaxIdentity, "identity")
	x.RID, x.Digest, x.Position, x.Timestamp = d.uint(), d.uint(), d.uint(), d.uint()
	x.Key = d.str(model.MaxKey, "key")
	x.Time = d.time()
	if d.revisions && d.some(outcomeFields, "outcome") > 0 {
		x.Code, x.Revision = model.Code(d.limited(math.MaxUint16, "code")), d.uint()
		x.Result = bytes.Clone(d.value(MaxOutcome))
	}
}

func (d *Decoder) keyRecords() []message.KeyRecord {
	n := d.list(MaxList, d.fields(keyRecordFields, 2, 0)+1)
	if n == 0 {
		return nil
	}
	records := make([]message.KeyRecord, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.keyRecord(&records[i])
	}
	return records
}

func (d *Decoder) keyRecord(r *message.KeyRecord) {
	d.tuple(d.fields(keyRecordFields, 2, 0), "record of a key")
	r.Key = d.str(model.MaxKey, "key")
	r.Kind = uint8(d.limited(math.MaxUint8, "kind of a record"))
	r.Value = bytes.Clone(d.value(model.MaxKeyValue))
	r.Version = lamport.Version{Epoch: d.uint(), Timestamp: d.timestamp()}
	r.Number, r.RID = d.uint(), d.uint()
	if d.revisions {
		r.Revision, r.Expires = d.uint(), d.uint()
	} else {
		r.Revision = message.LeastRevision
	}
	if d.err != nil {
		return
	}
	if fault := keyRecordFault(r); fault != "" {
		d.fail("%s", fault)
	}
}
