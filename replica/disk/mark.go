package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// mark is the content of the mark file, which stands outside of the engine: how the store was used
// last, and which turns must be in it.
type mark struct {
	clean   bool   // the last use ended with Close
	sync    Sync   // the mode of the last use
	boot    string // the boot of the machine in which that was; see Options.BootID
	written uint64 // this turn was handed to the operating system, if not to the medium
	synced  uint64 // this turn was on the medium
	lost    bool   // the last turns of an incarnation may be missing; see TailMayBeMissing
	of      uint64 // that incarnation
}

// The file is one sector that is overwritten in place: it is there in its old or in its
// new form.
const (
	markName  = "mark"
	markSize  = 128
	markMagic = "quartet1"
	markSum   = markSize - 4 // where the checksum stands
)

// Flags of a mark.
const (
	markClean = 1 << iota
	markLost
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errMark = errors.New("the mark file cannot be read")

func (m *mark) encode(b *[markSize]byte) {
	clear(b[:])
	copy(b[:8], markMagic)
	if m.clean {
		b[8] |= markClean
	}
	if m.lost {
		b[8] |= markLost
	}

	b[9] = byte(m.sync)
	binary.BigEndian.PutUint64(b[10:], m.written)
	binary.BigEndian.PutUint64(b[18:], m.synced)
	binary.BigEndian.PutUint64(b[26:], m.of)
	b[34] = byte(len(m.boot))
	copy(b[35:35+maxBootID], m.boot)
	binary.BigEndian.PutUint32(b[markSum:], crc32.Checksum(b[:markSum], castagnoli))
}

func decodeMark(b []byte) (mark, error) {
	if len(b) != markSize || string(b[:8]) != markMagic {
		return mark{}, errMark
	}
	isSound := binary.BigEndian.Uint32(b[markSum:]) == crc32.Checksum(b[:markSum], castagnoli)
	if !isSound || b[34] > maxBootID {
		return mark{}, errMark
	}

	return mark{
		clean: b[8]&markClean != 0, lost: b[8]&markLost != 0, sync: Sync(b[9]),
		written: binary.BigEndian.Uint64(b[10:]), synced: binary.BigEndian.Uint64(b[18:]), of: binary.BigEndian.Uint64(b[26:]),
		boot: string(b[35 : 35+b[34]]),
	}, nil
}

// readMark returns what the mark file says; nil if there is none, or an empty one, which a crash at
// the very first start leaves behind. Its error is errMark if the file holds no mark.
func readMark(fs vfs.FS, name string) (*mark, error) {
	f, err := fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()

	b, err := io.ReadAll(io.LimitReader(f, markSize+1))
	if err != nil || len(b) == 0 {
		return nil, err
	}

	m, err := decodeMark(b)
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// markFile is the open mark file. It is written by the owner of the Disk at each commit
// and by the goroutine that syncs.
type markFile struct {
	mu  sync.Mutex
	f   vfs.File
	m   mark
	buf [markSize]byte
}

// openMark opens the mark file in dir, or makes it, and writes m into it. Both are on the medium
// afterwards.
func openMark(fs vfs.FS, dir string, m mark) (*markFile, error) {
	f, err := fs.OpenReadWrite(fs.PathJoin(dir, markName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}

	mf := &markFile{f: f, m: m}
	if err := mf.update(true, func(*mark) {}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := syncDir(fs, dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return mf, nil
}

// update changes the mark; with sync it is on the medium afterwards.
func (mf *markFile) update(sync bool, change func(*mark)) error {
	mf.mu.Lock()
	defer mf.mu.Unlock()
	change(&mf.m)
	mf.m.encode(&mf.buf)

	if _, err := mf.f.WriteAt(mf.buf[:], 0); err != nil {
		return fmt.Errorf("disk: mark: %w", err)
	}
	if !sync {
		return nil
	}
	if err := mf.f.Sync(); err != nil {
		return fmt.Errorf("disk: mark: %w", err)
	}
	return nil
}

// syncDir puts the names in a folder on the medium.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
