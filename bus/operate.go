package bus

// RecoverRequest asks, on [Subjects.Recover], what would be lost if the cluster went on
// with the replicas that are there; with Yes it has it go on.
type RecoverRequest struct {
	Yes bool `json:"yes,omitempty"`
	// Absent are, with Yes, the replicas of whose loss the operator was told. If another is
	// missing by now, nothing is done.
	Absent []string `json:"absent,omitempty"`
}

// RecoverReply answers a [RecoverRequest].
type RecoverReply struct {
	Error   string   `json:"error,omitempty"`  // why nothing is done, one line
	Ready   bool     `json:"ready"`            // there is nothing to recover
	Reason  string   `json:"reason,omitempty"` // why it is not ready
	Absent  []string `json:"absent"`           // members of the newest view that are missing: what only they hold is lost
	Present []string `json:"present"`          // members that are there
	// Base and Position are set if no member is there, but a replica that has come back
	// with a part of what was acknowledged: the one that has come furthest, and how far.
	Base     string `json:"base,omitempty"`
	Position uint64 `json:"position,omitempty"`
	Begun    bool   `json:"begun"` // the next view will be formed of those that are there
}

// RemoveRequest asks, on [Subjects.Remove], to take a replica out of the cluster for good.
type RemoveRequest struct {
	Replica string `json:"replica"`
}

// RemoveReply answers a [RemoveRequest]. The replica is out once it has gone from the
// [Status].
type RemoveReply struct {
	Error string `json:"error,omitempty"` // why it is not removed, one line
	Begun bool   `json:"begun"`           // it leaves with the next view
}
