// Package requestfile is a command's requests: arguments, each a request or the name of a file of
// requests. It promises that nothing is sent before all of it could be read: it returns requests,
// or errors that name file, line, column and what was expected.
//
// A file holds one request a line, in the text form of the public contract, or in its JSON form
// where the text form has no place for it: a condition, a TTL, a txn, a value with blanks at its
// ends. Blank lines and lines that begin with # are skipped.
package requestfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/model"
)

// Limits of a file.
const (
	MaxFile   = 64 << 20 // bytes of a file
	maxErrors = 10       // mistakes that are reported of one file
)

// Folder is where a name that is no path is looked for, relative to the working directory.
const Folder = "testdata/requests"

// Sentinels that errors of this package wrap.
var (
	ErrMalformed = errors.New("malformed request") // wrapped by *Error
	ErrNoFile    = errors.New("no such request file")
	ErrTooLarge  = errors.New("request file too large")
)

// Error is one mistake in one request.
type Error struct {
	Name   string // of the file, or what the request was given as
	Line   int    // from 1; 0 where the request is no line of a file
	Column int    // of the part that cannot be read, from 1, in characters
	Reason string // what is wrong and what was expected
	Text   string // the line

	Code model.Code // with which a cluster would refuse it: 400, or 413 where it is too large
}

// Error returns NAME:LINE:COLUMN: REASON.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s, column %d: %s", e.Name, e.Column, e.Reason)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Name, e.Line, e.Column, e.Reason)
}

// Unwrap returns [ErrMalformed].
func (e *Error) Unwrap() error { return ErrMalformed }

// Request is a request and the line on which it stands.
type Request struct {
	bus.Request
	File string // "" for a request that is itself an argument
	Line int    // in File, from 1
}

// Loader finds the files that arguments name. The zero Loader knows only files on disk.
type Loader struct {
	// Builtin holds files that are looked up by their plain name when there is no
	// such file on disk. It may be nil.
	Builtin fs.FS
}

// Load reads one argument: a request, or else the name of a file (a path, a name in
// [Folder], a name in Builtin; in this order). what says how the argument was given
// ("argument 2") and begins the message about a malformed one.
//
// An argument that is no request and names no file is reported as a malformed request
// ([ErrMalformed]) where it has a comma, and else as a missing file ([ErrNoFile]).
func (l Loader) Load(what, argument string) ([]Request, error) {
	request, bad := parseLine([]byte(argument))
	if bad == nil {
		return []Request{{Request: request}}, nil
	}

	name, file, err := l.open(argument)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(argument, ","):
		bad.Name = what
		return nil, bad
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: %q (neither a request like \"1, 1, key ::: value\" nor a file, here or in %s%s)",
			what, ErrNoFile, argument, Folder, l.orBuiltin())
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	}

	defer file.Close()
	return Parse(name, file)
}

// orBuiltin names the files of Builtin, as the end of a message; "": there are none.
func (l Loader) orBuiltin() string {
	if l.Builtin == nil {
		return ""
	}
	files, err := fs.ReadDir(l.Builtin, ".")
	if err != nil || len(files) == 0 {
		return ""
	}

	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.Name()
	}
	return ", nor built in: " + strings.Join(names, " ")
}

// open opens the file that an argument names. The error wraps fs.ErrNotExist if there is none.
func (l Loader) open(argument string) (name string, file io.ReadCloser, err error) {
	for _, path := range []string{argument, filepath.Join(filepath.FromSlash(Folder), argument)} {
		f, err := os.Open(path)
		if err != nil {
			if missing(err) {
				continue
			}
			return "", nil, err
		}
		if info, err := f.Stat(); err == nil && info.IsDir() {
			f.Close() // a folder called linear1 does not hide the file of that name
			continue
		}
		return path, f, nil
	}

	if l.Builtin == nil || !fs.ValidPath(argument) {
		return "", nil, fs.ErrNotExist
	}
	f, err := l.Builtin.Open(argument)
	if err != nil {
		return "", nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		f.Close()
		return "", nil, fs.ErrNotExist
	}
	return argument, f, nil
}

// missing reports whether err means that no file can have this name: it is absent, or
// the name is a sentence that no file system takes.
func missing(err error) bool {
	var perr *fs.PathError

	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid)
	ofTheName := errors.As(err, &perr) && !errors.Is(err, fs.ErrPermission)
	return absent || ofTheName
}

// Parse reads a file. It reads on after a mistake and returns the first ten, joined;
// the requests are returned only if there is none. A file without requests is none.
func Parse(name string, r io.Reader) ([]Request, error) {
	body, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(body) > MaxFile {
		return nil, fmt.Errorf("%s: %w (at most %d bytes)", name, ErrTooLarge, MaxFile)
	}

	var (
		requests []Request
		mistakes []error
		lines    = bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	)
	lines.Buffer(nil, MaxFile+1)
	for number := 1; lines.Scan() && len(mistakes) < maxErrors; number++ {
		line := lines.Bytes()
		if text := bytes.TrimSpace(line); len(text) == 0 || text[0] == '#' {
			continue
		}

		request, bad := parseLine(line)
		if bad != nil {
			bad.Name, bad.Line = name, number
			mistakes = append(mistakes, bad)
			continue
		}

		// A request shares the line's memory, which the scanner owns.
		if request.Value != nil {
			request.Value = append([]byte{}, request.Value...)
		}
		requests = append(requests, Request{Request: request, File: name, Line: number})
	}

	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return requests, nil
}

// ParseLine reads one request, in text or JSON. The error is an [*Error] without a name.
func ParseLine(line string) (bus.Request, error) {
	request, bad := parseLine([]byte(line))
	if bad != nil {
		return request, bad
	}
	return request, nil
}

const asksHow = "a request in a file says what is asked, not how it is sent: " +
	"no id, client, replica, session, history, age or minimum"

// parseLine reads one request, in text or JSON.
func parseLine(line []byte) (bus.Request, *Error) {
	refused := func(reason string, code model.Code) *Error {
		return &Error{Column: column(line), Reason: reason, Text: string(line), Code: code}
	}
	if len(line) > 0 && line[0] >= utf8.RuneSelf { // the bus would take it for msgpack
		const want = "expected a consistency: 1 linearizable, 2 sequential, 3 causal or 4 eventual"
		return bus.Request{}, refused(want, model.Malformed)
	}

	request, err := bus.ParseRequest(line)
	if err == nil && request.Asked != nil {
		return bus.Request{}, refused(asksHow, model.Malformed)
	}
	if err == nil {
		return request, nil
	}
	code := model.Malformed
	var e *bus.Error
	if errors.As(err, &e) {
		code = e.Code
	}
	return bus.Request{}, refused(err.Error(), code)
}
