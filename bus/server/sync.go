package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	nats "github.com/nats-io/nats-server/v2/server"
)

// ErrSync is wrapped by [Server.SyncNodes].
var ErrSync = errors.New("bus/server: cannot sync")

// syncPasses bounds how often SyncNodes looks again because a file went away meanwhile.
const syncPasses = 10

// SyncNodes returns once everything that JetStream has acknowledged in the nodes' account
// is on the disk: nodes keep little there, and that has to survive a power cut. It takes a
// few milliseconds. The error wraps [ErrSync].
//
// The server has written a message to its file before it acknowledges it (that is the
// promise of its default persist mode), and syncing a file writes what any process has put
// into it. The server's own way, sync_always, holds for all accounts: measured with a
// client's bucket at 64 concurrent puts, it would leave 2,400 puts a second of 39,000.
func (s *Server) SyncNodes() error {
	root := s.options.StoreDir
	if root == "" {
		root = s.scratch
	}
	base := filepath.Join(root, nats.JetStreamStoreDir)
	for range syncPasses {
		settled, err := syncTree(filepath.Join(base, AccountNodes))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSync, err)
		}
		if !settled {
			continue // a file was replaced by another, which may not have been seen
		}
		for _, dir := range []string{base, root} {
			if err := syncFile(dir); err != nil {
				return fmt.Errorf("%w: %w", ErrSync, err)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: %s does not come to rest", ErrSync, base)
}

// syncTree syncs all files and directories below root; settled is false if one of them went away
// meanwhile.
func syncTree(root string) (settled bool, err error) {
	settled = true
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && syncable(d) {
			err = syncFile(path)
		}

		if errors.Is(err, fs.ErrNotExist) && path != root {
			settled = false
			return nil
		}
		return err
	})
	return settled, err
}

// syncable reports whether d is a directory or a regular file.
func syncable(d fs.DirEntry) bool { return d.IsDir() || d.Type().IsRegular() }

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
