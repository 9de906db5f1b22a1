package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// The headers of an event of a watch; with them HeaderRevision, HeaderExpires, HeaderTimestamp and,
// of an END, HeaderErrorCode and HeaderError.
const (
	HeaderEvent    = "Quartet-Event"
	HeaderKey      = "Quartet-Key"
	HeaderSequence = "Quartet-Sequence" // 1, 2, 3, … of the stream: a gap is loss
	HeaderMore     = "Quartet-More"     // true: the next change has the same revision
	HeaderInitial  = "Quartet-Initial"  // true: what was there when the watch began
	HeaderVersion  = "Quartet-Version"  // models 3 and 4: orders the writes of a key
	HeaderMissed   = "Quartet-Missed"   // HEARTBEAT: changes that wait for an acknowledgement
	HeaderStream   = "Quartet-Stream"   // names the stream: all of its events have the same
)

// ErrEvent is wrapped by [ParseEvent] for what is no event of a watch.
var ErrEvent = errors.New("bus: not an event of a watch")

const yes = "true"

// Event is an event of a watch as a message says it.
type Event struct {
	model.Event

	// Stream names the stream that it is of; "": the replica is of a build that named none. The
	// events of one watch are of two streams where a master has handed it to a second replica.
	Stream string
	// History is the point of the cluster's history at which it was told; zero: that of the event
	// before it in the stream.
	History History
}

// MaxStream is how many bytes the name of a stream has at the most.
const MaxStream = 64

// EventMsg builds an event as a message. Its body is the value, or, for a watch that was asked for
// in JSON, an object that says all that the headers say. reply is the subject on which the event
// is to be acknowledged; "": it is not. The message may share the memory of the event's value.
func EventMsg(subject, reply string, e *Event, inJSON bool) *nats.Msg {
	return new(EventWriter).Msg(subject, reply, e, inJSON)
}

// EventWriter builds one event after the other in the same memory: for who tells many. The zero
// value is ready. It has one owner.
type EventWriter struct {
	msg    nats.Msg
	header headerWriter
}

// eventHeaders is no less than the headers that an event can have.
const eventHeaders = 14

// Msg builds an event as [EventMsg] does; it is valid until the next call. (A connection has copied
// a message when its publish returns.)
func (w *EventWriter) Msg(subject, reply string, e *Event, inJSON bool) *nats.Msg {
	w.fill(e, true)
	w.msg = nats.Msg{Subject: subject, Reply: reply, Header: w.header.header, Data: e.Value}
	switch {
	case inJSON:
		w.msg.Data = eventJSON(e)
	case e.Kind == model.EventEnd:
		w.msg.Data = []byte(oneLine(e.Reason))
	}
	return &w.msg
}

// Change builds what is published of a committed change, for whoever listens: the headers of an
// event without a sequence, and the value. It is valid until the next call.
func (w *EventWriter) Change(subject string, c *message.Change) *nats.Msg {
	w.fill(&Event{Event: model.Event{Kind: c.Kind.Event(), Key: c.Key, Revision: c.Revision, Expires: c.Expires}}, false)
	w.msg = nats.Msg{Subject: subject, Header: w.header.header}
	if c.Kind == message.ChangeSet {
		w.msg.Data = c.Value
	}
	return &w.msg
}

// fill makes the headers those of an event. The two numbers that nearly each event has are cut from
// one string.
func (w *EventWriter) fill(e *Event, inStream bool) {
	var scratch [48]byte
	sequence := strconv.AppendUint(scratch[:0], e.Sequence, 10)
	digits := string(strconv.AppendUint(sequence, e.Revision, 10))
	w.header.clear(eventHeaders)
	add := w.header.add

	add(HeaderEvent, e.Kind.String())
	if inStream {
		add(HeaderSequence, digits[:len(sequence)])
	}
	if e.Stream != "" {
		add(HeaderStream, e.Stream)
	}
	if e.Kind.Concerns() {
		add(HeaderKey, headerKey(e.Key))
	}
	if e.Revision > 0 {
		add(HeaderRevision, digits[len(sequence):])
	}
	if e.More {
		add(HeaderMore, yes)
	}
	if e.Initial {
		add(HeaderInitial, yes)
	}
	if e.Expires > 0 {
		add(HeaderExpires, expiresAt(e.Expires))
	}

	if e.Version != (lamport.Version{}) {
		add(HeaderVersion, VersionWord(e.Version))
	}
	if e.Timestamp > 0 {
		add(HeaderTimestamp, strconv.FormatUint(e.Timestamp, 10))
	}
	if e.Missed > 0 {
		add(HeaderMissed, strconv.FormatUint(e.Missed, 10))
	}

	if e.History != (History{}) {
		add(HeaderHistory, HistoryWord(e.History))
	}
	if e.Kind == model.EventEnd {
		add(HeaderErrorCode, strconv.Itoa(int(e.Code)))
		add(HeaderError, oneLine(e.Reason))
	}
}

// VersionWord is a version as an event says it: EPOCH.TIME.NODE, all decimal.
func VersionWord(v lamport.Version) string {
	return fmt.Sprintf("%d.%d.%d", v.Epoch, v.Time, uint32(v.Node))
}

// parseVersion reads what VersionWord writes.
func parseVersion(s string) (v lamport.Version, err error) {
	epoch, rest, _ := strings.Cut(s, ".")
	time, node, _ := strings.Cut(rest, ".")
	var errs [3]error
	v.Epoch, errs[0] = strconv.ParseUint(epoch, 10, 64)
	v.Time, errs[1] = strconv.ParseUint(time, 10, 64)
	n, failed := strconv.ParseUint(node, 10, 32)
	v.Node, errs[2] = lamport.Node(n), failed
	return v, errors.Join(errs[:]...)
}

// headerKey is a key as a header holds it. A header loses the blanks at its ends, so a key that
// begins or ends with one stands there as a JSON string, and so does one that begins with a quote
// and would look like that.
func headerKey(key string) string {
	if key != "" && key[0] != '"' && key == strings.Trim(key, " \t") {
		return key
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(key) // a string: cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

// JSONEvent is an event of a watch as a JSON object, as CONTRACT.md has its fields.
type JSONEvent struct {
	Event     string  `json:"event"`
	Key       *string `json:"key,omitempty"`
	Revision  uint64  `json:"revision,omitempty"`
	Sequence  uint64  `json:"sequence,omitempty"`
	Stream    string  `json:"stream,omitempty"`
	Value     *string `json:"value,omitempty"`
	Binary    *[]byte `json:"value_base64,omitempty"`
	More      bool    `json:"more,omitempty"`
	Initial   bool    `json:"initial,omitempty"`
	Expires   string  `json:"expires,omitempty"`
	Version   string  `json:"version,omitempty"`
	Timestamp uint64  `json:"timestamp,omitempty"`
	Missed    uint64  `json:"missed,omitempty"`
	History   string  `json:"history,omitempty"`
	Code      uint16  `json:"code,omitempty"`
	Error     string  `json:"error,omitempty"`
}

// EventJSON is e as an object. A value that is no UTF-8, or has so many characters that JSON must
// escape that the object would be too large, stands in value_base64.
func EventJSON(e *model.Event) JSONEvent {
	o := JSONEvent{
		Event: e.Kind.String(), Revision: e.Revision, Sequence: e.Sequence, More: e.More, Initial: e.Initial,
		Timestamp: e.Timestamp, Missed: e.Missed,
	}
	if e.Kind.Concerns() {
		o.Key = &e.Key
	}
	if e.Expires > 0 {
		o.Expires = expiresAt(e.Expires)
	}
	if e.Version != (lamport.Version{}) {
		o.Version = VersionWord(e.Version)
	}
	if e.Kind == model.EventEnd {
		o.Code, o.Error = uint16(e.Code), oneLine(e.Reason)
	}
	if e.Kind == model.EventValue || e.Kind == model.EventSet {
		o.hold(e.Value)
	}
	return o
}

// hold takes a value: as text, if that is UTF-8 and not too large in JSON.
func (o *JSONEvent) hold(value []byte) {
	if text := string(value); utf8.Valid(value) {
		o.Value = &text
		if len(encodeJSON(o)) <= maxJSON {
			return
		}
		o.Value = nil
	}
	o.Binary = &value
}

func eventJSON(e *Event) []byte {
	o := EventJSON(&e.Event)
	o.Stream, o.History = e.Stream, HistoryWord(e.History)
	return encodeJSON(&o)
}

// IsEvent reports whether a message is an event of a watch.
func IsEvent(m *nats.Msg) bool {
	_, found := Lookup(m.Header, HeaderEvent)
	return found
}

// ParseEvent reads an event of a watch from its headers, and from the body of a watch that was not
// asked for in JSON, whose memory it shares. The error wraps [ErrEvent]. A kind of event that this
// version does not know is no event.
func ParseEvent(m *nats.Msg) (Event, error) {
	word, _ := Lookup(m.Header, HeaderEvent)
	kind, known := model.ParseEventKind(word)
	if !known {
		return Event{}, fmt.Errorf("%w: header %s is %s", ErrEvent, HeaderEvent, quote(word))
	}

	p := eventParser{headerParser{header: m.Header, kind: ErrEvent}}
	e := model.Event{
		Kind: kind, Sequence: p.number(HeaderSequence, 64, true), Revision: p.number(HeaderRevision, 64, false),
		Timestamp: p.number(HeaderTimestamp, 64, false), Missed: p.number(HeaderMissed, 64, false),
		More: p.flag(HeaderMore), Initial: p.flag(HeaderInitial), Expires: p.expires(), Version: p.version(),
	}
	if kind.Concerns() {
		e.Key = p.key()
	}
	if kind == model.EventValue || kind == model.EventSet {
		e.Value = m.Data
	}
	if kind == model.EventEnd {
		e.Code = model.Code(p.number(HeaderErrorCode, 16, true))
		e.Reason, _ = Lookup(m.Header, HeaderError)
	}
	return Event{Event: e, Stream: p.stream(), History: HistoryOf(m.Header)}, p.err
}

// eventParser reads the headers of an event.
type eventParser struct{ headerParser }

func (p *eventParser) flag(header string) bool {
	value, found := Lookup(p.header, header)
	if found && value != yes {
		p.fail(header, value)
	}
	return found
}

func (p *eventParser) stream() string {
	value, _ := Lookup(p.header, HeaderStream)
	if len(value) > MaxStream {
		p.fail(HeaderStream, value)
		return ""
	}
	return value
}

func (p *eventParser) version() lamport.Version {
	value, found := Lookup(p.header, HeaderVersion)
	if !found {
		return lamport.Version{}
	}
	v, err := parseVersion(value)
	if err != nil {
		p.fail(HeaderVersion, value)
		return lamport.Version{}
	}
	return v
}

func (p *eventParser) key() string {
	value, _ := Lookup(p.header, HeaderKey)
	key := value
	if strings.HasPrefix(value, `"`) {
		if err := json.Unmarshal([]byte(value), &key); err != nil {
			p.fail(HeaderKey, value)
			return ""
		}
	}
	if checkKey(key) != nil {
		p.fail(HeaderKey, value)
	}
	return key
}
