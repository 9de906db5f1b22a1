package client

import (
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
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

	TypeSet = model.Set
	TypeGet = model.Get
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
	// is executed again.
	FirstSent time.Time
	// Text sends the text form, whose reply echoes a set's "key ::: value". Key and
	// value then must not begin or end with blanks.
	Text bool

	// Traceparent and Tracestate are sent as the headers of W3C Trace Context, so that the
	// cluster's spans belong to the caller's trace; see [WithPropagator]. A malformed
	// Traceparent is not sent, and no request is refused for one. Such a request is never
	// sent in a batch with others.
	Traceparent, Tracestate string
}

// RequestOption changes one thing in a request of [Client.Get] or [Client.Set].
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

// Result is what a reply said. It comes with an error too, and is then empty or tells
// of the last reply.
type Result struct {
	Value []byte // of a get; nil if the key has none
	Found bool   // of a get: the key has a value
	Body  []byte // the reply's body as it came

	Code        model.Code // OK, or a FAIL's; 0 when no reply came
	Reason      string     // of a FAIL
	Consistency model.Consistency
	Type        model.Type
	RID         uint64            // the cluster's own id of the request
	Clock       lamport.Timestamp // of the node that answered
	Replica     string            // that served it; "" where none did
	Timestamp   uint64            // causal timestamp; 0: none
	Position    uint64            // in the total order, if HasPosition
	HasPosition bool
	history     bus.History
	Attempts    int // how often the request was sent; 0 from [Client.Start]
}

func (r *Result) fill(reply *bus.Reply) {
	*r = Result{
		Body: reply.Body, Code: reply.Code, Reason: reply.Reason,
		Consistency: reply.Model, Type: reply.Type, RID: reply.RID, Clock: reply.Clock,
		Timestamp: reply.Timestamp, Position: reply.Position, HasPosition: reply.HasPosition, history: reply.History,
	}
	if reply.Replica != 0 {
		r.Replica = reply.Replica.String()
	}
	if reply.Type == model.Get && reply.Code == model.OK {
		r.Value, r.Found = reply.Body, true
	}
}

// check returns the *Error with which the cluster would refuse the request's body.
func (r *Request) check() error {
	if err := bus.Check(&r.Request); err != nil {
		return refusal(err)
	}
	if r.Text && !bus.Trimmed(&r.Request) {
		return &Error{Code: model.Malformed, Reason: "a text request cannot hold blanks at the ends of a key or a value"}
	}
	return nil
}

// header returns the headers of a lone request, nil if it needs none.
func (s *sending) header() nats.Header {
	h := s.item.Options.Header(s.item.Model)
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
