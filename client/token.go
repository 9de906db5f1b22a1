package client

import (
	"fmt"

	"quartet/bus"
	"quartet/bus/model"
)

// Token returns what the session has seen as an opaque, printable word of at most 128
// letters, digits, "-" and "_", that never begins with "-". Whoever has it can go on with
// the session: a program by [Client.Resume] or [Session.Join], a script by the header
// Quartet-Session. It is as long for a session of a million requests as for a new one:
// instead of each key that was written it carries the highest timestamp among them, so a
// causal get of whoever goes on may have to wait for a replica that has seen that.
//
// It belongs to the cluster that gave the replies, and to its history. Another cluster, and
// one whose history has ended (it was in memory and has lost everything, or a backup was
// restored), refuses it at once with [ErrOtherHistory].
func (s *Session) Token() string { return s.seen().Token() }

// seen is the session as a token says it.
func (s *Session) seen() bus.Session {
	return bus.Session{History: s.history, Position: s.position, Timestamp: max(s.read, s.floor, s.wrote)}
}

// Join adds what the session of the token had seen to what s has seen: afterwards s reads
// nothing older. It is how causality crosses from one program to another, with the message
// that the token travels in. "new", the token of a session that has seen nothing, adds
// nothing. The error is [ErrToken], and s is as before; for a token of another cluster it is
// [ErrOtherHistory], too.
func (s *Session) Join(token string) error {
	other, err := bus.ParseSession(token)
	if err != nil {
		return &Error{Code: model.Malformed, Err: fmt.Errorf("%w: %w", ErrToken, err), Reason: err.Error()}
	}
	if s.history.Cluster != 0 && other.Cluster != 0 && s.history.Cluster != other.Cluster {
		reason := "the token is of another cluster than the session"
		return &Error{Code: model.Misdirected, Err: ErrToken, Reason: reason}
	}
	if other.Epoch > s.history.Epoch {
		s.history = other.History
	}
	s.position = max(s.position, other.Position)
	s.floor = max(s.floor, other.Timestamp)
	return nil
}

// Resume begins a session that goes on where the one of the token stood. Sessions that
// resume from one token go separate ways; [Session.Join] brings them together. The error is
// [ErrToken].
func (c *Client) Resume(token string) (*Session, error) {
	s := c.Session()
	if err := s.Join(token); err != nil {
		return nil, err
	}
	return s, nil
}
