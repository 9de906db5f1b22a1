package server

import (
	"errors"
	"fmt"
)

// ErrRestart is wrapped by [Server.RestartJetStream].
var ErrRestart = errors.New("bus/server: cannot restart JetStream")

// RestartJetStream closes JetStream and opens it again on the same store, while the server and
// its connections go on. The file store keeps the error of a write that found the disk full,
// and refuses every later write of its stream; a stream whose state cannot be kept takes
// JetStream down as a whole. Neither is undone when there is room again, other than by this.
//
// Meanwhile, for some milliseconds, what is asked of JetStream is not answered. Whatever was
// acknowledged in a stream on disk is there again afterwards; streams in memory are gone. It
// must not be called twice at the same time. The error wraps [ErrRestart]: then JetStream is
// down, and it can be tried again.
func (s *Server) RestartJetStream() error {
	if err := s.nats.ShutdownJetStream(); err != nil {
		return fmt.Errorf("%w: %w", ErrRestart, err)
	}
	config := s.jetStream
	if err := s.nats.EnableJetStream(&config); err != nil {
		// It counts as enabled, half opened.
		return fmt.Errorf("%w: %w", ErrRestart, errors.Join(err, s.nats.ShutdownJetStream()))
	}
	return nil
}
