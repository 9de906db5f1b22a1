package disk

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"quartet/bus/codec"
	"quartet/bus/host/room"
	"quartet/replica/durable"
)

// Disk is a replica's durable storage. It is a [store.Store] whose records are on disk
// after the next Commit, and it keeps what durable.Turn says.
type Disk struct {
	o       Options
	guard   *guard
	fault   *fault
	lock    *pebble.Lock
	reserve *room.Reserve // for a start on a full disk; nil: none is kept
	db      *pebble.DB
	mark    *markFile
	enc     *codec.Encoder
	flushes *flushes

	// Records of the committed layer.
	cache   *cache
	dirty   []*entry // put or removed in this turn, each once
	cleared bool     // in this turn, before dirty
	keys    uint64   // with those of the turn
	live    uint64   // those that have a value
	soonest ending   // no record has a deadline before this one
	lasting bool     // none has a deadline at all
	ended   int      // deadlines that were removed since their range was

	// Memory that each turn uses anew: of a key, and of what stands there.
	scratch []byte
	value   []byte

	// What was committed.
	counts
	state     durable.State
	began     bool          // a state is stored
	trimmed   uint64        // causal writes up to this number are not on disk any more
	held      int           // bytes of causal writes since then
	forget    bool          // causal writes above the watermark are on disk that nobody knows of
	logs      uint64        // of the guard, when the last marker was written
	logMarks  []uint64      // the first marker of each log since Open, of the last ones
	unflushed int           // bytes committed since the engine cannot write tables
	turns     atomic.Uint64 // counts.turn, for the goroutine that syncs

	span        durable.Span // of the log of changes, as it is on disk
	spanTrimmed uint64       // changes up to this revision are not on disk any more

	tail   bool        // see TailMayBeMissing
	room   error       // see Room; nil: there is enough
	roomAt time.Time   // when the disk was asked how much it has
	free   uint64      // bytes on the disk, at roomAt
	ready  atomic.Bool // the engine may compact
	broken bool        // the engine has panicked: it is not to be touched
	closed bool
	done   chan struct{} // the goroutine that syncs has ended
}

// TailMayBeMissing reports that the machine was restarted without a clean stop after the
// replica had run in Interval mode, so that what it committed last may be lost: it must
// not come back as who it was. It stays so, over any number of starts, until a State with
// another Incarnation is committed.
func (d *Disk) TailMayBeMissing() bool { return d.tail }

// Err returns the first error of a read or a write, or nil.
func (d *Disk) Err() error { return d.fault.err() }

// Mode returns the mode in force.
func (d *Disk) Mode() Sync { return d.o.Sync }

// Commit makes the turn t durable together with the records that were put since the last turn that
// was not Partial; nil stands for a turn that changed nothing else. The very first turn must have
// a State, and so must a turn that has Executed. An error is final: it is kept, the turn may be on
// disk or not, and nothing later will be.
func (d *Disk) Commit(t *durable.Turn) error {
	if err := d.Err(); err != nil {
		return err
	}
	if t == nil {
		t = &durable.Turn{}
	}
	if t.Empty() && len(d.dirty) == 0 && !d.cleared { // nothing to write
		return nil
	}

	b := d.db.NewBatch()
	err := d.fill(b, t)
	if err == nil {
		err = d.allow(b.Len())
	}
	if err == nil {
		err = d.apply(b)
	}
	if err == nil {
		err = d.mark.update(false, func(m *mark) {
			m.written = d.counts.turn
			if d.o.Sync == Always {
				m.synced = m.written
			}
		})
	}

	if err != nil {
		d.broken = errors.Is(err, errEngine)
		return d.fault.set(err)
	}

	d.turns.Store(d.counts.turn)
	if t.Partial {
		return nil
	}

	d.cache.settle(d.dirty)
	clear(d.dirty)
	d.dirty, d.cleared = d.dirty[:0], false
	return nil
}

// errEngine is wrapped by the error of a commit in which the engine has panicked.
var errEngine = errors.New("disk: the engine has stopped")

// apply hands the batch to the engine. The engine waits while too much is in memory that
// is not in tables yet; if tables cannot be written, for ever. So whenever it may wait,
// somebody else does, and if it takes too long, a fault makes an end (guard).
func (d *Disk) apply(b *pebble.Batch) error {
	if d.flushes.idle(d.guard.created.Load()) && b.Len() < d.o.memTable/2 {
		return d.hand(b)
	}

	handed := make(chan error, 1)
	go func() { handed <- d.hand(b) }()
	tick := time.NewTicker(stallStep)
	defer tick.Stop()

	for failing := 0; ; {
		select {
		case err := <-handed:
			return err
		case <-tick.C:
		}

		if failing++; d.flushes.err() == nil {
			failing = 0
		}
		if failing == stallSteps {
			_ = d.fault.set(fmt.Errorf("disk: commit: %w: %w", ErrFull, d.flushes.err()))
		}
	}
}

// How long a commit that waits for tables to be written waits while they cannot be.
const (
	stallStep  = 50 * time.Millisecond
	stallSteps = 20
)

// hand commits the batch. The engine's log does not fail (guard), and some of its errors
// reach only its logger: so what counts is the fault.
func (d *Disk) hand(b *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errEngine, r)
		}
	}()
	if err := b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("disk: commit: %w", err)
	}
	if err := d.fault.err(); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return fmt.Errorf("disk: commit: %w", err)
	}
	return nil
}

// allow refuses a batch that the engine might wait with for ever: it stops taking writes
// when its memtables are full, and they are while it cannot write tables.
func (d *Disk) allow(size int) error {
	if d.flushes.err() == nil {
		d.unflushed = 0
		return nil
	}
	d.unflushed += size
	if d.unflushed > d.o.memTable {
		return fmt.Errorf("disk: commit: %w: %w", ErrFull, d.flushes.err())
	}
	return nil
}

// roomEvery is how often the disk is asked how much room it has.
const roomEvery = 100 * time.Millisecond

// Room returns an error that wraps [ErrFull] while new sets should be refused: there is less room
// than Options.MinFree, or the engine cannot write its tables. It wraps [ErrFullest], too, while
// deletes should be refused as well. What is under way may still be committed. It returns the kept
// error if there is one. It is cheap: the disk is asked ten times a second at the most.
func (d *Disk) Room() error {
	if err := d.Err(); err != nil {
		return err
	}
	if err := d.flushes.err(); err != nil {
		return fmt.Errorf("disk: %s: %w: %w", d.o.Dir, ErrFullest, err)
	}

	now := time.Now()
	if !d.roomAt.IsZero() && now.Sub(d.roomAt) < roomEvery {
		return d.room
	}
	d.roomAt = now

	usage, err := d.guard.GetDiskUsage(d.o.Dir)
	if err != nil {
		d.room = fmt.Errorf("disk: room: %w", err)
		return d.room
	}

	d.free = usage.AvailBytes
	levels := room.LevelsOf(usage.TotalBytes)
	if d.o.MinFree > 0 {
		levels.Sets, levels.Cleanup = uint64(d.o.MinFree), min(levels.Cleanup, uint64(d.o.MinFree)/4)
	}

	was := room.None
	switch {
	case errors.Is(d.room, ErrFullest):
		was = room.Deletes
	case d.room != nil:
		was = room.Sets
	}

	refused, need := levels.Refuses(was, usage.AvailBytes, d.reserve.Missing(usage.TotalBytes))
	full := map[room.Refused]error{room.Deletes: ErrFullest, room.Sets: ErrFull}[refused]
	d.room = nil
	if full != nil {
		d.room = fmt.Errorf("disk: %s: %w: %s left, %s wanted", d.o.Dir, full, room.Text(usage.AvailBytes), room.Text(need))
	}
	if d.room == nil && d.reserve != nil {
		if err := d.reserve.Keep(); err != nil {
			d.o.Log.Warn("storage", "error", err)
		}
	}
	return d.room
}

// Close ends the use of the directory. What was committed is on the medium afterwards, in
// either mode; records that were put and not committed are forgotten. Close returns the
// kept error, if there is one; such a store is not marked as cleanly stopped.
func (d *Disk) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	close(d.guard.stop)
	<-d.done
	kept := d.Err()
	err := d.closeEngine()
	if kept = errors.Join(kept, err); kept == nil {
		kept = d.Err() // the last sync of the log
	}
	if kept == nil {
		kept = d.mark.update(true, func(m *mark) { m.clean, m.synced = true, m.written })
	}
	_ = d.fault.set(ErrClosed)
	return errors.Join(kept, d.mark.f.Close(), d.lock.Close())
}

// closeEngine closes the engine, unless it has panicked: it is not to be touched then.
func (d *Disk) closeEngine() (err error) {
	if d.broken {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("disk: close: the engine has stopped: %v", r)
		}
	}()
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("disk: close: %w", err)
	}
	return nil
}

// syncer syncs the logs in the background until the Disk is closed.
func (d *Disk) syncer() {
	defer close(d.done)
	if d.o.Sync == Always {
		return
	}
	tick := time.NewTicker(d.o.SyncEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.guard.stop:
			return
		case <-tick.C:
			d.sync()
		}
	}
}

// sync puts all committed turns on the medium and notes how many they are.
func (d *Disk) sync() {
	turn := d.turns.Load()
	d.guard.syncLogs()
	if d.Err() != nil {
		return
	}
	if err := d.mark.update(false, func(m *mark) { m.synced = max(m.synced, turn) }); err != nil {
		_ = d.fault.set(err)
	}
}
