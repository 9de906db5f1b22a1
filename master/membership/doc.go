// Package membership is the decisions of the master about views, as a state machine of their own
// (rules F1, F3, F4 and F7 of replica/DESIGN.md). It promises one record an epoch, and that
// whatever was acknowledged in an epoch is held by every member of the next.
//
//	membership.go  what a master knows of the replicas, and what it is told
//	change.go      from PREPARE to the record of the next epoch
//	record.go      the compare-and-set, and what its outcome may be
//	why.go         what is missing, in words
//
// [Machine] is pure: it takes messages, ticks and the outcomes of its commands, and
// appends to an [Output]. Package master owns one; the simulation runs it with everything
// else.
package membership
