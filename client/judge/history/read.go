package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Version is the version of the format that this package writes. It reads all versions up to this.
const Version = 2

// ErrFormat is wrapped by every error of [Read] and [Decode] that is not the reader's own.
var ErrFormat = errors.New("history: malformed record")

// maxLine bounds a record, in bytes: a key and value of the largest size, escaped, or what a watch
// has shown.
const maxLine = 32 << 20

// headerMark is what the line of a header begins with, and no other line.
var headerMark = []byte(`{"history":`)

// Header is the line that each program which records writes before its operations. A history that
// was written by hand has none.
type Header struct {
	Version int       `json:"history"`
	Began   time.Time `json:"began"` // by the clock on the wall; of the first header: when call and return were 0

	// Open says that the history need not hold every set of its keys: there may have been
	// values before it, and others may have written while it was recorded.
	Open bool `json:"open,omitempty"`
	// Program is the name of the program that recorded, for people.
	Program string `json:"program,omitempty"`
}

// AppendHeader appends a header's line.
func AppendHeader(dst []byte, h Header) ([]byte, error) {
	h.Version = Version
	line, err := json.Marshal(&h)
	if err != nil {
		return dst, fmt.Errorf("history: header: %w", err)
	}
	return append(append(dst, line...), '\n'), nil
}

// Recording is a history as it stands in a file.
type Recording struct {
	Operations []Operation
	Headers    []Header // none in a history that was written by hand
	// Cut holds the numbers, from 1, of lines that were cut off while they were written: the
	// program that recorded was killed. What those requests did is not known.
	Cut []int
}

// Open reports whether sets may be missing: a header says so, more than one program
// recorded, or lines were cut off.
func (r *Recording) Open() bool {
	for _, h := range r.Headers {
		if h.Open {
			return true
		}
	}
	return len(r.Headers) > 1 || len(r.Cut) > 0
}

// Nanoseconds reports whether calls and returns are known to be nanoseconds.
func (r *Recording) Nanoseconds() bool { return len(r.Headers) > 0 }

// ReadFile is [Read] of a file; its error may be that of opening it.
func ReadFile(name string) (*Recording, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f)
}

// Read reads JSON lines. Blank lines and lines that begin with # are skipped. A last line that is
// only the beginning of a record was cut off, and so was such a line before a header. An error
// names the line, counted from 1, and wraps [ErrFormat], or is the reader's own.
func Read(r io.Reader) (*Recording, error) {
	rec := &Recording{}
	in := bufio.NewReaderSize(r, 64<<10)
	var bad error // of the line before
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("history: line %d: %w", n, err)
		}

		ended := err == nil // else this is the last line
		line = bytes.TrimSpace(line)
		header := bytes.HasPrefix(line, headerMark)

		// Only a program that was killed leaves half a line, and only a header can follow.
		if bad != nil {
			if !header {
				return nil, fmt.Errorf("line %d: %w", n-1, bad)
			}
			rec.Cut, bad = append(rec.Cut, n-1), nil
		}

		switch {
		case len(line) == 0 || line[0] == '#':
		case header:
			bad = rec.addHeader(line)
		default:
			bad = rec.addOperation(line)
		}

		if bad != nil && !cutOff(line) {
			return nil, fmt.Errorf("line %d: %w", n, bad)
		}

		if ended {
			continue
		}

		// The end of the file.
		if bad != nil {
			rec.Cut = append(rec.Cut, n)
		}
		return rec, nil
	}
}

// cutOff reports whether line is the beginning of a JSON value.
func cutOff(line []byte) bool {
	var any json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(&any), io.ErrUnexpectedEOF)
}

// addHeader reads the line of a header. Its error wraps [ErrFormat].
func (r *Recording) addHeader(line []byte) error {
	var h Header
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if h.Version < 1 || h.Version > Version {
		return fmt.Errorf("%w: version %d of the format (this program reads 1 to %d)", ErrFormat, h.Version, Version)
	}
	r.Headers = append(r.Headers, h)
	return nil
}

// addOperation reads the line of an operation. Its error wraps [ErrFormat].
func (r *Recording) addOperation(line []byte) error {
	o, err := decodeLine(line)
	if err == nil {
		r.Operations = append(r.Operations, o)
	}
	return err
}

// readLine returns the next line, with io.EOF if it has no end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := in.ReadSlice('\n')
		if long == nil && err == nil {
			return part, nil
		}

		long = append(long, part...)
		switch {
		case len(long) > maxLine:
			return nil, fmt.Errorf("%w: longer than %d bytes", ErrFormat, maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return long, err
		}
	}
}

// Decode is [Read] for a history that must be whole: a line that was cut off is an error.
func Decode(r io.Reader) ([]Operation, error) {
	rec, err := Read(r)
	switch {
	case err != nil:
		return nil, err
	case len(rec.Cut) > 0:
		return nil, fmt.Errorf("line %d: %w: it was cut off", rec.Cut[0], ErrFormat)
	}
	return rec.Operations, nil
}
