//go:build !linux

package room

import "os"

// allocate gives f so many bytes of room.
func allocate(f *os.File, size int64) error { return zeros(f, size) }
