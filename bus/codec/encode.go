package codec

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"quartet/bus/internal/pack"
	"quartet/bus/message"
)

// Encoder encodes messages into one buffer that it keeps. It has one owner.
type Encoder struct {
	enc   *msgpack.Encoder
	out   pack.Buffer
	fault string // the first thing that may not be sent
}

// NewEncoder returns an encoder.
func NewEncoder() *Encoder {
	e := &Encoder{}
	e.enc = msgpack.NewEncoder(&e.out)
	return e
}

// Encode returns m's bytes, valid until the encoder is used again. The error wraps [ErrMessage]:
// m breaks a limit that the receiver keeps to, or is of a kind that is not known.
func (e *Encoder) Encode(m message.Message) ([]byte, error) {
	e.out.B, e.fault = e.out.B[:0], ""
	kind := m.Kind()
	if !knownKind(kind) {
		return nil, fmt.Errorf("%w: no kind %d", ErrMessage, kind)
	}
	e.array(headFields + bodyFields[kind])
	e.uint(Version)
	e.uint(uint64(kind))
	e.header(m.Head())
	e.body(m)
	if e.fault != "" {
		return nil, fmt.Errorf("%w: %v: %s", ErrMessage, kind, e.fault)
	}
	return e.out.B, nil
}

func (e *Encoder) body(m message.Message) {
	switch m := m.(type) {
	case *message.Hello:
		e.hello(m)
	case *message.Install:
		e.record(&m.Record)
	case *message.Installed:
		if m.Keeps > message.KeepsAlways {
			e.fail("unknown way of keeping data")
		}
		e.uint(m.Position)
		e.uint(uint64(max(m.PID, 0)))
		e.uint(uint64(m.Keeps))
		e.uint(m.View)

	// Requests, and the broadcast.
	case *message.Forward:
		e.marks(&m.Marks)
		e.list(len(m.Requests))
		for i := range m.Requests {
			e.request(&m.Requests[i])
		}
		e.writes(m.Writes)
		e.uint(m.Round)
		e.uint(m.Time)
	case *message.Answers:
		e.uint(m.Watermark)
		e.uint(m.Position)
		e.list(len(m.Answers))
		for i := range m.Answers {
			e.answer(&m.Answers[i])
		}
		e.uint(m.Round)
	case *message.Data:
		e.dataBody(m)
	case *message.Ack:
		e.received(&m.Received)
		e.bool(m.Solicit)
	case *message.Gap:
		e.gap(m)
	case *message.Fill:
		e.writes(m.Writes)
		e.dataList(m.Data)

	// Heartbeats.
	case *message.Probe:
		e.uint(m.Nonce)
		e.marks(&m.Marks)
	case *message.Report:
		e.uints4(m.Nonce, m.Position, m.Watermark, m.Safe)
		e.uints4(m.Keys, m.Pending, m.Tentative, m.Queue)
		e.uint(m.Own)
		e.heard(m.Heard)
		e.uint(m.Tombstones)
		e.uint(m.Collected)
	case *message.Beat:

	// Changes of the view.
	case *message.Prepare:
		e.prepare(m)
	case *message.State:
		e.state(m)
	case *message.Pull:
		e.pull(m)
	case *message.Chunk:
		e.chunk(m)
	case *message.Outdated:
		e.uint(m.Newest)
		e.uint(m.Life)
		e.bool(m.Replaced)
	case *message.Poll:
		e.poll(m)
	case *message.Vote:
		e.vote(m)

	default:
		e.fail("unknown type of message")
	}
}

func (e *Encoder) fail(fault string) {
	if e.fault == "" {
		e.fault = fault
	}
}

func (e *Encoder) array(n int)   { _ = e.enc.EncodeArrayLen(n) }
func (e *Encoder) uint(n uint64) { _ = e.enc.EncodeUint(n) }
func (e *Encoder) bool(b bool)   { _ = e.enc.EncodeBool(b) }
func (e *Encoder) str(s string)  { _ = e.enc.EncodeString(s) }

// value keeps nil and empty apart.
func (e *Encoder) value(b []byte) { _ = e.enc.EncodeBytes(b) }

func (e *Encoder) uints4(a, b, c, d uint64) {
	e.uint(a)
	e.uint(b)
	e.uint(c)
	e.uint(d)
}

func (e *Encoder) header(h *message.Header) {
	if !h.From.IsReplica() && !h.From.IsMaster() {
		e.fail("no sender")
	}
	e.uint(uint64(h.From))
	e.uint(h.Incarnation)
	e.uint(h.Epoch)
	e.uint(h.Clock)
}

func (e *Encoder) list(n int) {
	if n > MaxList {
		e.fail("list too long")
	}
	e.array(n)
}

func (e *Encoder) marks(m *message.Marks) {
	e.array(marksFields)
	e.uint(m.Last)
	e.uint(m.Safe)
	e.uint(m.Held)
}

func (e *Encoder) request(r *message.Request) {
	if fault := requestFault(r); fault != "" {
		e.fail(fault)
	}
	e.array(requestFields)
	e.uint(r.RID)
	e.str(r.Identity)
	e.uint(r.Digest)
	e.uint(uint64(r.Model))
	e.uint(uint64(r.Type))
	e.str(r.Key)
	e.value(r.Value)
	e.uint(r.Version.Epoch)
	e.uint(r.Version.Time)
	e.uint(uint64(r.Version.Node))
	e.uint(r.Min)
	e.since(r)
	e.more(r)
}

// more writes what few requests have, as an array that is empty of all others.
func (e *Encoder) more(r *message.Request) {
	plain := !r.HasIf && r.TTL == 0 && r.Wall == 0 && r.Range == nil && r.Watcher == nil
	if plain {
		e.array(0)
		return
	}
	e.array(moreFields)
	e.optional(r.HasIf, r.If)
	e.uint(r.TTL)
	e.uint(r.Wall)

	if r.Range == nil {
		e.array(0)
	} else {
		e.array(rangeFields)
		e.uint(uint64(max(r.Range.Limit, 0)))
		e.bool(r.Range.Values)
		e.str(r.Range.From)
	}

	if r.Watcher == nil {
		e.array(0)
		return
	}
	e.watcher(r.Watcher)
}

// watcher leaves the last field out where events are not framed, as the first builds with watches
// did, which know of no frames.
func (e *Encoder) watcher(w *message.Watcher) {
	n := watcherFields
	if w.Fields == 0 {
		n--
	}
	e.array(n)
	e.str(w.Reply)
	e.str(w.Client)
	e.bool(w.JSON)
	if w.Fields > 0 {
		e.uint(w.Fields)
	}
}

// optional writes a number that may be missing: an array of none or one.
func (e *Encoder) optional(given bool, n uint64) {
	if !given {
		e.array(0)
		return
	}
	e.array(1)
	e.uint(n)
}

// since writes First and Came as one number: at most one of them is there.
func (e *Encoder) since(r *message.Request) {
	switch {
	case r.First >= cameBit || r.Came >= cameBit:
		e.fail("no time in a request")
	case r.First > 0 && r.Came > 0:
		e.fail("two times in a request")
	case r.Came > 0:
		e.uint(cameBit | r.Came)
	default:
		e.uint(r.First)
	}
}

func (e *Encoder) writes(writes []message.CausalWrite) {
	e.list(len(writes))
	for i := range writes {
		e.array(writeFields)
		e.uint(writes[i].Number)
		e.request(&writes[i].Request)
	}
}

func (e *Encoder) answer(a *message.Answer) {
	if len(a.Reason) > MaxReason || len(a.Value) > MaxOutcome {
		e.fail("reason or value of an answer too long")
	}
	e.array(answerFields)
	e.uint(a.RID)
	e.uint(a.FirstRID)
	e.uint(uint64(a.Code))
	e.str(a.Reason)
	e.value(a.Value)
	e.uint(a.Position)
	e.uint(a.Timestamp)
	e.uint(a.Clock.Time)
	e.optional(a.HasRevision, a.Revision)
	e.uint(a.Expires)
}

func (e *Encoder) operation(o *message.Operation) {
	e.array(operationFields)
	e.uint(uint64(o.Op))
	switch o.Op {
	case message.OpStrong, message.OpWeak:
		e.request(&o.Request)
	case message.OpReads:
		e.list(len(o.Reads))
		for _, rid := range o.Reads {
			e.uint(rid)
		}
	case message.OpCommit:
		e.uint(o.Number)
	case message.OpEnd:
		if fault := keyFault(o.Request.Key); fault != "" {
			e.fail(fault)
		}
		e.array(endFields)
		e.str(o.Request.Key)
		e.uint(o.Number)
	case message.OpHorizon, message.OpAgree:
		e.array(versionFields)
		e.version(o.Request.Version)
	default:
		e.fail("unknown operation")
	}
}

// dataBody is a DATA without its header.
func (e *Encoder) dataBody(m *message.Data) {
	e.uint(m.Seq)
	e.received(&m.Received)
	e.list(len(m.Ops))
	for i := range m.Ops {
		e.operation(&m.Ops[i])
	}
	e.uint(m.Time)
}

// received is two fields: lastSeq and the vector.
func (e *Encoder) received(r *message.Received) {
	e.uint(r.LastSeq)
	e.vector(r.Received)
}

// vector has an entry for each member.
func (e *Encoder) vector(v []uint64) {
	if len(v) > MaxMembers {
		e.fail("vector too long")
	}
	e.array(len(v))
	for _, n := range v {
		e.uint(n)
	}
}
