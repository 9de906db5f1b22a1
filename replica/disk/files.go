package disk

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/bus/host/room"
)

// The engine's own names for what it writes.
const (
	writesLog        vfs.DiskWriteCategory = "pebble-wal"
	writesManifest   vfs.DiskWriteCategory = "pebble-manifest"
	writesFlush      vfs.DiskWriteCategory = "pebble-memtable-flush"
	writesCompaction vfs.DiskWriteCategory = "pebble-compaction"
)

// backOff is how long a background write waits after it found the disk full: the engine
// itself tries again at once, for ever.
const backOff = 100 * time.Millisecond

// guard is the file system under the engine. It changes three things.
//
// Log files: in Interval mode their syncs are answered at once (see logFile).
//
// After the first error that may have cost data nothing is written, renamed or removed any
// more, so the store stays as it was. The engine is not told, of this or of the error
// itself, since it cannot go on with either: it panics where it begins a log, at times while
// it holds a lock that it then releases twice, which nothing can recover from; where it
// opens a store it closes what its goroutines still use; and a commit that waits for a
// table waits for ever if none can be written. So it believes that all is well, in memory,
// and [Disk.Commit] and [Open], which ask for the fault afterwards, tell the caller. Only
// of tables it has the error, because it tries them again.
//
// A full disk: compactions leave the last room to the log and to flushes, and a table that
// could not be written is not tried again at once.
type guard struct {
	vfs.FS
	dir     string
	always  bool
	minFree uint64 // see Options
	fault   *fault
	stop    chan struct{} // closed at the end: background writes no longer wait

	mu      sync.Mutex
	logs    map[*logFile]struct{} // open ones
	created atomic.Uint64         // log files so far
}

func newGuard(under vfs.FS, dir string, o *Options, f *fault) *guard {
	return &guard{
		FS: under, dir: dir, always: o.Sync == Always, minFree: uint64(o.MinFree), fault: f,
		stop: make(chan struct{}), logs: map[*logFile]struct{}{},
	}
}

// Unwrap is for the engine's look at the device below.
func (g *guard) Unwrap() vfs.FS { return g.FS }

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	open := func() (vfs.File, error) { return g.FS.Create(name, category) }
	switch category {
	case writesLog:
		return g.log(open), nil
	case writesFlush, writesCompaction:
		return g.table(name, category, open)
	case writesManifest:
		return &manifestFile{otherFile: g.other(open)}, nil
	}
	return g.other(open), nil
}

// table opens a table.
func (g *guard) table(name string, category vfs.DiskWriteCategory, open func() (vfs.File, error)) (vfs.File, error) {
	if g.fault.err() != nil {
		return &tableFile{File: nowhere(), g: g}, nil
	}
	if category == writesCompaction && g.tight() {
		g.wait()
		return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.ENOSPC}
	}
	f, err := open()
	if err != nil {
		g.waitIfFull(err)
		return nil, err
	}
	return &tableFile{File: f, g: g}, nil
}

// nowhere is a file that is never written to.
func nowhere() vfs.File { return vfs.NewMemFile(nil) }

func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	open := func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) }
	if category == writesLog {
		return g.log(open), nil
	}
	return g.other(open), nil
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &otherFile{File: f, g: g}, nil
}

func (g *guard) Remove(name string) error {
	return g.change(func() error { return g.FS.Remove(name) })
}

func (g *guard) RemoveAll(name string) error {
	return g.change(func() error { return g.FS.RemoveAll(name) })
}

func (g *guard) Rename(oldname, newname string) error {
	return g.change(func() error { return g.FS.Rename(oldname, newname) })
}

// change does something that must not fail, unless nothing may be done any more.
func (g *guard) change(do func() error) error {
	if g.fault.err() != nil {
		return nil
	}
	err := do()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	g.fail(err)
	return nil
}

// other opens a file that is neither a log nor a table.
func (g *guard) other(open func() (vfs.File, error)) *otherFile {
	if g.fault.err() == nil {
		f, err := open()
		if err == nil {
			return &otherFile{File: f, g: g}
		}
		g.fail(err)
	}
	return &otherFile{File: nowhere(), g: g}
}

// log opens a log file. If that fails, or nothing may be written any more, it returns a file that
// keeps nothing.
func (g *guard) log(open func() (vfs.File, error)) vfs.File {
	g.created.Add(1)
	if g.fault.err() == nil {
		f, err := open()
		if err == nil {
			l := &logFile{File: f, g: g}
			g.mu.Lock()
			g.logs[l] = struct{}{}
			g.mu.Unlock()
			return l
		}
		g.fail(err)
	}
	return &logFile{File: nowhere(), g: g}
}

func (g *guard) fail(err error) { _ = g.fault.set(classified(err)) }

// syncLogs puts on the medium what the operating system has of the logs.
func (g *guard) syncLogs() {
	g.mu.Lock()
	logs := make([]*logFile, 0, len(g.logs))
	for l := range g.logs {
		logs = append(logs, l)
	}
	g.mu.Unlock()
	for _, l := range logs {
		l.flush()
	}
}

// tight reports that a compaction would take room that the log and flushes need.
func (g *guard) tight() bool {
	usage, err := g.FS.GetDiskUsage(g.dir)
	if err != nil {
		return false
	}
	leave := g.minFree / 2
	if g.minFree == 0 {
		leave = room.LevelsOf(usage.TotalBytes).Cleanup
	}
	return usage.AvailBytes < leave
}

func (g *guard) waitIfFull(err error) {
	if isFull(err) {
		g.wait()
	}
}

func (g *guard) wait() {
	t := time.NewTimer(backOff)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.stop:
	}
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// classified adds ErrFull to an error that means it.
func classified(err error) error {
	if isFull(err) && !errors.Is(err, ErrFull) {
		return errors.Join(ErrFull, err)
	}
	return err
}

// logFile is a log of the engine. The engine gathers what is to be logged in a block of
// memory; only a sync, or a full block, makes its flusher write it to the file. So each
// commit asks for a sync. In Interval mode it is answered when the bytes are written, and
// the medium gets them from syncLogs, or, at the latest, when the engine closes this log
// and begins the next: a log that is not the last one is always whole.
type logFile struct {
	vfs.File
	g     *guard
	mu    sync.Mutex  // flush, Close
	dirty atomic.Bool // set after a write: written, and not yet on the medium
	gone  bool        // closed
}

func (l *logFile) Write(p []byte) (int, error) {
	if l.g.fault.err() != nil {
		return len(p), nil // a turn was lost: no later one may be kept
	}
	if n, err := l.File.Write(p); err != nil || n != len(p) {
		if err == nil {
			err = io.ErrShortWrite
		}
		l.g.fail(err)
	}
	l.dirty.Store(true)
	return len(p), nil
}

func (l *logFile) Sync() error     { return l.SyncData() }
func (l *logFile) SyncData() error { l.answer(); return nil }

func (l *logFile) answer() {
	if l.g.always {
		l.flush()
	}
}

// SyncTo never happens: the engine is not told to sync its log by and by.
func (l *logFile) SyncTo(int64) (bool, error) { return false, nil }

func (l *logFile) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
}

func (l *logFile) flushLocked() {
	if l.gone || !l.dirty.Swap(false) {
		return
	}
	if err := l.File.SyncData(); err != nil {
		l.g.fail(err) // the operating system may have dropped what it could not write
	}
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
	l.gone = true
	l.g.mu.Lock()
	delete(l.g.logs, l)
	l.g.mu.Unlock()
	if err := l.File.Close(); err != nil {
		l.g.fail(err)
	}
	return nil
}

// tableFile waits after it found the disk full.
type tableFile struct {
	vfs.File
	g *guard
}

func (t *tableFile) Write(p []byte) (int, error) {
	if t.g.fault.err() != nil {
		return len(p), nil
	}
	n, err := t.File.Write(p)
	if err != nil {
		t.g.waitIfFull(err)
	}
	return n, err
}

// otherFile is a directory, the manifest, or a small file of the engine.
type otherFile struct {
	vfs.File
	g *guard
}

func (o *otherFile) Write(p []byte) (int, error) {
	_ = o.g.change(func() error { _, err := o.File.Write(p); return err })
	return len(p), nil
}

func (o *otherFile) Sync() error     { return o.g.change(o.File.Sync) }
func (o *otherFile) SyncData() error { return o.g.change(o.File.SyncData) }

// manifestFile reserves its room before it needs it: when the disk is full, tables that
// were written can still be entered.
type manifestFile struct {
	*otherFile
	offset   int64
	reserved int64
}

const (
	manifestStep = 1 << 20
	manifestLow  = manifestStep / 4
)

func (m *manifestFile) Write(p []byte) (int, error) {
	if m.offset+int64(len(p)) > m.reserved-manifestLow && m.File.Preallocate(m.reserved, manifestStep) == nil {
		m.reserved += manifestStep
	}
	m.offset += int64(len(p))
	return m.otherFile.Write(p)
}
