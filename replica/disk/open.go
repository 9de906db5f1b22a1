package disk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/bus/codec"
	"quartet/bus/host/room"
	"quartet/replica/durable"
)

// engineDir is the engine's own directory below the replica's, beside the mark file.
const engineDir = "engine"

// Open opens the storage in o.Dir and returns what was saved there; nil if nothing was. It
// reads everything but the records of the committed layer, and of those the checksums.
// ctx ends the reading. Errors wrap [ErrDamaged], [ErrLocked], [ErrFull] or [ErrOptions],
// or are those of the operating system.
func Open(ctx context.Context, o Options) (*Disk, *durable.Saved, error) {
	o, err := o.filled()
	if err != nil {
		return nil, nil, err
	}

	d := &Disk{
		o: o, fault: newFault(), flushes: &flushes{}, enc: codec.NewEncoder(), cache: newCache(o.records),
		counts: counts{firstEntry: 1, firstMark: 1}, lasting: true, done: make(chan struct{}),
	}

	engine := o.fs.PathJoin(o.Dir, engineDir)
	d.guard = newGuard(o.fs, engine, &o, d.fault)
	if err := o.fs.MkdirAll(engine, 0o755); err != nil {
		return nil, nil, fmt.Errorf("disk: %w", classified(err))
	}
	if d.lock, err = lockDir(engine, o.fs); err != nil {
		return nil, nil, fmt.Errorf("disk: %s: %w", o.Dir, err)
	}

	if o.fs == vfs.Default { // the reserve is a file of the operating system
		d.reserve = room.NewReserve(o.Dir)
		freed, err := d.reserve.Begin()
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("disk: %s: %w", o.Dir, err), d.abandon())
		}
		if freed {
			o.Log.Warn("the disk is full: the reserve for starts is given up, and kept again when there is room", "dir", o.Dir)
		}
	}

	saved, err := d.open(ctx, engine)
	if err != nil {
		return nil, nil, errors.Join(err, d.abandon())
	}
	go d.syncer()
	return d, saved, nil
}

// open opens and checks what stands below the lock. When it fails, abandon closes what it has
// opened.
func (d *Disk) open(ctx context.Context, engine string) (*durable.Saved, error) {
	last, err := d.lastUse(engine)
	if err != nil {
		return nil, err
	}

	// The machine has ended since, and with it what was on no medium: the turns that must be there
	// end with the last one that was synced.
	cut := last.sync == Interval && !last.clean && last.boot != d.o.BootID
	floor := last.written
	if cut {
		floor = last.synced
		if err := d.salvage(engine); err != nil {
			return nil, fmt.Errorf("disk: %s: %w", d.o.Dir, classified(err))
		}
	}

	if err := d.openEngine(engine, last.written > 0); err != nil {
		return nil, d.openError(err)
	}
	if err := d.verify(ctx, engine); err != nil {
		return nil, d.openError(err)
	}

	saved, err := d.load(ctx)
	if err != nil {
		return nil, d.openError(err)
	}
	if d.counts.turn < floor {
		return nil, damaged(d.o.Dir, fmt.Errorf("turn %d is missing, the last one is %d", floor, d.counts.turn))
	}
	if err := d.Err(); err != nil {
		return nil, d.openError(err)
	}

	// All that the engine has read from its logs is in tables now, on the medium.
	now := mark{sync: d.o.Sync, boot: d.o.BootID, written: d.counts.turn, synced: d.counts.turn, lost: last.lost, of: last.of}
	if cut && d.began {
		now.lost, now.of = true, d.state.Incarnation
	}
	d.tail = now.lost && d.began && now.of == d.state.Incarnation
	if d.mark, err = openMark(d.o.fs, d.o.Dir, now); err != nil {
		return nil, fmt.Errorf("disk: %s: %w", d.o.Dir, classified(err))
	}

	d.turns.Store(d.counts.turn)
	d.flushes.done.Store(d.guard.created.Load())
	d.ready.Store(true)
	return saved, nil
}

// lastUse returns what the mark file says, or makes one for a new store. A mark file without files
// of the engine, or the other way round, is damage.
func (d *Disk) lastUse(engine string) (mark, error) {
	files, err := d.o.fs.List(engine)
	if err != nil {
		return mark{}, fmt.Errorf("disk: %w", err)
	}

	used := false
	for _, name := range files {
		used = used || name != "LOCK" // which was made just now
	}

	last, err := readMark(d.o.fs, d.o.fs.PathJoin(d.o.Dir, markName))
	switch {
	case errors.Is(err, errMark):
		return mark{}, damaged(d.o.Dir, err)
	case err != nil:
		return mark{}, fmt.Errorf("disk: %s: %w", d.o.Dir, err)
	case last == nil && used:
		return mark{}, damaged(d.o.Dir, errors.New("the mark file is missing"))
	case last == nil: // the first use
		now := mark{sync: d.o.Sync, boot: d.o.BootID}
		mf, err := openMark(d.o.fs, d.o.Dir, now)
		if err == nil {
			err = errors.Join(mf.f.Close(), syncDir(d.o.fs, d.o.fs.PathDir(d.o.Dir)))
		}
		if err != nil {
			return mark{}, fmt.Errorf("disk: %s: %w", d.o.Dir, classified(err))
		}
		return now, nil
	case !used && last.written > 0:
		return mark{}, damaged(d.o.Dir, errors.New("the engine's files are missing"))
	}
	return *last, nil
}

// lockDir takes the lock of a store. Its error wraps [ErrLocked] if another process has it.
func lockDir(dir string, fs vfs.FS) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	if err == nil {
		return lock, nil
	}

	var number syscall.Errno
	if errors.As(err, &number) && number != syscall.EAGAIN && number != syscall.EACCES {
		return nil, classified(err)
	}
	return nil, fmt.Errorf("%w: %w", ErrLocked, err)
}

// openEngine opens the engine; exists: it must be there already. A panic of the engine, which some
// kinds of damage cause, is an error like others.
func (d *Disk) openEngine(dir string, exists bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damaged(d.o.Dir, fmt.Errorf("the engine cannot read it: %v", r))
		}
	}()
	if d.db, err = pebble.Open(dir, d.engineOptions(exists)); err != nil {
		return err
	}
	return d.Err()
}

// engineOptions returns the engine's settings; exists: none is made where there is none.
func (d *Disk) engineOptions(exists bool) *pebble.Options {
	o := &pebble.Options{
		FS: d.guard, Lock: d.lock, Logger: engineLog{d.o.Log, d.guard}, EventListener: d.listener(),
		ErrorIfNotExists:   exists,
		FormatMajorVersion: pebble.FormatTableFormatV6,

		CacheSize:    d.o.engineCache(),
		MemTableSize: uint64(d.o.memTable), MemTableStopWritesThreshold: memTableStop,
		MaxOpenFiles: engineFiles,
		// Never wait for compactions: on a full disk that would be for ever, and then Room
		// has long refused writes.
		L0CompactionThreshold: 4, L0StopWritesThreshold: 10_000,
	}

	// None while it is being opened: if that fails, the engine closes what a compaction
	// that it has begun still uses. None after a fault: tables may be missing that it
	// believes it has written. Otherwise one at a time: there are other replicas.
	o.CompactionConcurrencyRange = func() (lower, upper int) {
		if !d.ready.Load() || d.Err() != nil {
			return 0, 1
		}
		return 1, 1
	}

	o.Experimental.L0CompactionConcurrency = math.MaxInt32
	o.Experimental.CompactionDebtConcurrency = math.MaxInt64
	o.Experimental.CompactionGarbageFractionForMaxConcurrency = func() float64 { return 0 }

	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.EnsureDefaults()
	return o
}

// abandon closes what a failed open has left; its errors add nothing.
func (d *Disk) abandon() error {
	close(d.guard.stop)
	if d.db != nil {
		_ = d.closeEngine()
	}
	if d.mark != nil {
		_ = d.mark.f.Close()
	}
	return d.lock.Close()
}

// damaged returns an error that wraps what was found and [ErrDamaged], whose text says what to do.
func damaged(dir string, cause error) error {
	if errors.Is(cause, ErrDamaged) {
		return cause
	}
	return fmt.Errorf("disk: %s is damaged: %w; %w", dir, cause, ErrDamaged)
}

// openError returns what an error of the engine, or one that was met while reading, means to
// whoever starts the replica: all is damage but a newer layout, a full disk, the end of the
// context, and an error of the operating system other than that of a missing file.
func (d *Disk) openError(err error) error {
	if fault := d.Err(); fault != nil {
		err = errors.Join(fault, err)
	}

	var number syscall.Errno
	switch {
	case errors.Is(err, codec.ErrNewer):
		return fmt.Errorf("disk: %s: %w (nothing is damaged: start the version that wrote it, or a later one)", d.o.Dir, err)
	case isFull(err):
		return fmt.Errorf("disk: %s: %w", d.o.Dir, classified(err))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("disk: %s: %w", d.o.Dir, err)
	case errors.As(err, &number) && !errors.Is(err, os.ErrNotExist) && !pebble.IsCorruptionError(err):
		return fmt.Errorf("disk: %s: %w", d.o.Dir, err)
	}
	return damaged(d.o.Dir, err)
}
