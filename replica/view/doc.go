// Package view is what a replica needs to come into a view, to leave it, and to come back. It
// promises to know who the replica's process is, what the record of an epoch means for it, and
// whom it hears; and that a replica which was loaded holds what the members hold. The rules are
// DESIGN.md's, "Views: how an epoch ends".
//
//	self.go        who this process is (F6, F8, F10), and whether what it holds counts
//	decide.go      what the record of an epoch means for a replica (F4, F5, F6)
//	learner.go     how a replica outside of the view is loaded (F6)
//	donor.go       what a member gives to a learner
//	neighbours.go  which links to other replicas work (H1)
//
// The replica's machine (package replica) asks, and does what is said: it owns the order, and
// sends. The package is pure: no I/O, clock, goroutine, lock or chance. Times are ticks of 10 ms.
package view
