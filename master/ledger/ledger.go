// Package ledger is the list and the statistics of what the master has answered. It promises that
// every such request is counted, whatever the disk does, and is a line in a file unless the report
// says that it is not.
//
// Two things are kept. Statistics, per consistency and type: counts exactly, times in
// HDR histograms (1 µs to 60 s, 3 digits), of one size however long the master runs.
// And the list of requests, a file of bounded size. Both lie in one directory:
//
//	requests.csv    the list: one line a request, in the order of the answers
//	requests.1.csv  the part before, once requests.csv has grown to its limit; the
//	                part before that is deleted, and the report says how many lines it had
//	report.json     the [bus.Report], rewritten every half second in which something happened
//	report.txt      the same for people, written by [Ledger.Close]
//	report.html     the [Run] as a page, likewise; see [Options.Page]
//	previous/       all of these from the run before, if it had any requests
//
// A master that is killed loses at most the last second of both.
//
// A request passes three goroutines. [Ledger.Record] copies it into a batch; the
// counter counts the batch and turns it into text; the disk goroutine writes the text.
// The counter never waits for the disk: where that falls behind by more than
// maxChunks batches, lines are left out and counted as lost. So a caller of
// Record waits for no disk, only (when all batches are full) for the processor.
package ledger

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"quartet/bus"
	"quartet/bus/host/lock"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Limits of memory: batches take 8 × 2,048 × 168 bytes; texts, which exist only
// while the disk is behind, about 64 × 180 KB.
const (
	batchLen   = 2048
	maxBatches = 8
	maxChunks  = 64
)

// DefaultRotate is the size, in bytes, at which requests.csv is begun anew: about
// three million requests.
const DefaultRotate = 256 << 20

const writeEvery = 500 * time.Millisecond

// ErrInUse is returned by [Open] for a directory that another ledger is writing to.
var ErrInUse = errors.New("ledger: another master writes its reports there")

// Options says where and how a ledger writes.
type Options struct {
	Dir    string       // the log directory; made if it is missing
	Lock   *lock.Lock   // of the directory, by [Hold], and the ledger's from now on; nil: Open takes it
	Rotate int64        // size limit of requests.csv in bytes; 0: [DefaultRotate]
	Logger *slog.Logger // told when writing fails and when it works again; nil: nobody

	// Page writes report.html, of a run that has ended; nil: nobody does.
	Page func(io.Writer, Run) error
}

// Entry is one answered request.
type Entry struct {
	RID       uint64
	Client    string            // the client's role name; in the list cut to 32 bytes
	Model     model.Consistency // 0 if the request did not say
	Type      model.Type        // 0 if the request did not say
	Key       string            // in the list cut to 64 bytes, which "…" at its end shows
	Replica   lamport.Node      // who served it; 0: nobody did
	Code      model.Code
	Received  time.Time     // to the microsecond
	Taken     time.Duration // from there to the answer, to the microsecond
	Duplicate bool          // answered with the outcome of an earlier request

	// What the list does not hold; it is kept of the slowest requests.
	Position  uint64 // as answered; 0: none
	Timestamp uint64 // likewise
	Clock     lamport.Timestamp
	Forwarded time.Duration // from Received until it left for a replica, a causal set for all of them; 0: never, or it is not known
	Heard     time.Duration // from Received to the last word of a replica on it; likewise
	Sent      lamport.Node  // the replica for which it left first; 0: for none, for all, or it is not known
	ReadOnly  bool          // a Txn of gets alone
}

// Ledger counts and lists requests. Its methods may be called from any goroutine.
type Ledger struct {
	mu     sync.Mutex // guards batch and closed
	batch  []line     // being filled
	closed bool

	full  chan []line // has room for all batches: sending never waits
	empty chan []line
	asks  chan func(*counter) // runs with the counter, once it has counted what came before
	stop  chan struct{}
	done  chan struct{} // closed when counter and disk have ended

	counter counter
	about   about
	page    func(io.Writer, Run) error
	lost    atomic.Uint64 // lines that were not written
	lock    *lock.Lock
	closing sync.Once
	err     error // of Close
}

// lockFile is held by the ledger that writes in a directory.
const lockFile = ".ledger.lock"

// Hold makes a log directory if it is missing, and takes it for this process, before anything else
// is written there: for [Options].Lock. The error wraps [ErrInUse], and says who has it, where
// another master does.
func Hold(dir string) (*lock.Lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	path := filepath.Join(dir, lockFile)
	held, err := lock.Take(path, lookTime, lock.Holder{PID: os.Getpid()})
	switch {
	case errors.Is(err, lock.ErrHeld):
		return nil, fmt.Errorf("%w: %s has %s; stop it, or give this one another --log-dir", ErrInUse, lock.Who(path), dir)
	case err != nil:
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return held, nil
}

// lookTime is for how long somebody may hold the lock who only looks who has it.
const lookTime = 100 * time.Millisecond

// At says where the master is reached whose ledger this is: to another one that wants the
// directory.
func (l *Ledger) At(url string) error { return l.lock.Say(lock.Holder{PID: os.Getpid(), URL: url}) }

// Open begins a run: the files of an earlier run in the directory move to previous/. The error
// wraps [ErrInUse] where another ledger writes there.
func Open(o Options) (*Ledger, error) {
	if o.Rotate <= 0 {
		o.Rotate = DefaultRotate
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	held := o.Lock
	if held == nil {
		var err error
		if held, err = Hold(o.Dir); err != nil {
			return nil, err
		}
	}
	d, err := begin(o)
	if err != nil {
		held.Release()
		return nil, fmt.Errorf("ledger: %w", err)
	}

	l := &Ledger{
		batch: make([]line, 0, batchLen),
		full:  make(chan []line, maxBatches),
		empty: make(chan []line, maxBatches),
		asks:  make(chan func(*counter)),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
		lock:  held,
		page:  o.Page,
	}

	for range maxBatches - 1 {
		l.empty <- make([]line, 0, batchLen)
	}
	d.lost = &l.lost
	l.counter = counter{disk: d, lost: &l.lost, stats: newStats(time.Now())}
	go l.run()
	return l, nil
}

// Record counts and lists one request. It costs a copy of the entry; see the package
// comment for when it waits. After Close it only counts a line as lost.
func (l *Ledger) Record(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.lost.Add(1)
		return
	}
	n := len(l.batch)
	l.batch = l.batch[:n+1]
	l.batch[n].set(&e)
	if n+1 == batchLen {
		l.handOver()
	}
}

// handOver gives the batch to the counter and waits for an empty one; mu is held.
// The counter must therefore never wait for mu.
func (l *Ledger) handOver() {
	if len(l.batch) > 0 {
		l.full <- l.batch
		l.batch = <-l.empty
	}
}

// Summary returns the statistics of everything that was recorded before the call.
func (l *Ledger) Summary() (s bus.Report) {
	l.ask(func(c *counter) { s = c.summary(time.Now()) })
	return s
}

// ask runs look with the counter after everything that was recorded before the call.
func (l *Ledger) ask(look func(*counter)) {
	l.mu.Lock()
	if !l.closed {
		l.handOver()
	}
	l.mu.Unlock()
	looked := make(chan struct{})
	select {
	case l.asks <- func(c *counter) { look(c); close(looked) }:
		<-looked
	case <-l.done:
		look(&l.counter)
	}
}

// Close writes the rest of the list, then report.json, report.txt and the page. It returns the
// first error of writing; a second call returns the same.
func (l *Ledger) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		l.handOver()
		l.closed = true
		l.mu.Unlock()
		close(l.stop)
		<-l.done
		l.err = l.finish()
		l.lock.Release()
	})
	return l.err
}

// run is the counter's goroutine; it ends the disk's.
func (l *Ledger) run() {
	defer close(l.done)
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.counter.disk.run()
	}()
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case b := <-l.full:
			l.count(b)
		case look := <-l.asks:
			l.drain()
			look(&l.counter)
		case <-tick.C:
			l.takePartial()
			l.drain()
			l.counter.report(time.Now())
		case <-l.stop:
			l.counter.patient = true
			l.drain()
			close(l.counter.disk.jobs)
			<-written
			return
		}
	}
}

func (l *Ledger) count(b []line) {
	l.counter.add(b)
	l.empty <- b[:0]
}

// drain counts every batch that has been handed over.
func (l *Ledger) drain() {
	for {
		select {
		case b := <-l.full:
			l.count(b)
		default:
			return
		}
	}
}

// takePartial hands over a batch that is not full yet, unless it would have to wait: for mu, whose
// holder may be waiting for the counter, or for an empty batch.
func (l *Ledger) takePartial() {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	if l.closed || len(l.batch) == 0 {
		return
	}
	select {
	case b := <-l.empty:
		l.full <- l.batch
		l.batch = b
	default:
	}
}

// counter counts lines and turns them into text. It belongs to run's goroutine, and
// after that has ended to Close.
type counter struct {
	stats   *stats
	disk    *disk
	format  formatter
	lost    *atomic.Uint64
	patient bool   // wait for the disk: the run is ending
	told    uint64 // requests in the last report handed to the disk
}

func (c *counter) add(b []line) {
	for i := range b {
		c.stats.add(&b[i])
	}
	j := job{count: uint64(len(b)), lines: c.disk.buffer()}
	for i := range b {
		j.lines = c.format.append(j.lines, &b[i])
	}
	if !c.send(j) {
		c.lost.Add(j.count)
	}
}

func (c *counter) send(j job) bool {
	if c.patient {
		c.disk.jobs <- j
		return true
	}
	select {
	case c.disk.jobs <- j:
		return true
	default:
		return false
	}
}

// report has report.json written again if anything was counted since the last time. If the disk is
// behind, it is left for later.
func (c *counter) report(now time.Time) {
	if c.stats.total == c.told {
		return
	}
	if s := c.summary(now); c.send(job{report: &s}) {
		c.told = c.stats.total
	}
}

func (c *counter) summary(now time.Time) bus.Report {
	s := c.stats.summary(now)
	s.List = c.disk.list()
	return s
}

// finish writes the reports of a run that has ended.
func (l *Ledger) finish() error {
	c := &l.counter
	s := c.summary(time.Now())
	s.Finished = true
	text, err := jsonOf(s)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	dir := c.disk.dir
	err = errors.Join(
		c.disk.close(),
		replace(filepath.Join(dir, reportJSON), func(w io.Writer) error { _, err := w.Write(text); return err }),
		replace(filepath.Join(dir, reportText), func(w io.Writer) error { return WriteTable(w, s) }),
	)
	if l.page != nil {
		r := c.stats.run()
		r.Summary = s
		l.about.tell(&r)
		err = errors.Join(err, replace(filepath.Join(dir, reportHTML), func(w io.Writer) error { return l.page(w, r) }))
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
