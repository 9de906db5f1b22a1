package timeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// ErrUnavailable says that the kernel lets nobody, or not this user, record.
var ErrUnavailable = errors.New("timeline: the kernel's tracefs cannot be used: it takes Linux, root, and `mount -t tracefs tracefs /sys/kernel/tracing`")

// Where tracefs is.
const tracefs = "/sys/kernel/tracing"

// bufferKiB is the room for events, in KiB a processor: some 100 bytes for each.
const bufferKiB = 16 << 10

// setting is a file of tracefs and what is written there.
type setting struct{ file, value string }

// Record has the kernel record events of the scheduler for a while, in an instance of its own of
// tracefs, which it removes, and returns them as [Read] reads them. The error wraps
// [ErrUnavailable], or ctx's.
func Record(ctx context.Context, lasts time.Duration) (trace []byte, err error) {
	dir := filepath.Join(tracefs, "instances", fmt.Sprintf("quartet-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()

	set := func(settings ...setting) error {
		for _, s := range settings {
			if err := os.WriteFile(filepath.Join(dir, s.file), []byte(s.value), 0); err != nil {
				return fmt.Errorf("%w: %w", ErrUnavailable, err)
			}
		}
		return nil
	}
	if err := set(
		setting{"tracing_on", "0"}, setting{"trace_clock", "mono"}, setting{"buffer_size_kb", strconv.Itoa(bufferKiB)},
		setting{"events/sched/sched_switch/enable", "1"}, setting{"events/sched/sched_waking/enable", "1"},
		setting{"tracing_on", "1"},
	); err != nil {
		return nil, err
	}

	over := time.NewTimer(lasts)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := set(setting{"tracing_on", "0"}); err != nil {
		return nil, err
	}
	trace, err = os.ReadFile(filepath.Join(dir, "trace"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return trace, nil
}

// Threads returns the threads that a process has now. Those of a process that has ended are none.
func Threads(process string, pid int) []Thread {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var all []Thread
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil {
			all = append(all, Thread{ID: id, Process: process})
		}
	}
	return all
}
