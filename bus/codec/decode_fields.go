package codec

import (
	"bytes"
	"math"

	"quartet/bus/message"
	"quartet/bus/model"
)

// round reads what only messages of a version with rounds have.
func (d *Decoder) round(version uint64) uint64 {
	if version <= withoutRounds {
		return 0
	}
	return d.uint()
}

// heard reads whom the sender has heard, which earlier versions do not say.
func (d *Decoder) heard(version uint64) []message.Heard {
	if version <= withoutHeard {
		return nil
	}
	n := d.list(MaxMembers, heardFields+1)
	if n == 0 {
		return nil
	}
	list := make([]message.Heard, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.tuple(heardFields, "heard")
		list[i] = message.Heard{Node: d.node(), Silent: d.uint()}
		if d.err == nil && !list[i].Node.IsReplica() {
			d.fail("no replica has the number %d", list[i].Node)
		}
	}
	return list
}

// time reads what only versions with times have.
func (d *Decoder) time() uint64 {
	if !d.times {
		return 0
	}
	return d.uint()
}

// fields is how many fields an array of now has in the version that is read: so many of them came
// with the revisions, and so many with the times.
func (d *Decoder) fields(now, withRevisions, withTimes int) int {
	if !d.revisions {
		now -= withRevisions
	}
	if !d.times {
		now -= withTimes
	}
	return now
}

func (d *Decoder) requestFields() int { return d.fields(requestFields, 1, 1) }

func (d *Decoder) marks() message.Marks {
	d.tuple(marksFields, "marks")
	return message.Marks{Last: d.uint(), Safe: d.uint(), Held: d.uint()}
}

func (d *Decoder) requests() []message.Request {
	n := d.list(MaxList, d.requestFields()+1)
	if n == 0 {
		return nil
	}
	requests := make([]message.Request, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.request(&requests[i])
	}
	return requests
}

func (d *Decoder) request(r *message.Request) {
	d.tuple(d.requestFields(), "request")
	r.RID = d.uint()
	r.Identity = d.str(model.MaxIdentity, "identity")
	r.Digest = d.uint()
	r.Model = model.Consistency(d.limited(math.MaxUint8, "consistency"))
	r.Type = model.Type(d.limited(math.MaxUint8, "type"))
	r.Key = d.str(model.MaxKey, "key")
	r.Value = bytes.Clone(d.value(model.MaxKeyValue))
	r.Version.Epoch = d.uint()
	r.Version.Time = d.uint()
	r.Version.Node = d.node()
	r.Min = d.uint()
	d.since(r)
	d.more(r)
	if d.err != nil {
		return
	}
	if fault := requestFault(r); fault != "" {
		d.fail("%s", fault)
	}
}

// since reads First, or Came.
func (d *Decoder) since(r *message.Request) {
	n := d.time()
	switch {
	case n < cameBit:
		r.First = n
	case n == cameBit:
		d.fail("no time in a request")
	default:
		r.Came = n &^ cameBit
	}
}

// more reads what few requests have.
func (d *Decoder) more(r *message.Request) {
	if !d.revisions || d.some(moreFields, "rest of a request") == 0 {
		return
	}
	r.HasIf, r.If = d.optional()
	r.TTL, r.Wall = d.uint(), d.uint()
	if d.some(rangeFields, "range") > 0 {
		r.Range = &model.Range{
			Limit: int(d.limited(model.MaxPage, "limit")), Values: d.bool(),
			From: d.str(model.MaxNext, "place in a list"),
		}
	}
	r.Watcher = d.watcher()
}

// watcher reads whom a watch is for; nil: the request is none.
func (d *Decoder) watcher() *message.Watcher {
	n := d.array(watcherFields)
	if d.err != nil || n == 0 {
		return nil
	}
	if n < watcherFields-1 {
		d.fail("watcher of %d fields (want none, %d or %d)", n, watcherFields-1, watcherFields)
		return nil
	}

	w := &message.Watcher{Reply: d.str(MaxReason, "subject"), Client: d.str(model.MaxIdentity, "client's name"), JSON: d.bool()}
	if n < watcherFields {
		return w
	}
	if w.Fields = d.uint(); d.err == nil && w.Fields == 0 {
		d.fail("watcher of frames without fields")
	}
	return w
}

// some reads the length of an array that is empty or has n fields.
func (d *Decoder) some(n int, what string) int {
	got := d.array(n)
	if d.err == nil && got != 0 && got != n {
		d.fail("%s of %d fields (want none or %d)", what, got, n)
		return 0
	}
	return got
}

// optional reads a number that may be missing.
func (d *Decoder) optional() (given bool, n uint64) {
	if d.array(1) == 0 {
		return false, 0
	}
	return true, d.uint()
}

func (d *Decoder) writes() []message.CausalWrite {
	n := d.list(MaxList, writeFields+1+d.requestFields())
	if n == 0 {
		return nil
	}
	writes := make([]message.CausalWrite, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.tuple(writeFields, "causal write")
		writes[i].Number = d.uint()
		d.request(&writes[i].Request)
	}
	return writes
}

func (d *Decoder) answers() []message.Answer {
	fields := d.fields(answerFields, 2, 0)
	n := d.list(MaxList, fields+1)
	if n == 0 {
		return nil
	}
	answers := make([]message.Answer, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.tuple(fields, "answer")
		a := &answers[i]
		a.RID, a.FirstRID = d.uint(), d.uint()
		a.Code = model.Code(d.limited(math.MaxUint16, "code"))
		a.Reason, a.Value = d.str(MaxReason, "reason"), d.value(MaxOutcome)
		a.Position, a.Timestamp, a.Clock.Time = d.uint(), d.uint(), d.uint()
		if d.revisions {
			a.HasRevision, a.Revision = d.optional()
			a.Expires = d.uint()
		}
	}
	return answers
}

func (d *Decoder) operations() []message.Operation {
	n := d.list(MaxList, operationFields+1)
	if n == 0 {
		return nil
	}
	ops := make([]message.Operation, n)
	for i := 0; i < n && d.err == nil; i++ {
		d.operation(&ops[i])
	}
	return ops
}

func (d *Decoder) operation(o *message.Operation) {
	d.tuple(operationFields, "operation")
	o.Op = message.Op(d.limited(math.MaxUint8, "operation"))
	switch {
	case d.err != nil:
	case !validOp(o.Op):
		d.fail("unknown operation %d", o.Op)
	case o.Op == message.OpReads:
		o.Reads = d.uints(MaxList)
	case o.Op == message.OpCommit:
		o.Number = d.uint()
	case o.Op == message.OpEnd:
		d.end(o)
	case o.Op == message.OpHorizon, o.Op == message.OpAgree:
		d.tuple(versionFields, "version")
		o.Request.Version = d.stamp()
	default:
		d.request(&o.Request)
	}
}

// end reads which value is to end.
func (d *Decoder) end(o *message.Operation) {
	d.tuple(endFields, "end of a value")
	o.Request.Key, o.Number = d.str(model.MaxKey, "key"), d.uint()
	if fault := keyFault(o.Request.Key); d.err == nil && fault != "" {
		d.fail("%s", fault)
	}
}

func (d *Decoder) received() message.Received {
	return message.Received{LastSeq: d.uint(), Received: d.uints(MaxMembers)}
}

func (d *Decoder) uints(limit int) []uint64 {
	n := d.list(limit, 1)
	if n == 0 {
		return nil
	}
	numbers := make([]uint64, n)
	for i := 0; i < n && d.err == nil; i++ {
		numbers[i] = d.uint()
	}
	return numbers
}
