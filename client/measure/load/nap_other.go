//go:build !linux

package load

import "time"

func fineTimers() {}

// nap sleeps for d, or less; as precisely as the runtime does.
func nap(d time.Duration) { time.Sleep(d) }
