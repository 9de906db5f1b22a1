package sim

import (
	"fmt"
	"strings"

	"quartet/replica/message"
	"quartet/replica/model"
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
	case *message.Fill:
		writes(&b, m.Writes)
	case *message.Forward:
		fmt.Fprintf(&b, " marks %v", m.Marks)
		for i := range m.Requests {
			fmt.Fprintf(&b, " [%s]", request(&m.Requests[i]))
		}
		writes(&b, m.Writes)
	case *message.Answers:
		fmt.Fprintf(&b, " watermark %d position %d", m.Watermark, m.Position)
		for i := range m.Answers {
			a := &m.Answers[i]
			fmt.Fprintf(&b, " [#%d %d %q position %d timestamp %d]", a.RID, a.Code, a.Value, a.Position, a.Timestamp)
		}
	case *message.Probe:
		fmt.Fprintf(&b, " %d marks %v", m.Nonce, m.Marks)
	case *message.Report:
		fmt.Fprintf(&b, " %d position %d watermark %d safe %d", m.Nonce, m.Position, m.Watermark, m.Safe)
	case *message.Install:
		fmt.Fprintf(&b, " view %v marks %v", m.View, m.Marks)
	}
	return b.String() + ")"
}

func writes(b *strings.Builder, writes []message.CausalWrite) {
	for i := range writes {
		fmt.Fprintf(b, " [number %d: %s]", writes[i].Number, request(&writes[i].Request))
	}
}

func request(r *message.Request) string {
	s := fmt.Sprintf("#%d %s %s %s", r.RID, r.Model.Word(), r.Type.Word(), r.Key)
	if r.Type == model.Set {
		s += fmt.Sprintf(" = %s", r.Value)
	}
	if r.Version.Time > 0 {
		s += " version " + r.Version.String()
	}
	if r.Min > 0 {
		s += fmt.Sprintf(" min %d", r.Min)
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
	case message.OpWeak:
		return "weak " + request(&d.op.Request)
	}
	return "strong " + request(&d.op.Request)
}
