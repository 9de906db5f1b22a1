package client

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
)

// Consistency is one of the four models, Type what a request does, Code how it ended.
type (
	Consistency = model.Consistency
	Type        = model.Type
	Code        = model.Code
)

// The names of the four models and of the request types, for those who import only
// this package.
const (
	Linearizable = model.Linearizable
	Sequential   = model.Sequential
	Causal       = model.Causal
	Eventual     = model.Eventual

	TypeSet    = model.Set
	TypeGet    = model.Get
	TypeDelete = model.Delete
	TypeList   = model.List
	TypeWatch  = model.Watch
	TypeTxn    = model.Txn
	TypeAdd    = model.Add
)

// Request is one request in full; [Client.Get] and [Client.Set] build it from options.
//
// Of its [bus.Options], Identity is the request's Nats-Msg-Id, 1 to 256 printable bytes: a set
// without one is given a fresh one by Do, so that its retries are recognised. Replica pins the
// request to one replica (r1, r2, …): it is then never sent to another. MinTimestamp is the
// least causal timestamp that a causal get may be answered from, MinPosition the least
// position for a sequential request; 0: none. History and AsksHistory are a session's. Client,
// Age and Session are not looked at: a [Client] says them by itself, of its name and of
// FirstSent.
type Request struct {
	model.Request // the value must not change until the request has ended
	bus.Options

	// FirstSent says when a set that is sent again under its ID was sent first: the
	// Error.FirstSent of the call that failed. Zero: now. The cluster recognises a set for two
	// minutes at the least; a sending later than that it refuses ([ErrGone]) if it may have
	// forgotten the first. Of a set that does not say how old it is that cannot be known, and it
	// is executed again. As an earlier sending may take effect, any other refusal of this one is
	// [ErrUnknownOutcome].
	FirstSent time.Time
	// Text sends the text form, whose reply echoes a set's "key ::: value". Key and
	// value then must not begin or end with blanks.
	Text bool

	// Traceparent and Tracestate are sent as the headers of W3C Trace Context, so that the
	// cluster's spans belong to the caller's trace; see [WithPropagator]. A malformed
	// Traceparent is not sent, and no request is refused for one. Such a request is never
	// sent in a batch with others.
	Traceparent, Tracestate string

	packed bool // of a list: its page is to come as nodes write it, with Next in it
}

// NewSet is a set of a key under a model; what else a [Request] can say is set in its fields.
func NewSet(c Consistency, key string, value []byte) Request {
	return Request{Request: model.NewSet(c, key, value)}
}

// NewGet is a get of a key under a model; what else a [Request] can say is set in its fields.
func NewGet(c Consistency, key string) Request {
	return Request{Request: model.NewGet(c, key)}
}

// RequestOption changes one thing in a request of [Client.Get], [Client.Set] and their siblings.
type RequestOption func(*Request)

// With names the consistency model; without it a request is linearizable.
func With(c model.Consistency) RequestOption { return func(r *Request) { r.Model = c } }

// OnReplica pins the request to one replica, r1, r2, …
func OnReplica(name string) RequestOption { return func(r *Request) { r.Replica = name } }

// WithID sets the request's own id; see [Request].
func WithID(id string) RequestOption { return func(r *Request) { r.Identity = id } }

// WithFirstSent says that a set is sent again, and when it was sent first; see [Request].
func WithFirstSent(t time.Time) RequestOption { return func(r *Request) { r.FirstSent = t } }

// WithMinTimestamp sets what a causal get must have seen; see [Request].
func WithMinTimestamp(t uint64) RequestOption { return func(r *Request) { r.MinTimestamp = t } }

// WithMinPosition sets what a sequential request must have seen; see [Request].
func WithMinPosition(p uint64) RequestOption { return func(r *Request) { r.MinPosition = p } }

// WithTraceparent sets the trace that the request belongs to; see [Request].
func WithTraceparent(parent string) RequestOption {
	return func(r *Request) { r.Traceparent = parent }
}

// Result is what a reply said. It comes with an error too, and is then empty (Code 0: no reply
// came) or tells of the last reply.
type Result struct {
	bus.Reply
	Found    bool // of a get: the key has a value
	Attempts int  // how often the request was sent; 0 from [Client.Start]
}

func resultOf(reply *bus.Reply) Result {
	return Result{Reply: *reply, Found: reply.Type == model.Get && reply.Code == model.OK}
}

// check returns the *Error with which the cluster would refuse the request's body.
func (r *Request) check() error {
	if err := bus.Check(&r.Request); err != nil {
		return refusal(err)
	}
	if r.Text && r.Type == model.Txn {
		return &Error{Code: model.Malformed, Reason: "a txn has no text form"}
	}
	if r.Text && !bus.Trimmed(&r.Request) {
		return &Error{Code: model.Malformed, Reason: "a text request cannot hold blanks at the ends of a key or a value"}
	}
	return nil
}

// checkOne is check for a request that has one answer.
func (r *Request) checkOne() error {
	if r.Type == model.Watch {
		return &Error{Code: model.Malformed, Reason: "a watch has no one answer: follow it with Client.Watch, or the command quartet watch"}
	}
	return r.check()
}

// header returns the headers of a lone request, nil if it needs none.
func (s *sending) header() nats.Header {
	h := s.item.Options.Header(s.item.Model)
	if s.text {
		h = bus.TextHeader(h, &s.item.Request.Request)
	}
	if s.packed {
		if h == nil {
			h = nats.Header{}
		}
		h[bus.HeaderAnswerFields] = []string{strconv.Itoa(bus.AnswerMost)}
	}
	if s.traceparent == "" {
		return h
	}
	if h == nil {
		h = nats.Header{}
	}
	h[bus.HeaderTraceparent] = []string{s.traceparent}
	if s.tracestate != "" {
		h[bus.HeaderTracestate] = []string{s.tracestate}
	}
	return h
}

// trace takes over what of a request's trace may stand in headers.
func (s *sending) trace(r *Request) {
	if r.Traceparent == "" || !bus.ValidTraceparent(r.Traceparent) {
		return
	}
	s.traceparent = r.Traceparent
	if bus.ValidTracestate(r.Tracestate) {
		s.tracestate = r.Tracestate
	}
}
