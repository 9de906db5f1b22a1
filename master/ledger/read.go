package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"quartet/bus"
	"quartet/bus/model"
)

// Errors of the reading side.
var (
	ErrNoRun   = errors.New("ledger: no reports of a master there")
	ErrDamaged = errors.New("ledger: damaged file")
)

// ReadDir returns the summary of the run whose files are in dir; it may still be going on. Where
// requests.csv was written after report.json, or there is no report.json, the summary is computed
// from the list as well; of the two, the summary with more requests counts. The error wraps
// [ErrNoRun] where there is neither file.
func ReadDir(dir string) (bus.Report, error) {
	kept, reported, keptErr := readReport(dir)
	listed := newest(dir, requestsCSV, requestsOld)
	switch {
	case keptErr == nil && !listed.After(reported):
		return kept, nil
	case keptErr != nil && !errors.Is(keptErr, os.ErrNotExist) && listed.IsZero():
		return bus.Report{}, keptErr
	case listed.IsZero():
		return bus.Report{}, fmt.Errorf("%w: %s", ErrNoRun, dir)
	}

	counted, err := recount(dir)
	keeps := keptErr == nil
	knowsMore := err != nil || kept.Total.Count >= counted.Total.Count
	switch {
	case keeps && knowsMore:
		return kept, nil
	case err != nil:
		return bus.Report{}, err
	}
	if keptErr == nil { // what the list cannot tell
		counted.Started, counted.List.Lost, counted.List.Deleted = kept.Started, kept.List.Lost, kept.List.Deleted
	}
	return counted, nil
}

func readReport(dir string) (bus.Report, time.Time, error) {
	path := filepath.Join(dir, reportJSON)
	info, err := os.Stat(path)
	if err != nil {
		return bus.Report{}, time.Time{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return bus.Report{}, time.Time{}, err
	}
	var s bus.Report
	if err := json.Unmarshal(text, &s); err != nil {
		return bus.Report{}, time.Time{}, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	modern(&s.Total)
	for i := range s.Groups {
		modern(&s.Groups[i])
	}
	return s, info.ModTime(), nil
}

// modern brings the figures of a report from before 2026-11-28 up to date: in it a get without a
// value was a failure, and every request had a time.
func modern(g *bus.ReportGroup) {
	if n := g.Codes[model.NotFound]; g.NoValue == 0 && n <= g.Failed && g.OK+g.Failed == g.Count {
		g.NoValue, g.Failed = n, g.Failed-n
	}
	if g.Timed == 0 && g.Max > 0 {
		g.Timed = g.Count
	}
}

func newest(dir string, names ...string) time.Time {
	var t time.Time
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.ModTime().After(t) {
			t = info.ModTime()
		}
	}
	return t
}

// recount counts the list.
func recount(dir string) (bus.Report, error) {
	s, last, err := count(dir)
	if err != nil {
		return bus.Report{}, err
	}
	out := s.summary(last)
	out.List.Lines = s.total
	return out, nil
}

// count counts the list. As far as the list knows, the run began with its first request, and the
// last event is its last answer.
func count(dir string) (s *stats, last time.Time, err error) {
	s = newStats(time.Time{})
	err = ReadRequests(dir, func(e Entry) error {
		if s.started.IsZero() || e.Received.Before(s.started) {
			s.started = e.Received
		}
		if answered := e.Received.Add(e.Taken); answered.After(last) {
			last = answered
		}
		var l line
		l.set(&e)
		s.add(&l)
		return nil
	})
	return s, last, err
}

// ReadRequests calls fn for every request in the list of the run whose files are in dir, in the
// order of the answers, until fn returns an error, which it returns. A last line without an end
// was being written when the master died, and is skipped. The error wraps [ErrNoRun] where there
// is no list, and [ErrDamaged], with file and line, where the file is no list.
func ReadRequests(dir string, fn func(Entry) error) error {
	files, err := openLists(dir)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, f := range files {
		if err := readList(f, fn); err != nil {
			return err
		}
	}
	return nil
}

// openLists opens the parts of the list, older first. Where the master rotates
// between the two, both names are one file.
func openLists(dir string) ([]*os.File, error) {
	young, err := os.Open(filepath.Join(dir, requestsCSV))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	old, err := os.Open(filepath.Join(dir, requestsOld))
	switch {
	case err == nil && young != nil:
		if a, b := stat(young), stat(old); a != nil && b != nil && os.SameFile(a, b) {
			return []*os.File{old}, young.Close()
		}
		return []*os.File{old, young}, nil
	case err == nil:
		return []*os.File{old}, nil
	case errors.Is(err, os.ErrNotExist) && young != nil:
		return []*os.File{young}, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoRun, dir, requestsCSV)
	}
	if young != nil {
		young.Close()
	}
	return nil, err
}

func stat(f *os.File) os.FileInfo {
	info, _ := f.Stat()
	return info
}

func readList(f *os.File, fn func(Entry) error) error {
	path := f.Name()
	r := bufio.NewReaderSize(f, 64<<10) // far longer than any line
	for n := 1; ; n++ {
		text, err := r.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%w: %s:%d: a line longer than any request's", ErrDamaged, path, n)
		case err != nil:
			return err
		case n == 1:
			if string(text) != header {
				return fmt.Errorf("%w: %s: its first line is not that of a list of requests", ErrDamaged, path)
			}
			continue
		}
		e, err := parse(string(text[:len(text)-1]))
		if err != nil {
			return fmt.Errorf("%w: %s:%d: %w", ErrDamaged, path, n, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}
