package codec

import (
	"errors"
	"fmt"
	"math"

	"quartet/bus/internal/pack"
	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Decoder decodes messages. It keeps nothing of them. It has one owner.
type Decoder struct {
	in  *pack.Reader
	err error // the first error; after it every read returns zero

	// What is read is of a version with times and lineages, and of one with revisions.
	times, revisions bool
}

// NewDecoder returns a decoder.
func NewDecoder() *Decoder { return &Decoder{in: pack.NewReader()} }

// Decode reads one message, which must be all of b. Keys and values of requests are
// memory of their own, so that a store that keeps one doesn't keep the whole batch that
// it came in, and so are those of a CHUNK's records; values of Answers share b, for they go on to a
// client at once. Acked of Data and Ack stays nil: it travels in the request-id header only. The
// error wraps [ErrMessage].
func (d *Decoder) Decode(b []byte) (message.Message, error) {
	d.in.Reset(b)
	d.err = nil
	n := d.array(64)
	version := d.version(withoutRounds, Version)
	d.times, d.revisions = version > withoutLineage, version > withoutRevisions
	kind := message.Kind(d.limited(math.MaxUint8, "kind"))
	if d.err == nil && !knownKind(kind) {
		d.fail("unknown kind %d", kind)
	}
	if d.err == nil && n != headFields+fieldsOf(kind, version) {
		d.fail("%v of %d fields (want %d)", kind, n, headFields+fieldsOf(kind, version))
	}
	h := d.header()
	if d.err != nil {
		return nil, d.err
	}
	m := d.body(kind, h, version)
	if d.err == nil && d.in.Len() > 0 {
		d.fail("%d bytes after %v", d.in.Len(), kind)
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// body reads the fields of a known kind. Go evaluates the calls of each composite
// literal in the order in which they stand, which is the order of the fields.
func (d *Decoder) body(kind message.Kind, h message.Header, version uint64) message.Message {
	switch kind {
	case message.KindHello:
		return &message.Hello{Header: h, PID: int(d.limited(math.MaxInt32, "pid")), Phase: d.phase(),
			Position: d.uint(), Keys: d.uint(), LastRID: d.uint(), Master: d.uint(), Nonce: d.uint(),
			Whole: d.bool(), Committed: d.uint(), Heard: d.heard(version), Past: d.past(version)}
	case message.KindInstall:
		return &message.Install{Header: h, Record: d.record()}
	case message.KindInstalled:
		if version <= withoutLineage {
			return &message.Installed{Header: h, Position: message.Unknown}
		}
		return &message.Installed{Header: h, Position: d.uint(), PID: int(d.limited(math.MaxInt32, "pid")),
			Keeps: message.Keeps(d.limited(uint64(message.KeepsAlways), "way of keeping data")), View: d.uint()}

	// Requests, and the broadcast.
	case message.KindForward:
		return &message.Forward{Header: h, Marks: d.marks(), Requests: d.requests(), Writes: d.writes(),
			Round: d.round(version), Time: d.time()}
	case message.KindAnswers:
		return &message.Answers{Header: h, Watermark: d.uint(), Position: d.uint(), Answers: d.answers(),
			Round: d.round(version)}
	case message.KindData:
		return &message.Data{Header: h, Seq: d.uint(), Received: d.received(), Ops: d.operations(), Time: d.time()}
	case message.KindAck:
		return &message.Ack{Header: h, Received: d.received(), Solicit: d.bool()}
	case message.KindGap:
		return d.gap(h)
	case message.KindFill:
		return d.fill(h)

	// Heartbeats.
	case message.KindProbe:
		return &message.Probe{Header: h, Nonce: d.uint(), Marks: d.marks()}
	case message.KindReport:
		return d.report(h, version)
	case message.KindBeat:
		return &message.Beat{Header: h}

	// Changes of the view.
	case message.KindPrepare:
		return d.prepare(h)
	case message.KindState:
		return &message.State{Header: h, Attempt: d.uint(), Contiguous: d.uints(MaxMembers),
			Watermark: d.uint(), Position: d.uint(), LastRID: d.uint(), Proof: d.proof(version)}
	case message.KindPull:
		return &message.Pull{Header: h, Nonce: d.uint(), Entry: d.uint(), Cursor: d.str(MaxCursor, "cursor"),
			Scanned: d.bool(), Wedged: d.bool(), Held: d.uints(MaxMembers), Number: d.uint(), Changes: d.position()}
	case message.KindChunk:
		return d.chunk(h)
	case message.KindOutdated:
		return &message.Outdated{Header: h, Newest: d.uint(), Life: d.uint(), Replaced: d.bool()}

	// Votes on the records of views.
	case message.KindPoll:
		return d.poll(h)
	case message.KindVote:
		return d.vote(h)
	}
	d.fail("unknown kind %d", kind)
	return nil
}

func (d *Decoder) report(h message.Header, version uint64) *message.Report {
	r := &message.Report{
		Header: h, Nonce: d.uint(), Position: d.uint(), Watermark: d.uint(), Safe: d.uint(),
		Keys: d.uint(), Pending: d.uint(), Tentative: d.uint(), Queue: d.uint(), Own: d.uint(), Heard: d.heard(version),
	}
	if d.revisions { // no tombstones were collected before
		r.Tombstones, r.Collected = d.uint(), d.uint()
	}
	return r
}

func (d *Decoder) header() message.Header {
	h := message.Header{From: d.node(), Incarnation: d.uint(), Epoch: d.uint(), Clock: d.uint()}
	if d.err == nil && !h.From.IsReplica() && !h.From.IsMaster() {
		d.fail("no node has the number %d", h.From)
	}
	return h
}

func (d *Decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMessage, fmt.Sprintf(format, args...))
	}
}

// wrong refuses a value that the reader has not read: belongs is what was to be there, what names
// it where it ends too soon.
func (d *Decoder) wrong(err error, belongs, what string) {
	switch {
	case errors.Is(err, pack.ErrEnd):
		d.fail("cut short")
	case errors.Is(err, pack.ErrType):
		d.fail("code 0x%02x where %s belongs", d.in.Code(), belongs)
	default:
		d.fail("%s: %v", what, err)
	}
}

func (d *Decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	n, err := d.in.Uint()
	if err != nil {
		d.wrong(err, "an unsigned number", "number")
		return 0
	}
	return n
}

// limited reads a number of at most limit.
func (d *Decoder) limited(limit uint64, what string) uint64 {
	n := d.uint()
	if n > limit {
		d.fail("%s %d (at most %d)", what, n, limit)
		return 0
	}
	return n
}

func (d *Decoder) node() lamport.Node {
	return lamport.Node(d.limited(math.MaxUint32, "node"))
}

func (d *Decoder) bool() bool {
	if d.err != nil {
		return false
	}
	b, err := d.in.Bool()
	if err != nil {
		d.wrong(err, "a boolean", "boolean")
		return false
	}
	return b
}

// array reads an array's length. Every element takes at least a byte.
func (d *Decoder) array(limit int) int { return d.list(limit, 1) }

// list reads the length of an array whose elements take at least size bytes each, and
// refuses one that the bytes at hand can't fill: after it, making room for that many
// elements is safe.
func (d *Decoder) list(limit, size int) int {
	if d.err != nil {
		return 0
	}
	n, err := d.in.ArrayLen()
	if err != nil {
		d.wrong(err, "an array", "array")
		return 0
	}
	if n > limit || n > d.in.Len()/size {
		d.fail("array of %d elements with %d bytes left (at most %d elements)", n, d.in.Len(), limit)
		return 0
	}
	return n
}

// tuple reads the length of an array of exactly n fields.
func (d *Decoder) tuple(n int, what string) {
	if got := d.array(n); d.err == nil && got != n {
		d.fail("%s of %d fields (want %d)", what, got, n)
	}
}

// take reads the n bytes of a str or bin whose head was read; they share the memory of the message.
func (d *Decoder) take(n, limit int, what string) []byte {
	if n <= limit {
		if b, ok := d.in.Take(n); ok {
			return b
		}
	}
	d.fail("%s of %d bytes with %d left (at most %d)", what, n, d.in.Len(), limit)
	return nil
}

func (d *Decoder) str(limit int, what string) string {
	if d.err != nil {
		return ""
	}
	n, err := d.in.StrLen()
	if err != nil {
		d.wrong(err, "the "+what, what)
		return ""
	}
	return string(d.take(n, limit, what))
}

// value reads a bin or nil of at most limit bytes; it shares the memory of the message.
func (d *Decoder) value(limit int) []byte {
	if d.err != nil || d.in.Nil() {
		return nil
	}
	n, err := d.in.BinLen()
	if err != nil {
		d.wrong(err, "a value", "value")
		return nil
	}
	return d.take(n, limit, "value")
}
