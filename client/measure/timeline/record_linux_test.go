package timeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quartet/bus/testkit"
)

// needsTracefs ends a test where the kernel lets nobody record, or not us, or has no room for it.
// It asks the kernel, not Record: where this is granted, Record must not fail.
func needsTracefs(t *testing.T) {
	t.Helper()
	dir := filepath.Join(tracefs, "instances", fmt.Sprintf("quartet-try-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skipf("NOT RUN: this machine lets nobody record the scheduler, or not us: %v", err)
	}
	defer func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}()
	if _, err := os.Stat(filepath.Join(dir, "events/sched/sched_waking/enable")); err != nil {
		t.Skipf("NOT RUN: this kernel does not record the scheduler: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "buffer_size_kb"), []byte(strconv.Itoa(bufferKiB)), 0); err != nil {
		t.Skipf("NOT RUN: this machine has no room for what is recorded: %v", err)
	}
}

// takeTurns has two threads of this process wake each other by turns until the test ends: each
// writes a byte and waits, in the kernel, for one of the other.
func takeTurns(t *testing.T) {
	t.Helper()
	var pipes [2][2]int
	for i := range pipes {
		if err := unix.Pipe2(pipes[i][:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := unix.Write(pipes[0][1], []byte{1}); err != nil { // the first one's turn
		t.Fatal(err)
	}

	var isOver atomic.Bool
	var done sync.WaitGroup
	thread := func(hears, speaks int) {
		runtime.LockOSThread() // it ends with the goroutine
		defer unix.Close(hears)
		defer unix.Close(speaks) // so that the other one ends, too
		for !isOver.Load() {
			n, err := unix.Read(hears, []byte{0})
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n == 0 || err != nil {
				return
			}
			if _, err := unix.Write(speaks, []byte{1}); err != nil {
				return
			}
		}
	}
	done.Go(func() { thread(pipes[0][0], pipes[1][1]) })
	done.Go(func() { thread(pipes[1][0], pipes[0][1]) })
	t.Cleanup(func() {
		isOver.Store(true)
		done.Wait()
	})
}

// leavesNothing reports what an ended Record has left in tracefs.
func leavesNothing(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(tracefs, "instances", fmt.Sprintf("quartet-%d", os.Getpid())))
	if err != nil || len(left) > 0 {
		t.Errorf("left in tracefs: %v, %v", left, err)
	}
}

// The kernel records the threads of this very process: each runs, and is woken by the other.
func TestRecord(t *testing.T) {
	needsTracefs(t)
	takeTurns(t)
	// On a busy machine neither may have had a turn while the kernel recorded: then once more.
	testkit.Eventually(t, testkit.Patience, "two threads that wake each other are recorded", func() error {
		threads := Threads("this", os.Getpid())
		text, err := Record(t.Context(), 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		leavesNothing(t)
		trace, err := Read(bytes.NewReader(text), []string{"this"}, append(threads, Threads("this", os.Getpid())...))
		if err != nil {
			return err
		}

		us := trace.Figures().Lanes[0]
		byUs := slices.ContainsFunc(trace.Waits, func(w Wait) bool { return w.Lane == 0 && w.Woken && w.Waker == 0 })
		isRecorded := us.Running > 0 && us.Wakes > 0 && byUs
		if !isRecorded {
			return fmt.Errorf("%+v, woken by each other %t, in %d bytes", us, byUs, len(text))
		}
		return nil
	})
}

// Whoever is not waited for any more records no longer, and leaves nothing either.
func TestRecordIsCancelled(t *testing.T) {
	needsTracefs(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if text, err := Record(ctx, time.Hour); !errors.Is(err, context.Canceled) || text != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	leavesNothing(t)
}

// The threads of a process are those that the kernel has; nobody has none.
func TestThreads(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if all := Threads("this", os.Getpid()); !slices.Contains(all, Thread{unix.Gettid(), "this"}) {
		t.Errorf("thread %d is not among %v", unix.Gettid(), all)
	}
	if all := Threads("nobody", 1<<30); all != nil {
		t.Errorf("no process has the threads %v", all)
	}
}
