// Package watching is what a replica tells its watchers. It promises each watch a stream of events
// without a gap and without a repeat, in the order in which its model shows the changes (rules O20
// to O27 of DESIGN.md): what was there, that the watch has caught up, and every change since.
//
// A watcher that does not acknowledge what it was sent is sent 1 MiB, and then only how much waits
// for it: the changes stay in the replica's log, not with the watch. So a watch costs the replica a
// bounded amount of memory, and no turn of it takes long: what is too much for one turn is told in
// the next.
//
// The package is pure: no I/O, clock, goroutine or lock. The machine (package replica) owns the
// watches, and its shell publishes the events.
package watching
