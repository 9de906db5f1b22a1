package bus

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// Options are what a request's headers ask for. Zero values: not given.
type Options struct {
	Identity     string // Nats-Msg-Id
	Client       string // Quartet-Client
	MinTimestamp uint64 // causal
	MinPosition  uint64 // sequential
	Age          uint64 // Quartet-Age, milliseconds; 0: sent for the first time, or not known
	Replica      string // Quartet-Replica: a replica's name, though perhaps of none that exists

	// Quartet-History, with AsksHistory: where the minimums were told, or nothing.
	History     History
	AsksHistory bool

	// Quartet-Session, with InSession; its minimums count in those above already.
	Session   Session
	InSession bool
}

// ParseOptions reads the headers of a request of model c; a minimum of another model is
// not even looked at, a session's token always is. Of a header that is given more than once
// the first counts; blanks around a value are trimmed. An error is an [*Error] with code
// 400; the Options that come with it hold what was read before it.
func ParseOptions(h nats.Header, c model.Consistency) (Options, error) {
	var o Options
	if len(h) == 0 {
		return o, nil
	}

	var err error
	if o.Client, err = nameOption(h, HeaderClient); err != nil {
		return o, err
	}
	if o.Identity, err = nameOption(h, HeaderMsgID); err != nil {
		return o, err
	}
	if o.Age, err = numberOption(h, HeaderAge); err != nil {
		return o, err
	}

	// Only the minimum that concerns the model counts.
	switch c {
	case model.Causal:
		o.MinTimestamp, err = numberOption(h, HeaderMinTimestamp)
	case model.Sequential:
		o.MinPosition, err = numberOption(h, HeaderMinPosition)
	}
	if err != nil {
		return o, err
	}

	if err := o.enter(h, c); err != nil {
		return o, err
	}

	if word, found := option(h, HeaderHistory); found {
		if o.InSession {
			return o, malformed("a session's token holds its history already: no header %s beside it", HeaderHistory)
		}
		if o.History, err = ParseHistory(word); err != nil {
			return o, err
		}
		o.AsksHistory = true
	}

	o.Replica, err = replicaOption(h)
	return o, err
}

// Header returns the headers with which a request of model c asks for o, nil if it needs none:
// what [ParseOptions] reads, but for a session's token.
func (o *Options) Header(c model.Consistency) nats.Header {
	fields := [...]struct{ name, value string }{
		{HeaderMsgID, o.Identity}, {HeaderClient, o.Client}, {HeaderReplica, o.Replica}, {HeaderAge, decimal(o.Age)},
		{HeaderMinTimestamp, ""}, {HeaderMinPosition, ""}, {HeaderHistory, ""},
	}
	switch c {
	case model.Causal:
		fields[4].value = decimal(o.MinTimestamp)
	case model.Sequential:
		fields[5].value = decimal(o.MinPosition)
	}
	if o.AsksHistory {
		fields[6].value = AskedHistory(o.History)
	}

	var h nats.Header
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		if h == nil {
			h = make(nats.Header, len(fields))
		}
		h[f.name] = []string{f.value}
	}
	return h
}

// decimal is n as a header's value; "", which is no header, of 0.
func decimal(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// Minimum is the minimum that concerns a request of model c; 0: none.
func (o *Options) Minimum(c model.Consistency) uint64 {
	switch c {
	case model.Causal:
		return o.MinTimestamp
	case model.Sequential:
		return o.MinPosition
	}
	return 0
}

// Told is what the request goes on from, as its token says it, or its headers.
func (o *Options) Told() message.Told {
	if o.InSession {
		return o.Session.Told()
	}
	return message.Told{History: o.History, Position: o.MinPosition, Timestamp: o.MinTimestamp}
}

// ParseClient reads the header of a batch that counts for its requests, [HeaderClient], as
// [ParseOptions] does. A batch in a session is refused: its requests are under way at the
// same time, those of a session are not; and the history is each request's own.
func ParseClient(h nats.Header) (string, error) {
	for _, header := range []string{HeaderSession, HeaderHistory} {
		if _, found := Lookup(h, header); found {
			return "", malformed("a batch takes no header %s", header)
		}
	}
	return nameOption(h, HeaderClient)
}

func option(h nats.Header, name string) (string, bool) {
	value, found := Lookup(h, name)
	return strings.Trim(value, " \t"), found
}

func nameOption(h nats.Header, header string) (string, error) {
	value, found := option(h, header)
	if !found {
		return "", nil
	}
	if fault := nameFault(value); fault != "" {
		return "", malformed("header %s %s", header, fault)
	}
	return value, nil
}

// CheckName refuses an id ([HeaderMsgID]) or a role name ([HeaderClient]) that the cluster
// would refuse in that header, with the same [*Error].
func CheckName(header, value string) error {
	_, err := nameOption(nats.Header{header: {value}}, header)
	return err
}

// nameFault says what is wrong with an id or a role name; "" if nothing is.
func nameFault(value string) string {
	if len(value) == 0 || len(value) > model.MaxIdentity {
		return fmt.Sprintf("of %d bytes (want 1 to %d)", len(value), model.MaxIdentity)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "is not printable: " + quote(value)
	}
	return ""
}

func numberOption(h nats.Header, header string) (uint64, error) {
	value, found := option(h, header)
	if !found {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, malformed("header %s is no decimal of up to 64 bits: %s", header, quote(value))
	}
	return n, nil
}

// replicaOption refuses a name that no replica of any cluster can have; whether this
// cluster has it is the master's to say.
func replicaOption(h nats.Header) (string, error) {
	value, found := option(h, HeaderReplica)
	if !found {
		return "", nil
	}
	if fault := replicaFault(value); fault != "" {
		return "", malformed("header %s %s", HeaderReplica, fault)
	}
	return value, nil
}

func replicaFault(value string) string {
	if n, err := lamport.ParseNode(value); err != nil || !n.IsReplica() {
		return "names no replica: " + quote(value) + " (want r1, r2, …)"
	}
	return ""
}
