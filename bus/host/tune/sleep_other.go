//go:build !linux

package tune

import "time"

// sleeps reports whether sleep is a system call that keeps its processor.
const sleeps = false

func sleep() { time.Sleep(8 * time.Millisecond) }
