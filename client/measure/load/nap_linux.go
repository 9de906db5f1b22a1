package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// fineTimers has this thread's sleeps end when they should: by default the system may
// make each 50 µs longer. Where it refuses, the sleeps stay as they are.
func fineTimers() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) }

// nap sleeps for d, or less. The runtime's own timers are late by up to a millisecond in
// a process with nothing else to do, which is more than a request takes.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal ends it early: whoever waits looks at the clock again
}
