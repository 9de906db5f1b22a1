package masternode

import (
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// Tracer is told of every request that has been answered. It must neither wait nor keep
// what it is given.
type Tracer interface {
	Answered(r *Traced)
}

// Traced is a request's way through the master.
type Traced struct {
	Traceparent, Tracestate string // as its sender gave them; "": not, or malformed

	RID                 uint64
	Client, Key         string
	Model               model.Consistency
	Type                model.Type
	Replica             string // that served it; "": none did
	Code                model.Code
	Reason              string
	Position, Timestamp uint64
	HasRevision         bool
	Revision            uint64 // of what was written or read, or of the key as it is
	Repeated            bool   // answered with an earlier outcome

	Received  time.Time
	Forwarded time.Time // to a replica, for the first time; zero: to none. A causal write goes to all, and waits for none
	Heard     time.Time // the last answer of a replica; zero: none
	Answered  time.Time
}

// tracing tells a Tracer of requests. Without one there is none, and it costs a look.
type tracing struct{ tracer Tracer }

func newTracing(t Tracer) *tracing {
	if t == nil {
		return nil
	}
	return &tracing{tracer: t}
}

// take begins to follow a request; h are its headers, nil of one in a batch.
func (t *tracing) take(r *taken, h nats.Header) {
	if t == nil {
		return
	}
	r.traced = &Traced{}
	if parent, ok := bus.Lookup(h, bus.HeaderTraceparent); ok && bus.ValidTraceparent(parent) {
		r.traced.Traceparent = parent
		if state, _ := bus.Lookup(h, bus.HeaderTracestate); bus.ValidTracestate(state) {
			r.traced.Tracestate = state
		}
	}
}

// answered hands over a request that has its answer.
func (t *tracing) answered(r *taken, a *master.Reply) {
	if t == nil || r.traced == nil {
		return
	}
	s := r.traced
	s.RID, s.Code, s.Reason, s.Position, s.Timestamp, s.Repeated = a.RID, a.Code, a.Reason, a.Position, a.Timestamp, a.Repeated
	s.HasRevision, s.Revision = a.HasRevision, a.Revision
	s.Client, s.Key, s.Model, s.Type = r.client, r.request.Key, r.request.Model, r.request.Type
	if a.Replica != 0 {
		s.Replica = a.Replica.String()
	}
	s.Received, s.Answered = r.at, time.Now()
	goesToAll := s.Model == model.Causal && s.Type.Writes()
	if r.forwarded > 0 && !goesToAll {
		s.Forwarded = r.at.Add(r.forwarded)
	}
	if r.heard > 0 {
		s.Heard = r.at.Add(r.heard)
	}
	t.tracer.Answered(s)
}
