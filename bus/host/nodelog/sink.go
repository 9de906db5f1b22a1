package nodelog

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	bufferSize = 64 << 10
	flushEvery = time.Second
)

// sink is a log file behind a buffer. A file that cannot be written costs lines, never memory and
// never the caller's time: the buffer is given up and, once writing works again, a line says how
// many bytes are missing.
type sink struct {
	path     string // without .log
	limit    int64
	missing  string // format of the line that tells how many bytes are missing
	complain func(error)

	mu     sync.Mutex // guards all below
	file   *os.File
	size   int64
	buffer []byte
	failed error // of the last write, nil: it succeeded
	lost   int   // bytes given up and not yet told
	closed bool

	stop, stopped chan struct{}
}

func newSink(path string, limit int64, format string, complain func(error)) *sink {
	missing := "level=WARN msg=\"log lines could not be written\" bytes=%d\n"
	if format == JSON {
		missing = `{"level":"WARN","msg":"log lines could not be written","bytes":%d}` + "\n"
	}
	return &sink{
		path: path, limit: limit, missing: missing, complain: complain, buffer: make([]byte, 0, bufferSize),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// open opens the file, which is made if it is missing, to append to it.
func (s *sink) open() error {
	f, err := os.OpenFile(s.path+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.size = f, info.Size()
	return nil
}

// Write buffers one line. It never fails: see sink.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(line), nil
	}
	if len(s.buffer)+len(line) > bufferSize {
		s.flushLocked()
	}
	s.buffer = append(s.buffer, line...)
	if len(s.buffer) > bufferSize { // one line longer than the buffer
		s.flushLocked()
		s.buffer = make([]byte, 0, bufferSize)
	}
	return len(line), nil
}

func (s *sink) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

// flushLocked writes the buffer to the file, or gives it up. It complains once a failure.
func (s *sink) flushLocked() {
	if len(s.buffer) == 0 || s.closed {
		return
	}
	err := s.writeOut()
	if err != nil {
		s.lost += len(s.buffer)
		if s.failed == nil {
			s.complain(err)
		}
	}
	s.failed = err
	s.buffer = s.buffer[:0]
}

// writeOut writes the buffer, after what has to precede it: a new file, the count of lost bytes.
func (s *sink) writeOut() error {
	if s.size > 0 && s.size+int64(len(s.buffer)) > s.limit {
		if err := s.rotate(); err != nil {
			return err
		}
	}

	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}

	if s.lost > 0 {
		n, err := fmt.Fprintf(s.file, "\n"+s.missing, s.lost) // half a line may stand before it
		s.size += int64(n)
		if err != nil {
			return err
		}
		s.lost = 0
	}

	n, err := s.file.Write(s.buffer)
	s.size += int64(n)
	return err
}

// rotate keeps the file as NAME.1.log and forgets it; writeOut opens the next one.
func (s *sink) rotate() error {
	if s.file == nil {
		return nil
	}
	err := os.Rename(s.path+".log", s.path+".1.log")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // somebody may have taken it away
		return err
	}
	err = s.file.Close()
	s.file, s.size = nil, 0
	return err
}

// flushEachSecond writes the buffer once a second until Close.
func (s *sink) flushEachSecond() {
	defer close(s.stopped)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()

	for {
		select {
		case <-tick.C:
			s.flush()
		case <-s.stop:
			return
		}
	}
}

// Close implements [io.Closer]; a second call does nothing.
func (s *sink) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}

	s.flushLocked()
	s.closed = true
	err := s.failed
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	s.mu.Unlock()

	close(s.stop)
	<-s.stopped
	if err != nil {
		return fmt.Errorf("nodelog: %w", err)
	}
	return nil
}
