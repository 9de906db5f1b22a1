package client

import (
	"context"
	"slices"

	"quartet/bus"
	"quartet/bus/model"
)

// maxWritten bounds a session's map of written keys.
const maxWritten = 4096

// Session is one client's sequence of requests. It keeps what its replies told it and
// sends that back, so that the sequential and the causal model hold across replicas:
//
//   - the highest position seen, with every sequential request;
//   - the highest timestamp that a get returned or a watch told, and the timestamp of the
//     session's write of each key, with every causal get.
//
// It is for one goroutine at a time, and for one request at a time: "a session's own
// order" means nothing for requests that overlap ([Session.GetMany] says what a batch
// is). Any number of sessions share a client. [Session.Token] passes a session on.
//
// At most 4,096 written keys are kept one by one. When there are more, the older half is
// dropped and the highest timestamp among it becomes a floor for every key: a greater
// minimum is only stricter, so nothing that the session may rely on is lost; a get of a
// key that it never wrote may have to wait for a replica that has seen that floor.
type Session struct {
	c        *Client
	history  bus.History // of the newest reply; zero: of none yet
	position uint64
	read     uint64 // highest timestamp that a get returned
	floor    uint64 // no key's minimum is below it
	wrote    uint64 // highest timestamp of a write
	written  map[string]uint64
}

// Session begins a session that has seen nothing.
func (c *Client) Session() *Session {
	return &Session{c: c, written: make(map[string]uint64)}
}

// Get is [Client.Get] within the session.
func (s *Session) Get(ctx context.Context, key string, opts ...RequestOption) (Result, error) {
	return s.Do(ctx, build(model.Get, key, nil, opts))
}

// Set is [Client.Set] within the session.
func (s *Session) Set(ctx context.Context, key string, value []byte, opts ...RequestOption) (Result, error) {
	return s.Do(ctx, build(model.Set, key, value, opts))
}

// Do is [Client.Do] within the session. Minimums that r has already are kept where they
// are greater.
func (s *Session) Do(ctx context.Context, r Request) (Result, error) {
	s.ask(&r)
	result, err := s.c.Do(ctx, r)
	s.observe(&r, &result)
	return result, err
}

// ask has r ask for what the session has seen.
func (s *Session) ask(r *Request) {
	if r.Model != Eventual || s.history != (bus.History{}) { // eventual replies tell a session nothing
		r.History, r.AsksHistory = s.history, true
	}
	switch r.Model {
	case Sequential:
		r.MinPosition = max(r.MinPosition, s.position)
	case Causal:
		switch {
		case r.Type == TypeList, r.Type == TypeWatch: // of all keys
			r.MinTimestamp = max(r.MinTimestamp, s.read, s.floor, s.wrote)
		case !r.Writes():
			r.MinTimestamp = max(r.MinTimestamp, s.Minimum(r.Key))
		}
	}
}

// Position returns the highest position seen.
func (s *Session) Position() uint64 { return s.position }

// Minimum returns the least causal timestamp that a get of key may be answered from.
func (s *Session) Minimum(key string) uint64 {
	return max(s.read, s.floor, s.written[key])
}

// observe takes the tokens of any reply, a FAIL too: whatever carries them has been seen.
func (s *Session) observe(r *Request, result *Result) {
	s.history = s.seen().Seen(&result.Reply, result.History).History
	if result.HasPosition {
		s.position = max(s.position, result.Position)
	}
	switch {
	case result.Timestamp == 0:
	case r.Writes():
		s.write(r.Key, result.Timestamp)
	default:
		s.read = max(s.read, result.Timestamp)
	}
}

// heard takes an event of a watch: what it tells has been seen.
func (s *Session) heard(e *Event, history bus.History) {
	if history.Epoch >= s.history.Epoch && history != (bus.History{}) {
		s.history = history
	}
	s.position = max(s.position, e.Revision)
	s.read = max(s.read, e.Timestamp)
}

func (s *Session) write(key string, timestamp uint64) {
	s.wrote = max(s.wrote, timestamp)
	if timestamp <= max(s.read, s.floor, s.written[key]) {
		return // says no more than what is kept
	}
	s.written[key] = timestamp
	if len(s.written) > maxWritten {
		s.shrink()
	}
}

// shrink drops what the highest read has overtaken, and if that is not enough the older
// half, which the floor then stands for.
func (s *Session) shrink() {
	kept := make([]uint64, 0, len(s.written))
	for _, timestamp := range s.written {
		if timestamp > s.read {
			kept = append(kept, timestamp)
		}
	}
	if len(kept) > maxWritten/2 {
		slices.Sort(kept)
		s.floor = max(s.floor, kept[len(kept)/2])
	}
	for key, timestamp := range s.written {
		if timestamp <= max(s.read, s.floor) {
			delete(s.written, key)
		}
	}
}
