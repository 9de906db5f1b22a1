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
//	request.go   from a client's request to its reply: flights, batches
//	known.go     identities: a repeated set is answered with its first outcome
//	stamp.go     versions of eventual writes
//	fence.go     linearizable gets that have no place in the order (L1 to L5)
//	primary.go   causal numbers: given out, safe, held by all
//	lists.go     to which replica the next page of a list goes
//	view.go      the view: what waits for it, and what is sent again after a replica died (F5)
//	early.go     models 3 and 4 before there is a view (W1)
//	history.go   whether a session, or a cursor, is of this cluster's history (F13)
//	voting.go    the record of views, where the replicas decide it (D1 to D9)
//	handlers.go  what each kind of message means to the master
//	status.go    what quartet.status says
package master
