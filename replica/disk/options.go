package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/bus/host/room"
	"quartet/replica/dedup"
)

// Errors that callers tell apart. [Disk.Commit] and [Disk.Err] may return others, which
// are those of the operating system or the engine.
var (
	// ErrDamaged: something of the store is missing or wrong. Its text ends a sentence
	// that says what.
	ErrDamaged = errors.New("move this directory away and start the replica again: it will be loaded from the others")
	// ErrLocked: another process has the directory open.
	ErrLocked = errors.New("the directory is in use by another process")
	// ErrFull: the disk has too little room for sets.
	ErrFull = errors.New("the disk is full")
	// ErrFullest, which wraps ErrFull: not for deletes either.
	ErrFullest = fmt.Errorf("%w, for deletes, too", ErrFull)
	// ErrClosed: the Disk was closed.
	ErrClosed = errors.New("disk: closed")
	// ErrOptions: the options make no sense.
	ErrOptions = errors.New("disk: bad options")
	// ErrTurn: what was to be committed contradicts itself or what is stored.
	ErrTurn = errors.New("disk: impossible turn")
)

// Sync says when a turn is on the medium.
type Sync uint8

// The modes. The codes are written to disk and are never reused.
const (
	Interval Sync = 1 // synced in the background: survives kill -9
	Always   Sync = 2 // synced before Commit returns: survives a power cut
)

// String returns the mode as the command line has it.
func (s Sync) String() string {
	switch s {
	case Interval:
		return "interval"
	case Always:
		return "always"
	}
	return fmt.Sprintf("sync(%d)", uint8(s))
}

// Options say where and how.
type Options struct {
	Dir       string        // of this replica alone; made if it does not exist
	Sync      Sync          // 0: Interval
	SyncEvery time.Duration // Interval: how often the log is synced in the background; 0: 200 ms
	Window    int           // that of the table of executed requests, whose last entries a learner needs in full; 0: [dedup.DefaultWindow]
	BootID    string        // of the machine, up to 64 bytes: differs after each start of it
	MinFree   int64         // bytes; with less room on the disk, Room refuses; 0: see [room.LevelsOf]
	Cache     int64         // bytes of data that are kept in memory, [LeastCache] to [MostCache]; 0: [DefaultCache]
	Log       *slog.Logger  // nil: nothing is logged

	records   int    // of Cache; under test: fewer
	fs        vfs.FS // under test: in memory
	memTable  int    // under test: smaller, so that the engine has more to do
	trimEnded int    // under test: fewer
}

const (
	memTableSize = 8 << 20   // of a large disk
	memTableLast = 256 << 10 // of the smallest
	memTablePart = 64        // of a small disk
	memTableStop = 4         // memtables; then writes wait for the disk
	memTableMost = 4         // memtables take no more than that part of what the engine has
	engineFiles  = 256       // open files of the engine
	maxBootID    = 64
)

// How much of the data is kept in memory: see [Options].Cache. Two fifths are records, the rest is
// the engine's: blocks of its tables, their indices and memtables.
const (
	DefaultCache = 80 << 20
	LeastCache   = 32 << 20 // memtables have room for what a turn may bring
	MostCache    = 1 << 40
)

// engineCache is the engine's part of the cache.
func (o *Options) engineCache() int64 { return o.Cache / 5 * 3 }

// memTableOf is how large memtables are on this disk. The engine allocates as much for each log
// before it writes there, so on a small disk the logs of a few replicas would leave no room for
// data.
func (o *Options) memTableOf() int {
	most := min(memTableSize, o.engineCache()/memTableMost)
	usage, err := room.Look(o.Dir)
	if err != nil {
		return int(most) // whoever opens the directory says what is wrong with it
	}
	return int(min(most, max(memTableLast, int64(usage.Total/memTablePart))))
}

// filled returns o with its defaults.
func (o Options) filled() (Options, error) {
	if o.Sync == 0 {
		o.Sync = Interval
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = 200 * time.Millisecond
	}
	if o.Window == 0 {
		o.Window = dedup.DefaultWindow
	}
	if o.Cache == 0 {
		o.Cache = DefaultCache
	}
	if o.records == 0 {
		o.records = int(o.Cache / 5 * 2)
	}
	if o.memTable == 0 {
		o.memTable = o.memTableOf()
	}
	if o.trimEnded == 0 {
		o.trimEnded = trimEnded
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}

	switch {
	case o.Dir == "":
		return o, fmt.Errorf("%w: no directory", ErrOptions)
	case o.Sync != Interval && o.Sync != Always:
		return o, fmt.Errorf("%w: %v", ErrOptions, o.Sync)
	case o.SyncEvery < 0 || o.Window < 0 || o.MinFree < 0:
		return o, fmt.Errorf("%w: a negative number", ErrOptions)
	case o.Cache < LeastCache || o.Cache > MostCache:
		return o, fmt.Errorf("%w: a cache of %d bytes: want %d to %d", ErrOptions, o.Cache, LeastCache, MostCache)
	case len(o.BootID) > maxBootID:
		return o, fmt.Errorf("%w: the boot id is longer than %d bytes", ErrOptions, maxBootID)
	}
	return o, nil
}
