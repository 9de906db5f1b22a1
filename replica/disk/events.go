package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// engineLog is the engine's logger. Fatalf is how the engine ends the process; here it
// ends the service: nothing is written any more, and the next call of the owner has the
// error.
type engineLog struct {
	log *slog.Logger
	g   *guard
}

// Infof is silent: the engine tells of every file that it makes.
func (e engineLog) Infof(string, ...any) {}

// Errorf logs what the engine can live with.
func (e engineLog) Errorf(format string, args ...any) {
	e.log.Warn("storage engine", "message", fmt.Sprintf(format, args...))
}

// Fatalf makes what the engine cannot live with a fault of the disk: the engine wants the process
// to end there, but the replica ends it, so that it can say why.
func (e engineLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf("disk: the engine has stopped: "+format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = errors.Join(err, cause)
		}
	}

	e.log.Error("storage engine", "error", err)
	e.g.fail(err)
}

// flushes are the engine's attempts to write memtables as tables. It tries until it
// succeeds.
type flushes struct {
	last  atomic.Pointer[error] // of the last attempt; nil: it has succeeded
	began atomic.Uint64         // how many logs there were when the running attempt began
	done  atomic.Uint64         // how many when the last began that has succeeded
}

// err returns why the last attempt failed, or nil.
func (f *flushes) err() error {
	if p := f.last.Load(); p != nil {
		return *p
	}
	return nil
}

// idle reports that nothing waits to be written, if there have been so many logs: with
// each log begins a memtable.
func (f *flushes) idle(logs uint64) bool { return f.done.Load() == logs }

// end notes the outcome of an attempt and reports whether it differs from the last.
func (f *flushes) end(err error) bool {
	if err != nil {
		return f.last.Swap(&err) == nil
	}
	f.done.Store(f.began.Load())
	return f.last.Swap(nil) != nil
}

// emptyTable is how the engine says that a flush has succeeded and that nothing was left to
// be written, all being removed again. The error has no exported name.
const emptyTable = "pebble: empty table"

// listener returns what is done when the engine tells of flushes, compactions, damage and stalls.
func (d *Disk) listener() *pebble.EventListener {
	l := pebble.EventListener{
		FlushBegin: func(pebble.FlushInfo) { d.flushes.began.Store(d.guard.created.Load()) },
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err != nil && i.Err.Error() == emptyTable {
				i.Err = nil
			}
			if !d.flushes.end(i.Err) {
				return
			}
			if i.Err != nil {
				d.o.Log.Warn("storage: a table cannot be written; writes are refused until it can", "dir", d.o.Dir, "error", i.Err)
			} else {
				d.o.Log.Info("storage: tables can be written again", "dir", d.o.Dir)
			}
		},
		CompactionEnd: func(i pebble.CompactionInfo) {
			if i.Err != nil && !isFull(i.Err) && !errors.Is(i.Err, pebble.ErrCancelledCompaction) {
				d.o.Log.Warn("storage: compaction", "dir", d.o.Dir, "error", i.Err)
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			d.o.Log.Error("storage: damaged", "dir", d.o.Dir, "file", i.Path, "error", i.Details)
			_ = d.fault.set(damaged(d.o.Dir, i.Details))
		},
		BackgroundError: func(error) {}, // FlushEnd and CompactionEnd have it
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			d.o.Log.Warn("storage: writes wait for the disk", "dir", d.o.Dir, "reason", i.Reason)
		},
		WriteStallEnd: func() { d.o.Log.Info("storage: writes go on", "dir", d.o.Dir) },
	}

	return &l
}
