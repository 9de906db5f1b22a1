// Package replica is a replica's machine: one broadcast, one order, four disciplines. It promises
// that every write travels on one atomic broadcast (package abcast) and ends at one place in one
// total order; the four models differ in how much of that order a replica must have seen before it
// may answer. Each has its file:
//
//	linearizable.go  at its own place in the order; gets in a turn of this replica's queue, fenced
//	sequential.go    sets likewise; gets behind what stands in this replica's queue
//	causal.go        once this replica's safe watermark has reached the minimum
//	eventual.go      at once
//
// The condition of each is its method mayAnswer; discipline.go has the four in one table, and
// handlers.go what each message means. epoch.go begins and ends an epoch (the rules F1 to F7).
//
// What a replica holds, the committed and the tentative layer and the table of executed
// requests, is package layers. How it comes into a view and leaves it is package view.
//
// [Machine] is pure: it takes messages and ticks and appends to an [Output]. It has no
// I/O, goroutine, lock, wall clock or randomness, and never lets map order decide. The
// shell (package replicanode) and the simulation (package sim) drive the same machine; what it
// relies on is the eleven duties of package loop (bus/host/loop).
// DESIGN.md beside this file gives the protocol with its reasons.
package replica
