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

	Clock  lamport.Timestamp // of the node that answered
	Reason string            // one line, of a FAIL
	Value  []byte            // of a get: nil if it is a FAIL's. Shared, never written to
}

// Size is the bytes of the parts that have no fixed length: what batches are cut by.
func (a *Answer) Size() int { return len(a.Value) + len(a.Reason) }
