package masternode

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"quartet/bus"
	"quartet/bus/host/atomicfile"
	"quartet/bus/host/lock"
	"quartet/bus/host/room"
)

// ErrLocked is returned when another master works on the same directory.
var ErrLocked = errors.New("master: a master runs here already")

const (
	lockFile     = "master.lock"
	recordFile   = "master.json"
	copyFile     = "master.copy.json" // the same again: one of them may be lost
	viewFile     = "view.record"      // kept.View once more
	jetStreamDir = "jetstream"        // the embedded server's
	lockWait     = time.Second
)

// runDir is the master's own directory: the lock, which tells replicas too that a master
// lives, and a record of what must outlive the process. With --dir it is that directory;
// with --memory, one that is named by the listening address, so that the same command finds
// the replicas of a master that was killed.
type runDir struct {
	path      string   // absolute: replicas are told it
	temporary bool     // its contents end with a clean stop, or with a start that failed
	fresh     bool     // no earlier master has left anything
	rebuilt   bool     // the record was lost or damaged, and what it said is found out anew
	made      string   // the highest directory that was made for it; "": it was there
	found     []string // what was in it before
	notes     []string // of the opening, for the log
	lock      *lock.Lock
	spare     *room.Reserve // for a start on a full disk; nil: in memory
	record    kept
	reserved  reservation
	retryAt   time.Time  // not before, after a write that failed
	renewAt   time.Time  // when it is looked next whether the files are there
	writing   chan error // a write that is under way; nil: none
}

// kept is what outlives the master's process.
type kept struct {
	NextRID  uint64   `json:"next_rid"`         // every id below may have been given out
	Clock    uint64   `json:"clock"`            // every Lamport time below may have been told
	Password string   `json:"password"`         // of the nodes' account
	Own      []string `json:"own"`              // replicas whose processes this directory's master runs
	View     []byte   `json:"view,omitempty"`   // the newest record of the views, where its bucket is in memory
	Path     string   `json:"path"`             // of the directory when this was written: a copy has another
	Created  int64    `json:"created"`          // when the cluster began, in µs of Unix time; 0: not known
	Record   string   `json:"record,omitempty"` // where the record of the views is; "": in a bucket
}

func (r kept) clone() kept {
	r.Own = slices.Clone(r.Own)
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

	_, port, err := net.SplitHostPort(o.Listen)
	isFreePort := port == "-1" || port == "0"
	name := o.Listen
	switch {
	case o.NATS != "":
		name = o.NATS + "-" + o.Prefix
	case err == nil && isFreePort: // each is a new cluster
		name += "-" + strconv.Itoa(os.Getpid())
	}

	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", r) {
			return r
		}
		return '_'
	}, name)
	return filepath.Join(os.TempDir(), fmt.Sprintf("quartet-%d-%s", os.Getuid(), clean)), true
}

// openRunDir takes the lock and reads the record. The error wraps [ErrLocked] where another
// master has the directory; then nothing was changed.
func openRunDir(o *Options) (*runDir, error) {
	path, temporary := runDirPath(o)
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("master: where is its directory: %w", err)
	}
	d := &runDir{path: path, temporary: temporary}
	if err := d.make(); err != nil {
		return nil, fmt.Errorf("master: cannot make its directory: %w", err)
	}
	if err := d.ours(); err != nil {
		return nil, err
	}

	d.lock, err = lock.Take(filepath.Join(path, lockFile), lockWait, lock.Holder{PID: os.Getpid()})
	switch {
	case errors.Is(err, lock.ErrHeld):
		return nil, fmt.Errorf("%w: %s works on %s; stop it, or give this one another --dir (with --memory, another --listen)",
			ErrLocked, holder(path), path)
	case err != nil:
		d.remove()
		return nil, fmt.Errorf("master: cannot have its directory: %w", err)
	}
	if !o.Memory {
		d.spare = room.NewReserve(path)
		freed, err := d.spare.Begin()
		if err != nil {
			d.release()
			return nil, fmt.Errorf("master: %w", err)
		}
		if freed {
			d.note("the disk is full: the reserve for starts in %s is given up, and kept again when there is room", path)
		}
	}
	if err := d.load(); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

// holder names the master that works on a directory.
func holder(dir string) string { return lock.Who(filepath.Join(dir, lockFile)) }

// make makes the directory, and notes what was there before.
func (d *runDir) make() error {
	for p := d.path; ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		d.made = p
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	list, err := os.ReadDir(d.path)
	for _, e := range list {
		d.found = append(d.found, e.Name())
	}
	return err
}

// ours refuses a directory among the temporary ones that another user has made: whoever made
// it can read the password and replace the files.
func (d *runDir) ours() error {
	if !d.temporary {
		return nil
	}
	info, err := os.Lstat(d.path)
	if err != nil {
		return fmt.Errorf("master: %w", err)
	}
	made, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("master: %s is no directory: remove it, or set TMPDIR to a directory of your own", d.path)
	case known && int(made.Uid) != os.Getuid():
		return fmt.Errorf("master: %s is another user's: set TMPDIR to a directory of your own", d.path)
	}
	return nil
}

// load reads the record, or what is left of it.
func (d *runDir) load() error {
	first, firstErr := d.read(recordFile)
	second, secondErr := d.read(copyFile)
	switch {
	case firstErr == nil && secondErr == nil:
		d.record = first
		d.record.NextRID, d.record.Clock = max(first.NextRID, second.NextRID), max(first.Clock, second.Clock)
	case firstErr == nil:
		d.record = first
	case secondErr == nil: // what was given out is in both before it is given out
		d.record = second
		d.note("%s is %s; its copy says the same, and is used", recordFile, wrong(firstErr))
	case d.begins(firstErr, secondErr):
		d.fresh = true
		d.record = kept{NextRID: 1, Password: rand.Text(), Created: time.Now().UnixMicro()}
	default:
		d.rebuilt = true
		d.rebuild()
		d.note("%s is %s, and so is its copy: what it said is found out anew", recordFile, wrong(firstErr))
	}

	for name, err := range map[string]error{recordFile: firstErr, copyFile: secondErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			if err := d.aside(name); err != nil {
				return fmt.Errorf("master: cannot put a damaged file aside: %w", err)
			}
		}
	}
	d.noteCopy()
	d.record.Path = d.path
	return nil
}

// firstRID is the first request id that a master which starts now gives out. It is above all
// that the cluster can have given out, by this directory or by a later state of it, which a
// restored backup has ended: as many as microseconds have passed since it began. Nothing gives
// out a million a second for its whole life. Where the beginning is not known it is taken for
// 1970. What is in memory has no backup.
func (d *runDir) firstRID(now time.Time) uint64 {
	if d.fresh || d.temporary {
		return d.record.NextRID
	}
	return max(d.record.NextRID, uint64(max(0, now.UnixMicro()-d.record.Created)))
}

func (d *runDir) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// read reads one of the two files of the record.
func (d *runDir) read(name string) (r kept, err error) {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && !r.sound() {
		err = errors.New("it says too little")
	}
	return r, err
}

// wrong says of a file in one word what is wrong with it.
func wrong(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "gone"
	}
	return "damaged"
}

// begins reports whether no master has worked on the directory before.
func (d *runDir) begins(errs ...error) bool {
	for _, err := range errs {
		if !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return !slices.ContainsFunc(d.found, func(name string) bool {
		_, ofReplica := replicaOfLock(name)
		return ofReplica || name == jetStreamDir || name == replicas || name == viewFile
	})
}

// rebuild makes a record in place of the one that is lost. The replicas are those that have
// left something in the directory; the password of the nodes' account is that of those that
// still run. Ids go on above all that can have been given out ([runDir.firstRID]). The Lamport time
// is found out from the record of the views and from the replicas.
func (d *runDir) rebuild() {
	d.record = kept{NextRID: uint64(time.Now().UnixMicro()), Password: rand.Text()}
	names := map[string]bool{}
	if list, err := os.ReadDir(filepath.Join(d.path, replicas)); err == nil {
		for _, e := range list {
			names[e.Name()] = isReplica(e.Name())
		}
	}
	for _, name := range d.found {
		if n, ok := replicaOfLock(name); ok {
			names[n.String()] = true
		}
	}
	for name, ok := range names {
		if ok {
			d.record.Own = append(d.record.Own, name)
		}
	}
	slices.Sort(d.record.Own)

	for _, name := range d.record.Own {
		h, _, err := lock.Look(filepath.Join(d.path, lock.OfReplica(name)))
		if password := nodePassword(h.PID); err == nil && password != "" {
			d.record.Password = password
		}
	}
}

// nodePassword returns the password with which a replica's process was started; "": there is
// no such process, or the system does not say.
func nodePassword(pid int) string {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return ""
	}
	env, err := p.Environ()
	if err != nil {
		return ""
	}
	for _, e := range env {
		if password, ok := strings.CutPrefix(e, bus.EnvNodePassword+"="); ok {
			return password
		}
	}
	return ""
}

// aside keeps a damaged file under another name, for whoever wants to look at it.
func (d *runDir) aside(name string) error {
	from := filepath.Join(d.path, name)
	to := fmt.Sprintf("%s.damaged-%s", from, time.Now().UTC().Format("20060102T150405.000"))
	d.note("%s is damaged and is kept as %s", name, filepath.Base(to))
	return os.Rename(from, to)
}

// noteCopy notes that the directory is a copy of one on which a master works.
func (d *runDir) noteCopy() {
	original := d.record.Path
	if original == "" || original == d.path {
		return
	}
	if _, held, err := lock.Look(filepath.Join(original, lockFile)); err == nil && held {
		d.note("this directory is a copy of %s, on which %s works: they are two clusters from now on, "+
			"and this one leaves the other's processes alone", original, holder(original))
	}
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

// write writes the record twice, each time so that the old or the new one is there,
// whenever the process or, with --dir, the machine stops. On a disk without any room the record is
// written over itself: that needs none, and only a power cut in that very moment could spoil it.
func (d *runDir) write(r kept) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(r.View) > 0 {
		if err := d.replace(viewFile, r.View); err != nil {
			return fmt.Errorf("master: cannot keep the record of the views: %w", err)
		}
	}
	for _, name := range []string{recordFile, copyFile} {
		if err = d.replace(name, b); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = d.overwrite(name, b)
		}
		if err != nil {
			return fmt.Errorf("master: cannot keep its record: %w", err)
		}
	}
	return nil
}

// replace writes a file whole or not at all. That of a cluster in memory need outlive no machine.
func (d *runDir) replace(name string, b []byte) error {
	outlive := atomicfile.Machine
	if d.temporary {
		outlive = atomicfile.Process
	}
	return atomicfile.Write(filepath.Join(d.path, name), b, 0o600, outlive)
}

// overwrite writes over a file that is there.
func (d *runDir) overwrite(name string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_WRONLY, 0)
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

// renewEvery is how often a master looks whether its files are there.
const renewEvery = time.Second

// renew writes the lock and the record again if somebody has removed them: nobody touches them
// for days, so a cleaner of temporary files may take them for left behind. It reports whether
// it has written something.
func (d *runDir) renew(now time.Time) (bool, error) {
	if now.Before(d.renewAt) || d.writing != nil {
		return false, nil
	}
	d.renewAt = now.Add(renewEvery)
	if !d.lock.Lost() && d.has(recordFile) && d.has(copyFile) {
		return false, nil
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return false, fmt.Errorf("master: %w", err)
	}
	if err := d.lock.Renew(); err != nil {
		return false, fmt.Errorf("master: %w", err)
	}
	return true, d.save()
}

func (d *runDir) has(name string) bool {
	_, err := os.Stat(filepath.Join(d.path, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// settle replaces the reserved blocks by what was really used: for a clean stop.
func (d *runDir) settle(rid, clock uint64) error {
	d.record.NextRID, d.record.Clock = rid, clock
	d.reserved = reservation{}
	return d.save()
}

func (d *runDir) release() { d.lock.Release() }

// remove deletes what an earlier master cannot have left: all of a directory that was made
// for this one, else what was not there before; of a temporary one, after a clean stop or a
// start that failed, everything.
func (d *runDir) remove() {
	if d.temporary {
		d.found = nil
	}
	for _, name := range []string{recordFile, copyFile, viewFile, jetStreamDir, replicas, room.Name} {
		d.removeNew(name)
	}
	if list, err := os.ReadDir(d.path); err == nil {
		for _, e := range list {
			if _, ofReplica := replicaOfLock(e.Name()); ofReplica {
				d.removeNew(e.Name())
			}
		}
	}
	d.removeNew(lockFile)

	// Directories go only while they are empty. What stays is found and used by the next master.
	if d.temporary && d.made == "" {
		_ = os.Remove(d.path)
	}
	for p := d.path; d.made != "" && len(p) >= len(d.made); p = filepath.Dir(p) {
		if os.Remove(p) != nil {
			break
		}
	}
}

func (d *runDir) removeNew(name string) {
	if !slices.Contains(d.found, name) {
		_ = os.RemoveAll(filepath.Join(d.path, name)) // what stays is found by the next master
	}
}
