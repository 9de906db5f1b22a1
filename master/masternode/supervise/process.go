package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"quartet/bus/host/exit"
	"quartet/bus/host/room"
)

// Errors that an [Event] may wrap.
var (
	// ErrDamaged: the process ended since the data that it keeps are damaged
	// ([exit.StatusDamaged]). Starting it again won't mend them, and does no harm.
	ErrDamaged = errors.New("its data are damaged")
	// ErrReplaced: the process ended since another one of its replica was started later, and
	// speaks as it ([exit.StatusReplaced]).
	ErrReplaced = errors.New("another process of this replica was started later")
	// ErrAdopted: it was not a child of this process, so its exit status is not known.
	ErrAdopted = errors.New("the adopted process has ended")
)

const (
	lastLines = 5    // of what a process said that are kept for its error
	lastBytes = 2048 //
)

// child is a process, started here or adopted, or a goroutine of this one.
type child struct {
	pid    int
	signal func(os.Signal) error
	since  time.Time
	done   chan struct{} // closed when it has ended
	err    error         // how; valid after done
}

// launch starts cmd. It gets a process group of its own, so that a Ctrl-C at the
// terminal reaches its parent alone, and its output goes to the end of a file, so that it
// can outlive the parent's terminal; without a file, to where the parent's own goes.
func launch(cmd *exec.Cmd, output string, now time.Time, ended func(*child)) (*child, error) {
	out, begin := os.Stderr, int64(0)
	if output != "" {
		var err error
		if out, err = os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return nil, err
		}
		defer out.Close()
		if begin, err = out.Seek(0, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, signal: cmd.Process.Signal, since: now, done: make(chan struct{})}
	go func() {
		c.err = verdict(cmd.Wait(), cmd.ProcessState.ExitCode(), lastWords(output, begin))
		ended(c) // first: who waits for done finds it noted
		close(c.done)
	}()
	return c, nil
}

// attach takes over a process that somebody else has started.
func attach(pid int, output string, poll time.Duration, now time.Time, ended func(*child)) (*child, error) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	begin := int64(0)
	if info, err := os.Stat(output); err == nil {
		begin = info.Size()
	}
	c := &child{pid: p.Pid, signal: p.Signal, since: now, done: make(chan struct{})}
	born := birth(pid)
	go func() { // not our child: it can only be polled
		for Alive(pid) && birth(pid) == born {
			time.Sleep(poll)
		}
		c.err = verdict(ErrAdopted, 0, lastWords(output, begin))
		ended(c) // first: who waits for done finds it noted
		close(c.done)
	}()
	return c, nil
}

// verdict is the error of a process that has ended; ending well is one too.
func verdict(err error, status int, words string) error {
	if err == nil {
		err = errors.New("exit status 0")
	}
	switch status {
	case exit.StatusDamaged:
		err = fmt.Errorf("%w: %w", err, ErrDamaged)
	case exit.StatusReplaced:
		err = fmt.Errorf("%w: %w", err, ErrReplaced)
	}
	if words != "" {
		err = fmt.Errorf("%w; its last words: %s", err, words)
	}
	return err
}

// lastWords is what a process said last, or why nobody can know: a full disk takes no words.
func lastWords(name string, begin int64) string {
	words := said(name, begin)
	if words != "" || name == "" {
		return words
	}
	if usage, err := room.Look(filepath.Dir(name)); err == nil && usage.Free == 0 {
		return "if it had any, the disk of " + name + " had no room for them"
	}
	return ""
}

// said returns the last lines of what was written to a file from begin on, as one line.
func said(name string, begin int64) string {
	if name == "" {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		return "" // nothing can be said; the error is that of the process
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() <= begin {
		return ""
	}
	b := make([]byte, min(info.Size()-begin, lastBytes))
	n, err := f.ReadAt(b, info.Size()-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	lines := strings.FieldsFunc(strings.ToValidUTF8(string(b[:n]), "?"), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-lastLines):], " | ")
}

// Alive reports whether a process with this pid runs. A zombie (a process that has ended and
// whose parent has not taken note) does not; without /proc it cannot be told apart.
func Alive(pid int) bool {
	if pid <= 1 || syscall.Kill(pid, 0) != nil {
		return false
	}
	s, known := stat(pid)
	hasEnded := s.State == "Z" || s.State == "X"
	return !known || !hasEnded
}

// birth tells a process from a later one with its pid: when it began, in a unit of the
// system; 0 where that is not known.
func birth(pid int) uint64 {
	s, _ := stat(pid)
	return s.Starttime
}

// stat is what the system says of a process; false: it says nothing.
func stat(pid int) (procfs.ProcStat, bool) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, false
	}
	s, err := p.Stat()
	return s, err == nil
}
