package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"quartet/bus"
	"quartet/bus/host/atomicfile"
)

const (
	requestsCSV = "requests.csv"
	requestsOld = "requests.1.csv"
	reportJSON  = "report.json"
	reportText  = "report.txt"
	reportHTML  = "report.html"
	previousRun = "previous"
)

// job is work for the disk: lines, or a report that replaces the last one. The report says
// how many lines the list has once those of the jobs before it are written, which the disk
// alone knows.
type job struct {
	lines  []byte
	count  uint64 // of lines
	report *bus.Report
}

// disk writes files. Its fields belong to the goroutine in run, and after that to
// close; jobs, free and the counts are shared with the counter.
type disk struct {
	dir    string
	limit  int64
	logger *slog.Logger
	jobs   chan job    // closed by the counter
	free   chan []byte // buffers of jobs that are done
	lines  atomic.Uint64
	delete uint64 // lines in requests.1.csv, which the next rotation deletes
	size   int64  // of file, whole lines only
	begun  uint64 // lines in file
	file   *os.File
	failed error // of the last write, nil when it went well

	deleted atomic.Uint64
	lost    *atomic.Uint64
}

// begin moves an earlier run's files out of the way and opens a new list.
func begin(o Options) (*disk, error) {
	d := &disk{
		dir: o.Dir, limit: o.Rotate, logger: o.Logger,
		jobs: make(chan job, maxChunks), free: make(chan []byte, maxChunks),
	}
	if err := archive(o.Dir); err != nil {
		return nil, err
	}
	return d, d.create()
}

// archive moves the files of the last run to previous/. A run without a single
// request doesn't push out an earlier one that had some.
func archive(dir string) error {
	files := []string{requestsCSV, requestsOld, reportJSON, reportText, reportHTML}
	old := filepath.Join(dir, previousRun)
	info, err := os.Stat(filepath.Join(dir, requestsCSV))
	worth := err == nil && info.Size() > int64(len(header))
	if _, err := os.Stat(filepath.Join(dir, requestsOld)); err == nil {
		worth = true
	}
	if worth {
		if err := os.MkdirAll(old, 0o755); err != nil {
			return err
		}
	}
	for _, name := range files {
		var err error
		if worth {
			// First the older file of that name: the last run may not have one.
			err = remove(filepath.Join(old, name))
			if err == nil {
				err = os.Rename(filepath.Join(dir, name), filepath.Join(old, name))
			}
		} else {
			err = remove(filepath.Join(dir, name))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d *disk) create() error {
	f, err := os.OpenFile(filepath.Join(d.dir, requestsCSV), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(header); err != nil {
		return errors.Join(err, f.Close())
	}
	d.file, d.size, d.begun = f, int64(len(header)), 0
	return nil
}

// buffer returns an empty buffer for lines, a used one if there is one.
func (d *disk) buffer() []byte {
	select {
	case b := <-d.free:
		return b[:0]
	default:
		return make([]byte, 0, batchLen*96)
	}
}

// run does all jobs, and ends when there will be none.
func (d *disk) run() {
	for j := range d.jobs {
		if j.report != nil {
			j.report.List = d.list()
			d.note(replace(filepath.Join(d.dir, reportJSON), func(w io.Writer) error { return WriteJSON(w, *j.report) }))
			continue
		}
		err := d.write(j.lines)
		d.note(err)
		if err != nil {
			d.lost.Add(j.count)
		} else {
			d.begun += j.count
			d.lines.Add(j.count)
		}
		select {
		case d.free <- j.lines:
		default:
		}
	}
}

// list says what has become of the lines so far. Any goroutine may ask.
func (d *disk) list() bus.ReportList {
	return bus.ReportList{Lines: d.lines.Load(), Lost: d.lost.Load(), Deleted: d.deleted.Load()}
}

// write appends lines whole or, with an error, not at all. It writes where the last
// whole line ended, so what a full disk took of an earlier attempt is overwritten.
func (d *disk) write(lines []byte) error {
	if d.size+int64(len(lines)) > d.limit && d.begun > 0 {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	if d.file == nil {
		if err := d.create(); err != nil {
			return err
		}
	}
	if _, err := d.file.WriteAt(lines, d.size); err != nil {
		return errors.Join(err, d.file.Truncate(d.size))
	}
	d.size += int64(len(lines))
	return nil
}

func (d *disk) rotate() error {
	err := os.Rename(filepath.Join(d.dir, requestsCSV), filepath.Join(d.dir, requestsOld))
	if err != nil {
		return err
	}
	d.deleted.Add(d.delete)
	d.lines.Add(-d.delete)
	d.delete, d.begun = d.begun, 0
	err = d.file.Close()
	d.file = nil
	return err
}

// note logs the first of several failures, and the recovery.
func (d *disk) note(err error) {
	if err != nil && d.failed == nil {
		d.logger.Warn("reports cannot be written; the lines are counted as lost", "dir", d.dir, "error", err)
	}
	if err == nil && d.failed != nil {
		d.logger.Info("reports can be written again", "dir", d.dir)
	}
	d.failed = err
}

// close closes the list; it returns why the last write failed, if it did.
func (d *disk) close() error {
	if d.file == nil {
		return d.failed
	}
	return errors.Join(d.failed, d.file.Close())
}

// replace writes a report whole or not at all: a reader sees the old one or the new one. It waits
// for no medium, for the next one comes soon.
func replace(path string, write func(io.Writer) error) error {
	return atomicfile.WriteBy(path, atomicfile.ByUmask, atomicfile.Process, write)
}

func jsonOf(s bus.Report) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}
