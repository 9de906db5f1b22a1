// Package disk is what a replica keeps over its end. It promises that what [Disk.Commit] has
// returned is there again after the process is killed, whatever happened to it, and, with [Always],
// after a power cut. It keeps all that a replica must not forget (package durable) and the
// committed layer ([store.Store]) in one Pebble store: a turn is one batch, so a turn is there
// whole or not at all.
//
// # What holds in which mode
//
//   - [Interval]: Commit returns once the operating system has the turn. kill -9 loses
//     nothing. A power cut, or a crash of the machine, can lose what was committed in the
//     last Options.SyncEvery and the time of one sync. The next Open sees by the boot id
//     that this may have happened, and says so: [Disk.TailMayBeMissing].
//   - [Always]: Commit returns once the medium has the turn: one sync a turn, however
//     many requests it has. Neither loses anything.
//
// Pebble alone does not give the first: a commit without sync leaves the end of the log in
// the process's memory until more is written. So both modes commit with sync, and in
// Interval the file system below Pebble answers the log's syncs at once and does them in
// the background (see logFile).
//
// # What is noticed
//
// A store that is damaged does not open ([ErrDamaged]); damage that is met later, in a
// block that has gone bad since, ends the service ([Disk.Err]). Beside Pebble's checksums,
// all of which Open checks, three things guard against what checksums cannot see, which is
// that the end of a file, or a file, is missing without leaving a gap:
//
//   - the mark file (mark.go) says how many turns must be there at the least,
//   - each log of the engine leaves a marker in it, so a log that is lost is a missing
//     number,
//   - what the state counts must be there: keys of the queue, numbers of causal writes,
//     entries of the table of executed requests.
//
// # Errors
//
// The first error of a write or a read is kept and returned by everything that follows:
// nothing is written after it. A caller that gets one stops the process; what was
// committed before is there at the next start. A disk that fills up is to be noticed
// earlier: [Disk.Room].
//
// README.md has the layout and what was measured. The package is a shell: it has
// goroutines, files and clocks; all methods of [Disk] belong to one goroutine.
package disk
