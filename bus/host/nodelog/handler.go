package nodelog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/fatih/color"
)

// handler gives every log record to the file, and warnings and errors to the terminal, too.
type handler struct {
	sink    *sink
	file    slog.Handler
	console slog.Handler // or nil
}

// Enabled implements [slog.Handler]: the file's level is also the terminal's.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.file.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	err := h.file.Handle(ctx, r)
	if r.Level >= slog.LevelWarn && h.console != nil {
		err = errors.Join(err, h.console.Handle(ctx, r))
	}
	if r.Level >= slog.LevelError {
		h.sink.flush()
	}
	return err
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.derive(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	return h.derive(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (h *handler) derive(f func(slog.Handler) slog.Handler) slog.Handler {
	d := &handler{sink: h.sink, file: f(h.file)}
	if h.console != nil {
		d.console = f(h.console)
	}
	return d
}

// console writes "r1: warning: MESSAGE key=value …".
type console struct {
	screen *screen
	attrs  slog.Handler // writes a record's attributes alone into screen.line
}

// screen is the terminal, shared by a console and all handlers that were derived from it.
type screen struct {
	mu     sync.Mutex // guards line and the order on out
	out    io.Writer
	line   bytes.Buffer
	node   string
	warn   *color.Color
	errors *color.Color
}

func newConsole(out io.Writer, node string, colored bool) *console {
	s := &screen{out: out, node: node, warn: color.New(color.FgYellow), errors: color.New(color.FgRed)}
	for _, c := range []*color.Color{s.warn, s.errors} {
		if colored {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	options := &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: withoutOwn}
	return &console{screen: s, attrs: slog.NewTextHandler(&s.line, options)}
}

// noMessage stands in for a record's message, so that it can be told from an attribute.
const noMessage = "\x00"

// withoutOwn drops level and message of the record itself, which the console writes before its
// attributes. (A zero time has no attribute.)
func withoutOwn(groups []string, a slog.Attr) slog.Attr {
	_, isLevel := a.Value.Any().(slog.Level)
	isMessage := a.Value.Kind() == slog.KindString && a.Value.String() == noMessage
	level := a.Key == slog.LevelKey && isLevel
	message := a.Key == slog.MessageKey && isMessage
	own := level || message
	if len(groups) == 0 && own {
		return slog.Attr{}
	}
	return a
}

// Enabled implements [slog.Handler].
func (c *console) Enabled(ctx context.Context, level slog.Level) bool {
	return c.attrs.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (c *console) Handle(ctx context.Context, r slog.Record) error {
	s := c.screen
	s.mu.Lock()
	defer s.mu.Unlock()

	// The attributes alone, as slog writes them.
	s.line.Reset()
	message := r.Message
	r.Time, r.Message = time.Time{}, noMessage
	if err := c.attrs.Handle(ctx, r); err != nil {
		return err
	}
	attrs := bytes.TrimSpace(s.line.Bytes())

	word, paint := "warning:", s.warn
	if r.Level >= slog.LevelError {
		word, paint = "error:", s.errors
	}

	text := s.node + ": " + paint.Sprint(word) + " " + printable(message)
	if len(attrs) > 0 {
		text += " " + string(attrs)
	}
	_, err := io.WriteString(s.out, text+"\n") // whole, so that nodes that share a terminal don't mix
	return err
}

// printable quotes what could play tricks on a terminal.
func printable(message string) string {
	if quoted := strconv.Quote(message); len(quoted) != len(message)+2 {
		return quoted
	}
	return message
}

// WithAttrs implements [slog.Handler].
func (c *console) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &console{screen: c.screen, attrs: c.attrs.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (c *console) WithGroup(name string) slog.Handler {
	return &console{screen: c.screen, attrs: c.attrs.WithGroup(name)}
}
