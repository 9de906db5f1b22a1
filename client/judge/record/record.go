// Package record is the recorder of what clients sent and heard. It promises to keep all of it:
// DIR/history.jsonl holds one line for each request that ended, DIR/stats.json sums them up.
// SCHEMA.md has the format of both; package history reads and judges the first.
//
// Lines go to the file when 64 KiB of them wait, twice a second, and on [Recorder.Close]:
// a program that is killed loses the last half second, and may leave a line that is cut
// off, which readers tell. Several programs may record into one folder, one after the
// other or at once: their lines do not mix.
package record

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
)

// The names of what a recorder leaves in its folder.
const (
	HistoryFile = "history.jsonl"
	StatsFile   = "stats.json"
	LogFolder   = "log"
)

// Limits of what waits to be written.
const (
	flushBytes = 64 << 10
	flushEvery = 500 * time.Millisecond
)

// ErrRecord is wrapped by every error of this package.
var ErrRecord = errors.New("record: cannot record")

// Options say what is recorded where.
type Options struct {
	Dir     string // is made if it is missing; what other programs recorded there stays
	Program string // that records, for the header
	// Complete says that the history will hold every set that its keys ever had: the
	// cluster began empty, and nobody else writes to it.
	Complete bool
}

// Recorder writes the history of one program. It is safe for concurrent use. A nil
// *Recorder records nothing, so callers need not ask whether there is one.
type Recorder struct {
	dir   string
	began time.Time // when calls and returns are 0
	tag   string    // of sessions, so that those of several programs differ; "" for the first

	mu       sync.Mutex
	file     *os.File
	lines    []byte // not written yet
	failed   error  // the first failure to write
	closed   bool
	sessions int
	written  map[string]bool // keys of writes that may have taken effect
	stats    *counters

	stop    chan struct{}
	stopped sync.WaitGroup
}

// Open begins or goes on with the history in o.Dir. Every recorder needs a
// [Recorder.Close].
func Open(o Options) (*Recorder, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("%w: no folder", ErrRecord)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}

	file, began, tag, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}

	r := &Recorder{
		dir: o.Dir, began: began, tag: tag, file: file, written: make(map[string]bool),
		stats: newCounters(o.Program), stop: make(chan struct{}),
	}
	r.stopped.Go(r.flushNowAndThen)
	return r, nil
}

// Dir returns the folder.
func (r *Recorder) Dir() string {
	if r == nil {
		return ""
	}
	return r.dir
}

// NewSession returns the name of a session that no other request of the history is in.
func (r *Recorder) NewSession() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions++
	return fmt.Sprintf("s%s%d", r.tag, r.sessions)
}

// Call is a request that was begun and has not ended.
type Call struct {
	r  *Recorder
	op history.Operation
}

// Begin notes that a client is about to send a request. session is "" for a request that belongs
// to none; the requests of a session must not overlap.
func (r *Recorder) Begin(client, session string, request *client.Request) Call {
	if r == nil {
		return Call{}
	}
	return r.begin(client, session, request, r.now())
}

func (r *Recorder) begin(client, session string, request *client.Request, at int64) Call {
	c := Call{r: r, op: history.Operation{Client: client, Session: session, Identity: request.Identity, Call: at}}
	c.op.Asked(&request.Request)
	return c
}

// Ended notes a request that has ended already: it is [Recorder.Begin] and [Call.End] for a caller
// that took the time itself, by time.Now, just before the request was sent and as soon as its end
// was known.
func (r *Recorder) Ended(client, session string, request *client.Request, began, ended time.Time,
	result *client.Result, failure error,
) {
	if r == nil {
		return
	}
	call := r.begin(client, session, request, r.At(began))
	call.end(result, failure, r.At(ended))
}

// Watched notes a watch that was heard from began to ended, and what it showed, in that order. Each
// time that it was asked for is a watch of its own: request says from where. rest says that it was
// heard until everything was at rest; failure is how it ended, nil where its caller ended it.
func (r *Recorder) Watched(client, session string, request *client.Request, began, ended time.Time,
	events []history.Event, rest bool, failure error,
) {
	if r == nil {
		return
	}
	call := r.begin(client, session, request, r.At(began))
	call.op.Events, call.op.Rest = events, rest
	call.end(noResult, failure, r.At(ended))
}

// Event is an event of a watch that comes now, as [Recorder.Watched] takes it.
func (r *Recorder) Event(e *client.Event) history.Event {
	return history.Event{
		Kind: history.EventKind(strings.ToLower(e.Kind.String())), Key: e.Key, Value: string(e.Value),
		Revision: e.Revision, Sequence: e.Sequence, More: e.More, At: r.At(time.Now()),
	}
}

// noResult is that of a watch: it has events.
var noResult = new(client.Result)

// At is a moment of time.Now by the clock of the history, as an event has it.
func (r *Recorder) At(moment time.Time) int64 {
	if r == nil {
		return 0
	}
	return moment.Sub(r.began).Nanoseconds()
}

// now is the time since the history began, by a clock that never goes back while the
// program lives.
func (r *Recorder) now() int64 { return time.Since(r.began).Nanoseconds() }

// End notes how the request ended: what [client.Client.Do] and its like returned. It is to be
// called once, as soon as they return.
func (c Call) End(result *client.Result, failure error) {
	if c.r != nil {
		c.end(result, failure, c.r.now())
	}
}

func (c Call) end(result *client.Result, failure error, at int64) {
	c.op.Return = max(c.op.Call, at)
	learn(&c.op, result, failure)
	c.r.add(&c.op)
}

// learn sets in o what the end of its request says.
func learn(o *history.Operation, result *client.Result, failure error) {
	var e *client.Error
	if errors.As(failure, &e) && o.Identity == "" {
		o.Identity = e.ID
	}

	switch {
	case failure == nil, errors.Is(failure, client.ErrNotFound):
		o.Outcome = history.OK
	case e != nil && e.Code == model.Failed: // an answer: the condition did not hold at its place
		o.Outcome = history.OK
	case e != nil && !e.Unknown:
		o.Outcome = history.Fail
	default: // an error that this package does not know says nothing
		o.Outcome = history.Unknown
	}

	o.Answered(&result.Answer)
	if e != nil && o.Code == 0 {
		o.Code = uint16(e.Code)
	}
	hold(o, result)
}

// hold notes the content of an answer that has several parts, in whatever form it came: a request
// that was sent alone is answered in another than one of a batch.
func hold(o *history.Operation, result *client.Result) {
	reply := result.Reply
	reply.Type, reply.Value = o.Type, bytes.Clone(result.Value)
	switch {
	case len(reply.Value) == 0:
	case o.Type == model.List && reply.Code == model.OK:
		if p, err := reply.Page(); err == nil {
			o.Items, o.Next = p.Items, p.Next
		}
	case o.Type == model.Txn:
		if r, err := reply.Results(); err == nil {
			o.Results = &r
		}
	}
}

// add counts an operation and keeps its line until it is written.
func (r *Recorder) add(o *history.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}

	if o.Outcome != history.Fail {
		for _, key := range history.Written(o) {
			if len(r.written) < maxRest {
				r.written[key] = true
			}
		}
	}
	if !o.Rest {
		r.stats.add(o)
	}

	lines, err := history.Append(r.lines, o)
	if err != nil {
		r.fail(err)
		return
	}

	if r.lines = lines; len(r.lines) >= flushBytes {
		r.flush()
	}
}

// fail keeps the first failure.
func (r *Recorder) fail(err error) {
	if r.failed == nil {
		r.failed = fmt.Errorf("%w: %w", ErrRecord, err)
	}
}

// flush writes all lines that wait, in one piece, so that another program's do not come
// between. The caller holds the lock.
func (r *Recorder) flush() {
	if len(r.lines) == 0 {
		return
	}
	if _, err := r.file.Write(r.lines); err != nil {
		r.fail(err)
	}
	r.lines = r.lines[:0]
}

// Flush writes what waits. The error is the first that writing ever met.
func (r *Recorder) Flush() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	return r.failed
}

// flushNowAndThen writes waiting lines every flushEvery until Close.
func (r *Recorder) flushNowAndThen() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()

	for {
		select {
		case <-tick.C:
			_ = r.Flush() // Close returns the failure
		case <-r.stop:
			return
		}
	}
}

// Close writes what waits, and the statistics. A request that ends later is not recorded. The
// error is the first that writing ever met.
func (r *Recorder) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	if r.closed {
		defer r.mu.Unlock()
		return r.failed
	}
	r.closed = true
	r.mu.Unlock()

	close(r.stop)
	r.stopped.Wait()

	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	if err := r.file.Close(); err != nil {
		r.fail(err)
	}
	if err := r.stats.write(r.dir); err != nil {
		r.fail(err)
	}
	return r.failed
}
