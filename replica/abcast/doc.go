// Package abcast is atomic broadcast within one epoch. It promises that every member delivers the
// same DATA in the same order, and delivers one only when every member holds it.
//
// It is the totally ordered multicast of Lamport 1978, section 5, with two additions.
// The network may lose, duplicate and reorder, so DATA are numbered and asked for
// again (rules S1 to S3). And delivery is safe delivery (rule S4): the textbook's
// condition, "nobody will send anything older", says nothing about who holds the
// message, so an operation could be delivered, answered, and then die with its sender
// and one receiver.
//
//	S1  DATA(e, sender, seq, timestamp, ops…); timestamps rise with seq
//	S2  ACK(e, sender, clock, lastSeq, received[·]); cumulative, idempotent
//	S3  heard[j] rises to an announced clock only once j's DATA up to lastSeq are held
//	S4  deliver the head (sender i, seq n, time t) of the queue iff
//	      (A) heard[j] >= t for every member j:     none can send an older one
//	      (B) received_j[i] >= n for every member j: everyone holds it
//
// (A) reads >= because an announced clock c means that every later DATA has a time
// greater than c: a DATA of time t' > c >= t is younger whatever its node. Rule S5,
// the identity looked up at delivery, is the machine's (package replica).
//
// The package is pure: no I/O, no goroutine, no lock, no wall clock. One owner calls
// it; time is counted in ticks.
package abcast
