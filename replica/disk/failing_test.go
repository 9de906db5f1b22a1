package disk

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"quartet/replica/durable"
)

// Each write of the file system fails once, in one run each, and from then on all in
// another: the error is returned by a commit or is harmless, nothing panics or hangs, and
// what was committed before is there.
func TestEveryWriteFails(t *testing.T) {
	t.Parallel()
	const turns = 120
	failed, harmless := 0, 0
	for _, stays := range []bool{false, true} {
		for _, mode := range []Sync{Interval, Always} {
			for n, writes := int64(-1), int64(1); n < writes; n += 1 + n/12 {
				what := fmt.Sprintf("%v, write %d fails, stays=%t", mode, n, stays)
				var seen atomic.Int64
				mem := vfs.NewCrashableMem()
				o := inMemory(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
						return nil
					}
					at := seen.Add(1) - 1
					fails := at == n
					if stays && n >= 0 {
						fails = at >= n
					}
					if fails {
						return syscall.EIO
					}
					return nil
				})))
				o.Sync, o.memTable = mode, 64<<10

				before, after, err := untilItFails(t, o, turns)
				if n < 0 { // none fails: how many there are
					writes = seen.Load()
				}

				switch {
				case err == nil:
					harmless++
				case !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged):
					t.Fatalf("%s: %v", what, err)
				default:
					failed++
				}

				o.fs = killed(mem)
				d, saved, err := Open(t.Context(), o)
				if err != nil {
					t.Fatalf("%s: then Open: %v", what, err)
				}
				if diff := oneOf(d, saved, before, after); diff != "" {
					t.Fatalf("%s: %s", what, diff)
				}

				mustClose(t, d)
			}
		}
	}
	t.Logf("%d runs failed, %d did not", failed, harmless)
	if failed < 100 {
		t.Error("too few runs failed to show anything")
	}
}

// untilItFails commits turns and closes, and returns the first error, and what is on disk
// if the turn that failed is not there, and if it is.
func untilItFails(t *testing.T, o Options, turns int) (before, after snapshot, err error) {
	d, _, err := Open(t.Context(), o)
	if err != nil {
		return before, after, err
	}
	w := newWorld(4, 50)
	for i := 0; i < turns && err == nil; i++ {
		before = after
		turn := w.turn(d)
		after = w.snapshot()
		if err = d.Commit(turn); err == nil {
			before = after
		}
		if i%20 == 10 && err == nil && o.Sync == Interval {
			d.sync()
		}
	}

	kept := d.Err()
	closed := d.Close()
	switch {
	case err != nil && kept == nil, err != nil && closed == nil:
		t.Fatalf("the error %v is not kept: %v, %v", err, kept, closed)
	case err == nil && kept != nil && closed == nil:
		t.Fatalf("Close says nothing of %v", kept)
	}
	return before, after, errors.Join(err, closed)
}

// oneOf says how what is on disk differs from both; "" if it is one of them.
func oneOf(d *Disk, saved *durable.Saved, before, after snapshot) string {
	if saved == nil {
		if before.keys == nil {
			return ""
		}
		return "nothing was saved"
	}
	if saved.State.Position == after.saved.State.Position {
		return after.differs(d, saved)
	}
	return before.differs(d, saved)
}
