// Package master is the master's machine. It promises that every request gets an id, one stamp, a
// replica that serves it, and exactly one answer: an outcome, or "unknown" after the timeout. It is
// also the primary of the causal model: it numbers causal writes and sends each to every replica.
//
// [Machine] is pure, like the replica's: requests, messages and ticks go in, an [Output]
// comes out. It has no I/O, goroutine, lock, wall clock or randomness; where chance
// decides (which replica serves), the caller brings the number. The shell is package
// masternode, which owes it the eleven duties of package loop (bus/host/loop); the ledger, package
// ledger.
//
//	machine.go   turns: what goes in, what comes out
//	view.go      boot acknowledgements, the view, who answers and who is suspected
//	request.go   from a client's request to its reply
//	known.go     identities: a repeated set is answered with its first outcome
//	primary.go   causal numbers: given out, safe, held by all
//	status.go    what quartet.status says
package master
