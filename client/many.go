package client

import (
	"context"
	"errors"
	"fmt"

	"quartet/bus"
	"quartet/bus/model"
)

// Outcome is how one request of several ended: what [Client.Do] would have returned.
type Outcome struct {
	Result
	Err error // an [*Error]; nil: answered. A get of a key without a value has ErrNotFound
}

// mostPending bounds how many requests of one call are under way at a time.
const mostPending = bus.MaxBatch

// GetMany reads any number of keys at the same time and returns their outcomes in the order
// of the keys. A missing key is an answer: its outcome has [ErrNotFound] and Found is false,
// and the error of the whole is nil as long as each key is found or missing. Otherwise that
// error wraps the first failure, or the first unknown outcome if there is one, and the other
// outcomes count all the same.
//
// The options count for each of them (so there is no place for [WithID], as no two requests
// have one id). Each get stands for itself, with the retries of one that is sent alone. What they
// promise together:
//
//   - Linearizable: each sees every set that was answered before GetMany was called. A set
//     that is under way meanwhile may be seen by one and missed by another.
//   - Sequential: each sees at least what the session has seen. Those whose Position is
//     equal saw one state; which they are is chance, and may be all.
//   - Causal: each sees at least what the session has seen. One may see a write that depends
//     on another which a second one of this call has missed: it was asked at the same time,
//     not later. The session's next request sees all.
//   - Eventual: nothing.
//
// So it is no snapshot, in any model but by equal positions.
func (c *Client) GetMany(ctx context.Context, keys []string, opts ...RequestOption) ([]Outcome, error) {
	return c.DoMany(ctx, gets(keys, opts))
}

// DoMany is [Client.Do] for any number of requests at the same time, as [Client.GetMany]
// says. They take effect in any order, and each by itself. Sets get an id each if they have
// none; ids of failed ones stand in their errors.
func (c *Client) DoMany(ctx context.Context, requests []Request) ([]Outcome, error) {
	outcomes := make([]Outcome, len(requests))
	pending := make([]*Pending, len(requests))
	end := func(i int) {
		if p := pending[i]; p != nil {
			outcomes[i].Result, outcomes[i].Err = p.Wait(ctx)
			pending[i] = nil
		}
	}
	for i := range requests {
		if i >= mostPending {
			end(i - mostPending)
		}
		pending[i], outcomes[i].Err = c.Begin(ctx, requests[i])
	}
	for i := max(0, len(requests)-mostPending); i < len(requests); i++ {
		end(i)
	}
	return outcomes, together(requests, outcomes)
}

// GetMany is [Client.GetMany] within the session: each get asks for what the session had
// seen before the call, and the session has seen all their replies after it.
func (s *Session) GetMany(ctx context.Context, keys []string, opts ...RequestOption) ([]Outcome, error) {
	return s.DoMany(ctx, gets(keys, opts))
}

// DoMany is [Client.DoMany] within the session. Among requests of one call there is no
// order of the session's: what must come after another belongs into the next call.
func (s *Session) DoMany(ctx context.Context, requests []Request) ([]Outcome, error) {
	asked := make([]Request, len(requests))
	copy(asked, requests)
	for i := range asked {
		s.ask(&asked[i])
	}
	outcomes, err := s.c.DoMany(ctx, asked)
	for i := range outcomes {
		s.observe(&asked[i], &outcomes[i].Result)
	}
	return outcomes, err
}

func gets(keys []string, opts []RequestOption) []Request {
	requests := make([]Request, len(keys))
	for i, key := range keys {
		requests[i] = build(model.Get, key, nil, opts)
	}
	return requests
}

// together returns one error for several outcomes. An outcome that is unknown goes before all
// others, for an error that hides it would look definite.
func together(requests []Request, outcomes []Outcome) error {
	failed, worst := 0, -1
	for i := range outcomes {
		err := outcomes[i].Err
		if err == nil || errors.Is(err, ErrNotFound) {
			continue
		}
		failed++
		unknown := errors.Is(err, ErrUnknownOutcome)
		if worst >= 0 && !unknown {
			continue
		}
		if worst < 0 || !errors.Is(outcomes[worst].Err, ErrUnknownOutcome) {
			worst = i
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("client: %d of %d requests failed, the %s of key %q: %w",
		failed, len(outcomes), requests[worst].Type.Word(), requests[worst].Key, outcomes[worst].Err)
}
