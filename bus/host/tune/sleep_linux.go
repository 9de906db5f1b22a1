package tune

import "syscall"

// sleeps reports whether sleep is a system call that keeps its processor.
const sleeps = true

// sleep is a system call of 8 ms, or less if a signal comes: not time.Sleep, which is a
// timer of the Go runtime and gives the processor away.
func sleep() {
	t := syscall.Timespec{Nsec: 8e6}
	_ = syscall.Nanosleep(&t, nil)
}
