package kv

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// message is a message as a get of a bucket answers it.
type message struct {
	subject string
	number  uint64
	at      time.Time
	marker  marker
	value   []byte
}

// getRequest is the body of a get.
type getRequest struct {
	Sequence   uint64          `json:"seq,omitempty"`
	LastOf     string          `json:"last_by_subj,omitempty"`
	NextOf     string          `json:"next_by_subj,omitempty"`
	Batch      json.RawMessage `json:"batch,omitempty"`
	MaxBytes   json.RawMessage `json:"max_bytes,omitempty"`
	Start      json.RawMessage `json:"start_time,omitempty"`
	MultiLast  json.RawMessage `json:"multi_last,omitempty"`
	UpTo       json.RawMessage `json:"up_to_seq,omitempty"`
	UpToTime   json.RawMessage `json:"up_to_time,omitempty"`
	NoHeaders  bool            `json:"no_hdr,omitempty"`
	MinLastSeq json.RawMessage `json:"min_last_seq,omitempty"`
}

// isOther reports whether it asks for something else than one message, by number or newest of a
// key.
func (r *getRequest) isOther() bool {
	for _, option := range []json.RawMessage{r.Batch, r.MaxBytes, r.Start, r.MultiLast, r.UpTo, r.UpToTime} {
		if len(option) > 0 {
			return true
		}
	}
	hasBoth, hasNone := r.Sequence > 0 && r.LastOf != "", r.Sequence == 0 && r.LastOf == ""
	return r.NextOf != "" || hasBoth || hasNone
}

// direct serves DIRECT.GET: of a key's newest value, or of a change by its number.
func (b *bucket) direct(c *call, m *nats.Msg) {
	key := c.key
	if key == "" {
		var r getRequest
		if err := json.Unmarshal(m.Data, &r); err != nil || r.isOther() {
			b.f.directError(m, 408, "Bad Request")
			return
		}
		if r.Sequence > 0 {
			b.byNumber(r.Sequence, b.directAnswer(m))
			return
		}
		key = keyOf(b.name, r.LastOf)
	}

	b.get(c.model, key, m, b.directAnswer(m))
}

// directAnswer answers a direct get.
func (b *bucket) directAnswer(m *nats.Msg) func(*message, *Error) {
	return func(got *message, fault *Error) {
		switch {
		case fault == errNoMessage:
			b.missing(m)
		case fault != nil:
			b.f.directError(m, 408, fault.Description)
		default:
			b.f.send(b.directMsg(m.Reply, got))
		}
	}
}

// missing answers a direct get of what is not there, by the server's own answer where there is a
// shadow: its status line is one that no client can send, and not all clients read another.
func (b *bucket) missing(m *nats.Msg) {
	if b.shadowed && m.Reply != "" {
		b.f.host.Send(&nats.Msg{Subject: apiPrefix + "DIRECT.GET." + b.shadow().Name + ".-", Reply: m.Reply})
		return
	}
	b.f.send(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
}

// timeForm is how a direct get says when a message was stored.
const timeForm = time.RFC3339Nano

// directMsg is the answer to a direct get: the value, and its message in headers.
func (b *bucket) directMsg(reply string, got *message) *nats.Msg {
	h := nats.Header{
		"Nats-Stream":     {streamPrefix + b.name},
		"Nats-Subject":    {got.subject},
		"Nats-Sequence":   {strconv.FormatUint(got.number, 10)},
		"Nats-Time-Stamp": {got.at.UTC().Format(timeForm)},
	}
	got.mark(h)
	return &nats.Msg{Subject: reply, Header: h, Data: got.value}
}

// mark adds what says that a message is a marker.
func (got *message) mark(h nats.Header) {
	switch got.marker {
	case isDeleted:
		h[headerOperation] = []string{operationDelete}
	case isPurged:
		h[headerOperation], h[headerRollup] = []string{operationPurge}, []string{rollupOfKey}
	case isEnded:
		h[headerOperation], h[headerReason], h[headerRollup] = []string{operationPurge}, []string{reasonMaxAge}, []string{rollupOfKey}
	}
}

// storedMessage is a message as STREAM.MSG.GET answers it.
type storedMessage struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs,omitempty"`
	Data     []byte    `json:"data,omitempty"`
	Time     time.Time `json:"time"`
}

// msgGet serves STREAM.MSG.GET.
func (b *bucket) msgGet(c *call, m *nats.Msg) {
	var r getRequest
	if err := json.Unmarshal(m.Data, &r); err != nil {
		b.f.fail(m, typeMsgGet, badJSON(err))
		return
	}
	if r.isOther() {
		b.f.fail(m, typeMsgGet, errBadRequest)
		return
	}

	answer := func(got *message, fault *Error) {
		if fault != nil {
			b.f.fail(m, typeMsgGet, fault)
			return
		}
		out := storedMessage{Subject: got.subject, Sequence: got.number, Data: got.value, Time: got.at.UTC()}
		h := nats.Header{}
		got.mark(h)
		if len(h) > 0 {
			out.Header = block(h)
		}
		b.f.answer(m, typeMsgGet, struct {
			Message storedMessage `json:"message"`
		}{out})
	}
	if r.Sequence > 0 {
		b.byNumber(r.Sequence, answer)
		return
	}
	b.get(c.model, keyOf(b.name, r.LastOf), m, answer)
}

// block is a header as it stands on the wire.
func block(h nats.Header) []byte {
	out := []byte("NATS/1.0\r\n")
	for _, name := range []string{headerOperation, headerReason, headerRollup} {
		if value := h[name]; len(value) > 0 {
			out = append(out, name+": "+value[0]+"\r\n"...)
		}
	}
	return append(out, "\r\n"...)
}

// earlyTries is how often a get is asked again that no replica could answer yet: each time a
// replica has waited 50 ms for what the session has seen, so two seconds in all.
const earlyTries = 40

// get asks the cluster for a key's value.
func (b *bucket) get(c model.Consistency, key string, m *nats.Msg, done func(*message, *Error)) {
	if !isShown(key) {
		done(nil, errNoMessage)
		return
	}
	b.tryGet(model.NewGet(c, b.name+"/"+key), key, m, earlyTries, done)
}

// tryGet asks the cluster for a key, again where its replica is not as far as the session, so many
// times.
func (b *bucket) tryGet(r model.Request, key string, m *nats.Msg, tries int, done func(*message, *Error)) {
	if err := bus.Check(&r); err != nil {
		done(nil, errNoMessage) // no key that the cluster takes, so it has no value
		return
	}

	session := b.f.sessions.of(m.Reply, r.Model)
	o := bus.Options{Client: ClientName}
	session.ask(b.f, &o, r.Model)

	served := r
	served.Model = session.model(r.Model)

	b.f.host.Ask(served, o, "", func(a *master.Reply) {
		session.observe(b.f, &served, a)
		switch {
		case a.Code == model.TooEarly && tries > 0:
			b.tryGet(r, key, m, tries-1, done)
		case a.Code == model.OK:
			b.got(r.Model, key, a, done)
		case a.Code == model.NotFound:
			b.gotNothing(key, done)
		default:
			done(nil, ofCluster(a.Code, a.Reason))
		}
	})
}

// got answers a get by the value that the cluster has.
func (b *bucket) got(c model.Consistency, key string, a *master.Reply, done func(*message, *Error)) {
	out := &message{subject: subjectPrefix + b.name + "." + key, value: a.Value, at: b.f.host.Now()}
	finish := func(number uint64, ok bool) {
		if !ok && c.Strong() {
			done(nil, ofCluster(model.Unavailable, "the value's number is not known: the bucket's changes do not come"))
			return
		}
		out.number = number
		if b.numbers != nil {
			if e, found := b.numbers.keys[key]; found && e.number == number {
				out.at = time.Unix(0, e.at)
			}
		}
		done(out, nil)
	}

	if !c.Strong() { // it has none until it has its place in the order, and waits for nobody
		number, _ := b.number(key, a.Revision)
		finish(number, true)
		return
	}
	b.told(key, a.Revision, finish)
}

// gotNothing answers a get of a key that has no value: with the marker that stands there, if there
// is one.
func (b *bucket) gotNothing(key string, done func(*message, *Error)) {
	if b.numbers == nil {
		done(nil, errNoMessage)
		return
	}
	e, found := b.numbers.keys[key]
	if !found || e.marker == isValue { // … or its end is on its way
		done(nil, errNoMessage)
		return
	}
	done(&message{subject: subjectPrefix + b.name + "." + key, number: e.number, at: time.Unix(0, e.at), marker: e.marker}, nil)
}

// byNumber reads a change from the shadow, by its number. That never changes, but for those that a
// bucket's history does not keep.
func (b *bucket) byNumber(number uint64, done func(*message, *Error)) {
	if !b.shadowed {
		done(nil, errNoShadow)
		return
	}
	b.settled(func(stored bool) {
		if !stored {
			done(nil, ofCluster(model.Unavailable, "the bucket's stream does not store its changes"))
			return
		}
		subject := apiPrefix + "DIRECT.GET." + b.shadow().Name
		b.f.ask(&nats.Msg{Subject: subject, Data: jsonOf(getRequest{Sequence: number})}, func(m *nats.Msg) {
			b.ofNumber(number, m, done)
		})
	})
}

// ofNumber takes the shadow's answer to a get by number.
func (b *bucket) ofNumber(number uint64, m *nats.Msg, done func(*message, *Error)) {
	if m == nil {
		done(nil, ofCluster(model.Unavailable, "the server's JetStream does not answer"))
		return
	}
	subject := m.Header.Get("Nats-Subject")
	key := keyOf(b.name, subject)
	if key == "" {
		done(nil, errNoMessage)
		return
	}
	e, found := b.numbers.keys[key]
	isOlder := b.record.Config.History == 1 && e.number != number
	if !found || isOlder {
		done(nil, errNoMessage)
		return
	}

	at, _ := time.Parse(timeForm, m.Header.Get("Nats-Time-Stamp")) // the server's own
	got := &message{subject: subject, number: number, at: at, value: m.Data}
	switch {
	case m.Header.Get(headerReason) != "":
		got.marker = isEnded
	case m.Header.Get(headerOperation) == operationDelete:
		got.marker = isDeleted
	case m.Header.Get(headerOperation) == operationPurge:
		got.marker = isPurged
	}
	done(got, nil)
}
