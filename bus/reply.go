package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Errors of [ParseReply].
var (
	ErrReply        = errors.New("bus: not a reply of quartet")
	ErrNoResponders = errors.New("bus: no cluster there (nobody answers requests)")
)

// Reply is the answer to one request. Zero values of Model, Type, Replica, Timestamp,
// Session and Reason: that header is absent. Code [model.OK] is no FAIL.
type Reply struct {
	model.Answer
	Model    model.Consistency
	Type     model.Type
	History  History  // the point at which it was answered; zero: it was not asked for
	Session  string   // token with which the request's session goes on; "": it was in none
	Next     string   // of a list: where the next page begins; "": there is none
	Encoding Encoding // of the request: see Msg

	// Body is the message's body as it came. Of a reply that is sent it is what an OK says in
	// place of Value: the echo of a text set.
	Body []byte
}

// replyHeaders is no less than the headers that a reply can have. Nearly all have usualHeaders at
// most, which take half of the memory.
const (
	replyHeaders = 16
	usualHeaders = 13
)

// Words of the two code headers, so that a reply allocates none of them.
var (
	modelWords = [...]string{
		model.Linearizable: model.Linearizable.String(), model.Sequential: model.Sequential.String(),
		model.Causal: model.Causal.String(), model.Eventual: model.Eventual.String(),
	}
	typeWords = [...]string{
		model.Set: model.Set.String(), model.Get: model.Get.String(), model.Delete: model.Delete.String(),
		model.List: model.List.String(), model.Watch: model.Watch.String(), model.Txn: model.Txn.String(),
		model.Add: model.Add.String(),
	}
)

// Msg builds the reply as a message to subject. Its body is, for OK, the value of a get or the sum
// of an add, [AppendEcho] of a text set, nothing for a msgpack set, and of a list or a txn a map
// (in text: lines); for a FAIL it is the reason. A JSON request's is a JSON object, whatever came
// of it. The message may share the memory of Value and Body.
func (r *Reply) Msg(subject string) *nats.Msg { return new(ReplyWriter).Msg(subject, r) }

// ReplyWriter builds one reply after the other in the same memory: for who sends many.
// The zero value is ready. It has one owner.
type ReplyWriter struct {
	msg    nats.Msg
	header headerWriter
}

// headerWriter fills one header after the other in the same memory.
type headerWriter struct {
	header nats.Header
	values [replyHeaders][1]string
	used   int
}

// clear begins a header, which has so many values at most as a rule.
func (w *headerWriter) clear(usual int) {
	if w.header == nil {
		w.header = make(nats.Header, usual)
	}
	clear(w.header)
	w.used = 0
}

func (w *headerWriter) add(name, value string) {
	v := &w.values[w.used]
	w.used++
	v[0] = value
	w.header[name] = v[:]
}

// Msg builds r as [Reply.Msg] does; it is valid until the next call. (A connection has
// copied a message when its publish returns.) All header values are cut from one string.
func (w *ReplyWriter) Msg(subject string, r *Reply) *nats.Msg {
	w.header.clear(usualHeaders)
	var holds content
	if r.Body == nil && r.packed() {
		own := *r // r stays as it is
		holds = own.unpack()
		r = &own
	}
	w.msg = nats.Msg{Subject: subject, Header: w.header.header, Data: r.body()}
	var scratch [128]byte
	rid := strconv.AppendUint(scratch[:0], r.RID, 10)
	clock := strconv.AppendUint(rid, r.Clock.Time, 10)
	node := appendNode(append(clock, '.'), r.Clock.Node)
	timestamp := strconv.AppendUint(node, r.Timestamp, 10)
	position := strconv.AppendUint(timestamp, r.Position, 10)
	code := strconv.AppendUint(position, uint64(r.Code), 10)
	digits := string(strconv.AppendUint(code, r.Revision, 10))

	w.header.add(HeaderRequestID, digits[:len(rid)])
	w.header.add(HeaderClock, digits[len(rid):len(node)])
	if r.Model.Valid() {
		w.header.add(HeaderConsistency, modelWords[r.Model])
	}
	if r.Type.Valid() {
		w.header.add(HeaderRequest, typeWords[r.Type])
	}
	if r.Replica != 0 {
		w.header.add(HeaderReplica, r.Replica.String())
	}
	if r.Timestamp != 0 {
		w.header.add(HeaderTimestamp, digits[len(node):len(timestamp)])
	}
	if r.HasPosition {
		w.header.add(HeaderPosition, digits[len(timestamp):len(position)])
	}
	if r.HasRevision {
		w.header.add(HeaderRevision, digits[len(code):])
	}
	if r.Expires != 0 {
		w.header.add(HeaderExpires, expiresAt(r.Expires))
	}
	if r.Next != "" {
		w.header.add(HeaderNext, r.Next)
	}
	if r.Session != "" {
		w.header.add(HeaderSession, r.Session)
	}
	if r.History != (History{}) {
		w.header.add(HeaderHistory, HistoryWord(r.History))
	}
	if r.Code == model.OK {
		w.header.add(HeaderAck, AckOK)
		switch {
		case r.Encoding == JSON:
			w.msg.Data = r.json(holds)
		case holds != (content{}):
			w.msg.Data = holds.body(r)
		}
		return &w.msg
	}
	reason := oneLine(r.Reason)
	w.header.add(HeaderAck, AckFail)
	w.header.add(HeaderErrorCode, digits[len(position):len(code)])
	w.header.add(HeaderError, reason)
	switch {
	case r.Encoding == JSON:
		w.msg.Data = r.json(holds)
	case holds != (content{}): // which of its steps could not be done
		w.msg.Data = holds.body(r)
	default:
		w.msg.Data = []byte(reason)
	}
	return &w.msg
}

// body is what the message of an OK holds.
func (r *Reply) body() []byte {
	if r.Body != nil {
		return r.Body
	}
	return r.Value
}

// Of says which request a reply that came answers, and with that what its Body is: the value of
// a get, the sum of an add, a page ([Reply.Page]) or the results of a txn ([Reply.Results]); or, if
// the request was in JSON, the object that holds it.
func (r *Reply) Of(c model.Consistency, t model.Type) {
	r.Model, r.Type = c, t
	switch {
	case r.Code == model.Failed && t == model.Txn && r.Value == nil:
		r.Value = r.Body
	case r.Code != model.OK:
	case t == model.Get, t == model.Add, t == model.List, t == model.Txn:
		r.Value = r.Body
	}
}

func appendNode(dst []byte, n lamport.Node) []byte {
	if n.IsReplica() {
		return strconv.AppendUint(append(dst, 'r'), uint64(n), 10)
	}
	return append(dst, n.String()...)
}

// oneLine keeps a reason from breaking out of its header, and from being empty.
func oneLine(reason string) string {
	if strings.ContainsAny(reason, "\r\n") || reason != strings.TrimSpace(reason) {
		reason = strings.Join(strings.Fields(reason), " ")
	}
	if reason == "" {
		return "no reason given"
	}
	return reason
}

// The status header with which the server says that nobody listens.
const (
	statusHeader       = "Status"
	statusNoResponders = "503"
)

// IsReply reports whether m can be the cluster's answer to a request, or the server's that
// nobody listens. Others may answer on the request's subject, too: a stream that takes it
// acknowledges what it has stored. Their messages are to be passed over.
func IsReply(m *nats.Msg) bool {
	if noResponders(m) {
		return true
	}
	_, acknowledged := Lookup(m.Header, HeaderAck)
	_, named := Lookup(m.Header, HeaderRequestID)
	return acknowledged || named
}

// IsAnswers reports whether a body can be answers to a batch: a msgpack array.
func IsAnswers(body []byte) bool {
	if len(body) == 0 {
		return false
	}
	c := body[0]
	return msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32
}

// IsAnswer reports whether m can be the cluster's answer in JSON to a question (status,
// report, recover, remove), or the server's that nobody listens: an object that has this
// field.
func IsAnswer(m *nats.Msg, field string) bool {
	var object map[string]json.RawMessage
	answers := json.Unmarshal(m.Data, &object) == nil && object[field] != nil
	return answers || noResponders(m)
}

// The field that the answer to each question has, and nobody else's.
const (
	StatusField  = "replicas"
	ReportField  = "started"
	OperateField = "begun"
)

// NobodyListens reports whether a message is the server's word that nobody listens where something
// was sent with its subject to answer on.
func NobodyListens(m *nats.Msg) bool { return noResponders(m) }

func noResponders(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get(statusHeader) == statusNoResponders
}

// ParseReply reads a reply. Body shares m's memory. The error wraps [ErrReply] for what
// the cluster never sends, and is [ErrNoResponders] (with code 503 in the Reply) for the
// server's own message that nobody answers requests. Headers that it does not know are
// passed over; codes that it does not know are kept.
func ParseReply(m *nats.Msg) (Reply, error) {
	if noResponders(m) {
		return Reply{Answer: model.Answer{Code: model.Unavailable, Reason: "no cluster there"}}, ErrNoResponders
	}

	r := Reply{Body: m.Data}
	p := replyParser{headerParser{header: m.Header, kind: ErrReply}}
	r.RID = p.number(HeaderRequestID, 64, true)
	r.Clock = p.clock()
	r.Replica = p.replica()
	r.Timestamp = p.number(HeaderTimestamp, 64, false)
	_, r.HasPosition = Lookup(m.Header, HeaderPosition)
	r.Position = p.number(HeaderPosition, 64, false)
	_, r.HasRevision = Lookup(m.Header, HeaderRevision)
	r.Revision = p.number(HeaderRevision, 64, false)
	r.Expires = p.expires()
	r.Next = p.next()
	r.Session = p.session()
	r.History = HistoryOf(m.Header)

	if name, ok := Lookup(m.Header, HeaderConsistency); ok {
		if r.Model = readConsistency([]byte(name)); r.Model == 0 {
			p.fail(HeaderConsistency, name)
		}
	}
	if name, ok := Lookup(m.Header, HeaderRequest); ok {
		if r.Type = readType([]byte(name)); r.Type == 0 {
			p.fail(HeaderRequest, name)
		}
	}

	switch ack, _ := Lookup(m.Header, HeaderAck); ack {
	case AckOK:
		r.Code = model.OK
	case AckFail:
		r.Code = model.Code(p.number(HeaderErrorCode, 16, true))
		r.Reason, _ = Lookup(m.Header, HeaderError)
		if r.Code == model.OK {
			p.fail(HeaderErrorCode, "200")
		}
	default:
		p.fail(HeaderAck, ack)
	}

	r.Of(r.Model, r.Type)
	return r, p.err
}

// replyParser reads the headers of a reply.
type replyParser struct{ headerParser }

// headerParser reads headers of one message, and keeps the first error, which wraps kind.
type headerParser struct {
	header nats.Header
	kind   error
	err    error
}

func (p *headerParser) fail(header, value string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: header %s is %s", p.kind, header, quote(value))
	}
}

func (p *headerParser) number(header string, bits int, required bool) uint64 {
	value, found := Lookup(p.header, header)
	if !found && !required {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, bits)
	if err != nil {
		p.fail(header, value)
	}
	return n
}

func (p *headerParser) expires() uint64 {
	value, found := Lookup(p.header, HeaderExpires)
	if !found {
		return 0
	}
	ms, err := parseExpires(value)
	if err != nil {
		p.fail(HeaderExpires, value)
	}
	return ms
}

// next keeps the place of the next page as it came: it is passed on, not read.
func (p *replyParser) next() string {
	value, found := Lookup(p.header, HeaderNext)
	faulty := len(value) > model.MaxNext || nameFault(value) != ""
	if found && faulty {
		p.fail(HeaderNext, value)
		return ""
	}
	return value
}

func (p *replyParser) clock() lamport.Timestamp {
	value, _ := Lookup(p.header, HeaderClock)
	counter, node, _ := strings.Cut(value, ".")
	var t lamport.Timestamp
	var err, nodeErr error
	t.Time, err = strconv.ParseUint(counter, 10, 64)
	t.Node, nodeErr = lamport.ParseNode(node)
	if err != nil || nodeErr != nil {
		p.fail(HeaderClock, value)
	}
	return t
}

// HistoryOf returns the history that a reply names, of a version that is known here.
func HistoryOf(h nats.Header) History {
	word, found := Lookup(h, HeaderHistory)
	if !found {
		return History{}
	}
	history, err := ParseHistory(word)
	if err != nil {
		return History{}
	}
	return history
}

// session keeps a token as it came, of whatever version: it is passed on, not read.
func (p *replyParser) session() string {
	token, found := Lookup(p.header, HeaderSession)
	faulty := len(token) > MaxSession || nameFault(token) != ""
	if found && faulty {
		p.fail(HeaderSession, token)
	}
	return token
}

func (p *replyParser) replica() lamport.Node {
	value, found := Lookup(p.header, HeaderReplica)
	if !found {
		return 0
	}
	n, err := lamport.ParseNode(value)
	if err != nil || !n.IsReplica() {
		p.fail(HeaderReplica, value)
	}
	return n
}
