package model

import "quartet/bus/lamport"

// Answer is how a request ended: the one list of what passes through every form of an answer,
// from the replica to the client's call. Each form embeds it, so a new field is added here, to
// what writes and reads it (bus: reply, JSON, batch; bus/codec) and to the protocol that uses
// it; client/judge/archtest/forms_test.go fails where a form forgets it.
type Answer struct {
	RID         uint64       // the cluster's own id of the request
	Replica     lamport.Node // that served it; 0: none did
	Code        Code         // OK, or a FAIL's
	HasPosition bool         // Position is given, even if it is 0
	Position    uint64       // in the total order: sequential, linearizable
	Timestamp   uint64       // causal: the number of the value that was written or read; 0: none

	// Revision is the position of the write that left what was written or read; with code Failed
	// that of the key as it is, 0: no value. HasRevision: it is given, even if it is 0.
	HasRevision bool
	Revision    uint64
	Expires     uint64 // of a get: when the value ends, in milliseconds since 1970; 0: never

	Clock  lamport.Timestamp // of the node that answered
	Reason string            // one line, of a FAIL

	// Value is that of a get, nil if it is a FAIL's; the sum of an Add, in decimal; the
	// [Results] of a Txn and the [Page] of a List as package codec writes them. Shared, never
	// written to.
	Value []byte
}

// Size is the bytes of the parts that have no fixed length: what batches are cut by.
func (a *Answer) Size() int { return len(a.Value) + len(a.Reason) }
