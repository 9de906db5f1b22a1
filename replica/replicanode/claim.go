package replicanode

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"quartet/bus/host/lock"
)

const (
	claimWait  = time.Second // for those that look at the lock, which they hold for a moment
	claimAgain = time.Second // between two looks whether the file is there
)

// claimed is the lock by which the master of its directory knows this process: a later master,
// too, and none but that of this very directory. The zero value holds nothing.
type claimed struct {
	lock *lock.Lock
	path string
	log  *slog.Logger
	next time.Time
	told bool // that the lock cannot be had
}

// claim takes the lock of a replica that a master has started. Two processes that are the same
// replica of one directory cannot be.
func claim(o *Options) (*claimed, error) {
	if o.MasterLock == "" {
		return &claimed{}, nil
	}
	c := &claimed{log: o.Log, path: filepath.Join(filepath.Dir(o.MasterLock), lock.OfReplica(o.ID.String()))}
	err := c.take(claimWait)
	if errors.Is(err, lock.ErrHeld) {
		return nil, err
	}
	c.say(err)
	return c, nil
}

func (c *claimed) take(wait time.Duration) (err error) {
	c.lock, err = lock.Take(c.path, wait, lock.Holder{PID: os.Getpid()})
	return err
}

// say logs once that the lock cannot be had: a full disk, or a directory that is gone, is no
// reason to be without the replica.
func (c *claimed) say(err error) {
	if err != nil && !c.told {
		c.log.Warn("no later master will know this process for its own until its lock can be had; it is tried again", "error", err)
	}
	c.told = err != nil
}

// renew takes the lock again if its file was removed, by a cleaner of temporary files perhaps.
func (c *claimed) renew(now time.Time) {
	if c.path == "" || now.Before(c.next) {
		return
	}
	c.next = now.Add(claimAgain)
	if c.lock == nil {
		c.say(c.take(0))
	} else {
		c.say(c.lock.Renew())
	}
}

func (c *claimed) release() {
	if c.lock != nil {
		c.lock.Release()
	}
}
