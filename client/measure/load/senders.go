package load

import (
	"context"
	"errors"
	"time"

	"quartet/bus/model"
	"quartet/client"
)

// Observation is one request to a cluster and how it ended.
type Observation struct {
	Op          Op
	Consistency model.Consistency
	Began       time.Time // just before it was sent
	Ended       time.Time // just after its end was known
	Outcome     Outcome
	Result      client.Result // what the reply said
	Err         error         // nil: OK
}

// Observer is shown each request when it has ended, from any goroutine, several at once perhaps;
// it must not block for long. A request that could not be sent is not shown.
type Observer func(Observation)

// Quartet sends to a cluster, each request once and outside any session.
type Quartet struct {
	Client      *client.Client
	Consistency model.Consistency
	Observe     Observer // nil: nobody
}

// Send implements [Sender].
func (q Quartet) Send(op Op, done func(Outcome)) error {
	if q.Observe != nil {
		return q.sendObserved(op, done)
	}
	return q.Client.Start(q.request(op), func(_ client.Result, err error) { done(outcome(err)) })
}

func (q Quartet) sendObserved(op Op, done func(Outcome)) error {
	began := time.Now()
	return q.Client.Start(q.request(op), func(result client.Result, err error) {
		end := outcome(err)
		q.Observe(Observation{op, q.Consistency, began, time.Now(), end, result, err})
		done(end)
	})
}

func (q Quartet) request(op Op) client.Request {
	return client.Request{Request: model.Request{Model: q.Consistency, Type: op.Type, Key: op.Key, Value: op.Value, TTL: uint64(op.TTL.Milliseconds())}}
}

// QuartetCaller calls a cluster as programs do that use package client: [client.Client.Do],
// with an id for each set and with retries, in a goroutine for each request outstanding.
type QuartetCaller struct{ Quartet }

// Call implements [Caller]. It takes no longer than the client's timeout and retries allow.
func (q QuartetCaller) Call(op Op) Outcome {
	began := time.Now()
	result, err := q.Client.Do(context.Background(), q.request(op))
	end := outcome(err)
	if q.Observe != nil {
		q.Observe(Observation{op, q.Consistency, began, time.Now(), end, result, err})
	}
	return end
}

// Sessions calls a cluster as clients with a session each do: the requests of lane n are those of
// the n-th session. A load on it must not have more places than sessions.
type Sessions struct {
	Quartet
	All []*client.Session
}

// Call implements [Caller], as [QuartetCaller] does.
func (s Sessions) Call(op Op) Outcome {
	began := time.Now()
	result, err := s.All[op.Lane].Do(context.Background(), s.request(op))
	end := outcome(err)
	if s.Observe != nil {
		s.Observe(Observation{op, s.Consistency, began, time.Now(), end, result, err})
	}
	return end
}

// Send implements [Sender].
func (s Sessions) Send(op Op, done func(Outcome)) error {
	go func() { done(s.Call(op)) }()
	return nil
}

// Send implements [Sender].
func (q QuartetCaller) Send(op Op, done func(Outcome)) error {
	go func() { done(q.Call(op)) }()
	return nil
}

func outcome(err error) Outcome {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, client.ErrNotFound):
		return Missing
	case errors.Is(err, client.ErrUnknownOutcome):
		return Unknown
	}
	return Failed
}
