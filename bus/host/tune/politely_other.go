//go:build !linux

package tune

// politely does nothing: it is a policy of Linux's scheduler.
func politely() {}
