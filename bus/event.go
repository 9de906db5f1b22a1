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
)

// ErrEvent is wrapped by [ParseEvent] for what is no event of a watch.
var ErrEvent = errors.New("bus: not an event of a watch")

const yes = "true"

// Event is an event of a watch as a message says it.
type Event struct {
	model.Event

	// History is the point of the cluster's history at which it was told; zero: that of the event
	// before it in the stream.
	History History
}

// EventMsg builds an event as a message. Its body is the value, or, for a watch that was asked for
// in JSON, an object that says all that the headers say. reply is the subject on which the event
// is to be acknowledged; "": it is not. The message may share the memory of the event's value.
func EventMsg(subject, reply string, e *Event, inJSON bool) *nats.Msg {
	m := &nats.Msg{Subject: subject, Reply: reply, Header: eventHeader(e), Data: e.Value}
	if e.Kind == model.EventEnd {
		m.Data = []byte(oneLine(e.Reason))
	}
	if inJSON {
		m.Data = eventJSON(e)
	}
	return m
}

// ChangeMsg builds what is published of a committed change, for whoever listens: the headers of an
// event without a sequence, and the value.
func ChangeMsg(subject string, c *message.Change) *nats.Msg {
	e := Event{Event: model.Event{Kind: c.Kind.Event(), Key: c.Key, Revision: c.Revision, Expires: c.Expires}}
	m := &nats.Msg{Subject: subject, Header: eventHeader(&e)}
	delete(m.Header, HeaderSequence) // it is of no stream
	if c.Kind == message.ChangeSet {
		m.Data = c.Value
	}
	return m
}

func eventHeader(e *Event) nats.Header {
	h := nats.Header{
		HeaderEvent:    {e.Kind.String()},
		HeaderSequence: {strconv.FormatUint(e.Sequence, 10)},
	}

	if e.Kind.Concerns() {
		h[HeaderKey] = []string{headerKey(e.Key)}
	}
	if e.Revision > 0 {
		h[HeaderRevision] = []string{strconv.FormatUint(e.Revision, 10)}
	}
	if e.More {
		h[HeaderMore] = []string{yes}
	}
	if e.Initial {
		h[HeaderInitial] = []string{yes}
	}
	if e.Expires > 0 {
		h[HeaderExpires] = []string{expiresAt(e.Expires)}
	}

	if e.Version != (lamport.Version{}) {
		h[HeaderVersion] = []string{VersionWord(e.Version)}
	}
	if e.Timestamp > 0 {
		h[HeaderTimestamp] = []string{strconv.FormatUint(e.Timestamp, 10)}
	}
	if e.Missed > 0 {
		h[HeaderMissed] = []string{strconv.FormatUint(e.Missed, 10)}
	}

	if e.History != (History{}) {
		h[HeaderHistory] = []string{HistoryWord(e.History)}
	}
	if e.Kind == model.EventEnd {
		h[HeaderErrorCode] = []string{strconv.Itoa(int(e.Code))}
		h[HeaderError] = []string{oneLine(e.Reason)}
	}
	return h
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
	o.History = HistoryWord(e.History)
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
	return Event{Event: e, History: HistoryOf(m.Header)}, p.err
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
