package sim

import (
	"fmt"
	"strings"

	"quartet/bus/message"
	"quartet/bus/model"
)

// described is a message that is put into words only if somebody reads them.
type described struct{ msg message.Message }

func describe(msg message.Message) described { return described{msg} }

// String tells the message in one line.
func (d described) String() string {
	h := d.msg.Head()
	var b strings.Builder
	fmt.Fprintf(&b, "%s(%s e%d clock %d", d.msg.Kind(), h.From, h.Epoch, h.Clock)

	switch m := d.msg.(type) {
	case *message.Data:
		fmt.Fprintf(&b, " seq %d last %d received %v:", m.Seq, m.LastSeq, m.Received.Received)
		for i := range m.Ops {
			fmt.Fprintf(&b, " [%s]", describeOp(&m.Ops[i]))
		}
	case *message.Ack:
		fmt.Fprintf(&b, " last %d received %v", m.LastSeq, m.Received.Received)
		if m.Solicit {
			b.WriteString(" solicit")
		}
	case *message.Gap:
		fmt.Fprintf(&b, " causal %t %d to %d", m.Causal, m.First, m.Last)
		if m.Of != 0 {
			fmt.Fprintf(&b, " of %s", m.Of)
		}
	case *message.Fill:
		writes(&b, m.Writes)
		for _, d := range m.Data {
			fmt.Fprintf(&b, " [%s seq %d]", d.From, d.Seq)
		}

	// Requests.
	case *message.Forward:
		fmt.Fprintf(&b, " round %d marks %v", m.Round, m.Marks)
		for i := range m.Requests {
			fmt.Fprintf(&b, " [%s]", request(&m.Requests[i]))
		}
		writes(&b, m.Writes)
	case *message.Answers:
		fmt.Fprintf(&b, " round %d watermark %d position %d", m.Round, m.Watermark, m.Position)
		for i := range m.Answers {
			a := &m.Answers[i]
			fmt.Fprintf(&b, " [#%d %d %q position %d timestamp %d]", a.RID, a.Code, a.Value, a.Position, a.Timestamp)
		}

	// Heartbeats.
	case *message.Probe:
		fmt.Fprintf(&b, " %d marks %v", m.Nonce, m.Marks)
	case *message.Report:
		fmt.Fprintf(&b, " %d position %d watermark %d safe %d", m.Nonce, m.Position, m.Watermark, m.Safe)

	// Views.
	case *message.Install:
		b.WriteString(" " + describeRecord(&m.Record))
	case *message.Hello:
		fmt.Fprintf(&b, " inc %d phase %d position %d master %d", h.Incarnation, m.Phase, m.Position, m.Master)
	case *message.Poll:
		fmt.Fprintf(&b, " ballot %v on %s", m.Ballot, describeBase(m.Base))
		if m.Value != nil {
			fmt.Fprintf(&b, ": %s nonce %d, forced %t", describeRecord(m.Value), m.Value.Nonce, m.Forced)
		}
	case *message.Vote:
		fmt.Fprintf(&b, " on %s counts %t promised %v", describeBase(m.Base), m.Counts, m.Promised)
		if m.Value != nil {
			fmt.Fprintf(&b, " accepted %v: nonce %d", m.Accepted, m.Value.Nonce)
		}
	case *message.Prepare:
		fmt.Fprintf(&b, " from master %d attempt %d high %d at %s cut %v", h.Incarnation, m.Attempt, m.High, m.Holder, m.Cut)
	case *message.State:
		fmt.Fprintf(&b, " inc %d attempt %d contiguous %v watermark %d position %d",
			h.Incarnation, m.Attempt, m.Contiguous, m.Watermark, m.Position)
	case *message.Pull:
		fmt.Fprintf(&b, " %d entry %d cursor %q scanned %t wedged %t held %v number %d",
			m.Nonce, m.Entry, m.Cursor, m.Scanned, m.Wedged, m.Held, m.Number)
	case *message.Chunk:
		fmt.Fprintf(&b, " %d restart %t position %d place %s entries %d from %d, last %d, records %d, cursor %q scanned %t;"+
			" wedged %t done %t contiguous %v data %d writes %d committed %d watermark %d safe %d",
			m.Nonce, m.Restart, m.Position, m.Place, len(m.Entries), m.First, m.Last, len(m.Records), m.Cursor, m.Scanned,
			m.Wedged, m.Done, m.Contiguous, len(m.Data), len(m.Writes), m.Committed, m.Watermark, m.Safe)
	}

	return b.String() + ")"
}

// describeBase names the record that a vote is to follow.
func describeBase(r *message.Record) string {
	if r == nil {
		return "the first"
	}
	return fmt.Sprintf("what follows epoch %d (nonce %d)", r.Epoch, r.Nonce)
}

func describeRecord(r *message.Record) string {
	s := fmt.Sprintf("epoch %d of master %d:", r.Epoch, r.Master)
	for _, m := range r.Members {
		s += fmt.Sprintf(" %s/%d", m.Node, m.Incarnation)
	}
	return s + fmt.Sprintf(" f %d cut %v high %d start %d", r.Faults, r.Cut, r.High, r.Start)
}

func writes(b *strings.Builder, writes []message.CausalWrite) {
	for i := range writes {
		fmt.Fprintf(b, " [number %d: %s]", writes[i].Number, request(&writes[i].Request))
	}
}

func request(r *message.Request) string {
	s := fmt.Sprintf("#%d %s %s %s", r.RID, r.Model.Word(), r.Type.Word(), r.Key)
	s += details(&r.Request)
	if r.Version.Time > 0 {
		s += " version " + r.Version.String()
	}
	if r.Min > 0 {
		s += fmt.Sprintf(" min %d", r.Min)
	}
	return s
}

// details is what a request says beside its key.
func details(r *model.Request) string {
	s := ""
	if r.Value != nil && r.Type != model.Txn {
		s += fmt.Sprintf(" = %s", r.Value)
	}
	if r.TTL > 0 {
		s += fmt.Sprintf(" for %d ms", r.TTL)
	}
	if r.HasIf {
		s += fmt.Sprintf(" if its revision is %d", r.If)
	}
	return s
}

type describedOp struct{ op *message.Operation }

func describeOp(op *message.Operation) describedOp { return describedOp{op} }

// String tells the operation in a few words.
func (d describedOp) String() string {
	switch d.op.Op {
	case message.OpReads:
		return fmt.Sprintf("gets %v", d.op.Reads)
	case message.OpCommit:
		return fmt.Sprintf("causal writes up to %d", d.op.Number)
	case message.OpEnd:
		return fmt.Sprintf("the end of %s at revision %d", d.op.Request.Key, d.op.Number)
	case message.OpHorizon:
		return fmt.Sprintf("the horizon %s", d.op.Request.Version)
	case message.OpAgree:
		return fmt.Sprintf("agreement to the horizon %s", d.op.Request.Version)
	case message.OpWeak:
		return "weak " + request(&d.op.Request)
	}
	return "strong " + request(&d.op.Request)
}
