package transcript_test

import (
	"fmt"
	"strings"

	"quartet/master"
	"quartet/replica/message"
	"quartet/replica/model"
	"quartet/replica/store"
)

// messageOf tells a message in one line: kind, epoch, clock, rIDs with what they are for,
// sequence numbers and received vectors.
func messageOf(msg message.Message) string {
	var b strings.Builder
	h := msg.Head()
	fmt.Fprintf(&b, "%s e%d clock %d", msg.Kind(), h.Epoch, h.Clock)
	switch m := msg.(type) {
	case *message.Data:
		fmt.Fprintf(&b, " seq %d received %v%s", m.Seq, m.Received.Received, acked(m.Acked))
		for i := range m.Ops {
			fmt.Fprintf(&b, " [%s]", opOf(&m.Ops[i]))
		}
	case *message.Ack:
		fmt.Fprintf(&b, " last %d received %v%s", m.LastSeq, m.Received.Received, acked(m.Acked))
		if m.Solicit {
			b.WriteString(" solicits")
		}
	case *message.Gap:
		what := "DATA"
		if m.Causal {
			what = "causal numbers"
		}
		fmt.Fprintf(&b, " asks for %s %d to %d", what, m.First, m.Last)
	case *message.Fill:
		b.WriteString(writesOf(m.Writes))
	case *message.Forward:
		b.WriteString(marksOf(m.Marks))
		for i := range m.Requests {
			fmt.Fprintf(&b, " [%s]", requestOf(&m.Requests[i]))
		}
		b.WriteString(writesOf(m.Writes))
	case *message.Answers:
		fmt.Fprintf(&b, " causal held %d position %d", m.Watermark, m.Position)
		for i := range m.Answers {
			fmt.Fprintf(&b, " [%s]", answerOf(&m.Answers[i]))
		}
	case *message.Hello:
		fmt.Fprintf(&b, " incarnation %d for master %d view %s position %d causal held %d safe %d highest #%d",
			m.Incarnation, m.Master, viewOf(m.View), m.Position, m.Watermark, m.Safe, m.LastRID)
	case *message.Install:
		fmt.Fprintf(&b, " view %s%s", viewOf(m.View), marksOf(m.Marks))
	case *message.Probe:
		fmt.Fprintf(&b, " nonce %d%s", m.Nonce, marksOf(m.Marks))
	case *message.Report:
		fmt.Fprintf(&b, " nonce %d position %d causal held %d safe %d", m.Nonce, m.Position, m.Watermark, m.Safe)
	}
	return b.String()
}

func acked(rids []uint64) string {
	if len(rids) == 0 {
		return ""
	}
	return fmt.Sprintf(" acknowledges %v", rids)
}

func marksOf(k message.Marks) string {
	if k == (message.Marks{}) {
		return ""
	}
	return fmt.Sprintf(" marks last %d safe %d held %d", k.Last, k.Safe, k.Held)
}

func writesOf(writes []message.CausalWrite) string {
	var b strings.Builder
	for i := range writes {
		fmt.Fprintf(&b, " [number %d: %s]", writes[i].Number, requestOf(&writes[i].Request))
	}
	return b.String()
}

func requestOf(r *message.Request) string {
	s := fmt.Sprintf("#%d %s %s %s", r.RID, r.Model.Word(), r.Type.Word(), r.Key)
	if r.Type == model.Set {
		s += " = " + string(r.Value)
	}
	if r.Version.Time > 0 {
		s += " version " + r.Version.String()
	}
	if r.Min > 0 {
		s += fmt.Sprintf(" min %d", r.Min)
	}
	if r.Identity != "" {
		s += " id " + r.Identity
	}
	return s
}

func answerOf(a *message.Answer) string {
	s := fmt.Sprintf("#%d %d clock %d", a.RID, a.Code, a.Clock)
	if a.FirstRID != 0 {
		s += fmt.Sprintf(" first #%d", a.FirstRID)
	}
	return s + outcome(a.Value, a.Position, a.Timestamp)
}

func replyOf(r *master.Reply) string {
	s := fmt.Sprintf("#%d %d", r.RID, r.Code)
	if r.Replica != 0 {
		s += " from " + r.Replica.String()
	}
	s += outcome(r.Value, r.Position, r.Timestamp) + " clock " + r.Clock.String()
	if r.Repeated {
		s += " (repeated)"
	}
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

func outcome(value []byte, position, timestamp uint64) string {
	var s string
	if value != nil {
		s += fmt.Sprintf(" value %q", value)
	}
	if position != 0 {
		s += fmt.Sprintf(" position %d", position)
	}
	if timestamp != 0 {
		s += fmt.Sprintf(" timestamp %d", timestamp)
	}
	return s
}

func opOf(op *message.Operation) string {
	switch op.Op {
	case message.OpReads:
		return fmt.Sprintf("gets %v", op.Reads)
	case message.OpCommit:
		return fmt.Sprintf("causal writes up to %d", op.Number)
	case message.OpWeak:
		return "weak " + requestOf(&op.Request)
	}
	return "strong " + requestOf(&op.Request)
}

func viewOf(v message.View) string {
	if v.Epoch == 0 {
		return "none"
	}
	names := make([]string, len(v.Members))
	for i, m := range v.Members {
		names[i] = fmt.Sprintf("%s/%d", m.Node, m.Incarnation)
	}
	return fmt.Sprintf("e%d{%s} f=%d", v.Epoch, strings.Join(names, " "), v.Faults)
}

// committedOf lists the committed layer: key = value, its version, its causal number.
func committedOf(s store.Store) string {
	var parts []string
	s.Ascend("", func(key string, r store.Record) bool {
		part := fmt.Sprintf("%s = %s at %s", key, r.Value, r.Version)
		if r.Number > 0 {
			part += fmt.Sprintf(" number %d", r.Number)
		}
		parts = append(parts, part)
		return true
	})
	return strings.Join(parts, ", ")
}
