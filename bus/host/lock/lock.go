// Package lock is a file that proves who runs. It promises that a process holds such a file locked
// for as long as it lives, whatever its end, and that the file says who that is.
//
// Neither a pid nor a file's content proves anything: pids are used again, and have other meanings
// in other containers; content is copied with a directory. The lock is neither copied nor left
// behind. So [Look] names a process only if the file at this very path (device and inode) is
// locked and, where the system says which files a process has open, if the process that the
// content names has this file open.
package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrHeld is wrapped by [Take]: another process holds the file.
var ErrHeld = errors.New("another process holds the lock")

const (
	mode  = 0o600
	again = 20 * time.Millisecond // between two tries
)

// Holder is what the process that holds a lock says of itself in the file.
type Holder struct {
	PID int    `json:"pid"`
	URL string `json:"url,omitempty"` // where it is reached; "": it has not said yet
}

// Lock is a file that this process holds.
type Lock struct {
	path   string
	lock   *flock.Flock
	holder Holder
}

// Take takes the lock of a file, which is made if it is missing, and writes down who holds it.
// [Look] holds the lock for a moment, so a lock that is held is tried again for as long as wait.
// The error wraps [ErrHeld] if it was held all the time; then [Look] says by whom.
func Take(path string, wait time.Duration, h Holder) (*Lock, error) {
	deadline := time.Now().Add(wait)
	for {
		l := flock.New(path, flock.SetPermissions(mode))
		ok, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}

		if ok && isAt(l, path) {
			held := &Lock{path: path, lock: l}
			if err := held.Say(h); err != nil {
				held.Release()
				return nil, err
			}
			return held, nil
		}

		_ = l.Close() // of a file that was removed meanwhile, or that another holds
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %s", ErrHeld, path)
		}
		time.Sleep(again)
	}
}

// isAt reports whether the file that is locked is the one at path: another process may have
// removed it between the opening and the locking.
func isAt(l *flock.Flock, path string) bool {
	locked, err := l.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(locked, there)
}

// room is the size of the content in bytes, filled up with blanks, so that it can be replaced on a
// full disk.
const room = 256

// Say replaces what the file says of its holder.
func (l *Lock) Say(h Holder) error {
	l.holder = h
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	b = append(b, bytes.Repeat([]byte(" "), max(0, room-len(b)-1))...)

	f, err := os.OpenFile(l.path, os.O_WRONLY, mode)
	if err == nil {
		_, err = f.WriteAt(append(b, '\n'), 0)
		err = errors.Join(err, f.Truncate(int64(len(b)+1)), f.Close())
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", l.path, err)
	}
	return nil
}

// Lost reports whether the file at the path is no longer the one that is locked: somebody
// has removed it, or put another in its place.
func (l *Lock) Lost() bool { return !isAt(l.lock, l.path) }

// Renew takes the lock again, in a file of the same name, if the file that is held was removed:
// by a cleaner of temporary files, perhaps. The error wraps [ErrHeld] if another process has
// taken it meanwhile.
func (l *Lock) Renew() error {
	if !l.Lost() {
		return nil
	}
	next, err := Take(l.path, 0, l.holder)
	if err != nil {
		return err
	}
	_ = l.lock.Close() // nobody can find that file any more
	l.lock = next.lock
	return nil
}

// Release lets go of the lock. The file stays.
func (l *Lock) Release() { _ = l.lock.Unlock() } // the process ends: the system would do it

// Look says whether a process holds the lock of a file, and which. The pid is 0 if the holder
// cannot be told, or has another pid here: a process in another container that shares the
// directory.
func Look(path string) (h Holder, held bool, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false, nil
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	if err != nil {
		return Holder{}, false, fmt.Errorf("lock %s: %w", path, err)

	}
	_ = l.Close() // and lets go of it
	if free {
		return Holder{}, false, nil
	}

	b, err := os.ReadFile(path)
	if err != nil {
		return Holder{}, true, fmt.Errorf("lock %s: %w", path, err)
	}
	if json.Unmarshal(b, &h) != nil { // it is being written
		return Holder{}, true, nil
	}
	if !mayHave(h.PID, path) {
		h.PID = 0
	}
	return h, true, nil
}

// Who names the process that holds the lock of a file, as an error says it.
func Who(path string) string {
	h, held, err := Look(path)
	saysNothing := h.PID == 0 && h.URL == ""
	switch {
	case err != nil || !held || saysNothing:
		return "another process (perhaps in another container)"
	case h.PID == 0:
		return "a process in another container, at " + h.URL + ","
	case h.URL == "":
		return fmt.Sprintf("pid %d", h.PID)
	}
	return fmt.Sprintf("pid %d, at %s,", h.PID, h.URL)
}

// mayHave reports whether a process has the file open; where the system does not say, it returns
// true.
func mayHave(pid int, path string) bool {
	const processes = "/proc"
	if pid < 1 {
		return false
	}

	file, err := os.Stat(path)
	if err != nil {
		return false
	}

	if _, err := os.Stat(filepath.Join(processes, "self", "fd")); err != nil {
		return true
	}

	open := filepath.Join(processes, strconv.Itoa(pid), "fd")
	list, err := os.ReadDir(open)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	for _, fd := range list {
		if info, err := os.Stat(filepath.Join(open, fd.Name())); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}

const ofReplica = ".lock"

// OfReplica is the name of the file that a replica of a master's directory holds there.
func OfReplica(id string) string { return id + ofReplica }

// Replica returns the replica whose file has this name.
func Replica(name string) (id string, ok bool) { return strings.CutSuffix(name, ofReplica) }
