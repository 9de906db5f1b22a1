package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// bridge writes the server's log as slog records. An error that the server calls fatal, and would
// end the process for, is handed to Start instead.
type bridge struct {
	log   *slog.Logger
	fatal chan error // capacity 1: the first counts
}

// nobodyProved ends what the server says of a route that was given up before a certificate came.
const nobodyProved = "TLS route handshake error: EOF"

func (b *bridge) record(level slog.Level, format string, args []any) {
	if b.log.Enabled(context.Background(), level) {
		b.log.Log(context.Background(), level, "nats: "+fmt.Sprintf(format, args...))
	}
}

func (b *bridge) Noticef(format string, args ...any) { b.record(slog.LevelInfo, format, args) }
func (b *bridge) Warnf(format string, args ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, "Plaintext passwords") {
		level = slog.LevelDebug // they are in no file: random, or given to this process
	}
	b.record(level, format, args)
}
func (b *bridge) Errorf(format string, args ...any) {
	level := slog.LevelError
	if said := fmt.Sprintf(format, args...); strings.HasSuffix(said, nobodyProved) {
		level = slog.LevelDebug // nodes ask each other's names so: see [NameAt]
	}
	if strings.HasPrefix(format, "Error trying to connect to route") {
		level = slog.LevelDebug // it is said once a second of each node that is away: status says who is
	}
	b.record(level, format, args)
}
func (b *bridge) Debugf(format string, args ...any) { b.record(slog.LevelDebug, format, args) }
func (b *bridge) Tracef(format string, args ...any) { b.record(slog.LevelDebug, format, args) }

func (b *bridge) Fatalf(format string, args ...any) {
	b.record(slog.LevelError, format, args)
	select {
	case b.fatal <- fmt.Errorf(format, args...):
	default:
	}
}
