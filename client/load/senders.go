package load

import (
	"errors"

	"quartet/client"
	"quartet/replica/model"
)

// Quartet sends to a cluster, each request once and outside any session.
type Quartet struct {
	Client      *client.Client
	Consistency model.Consistency
}

// Send implements [Sender].
func (q Quartet) Send(op Op, done func(Outcome)) error {
	return q.Client.Start(client.Request{Consistency: q.Consistency, Type: op.Type, Key: op.Key, Value: op.Value},
		func(_ client.Result, err error) { done(outcome(err)) })
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
