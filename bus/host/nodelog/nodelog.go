// Package nodelog is the log of each node, DIR/NODE.log. It promises that the log loses at most
// the last second when the node is killed, and nothing when the node ends by itself; and that
// warnings and errors are also seen at once on the terminal. Where a collector takes the logs, all
// lines go to standard error at once instead, each with the node's name.
//
// The file is appended to over restarts. It is begun anew at [DefaultRotate] bytes;
// the part before is kept as DIR/NODE.1.log, older ones are not. Lines wait in a buffer
// of 64 KiB: it is written when it is full, each second, at an error, and on Close.
package nodelog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/pflag"

	"quartet/bus/host/config"
)

// DefaultRotate is the size, in bytes, at which a log is begun anew.
const DefaultRotate = 64 << 20

// Where logs go.
const (
	ToFile   = "file" // DIR/NODE.log
	ToStderr = "-"    // standard error, which several nodes may share
)

// The formats of a log.
const (
	Text = "text" // key=value, times short and in UTC
	JSON = "json" // one object a line, as slog writes it, with the node
)

// ErrOptions is wrapped by [Open] for options that say nothing sensible.
var ErrOptions = errors.New("nodelog: bad option")

// Options says what is logged where.
type Options struct {
	To     string    // [ToFile] or [ToStderr]; "": a file
	Dir    string    // of ToFile; made if it is missing
	Node   string    // "m1", "r1", …: the file's name without .log
	Level  string    // debug, info, warn or error; "": info
	Format string    // [Text] or [JSON]; "": text
	Stderr io.Writer // gets warnings and errors, in short; coloured on a terminal unless NO_COLOR is set; nil: nobody does
	Rotate int64     // bytes; 0: [DefaultRotate]
}

// Flags adds --log, --log-level and --log-format, which refuse what Open would.
func Flags(f *pflag.FlagSet, o *Options) {
	to, level, format := &o.To, &o.Level, &o.Format
	*to, *level, *format = ToFile, "info", Text
	config.OneOf(f, to, "log", *to, []string{ToFile, ToStderr},
		"where logs go: file (in --log-dir) or - (all of it to stderr, for a collector)")
	config.OneOf(f, level, "log-level", *level, []string{"debug", "info", "warn", "error"},
		"log this and what is graver: debug, info, warn, error")
	config.OneOf(f, format, "log-format", *format, []string{Text, JSON}, "of the logs: text or json")
}

// Open opens the log of one node. The logger may be used by any goroutine. Close
// writes what is buffered and returns why the last write failed, if it did; what is
// logged after that reaches Stderr only. With [ToStderr] there is nothing to close, and a
// line that cannot be written is lost.
func Open(o Options) (*slog.Logger, io.Closer, error) {
	level, err := parseLevel(o.Level)
	if err != nil {
		return nil, nil, err
	}

	if o.Node == "" || o.Node != filepath.Base(o.Node) || strings.HasPrefix(o.Node, ".") {
		return nil, nil, fmt.Errorf("%w: node %q cannot be the name of a file", ErrOptions, o.Node)
	}
	if o.Format != "" && o.Format != Text && o.Format != JSON {
		return nil, nil, fmt.Errorf("%w: log format %q (want text or json)", ErrOptions, o.Format)
	}

	if o.To == ToStderr && o.Stderr != nil {
		h := o.fileHandler(o.Stderr, level)
		if o.Format != JSON {
			h = h.WithAttrs([]slog.Attr{slog.String("node", o.Node)})
		}
		return slog.New(h), io.NopCloser(nil), nil
	}

	if o.Rotate <= 0 {
		o.Rotate = DefaultRotate
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("nodelog: %w", err)
	}

	s := newSink(filepath.Join(o.Dir, o.Node), o.Rotate, o.Format, o.complain)
	if err := s.open(); err != nil {
		return nil, nil, fmt.Errorf("nodelog: %w", err)
	}

	// What is grave is also shown.
	h := &handler{sink: s, file: o.fileHandler(s, level)}
	if o.Stderr != nil {
		h.console = newConsole(o.Stderr, o.Node, colored(o.Stderr))
	}
	go s.flushEachSecond()
	return slog.New(h), s, nil
}

func parseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%w: log level %q (want debug, info, warn or error)", ErrOptions, s)
}

// fileHandler writes records of the level and above to w, in the format of the options.
func (o *Options) fileHandler(w io.Writer, level slog.Level) slog.Handler {
	if o.Format == JSON {
		h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: named})
		return h.WithAttrs([]slog.Attr{slog.String("node", o.Node)})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime})
}

// named writes a value that has a name, such as a node, by its name: JSON would have its number.
func named(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	if s, ok := a.Value.Any().(fmt.Stringer); ok && reflect.TypeOf(s).Kind() != reflect.Pointer { // a pointer may be nil
		a.Value = slog.StringValue(s.String())
	}
	return a
}

// shortTime writes a record's own time to the millisecond.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return a
}

// complain says on the terminal that the log cannot be written.
func (o *Options) complain(err error) {
	if o.Stderr != nil {
		fmt.Fprintf(o.Stderr, "%s: warning: the log cannot be written, lines are lost: %v\n", o.Node, err)
	}
}

// colored reports whether w is a terminal on which colours are welcome.
func colored(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
