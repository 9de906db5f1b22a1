package disk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// verify checks the checksum of every block of every table; the engine checks a block only
// when it reads it.
func (d *Disk) verify(ctx context.Context, dir string) error {
	levels, err := d.db.SSTables()
	if err != nil {
		return err
	}

	options := d.engineOptions(true).MakeReaderOptions()
	for _, level := range levels {
		for _, table := range level {
			if err := ctx.Err(); err != nil {
				return err
			}

			name := fmt.Sprintf("%06d.sst", uint64(table.BackingSSTNum))
			if err := verifyTable(ctx, d.o.fs, d.o.fs.PathJoin(dir, name), options); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// verifyTable checks the checksums of one table.
func verifyTable(ctx context.Context, fs vfs.FS, name string, o sstable.ReaderOptions) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, o)
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// salvage cuts the engine's last log where it can no longer be read. After a power cut its
// unsynced end may have holes, and the engine, which was told that it was synced, would
// call that damage. What is kept is a prefix of what was committed; whether it is long
// enough, the mark file says. Earlier logs were synced before this one was begun.
func (d *Disk) salvage(dir string) error {
	fs := d.o.fs
	name, number, err := lastLog(fs, dir)
	if err != nil || name == "" {
		return err
	}

	path := fs.PathJoin(dir, name)
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()

	good, err := readable(logReader(record.NewReader, f, number))
	if err == nil {
		return nil
	}

	info, statErr := f.Stat()
	if statErr != nil {
		return statErr
	}
	d.o.Log.Warn("storage: the end of the log was lost with the machine", "dir", d.o.Dir, "log", name, "kept", good,
		"cut", info.Size()-good, "reason", err)
	return cutFile(fs, dir, path, good)
}

// lastLog returns the engine's newest log, by its name and number; "" if it has none.
func lastLog(fs vfs.FS, dir string) (name string, number uint64, err error) {
	files, err := fs.List(dir)
	if err != nil {
		return "", 0, err
	}
	for _, f := range files {
		n, _, ok := wal.ParseLogFilename(f)
		later := name == "" || uint64(n) > number
		if ok && later {
			name, number = f, uint64(n)
		}
	}
	return name, number, nil
}

// logReader exists because the type of a file's number has no name outside of the engine.
func logReader[N ~uint64](open func(io.Reader, N) *record.Reader, f io.Reader, number uint64) *record.Reader {
	return open(f, N(number))
}

// readable returns where the last whole record ends; the error says why it is the last, if
// it is not because the log ends there.
func readable(r *record.Reader) (int64, error) {
	var good int64
	for {
		one, err := r.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, one)
		} else if errors.Is(err, io.EOF) {
			return good, nil
		}
		if err != nil {
			return good, err
		}
		good = r.Offset()
	}
}

// cutFile shortens a file to size bytes: a copy takes its place, which is on the medium before.
func cutFile(fs vfs.FS, dir, path string, size int64) error {
	from, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()

	temporary := path + ".cut"
	to, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}

	_, err = io.Copy(to, io.LimitReader(from, size))
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}
