package bus

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/internal/pack"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// HeaderEventFields, on the request of a watch, says that its sender reads frames, and how many
// fields of an event in a frame.
const HeaderEventFields = "Quartet-Event-Fields"

// A frame is several events of one stream in a message without headers: an array of the stream's
// name, the sequence of the first event, and the events, each an array of these fields: kind, key,
// revision (0: it is not committed yet), value (nil: there is none), more, expires, version (epoch,
// time, node) and timestamp. What is not needed is left out from the end.
//
// What tells of no key (CAUGHT-UP, HEARTBEAT, END), and what says where the history stands, is a
// message with headers for everybody.
const (
	eventLeast = 3
	EventMost  = 10
)

// FrameBytes is about how large a frame is made; one with a single event may be larger.
const FrameBytes = 64 << 10

// ErrFrame is wrapped by [FrameReader.Read] for what is no frame.
var ErrFrame = errors.New("bus: not a frame of events")

// EventFields is how many fields of an event in a frame the sender of a watch reads, as its header
// [HeaderEventFields] says; 0: it reads no frames, and each event is a message of its own. There
// have never been fewer than [EventMost], so who reads fewer is told in headers.
func EventFields(h nats.Header) uint64 {
	value, _ := option(h, HeaderEventFields)
	n, err := strconv.Atoi(value)
	if err != nil || n < EventMost {
		return 0
	}
	return EventMost
}

// Framed reports whether an event may stand in a frame.
func Framed(e *model.Event) bool { return e.Kind.Concerns() }

// FrameWriter builds one frame after the other in the same memory. The zero value is ready. It has
// one owner.
type FrameWriter struct {
	arrayWriter
	events int
}

// Add appends the next event of the stream of that name.
func (w *FrameWriter) Add(stream string, e *model.Event) {
	if w.events == 0 {
		w.begin()
		_ = w.enc.EncodeString(stream)
		_ = w.enc.EncodeUint(e.Sequence)
	}
	w.events++

	n := eventFields(e)
	_ = w.enc.EncodeArrayLen(n)
	_ = w.enc.EncodeUint(uint64(e.Kind))
	_ = w.enc.EncodeString(e.Key)
	_ = w.enc.EncodeUint(e.Revision)
	if n > 3 {
		w.value(e)
	}
	if n > 4 {
		_ = w.enc.EncodeBool(e.More)
	}
	if n > 5 {
		_ = w.enc.EncodeUint(e.Expires)
	}
	if n > 6 {
		_ = w.enc.EncodeUint(e.Version.Epoch)
		_ = w.enc.EncodeUint(e.Version.Time)
		_ = w.enc.EncodeUint(uint64(e.Version.Node))
	}
	if n > 9 {
		_ = w.enc.EncodeUint(e.Timestamp)
	}
}

// eventFields is how many fields an event takes.
func eventFields(e *model.Event) int {
	switch {
	case e.Timestamp > 0:
		return 10
	case e.Version != (lamport.Version{}):
		return 9
	case e.Expires > 0:
		return 6
	case e.More:
		return 5
	case holdsValue(e.Kind):
		return 4
	}
	return eventLeast
}

// holdsValue reports whether events of a kind hold a value.
func holdsValue(k model.EventKind) bool { return k == model.EventValue || k == model.EventSet }

func (w *FrameWriter) value(e *model.Event) {
	if !holdsValue(e.Kind) {
		_ = w.enc.EncodeNil()
		return
	}
	w.bytes(e.Value)
}

// Len returns how many bytes have gathered, 0 if there are no events.
func (w *FrameWriter) Len() int {
	if w.events == 0 {
		return 0
	}
	return len(w.out.B)
}

// Cap returns how many bytes of memory the writer holds.
func (w *FrameWriter) Cap() int { return cap(w.out.B) }

// Take returns the frame, valid until the next Add, and begins the next one.
func (w *FrameWriter) Take() []byte {
	n := w.events + frameHead
	w.events = 0
	return w.end(n)
}

// IsFrame reports whether a message can be a frame: it has no headers, and begins as one does.
func IsFrame(m *nats.Msg) bool { return len(m.Header) == 0 && IsAnswers(m.Data) }

// FrameReader reads frames. It has one owner. The zero value is ready.
type FrameReader struct {
	w walker
	e Event
}

// Read hands each event of a frame to got, in order, until got returns false. Values share body's
// memory; the event is valid until got returns. The error wraps [ErrFrame]; events that came before
// it were handed out.
func (f *FrameReader) Read(body []byte, got func(*Event) bool) error {
	if f.w.in == nil {
		f.w.in = pack.NewReader()
	}
	f.w.in.Reset(body)
	defer f.w.in.Reset(nil)

	n, sequence, err := f.head(len(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	for range n {
		if err := f.w.event(&f.e.Event); err != nil {
			return fmt.Errorf("%w: %w", ErrFrame, err)
		}
		f.e.Sequence = sequence
		sequence++
		if !got(&f.e) {
			return nil
		}
	}
	if f.w.in.Len() > 0 {
		return fmt.Errorf("%w: %d bytes after it", ErrFrame, f.w.in.Len())
	}
	return nil
}

// frameHead is how many elements of a frame stand before its events.
const frameHead = 2

// head reads what stands before the events, and returns how many there are and the sequence of the
// first. The name of a stream is mostly that of the frame before, and then takes no memory.
func (f *FrameReader) head(most int) (events int, sequence uint64, err error) {
	n, err := f.w.array("the message", frameHead+1, most)
	if err != nil {
		return 0, 0, err
	}
	stream, err := f.w.bytes("the stream", false)
	if err != nil {
		return 0, 0, err
	}
	if len(stream) > MaxStream {
		return 0, 0, malformed("the name of a stream has %d bytes (at most %d)", len(stream), MaxStream)
	}
	if string(stream) != f.e.Stream {
		f.e.Stream = string(stream)
	}
	sequence, err = f.w.uint("the first sequence")
	return n - frameHead, sequence, err
}

// event reads an event of a frame, but for its sequence.
func (w *walker) event(e *model.Event) error {
	fields, err := w.array("an event", eventLeast, EventMost)
	if err != nil {
		return err
	}
	kind, err := w.uint("kind")
	if err != nil {
		return err
	}
	*e = model.Event{Kind: model.EventKind(kind)}
	if uint64(e.Kind) != kind || !e.Kind.Concerns() {
		return malformed("no kind of event that stands in a frame: %d", kind)
	}
	e.Initial = e.Kind == model.EventValue

	key, err := w.bytes("key", false)
	if err != nil {
		return err
	}
	e.Key = string(key)
	if err := checkKey(e.Key); err != nil {
		return err
	}
	if e.Revision, err = w.uint("revision"); err != nil {
		return err
	}
	return w.eventRest(fields, e)
}

// eventRest reads what follows the revision.
func (w *walker) eventRest(fields int, e *model.Event) (err error) {
	if holdsValue(e.Kind) != (fields > 3 && w.in.Code() != msgpcode.Nil) {
		return malformed("a %s has a value, others have none", model.EventSet)
	}
	if fields > 3 {
		if e.Value, err = w.optional("value"); err != nil {
			return err
		}
	}
	if fields > 4 {
		if e.More, err = w.in.Bool(); err != nil {
			return wrong(err, "more is no boolean")
		}
	}
	if fields > 5 {
		if e.Expires, err = w.uint("expires"); err != nil {
			return err
		}
		if err := checkExpires(e.Expires); err != nil {
			return err
		}
	}

	if fields > 6 {
		if err := w.version(fields, e); err != nil {
			return err
		}
	}
	if fields > 9 {
		e.Timestamp, err = w.uint("timestamp")
	}
	return err
}

// version reads the three fields of a version.
func (w *walker) version(fields int, e *model.Event) error {
	if fields < 9 {
		return malformed("an event of %d fields has a part of a version", fields)
	}
	var n [3]uint64
	for i := range n {
		var err error
		if n[i], err = w.uint("a field of the version"); err != nil {
			return err
		}
	}
	e.Version = lamport.Version{Epoch: n[0], Timestamp: lamport.Timestamp{Time: n[1], Node: lamport.Node(n[2])}}
	if uint64(e.Version.Node) != n[2] {
		return malformed("a version of a node that there cannot be: %d", n[2])
	}
	return nil
}
