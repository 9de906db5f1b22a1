// Package dump is what a cluster holds as lines of JSON: an export, a line a key, and a backup,
// which is an export between a first line that says what it is and a last one that proves that all
// of it is there. It promises that a line which cannot be written back, and a backup that is cut or
// changed, is refused with the number of its line. It is pure.
package dump

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"quartet/bus"
	"quartet/bus/model"
)

// Entry is a key with its value.
type Entry struct {
	Key       string
	Value     []byte
	Expires   time.Time // when the value ends; zero: never
	Revision  uint64    // in the cluster that was read; 0: not known
	Timestamp uint64    // causal, in the cluster that was read; 0: not written causally
}

// Errors of readers. Each is wrapped with the number of the line.
var (
	ErrLine      = errors.New("not a line of an export")
	ErrNoBackup  = errors.New("not a backup")
	ErrBroken    = errors.New("the backup is cut or was changed")
	ErrIsABackup = errors.New(`this is a backup, and no export: "quartet restore" reads it`)
)

// version is that of backups. What is newer is refused.
const version = 1

// header is the first line of a backup.
type header struct {
	Version int    `json:"quartet_backup"`
	Taken   string `json:"taken"` // RFC 3339
}

// trailerBegins is how the last line of a backup begins, and no other one.
const trailerBegins = `{"entries":`

// trailer is the last line of a backup.
type trailer struct {
	Entries  uint64 `json:"entries"`
	Position uint64 `json:"position"` // of the cut, in the order
	SHA256   string `json:"sha256"`   // of all lines before, each with its line end, in hexadecimal
}

// line is an entry as it stands in a file: as a list in JSON has it.
type line struct {
	Key       *string `json:"key"`
	Value     *string `json:"value"`
	Binary    *[]byte `json:"value_base64"`
	Revision  uint64  `json:"revision"`
	Expires   string  `json:"expires"`
	Timestamp uint64  `json:"timestamp"`
}

// AppendItem appends a key of a list as a line of an export, with its line end.
func AppendItem(to []byte, x *model.Item) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(bus.ItemJSON(x)); err != nil {
		return to, fmt.Errorf("dump: key %q: %w", x.Key, err)
	}
	return append(to, b.Bytes()...), nil
}

// ParseLine reads a line of an export: what a set of it would be refused for is wrong here. The
// error wraps [ErrLine], or [ErrIsABackup].
func ParseLine(b []byte) (Entry, error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		if _, isBackup := parseHeader(b); isBackup {
			return Entry{}, ErrIsABackup
		}
		return Entry{}, fmt.Errorf("%w: %w", ErrLine, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Entry{}, fmt.Errorf("%w: there is something behind the object", ErrLine)
	}

	hasOneValue := (l.Value == nil) != (l.Binary == nil)
	if l.Key == nil || !hasOneValue {
		return Entry{}, fmt.Errorf(`%w: it has a "key", and a "value" or a "value_base64" (quartet list --values -o jsonl writes them)`, ErrLine)
	}
	e := Entry{Key: *l.Key, Revision: l.Revision, Timestamp: l.Timestamp}
	if l.Value != nil {
		e.Value = []byte(*l.Value)
	} else {
		e.Value = *l.Binary
	}

	if l.Expires != "" {
		at, err := time.Parse(time.RFC3339Nano, l.Expires)
		if err != nil {
			return Entry{}, fmt.Errorf("%w: expires: %w", ErrLine, err)
		}
		e.Expires = at
	}
	set := model.NewSet(model.Linearizable, e.Key, e.Value)
	if err := bus.Check(&set); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrLine, err)
	}
	return e, nil
}

// parseHeader reads the first line of a backup.
func parseHeader(b []byte) (h header, ok bool) {
	return h, json.Unmarshal(b, &h) == nil && h.Version > 0
}

// maxLine is longer than any entry: each byte of a value may stand as six.
const maxLine = 6*model.MaxKeyValue + 1<<16

// lines calls each for the lines of a reader, with their numbers, 1 first.
func lines(r io.Reader, each func(n int, b []byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for s.Scan() {
		n++
		if err := each(n, s.Bytes()); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("dump: line %d: %w", n+1, err)
	}
	return nil
}

// ReadExport calls each for the entries of an export, in its order, until it returns an error.
// Empty lines are passed over.
func ReadExport(r io.Reader, each func(Entry) error) error {
	return lines(r, func(n int, b []byte) error {
		if len(bytes.TrimSpace(b)) == 0 {
			return nil
		}
		e, err := ParseLine(b)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		return each(e)
	})
}

// Writer writes a backup. Make it with [NewWriter].
type Writer struct {
	to      io.Writer
	sum     hash.Hash
	entries uint64
	buf     []byte
	bytes   int64
}

// NewWriter begins a backup that is taken at a time.
func NewWriter(to io.Writer, taken time.Time) (*Writer, error) {
	w := &Writer{to: to, sum: sha256.New()}
	b, err := json.Marshal(header{Version: version, Taken: taken.UTC().Format(time.RFC3339)})
	if err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	w.buf = append(b, '\n')
	return w, w.flush()
}

// Add adds a key of the cut.
func (w *Writer) Add(x *model.Item) (err error) {
	if w.buf, err = AppendItem(w.buf, x); err != nil {
		return err
	}
	w.entries++
	return w.flush()
}

// End ends the backup: of the cut at a position of the order.
func (w *Writer) End(position uint64) error {
	b, err := json.Marshal(trailer{Entries: w.entries, Position: position, SHA256: hex.EncodeToString(w.sum.Sum(nil))})
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	w.buf = append(w.buf, append(b, '\n')...)
	return w.flush()
}

// Entries is how many keys were added.
func (w *Writer) Entries() uint64 { return w.entries }

// Bytes is how many bytes were written.
func (w *Writer) Bytes() int64 { return w.bytes }

// flush writes what is in the buffer, and takes it into the sum.
func (w *Writer) flush() error {
	b := w.buf
	w.buf = w.buf[:0]
	w.sum.Write(b) // never fails
	n, err := w.to.Write(b)
	w.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	return nil
}

// Backup is what a backup says of itself.
type Backup struct {
	Taken    time.Time
	Entries  uint64
	Position uint64 // of the cut, in the order of the cluster that was read
}

// ReadBackup reads a whole backup, and calls each for its entries, in the order of keys, until it
// returns an error. Whether all of it is there is known at the end only: who writes entries
// somewhere reads it twice. The error wraps [ErrNoBackup], [ErrBroken], or what each returned.
func ReadBackup(r io.Reader, each func(Entry) error) (Backup, error) {
	rd := reading{sum: sha256.New(), each: each}
	if err := lines(r, rd.line); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return rd.said, fmt.Errorf("%w: %w", ErrBroken, err)
		}
		return rd.said, err
	}
	switch {
	case !rd.begun:
		return rd.said, fmt.Errorf("%w: it is empty", ErrNoBackup)
	case !rd.ended:
		return rd.said, fmt.Errorf("%w: its last line is missing, after %d of its keys", ErrBroken, rd.entries)
	}
	return rd.said, nil
}

// reading is a backup that is read.
type reading struct {
	sum     hash.Hash         // of the lines so far
	each    func(Entry) error // is called for each entry
	said    Backup
	entries uint64 // so far
	last    string // the key of the last of them
	begun   bool   // the first line was read
	ended   bool   // the last line was read, and fits
}

// line reads a line: the first, an entry, or the last.
func (r *reading) line(n int, b []byte) error {
	switch {
	case r.ended:
		return fmt.Errorf("%w: there is something behind its end, in line %d", ErrBroken, n)
	case !r.begun:
		return r.begin(b)
	case bytes.HasPrefix(b, []byte(trailerBegins)):
		return r.end(n, b)
	}

	r.note(b)
	e, err := ParseLine(b)
	if err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrBroken, n, err)
	}
	isInOrder := r.entries == 0 || e.Key > r.last
	if !isInOrder {
		return fmt.Errorf("%w: line %d: key %q behind %q", ErrBroken, n, e.Key, r.last)
	}
	r.entries++
	r.last = e.Key
	return r.each(e)
}

// note takes a line into the sum.
func (r *reading) note(b []byte) {
	r.sum.Write(b)
	r.sum.Write([]byte{'\n'})
}

// begin reads the first line.
func (r *reading) begin(b []byte) error {
	h, ok := parseHeader(b)
	switch {
	case !ok:
		return fmt.Errorf(`%w: its first line is not that of "quartet backup"; an export is read by "quartet import"`, ErrNoBackup)
	case h.Version > version:
		return fmt.Errorf("%w: it has version %d, this program knows up to %d: take a newer quartet", ErrNoBackup, h.Version, version)
	}

	at, err := time.Parse(time.RFC3339, h.Taken)
	if err != nil {
		return fmt.Errorf("%w: line 1: taken: %w", ErrBroken, err)
	}
	r.begun, r.said.Taken = true, at
	r.note(b)
	return nil
}

// end reads the last line.
func (r *reading) end(n int, b []byte) error {
	var t trailer
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrBroken, n, err)
	}
	sum := hex.EncodeToString(r.sum.Sum(nil))
	if t.Entries != r.entries || t.SHA256 != sum {
		return fmt.Errorf("%w: it has %d keys and the sum %s, its last line says %d and %s", ErrBroken, r.entries, sum, t.Entries, t.SHA256)
	}
	r.ended = true
	r.said.Entries, r.said.Position = t.Entries, t.Position
	return nil
}
