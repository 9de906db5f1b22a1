package transcript_test

import (
	"fmt"
	"strings"

	"quartet/bus/codec"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
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
		switch {
		case m.Causal:
			what = "causal numbers"
		case m.Of != 0:
			what = fmt.Sprintf("DATA of %s", m.Of)
		}
		fmt.Fprintf(&b, " asks for %s %d to %d", what, m.First, m.Last)
	case *message.Fill:
		b.WriteString(writesOf(m.Writes))
		for _, d := range m.Data {
			fmt.Fprintf(&b, " [DATA %d of %s]", d.Seq, d.From)
		}

	// Requests.
	case *message.Forward:
		b.WriteString(roundOf(m.Round) + marksOf(m.Marks))
		for i := range m.Requests {
			fmt.Fprintf(&b, " [%s]", requestOf(&m.Requests[i]))
		}
		b.WriteString(writesOf(m.Writes))
	case *message.Answers:
		fmt.Fprintf(&b, "%s causal held %d position %d", roundOf(m.Round), m.Watermark, m.Position)
		for i := range m.Answers {
			fmt.Fprintf(&b, " [%s]", answerOf(&m.Answers[i]))
		}

	// Votes.
	case *message.Poll:
		fmt.Fprintf(&b, " after %s: promise ballot %s", epochOf(m.Base), ballotOf(m.Ballot))
		if m.Value != nil {
			b.WriteString(", accept " + recordOf(m.Value))
		}
	case *message.Vote:
		fmt.Fprintf(&b, " after %s: has promised %s", epochOf(m.Base), ballotOf(m.Promised))
		if m.Value != nil {
			fmt.Fprintf(&b, ", accepted in %s %s", ballotOf(m.Accepted), recordOf(m.Value))
		}

	// Views.
	case *message.Hello:
		fmt.Fprintf(&b, " incarnation %d %s for master %d position %d keys %d highest #%d",
			m.Incarnation, m.Phase.Word(), m.Master, m.Position, m.Keys, m.LastRID)
	case *message.Install:
		fmt.Fprintf(&b, " %s", recordOf(&m.Record))
	case *message.Prepare:
		fmt.Fprintf(&b, " attempt %d", m.Attempt)
		if m.Holder != 0 {
			fmt.Fprintf(&b, ": hold the causal numbers up to %d, %s has them", m.High, m.Holder)
		}
		if len(m.Cut) > 0 {
			fmt.Fprintf(&b, ": hold the DATA %v", m.Cut)
		}
	case *message.State:
		fmt.Fprintf(&b, " attempt %d holds %v causal held %d position %d highest #%d", m.Attempt, m.Contiguous, m.Watermark,
			m.Position, m.LastRID)
	case *message.Pull:
		fmt.Fprintf(&b, " has entries up to %d, keys %s%s", m.Entry, keysOf(m.Cursor, m.Scanned), wedgedOf(m.Wedged))
	case *message.Chunk:
		b.WriteString(chunkOf(m))

	// Heartbeats.
	case *message.Probe:
		fmt.Fprintf(&b, " nonce %d%s", m.Nonce, marksOf(m.Marks))
	case *message.Report:
		fmt.Fprintf(&b, " nonce %d position %d causal held %d safe %d", m.Nonce, m.Position, m.Watermark, m.Safe)
	}

	return b.String()
}

// epochOf names the record that a vote follows.
func epochOf(r *message.Record) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("e%d", r.Epoch)
}

// ballotOf is a ballot: its round, and the number of the master's process.
func ballotOf(b message.Ballot) string { return fmt.Sprintf("%d/%d", b.Round, b.Master) }

func roundOf(round uint64) string {
	if round == 0 {
		return ""
	}
	return fmt.Sprintf(" round %d", round)
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
	if at, goesOn := r.After(); goesOn {
		s += fmt.Sprintf(" after revision %d", at)
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
	s := fmt.Sprintf("#%d %d clock %d", a.RID, a.Code, a.Clock.Time)
	if a.FirstRID != 0 {
		s += fmt.Sprintf(" first #%d", a.FirstRID)
	}
	if _, err := codec.ParsePage(a.Value); err == nil {
		return s + " a page" + outcome(nil, a.Position, a.Timestamp)
	}
	return s + outcome(a.Value, a.Position, a.Timestamp)
}

func (c *cluster) replyOf(r *master.Reply) string {
	s := fmt.Sprintf("#%d %d", r.RID, r.Code)
	if r.Replica != 0 {
		s += " from " + r.Replica.String()
	}
	value := r.Value
	if c.lists[r.Token] && r.Code == model.OK {
		s, value = s+c.pageOf(c.clients[r.Token], value), nil
	}
	s += outcome(value, r.Position, r.Timestamp) + " clock " + r.Clock.String()
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
	case message.OpEnd:
		return fmt.Sprintf("the end of %s at revision %d", op.Request.Key, op.Number)
	case message.OpHorizon:
		return "the horizon " + op.Request.Version.String()
	case message.OpAgree:
		return "agreement to the horizon " + op.Request.Version.String()
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

// recordOf tells a record but for its nonce.
func recordOf(r *message.Record) string {
	if r == nil {
		return "no record"
	}
	s := "record " + viewOf(r.View)
	if r.Cut != nil {
		s += fmt.Sprintf(" cut %v", r.Cut)
	}
	return s + fmt.Sprintf(" high-water %d start %d of master %d", r.High, r.Start, r.Master)
}

func keysOf(cursor string, scanned bool) string {
	switch {
	case scanned:
		return "all"
	case cursor == "":
		return "none"
	}
	return "below " + cursor
}

func wedgedOf(wedged bool) string {
	if wedged {
		return ", of one that is wedged"
	}
	return ""
}

func chunkOf(c *message.Chunk) string {
	if c.Restart {
		return " begin anew"
	}
	var b strings.Builder
	fmt.Fprintf(&b, " position %d", c.Position)
	if n := len(c.Entries); n > 0 {
		fmt.Fprintf(&b, " entries %d to %d", c.First, c.First+uint64(n)-1)
	}
	for i := range c.Records {
		r := &c.Records[i]
		fmt.Fprintf(&b, " [%s = %s at %s]", r.Key, r.Value, r.Version)
	}
	fmt.Fprintf(&b, " keys %s", keysOf(c.Cursor, c.Scanned))
	if c.Wedged {
		fmt.Fprintf(&b, ", holds %v causal held %d", c.Contiguous, c.Watermark)
		for _, d := range c.Data {
			for i := range d.Ops {
				fmt.Fprintf(&b, " [%s seq %d: %s]", d.From, d.Seq, opOf(&d.Ops[i]))
			}
		}
		b.WriteString(writesOf(c.Writes))
	}
	if c.Done {
		b.WriteString(", that is all")
	}
	return b.String()
}

// committedOf lists the committed layer: key = value, its version, its causal number.
func committedOf(s store.Store) string {
	var parts []string
	s.Ascend("", func(key string, r store.Record) bool {
		part := fmt.Sprintf("%s = %s at %s", key, r.Value, r.Version)
		if r.Kind == store.KindTombstone {
			part = fmt.Sprintf("%s deleted at %s", key, r.Version)
		}
		if r.Number > 0 {
			part += fmt.Sprintf(" number %d", r.Number)
		}
		parts = append(parts, part)
		return true
	})
	return strings.Join(parts, ", ")
}
