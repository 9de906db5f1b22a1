package node

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// ErrLocked is returned when another master works on the same directory.
var ErrLocked = errors.New("master: the directory is in use by another master")

const (
	lockFile   = "master.lock"
	pidFile    = "master.pid"
	recordFile = "master.json"
	lockWait   = time.Second
)

// runDir is the master's own directory: the lock, which tells replicas too that a master
// lives, and a record of what must outlive the process. With --dir it is that directory;
// with --memory, one under the temporary directory that is named by the listening
// address, so that the same command finds the replicas of a master that was killed.
type runDir struct {
	path      string
	temporary bool // its contents end with a clean stop, or with a start that failed
	fresh     bool // no earlier master had left a record
	lock      *flock.Flock
	record    kept
	reserved  reservation
	retryAt   time.Time  // not before, after a write that failed
	writing   chan error // a write that is under way; nil: none
}

// kept is what outlives the master's process.
type kept struct {
	NextRID  uint64         `json:"next_rid"` // every id below may have been given out
	Clock    uint64         `json:"clock"`    // every Lamport time below may have been told
	Password string         `json:"password"` // of the nodes' account
	Replicas map[string]int `json:"replicas"` // pids of the replicas that were spawned or adopted
	Own      []string       `json:"own"`      // replicas whose processes this directory's master runs
}

func (r kept) clone() kept {
	r.Replicas, r.Own = maps.Clone(r.Replicas), slices.Clone(r.Own)
	return r
}

// runDirPath says where the directory is.
func runDirPath(o *Options) (path string, temporary bool) {
	if !o.Memory {
		return o.Dir, false
	}
	if o.RunDir != "" {
		return o.RunDir, true
	}
	name := o.Listen
	if o.NATS != "" {
		name = o.NATS + "-" + o.Prefix
	} else if _, port, err := net.SplitHostPort(o.Listen); err == nil && (port == "-1" || port == "0") {
		name += "-" + strconv.Itoa(os.Getpid()) // a free port is a new cluster
	}
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, name)
	return filepath.Join(os.TempDir(), fmt.Sprintf("quartet-%d-%s", os.Getuid(), clean)), true
}

// openRunDir takes the lock and reads the record.
func openRunDir(o *Options) (*runDir, error) {
	path, temporary := runDirPath(o)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("master: cannot make its directory: %w", err)
	}
	d := &runDir{path: path, temporary: temporary, lock: flock.New(filepath.Join(path, lockFile))}
	// A replica that looks whether a master lives holds the lock for a moment.
	for deadline := time.Now().Add(lockWait); ; {
		ok, err := d.lock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("master: cannot lock %s: %w", path, err)
		}
		if ok {
			break
		}
		if time.Now().After(deadline) {
			pid, _ := os.ReadFile(filepath.Join(path, pidFile))
			return nil, fmt.Errorf("%w: %s (its pid is %s); stop it, or give this one another --dir", ErrLocked, path, strings.TrimSpace(string(pid)))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := d.load(); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

func (d *runDir) load() error {
	if err := os.WriteFile(filepath.Join(d.path, pidFile), fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		return fmt.Errorf("master: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(d.path, recordFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fresh = true
		d.record = kept{NextRID: 1, Password: rand.Text()}
	case err != nil:
		return fmt.Errorf("master: %w", err)
	default:
		if err := json.Unmarshal(b, &d.record); err != nil || d.record.Password == "" || d.record.NextRID == 0 {
			return fmt.Errorf("master: %s is damaged: restore it, or move the directory away to begin a new cluster (%v)",
				filepath.Join(d.path, recordFile), err)
		}
	}
	if d.record.Replicas == nil {
		d.record.Replicas = map[string]int{}
	}
	return nil
}

// save writes the record, after a write that is under way.
func (d *runDir) save() error {
	if d.writing != nil {
		if err := d.written(<-d.writing); err != nil {
			return err
		}
	}
	return d.write(d.record)
}

// write leaves the old record or the new one, whenever the process or, with --dir, the
// machine stops. On a disk without any room the record is written over itself: that needs
// none, and only a power cut in that very moment could spoil it.
func (d *runDir) write(r kept) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err = d.replace(b); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = d.overwrite(b)
	}
	if err != nil {
		return fmt.Errorf("master: cannot keep its record: %w", err)
	}
	return nil
}

func (d *runDir) replace(b []byte) error {
	f, err := os.CreateTemp(d.path, recordFile+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && !d.temporary {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, recordFile))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (d *runDir) overwrite(b []byte) error {
	f, err := os.OpenFile(filepath.Join(d.path, recordFile), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for int64(len(b)) < info.Size() { // blanks behind an object are no part of it
		b = append(b, ' ')
	}
	if _, err = f.WriteAt(b, 0); err == nil && !d.temporary {
		err = f.Sync()
	}
	return err
}

// Blocks of ids and times that are reserved at once. A restart after a crash skips what
// is left of them.
const (
	ridBlock   = 20_000
	clockBlock = 1_000_000
)

// reservation is what no later master will give out again.
type reservation struct{ rid, clock uint64 }

// reserveAgain is how long after a failed write the next one is tried, while there is
// something left of what was reserved.
const reserveAgain = 100 * time.Millisecond

func (r reservation) covers(rid, clock uint64) bool { return rid < r.rid && clock < r.clock }

// reserve makes sure that neither ids below rid nor times below clock are given out
// again by a later master. The next block is written behind the requests' back when half
// of the last is used up; only when all of it is does a turn wait for the disk. A write
// that fails is an error only then, too.
func (d *runDir) reserve(rid, clock uint64) error {
	covered := d.reserved.covers(rid, clock)
	if d.writing == nil && !d.reserved.covers(rid+ridBlock/2, clock+clockBlock/2) && !(covered && time.Now().Before(d.retryAt)) {
		d.record.NextRID = max(d.record.NextRID, rid+ridBlock)
		d.record.Clock = max(d.record.Clock, clock+clockBlock)
		d.writing = make(chan error, 1)
		go func(r kept, done chan<- error) { done <- d.write(r) }(d.record.clone(), d.writing)
	}
	switch {
	case d.writing == nil:
		return nil
	case !covered:
		return d.written(<-d.writing)
	}
	select {
	case err := <-d.writing:
		if d.written(err) != nil {
			d.retryAt = time.Now().Add(reserveAgain)
		}
	default:
	}
	return nil
}

func (d *runDir) written(err error) error {
	d.writing = nil
	if err == nil {
		d.reserved = reservation{rid: d.record.NextRID, clock: d.record.Clock}
	}
	return err
}

// settle replaces the reserved blocks by what was really used: for a clean stop.
func (d *runDir) settle(rid, clock uint64) error {
	d.record.NextRID, d.record.Clock = rid, clock
	d.record.Replicas = map[string]int{}
	d.reserved = reservation{}
	return d.save()
}

func (d *runDir) release() { _ = d.lock.Unlock() } // the process ends or failed to start

// remove deletes a temporary directory.
func (d *runDir) remove() {
	if d.temporary {
		_ = os.RemoveAll(d.path) // what stays is found and used by the next master
	}
}
