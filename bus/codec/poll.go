package codec

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
)

func (e *Encoder) poll(p *message.Poll) {
	if fault := pollFault(p); fault != "" {
		e.fail(fault)
	}
	e.uint(p.Attempt)
	e.ballot(p.Ballot)
	e.optionalRecord(p.Base)
	e.optionalRecord(p.Value)
	e.bool(p.Forced)
}

func (e *Encoder) vote(v *message.Vote) {
	if fault := voteFault(v); fault != "" {
		e.fail(fault)
	}
	e.uint(v.Attempt)
	e.optionalRecord(v.Base)
	e.bool(v.Counts)
	e.ballot(v.Promised)
	e.ballot(v.Accepted)
	e.optionalRecord(v.Value)
}

// ballot is two fields.
func (e *Encoder) ballot(b message.Ballot) {
	e.uint(b.Round)
	e.uint(b.Master)
}

// optionalRecord writes a record that may be missing: an array of none or one.
func (e *Encoder) optionalRecord(r *message.Record) {
	if r == nil {
		e.array(0)
		return
	}
	e.array(1)
	e.record(r)
}

func (d *Decoder) poll(h message.Header) *message.Poll {
	p := &message.Poll{
		Header: h, Attempt: d.uint(), Ballot: d.ballot(), Base: d.optionalRecord(), Value: d.optionalRecord(), Forced: d.bool(),
	}
	if fault := pollFault(p); d.err == nil && fault != "" {
		d.fail("%s", fault)
	}
	return p
}

func (d *Decoder) vote(h message.Header) *message.Vote {
	v := &message.Vote{
		Header: h, Attempt: d.uint(), Base: d.optionalRecord(), Counts: d.bool(), Promised: d.ballot(), Accepted: d.ballot(),
		Value: d.optionalRecord(),
	}
	if fault := voteFault(v); d.err == nil && fault != "" {
		d.fail("%s", fault)
	}
	return v
}

func (d *Decoder) ballot() message.Ballot {
	return message.Ballot{Round: d.uint(), Master: d.uint()}
}

func (d *Decoder) optionalRecord() *message.Record {
	if d.list(1, d.fields(recordFields, 1, 2)+1) == 0 {
		return nil
	}
	r := d.record()
	return &r
}

// pollFault says what is wrong with a POLL; "" if nothing is.
func pollFault(p *message.Poll) string {
	switch {
	case p.Ballot.Round == 0 || p.Ballot.Round >= lamport.Limit:
		return "POLL without a ballot"
	case !follows(p.Base, p.Value):
		return "POLL for a record that does not follow"
	}
	return ""
}

// follows reports whether a value, if there is one, is of the epoch after a record; none is of
// epoch 0.
func follows(base, value *message.Record) bool {
	switch {
	case value == nil:
		return true
	case base == nil:
		return value.Epoch == 1
	}
	return value.Epoch == base.Epoch+1
}

// voteFault says what is wrong with a VOTE; "" if nothing is.
func voteFault(v *message.Vote) string {
	isAccepted, hasValue := v.Accepted.Round > 0, v.Value != nil
	switch {
	case isAccepted != hasValue:
		return "VOTE that has a ballot and no record, or a record and no ballot"
	case v.Promised.Less(v.Accepted) || v.Promised.Round >= lamport.Limit:
		return "VOTE in a ballot above all that was promised"
	case !follows(v.Base, v.Value):
		return "VOTE for a record that does not follow"
	}
	return ""
}
