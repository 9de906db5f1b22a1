package bus

import "fmt"

// Status is the JSON object that answers on [Subjects.Status]. Fields may be added;
// those of the public contract keep their names and meanings.
type Status struct {
	Ready    bool     `json:"ready"`              // the cluster serves all four models
	Reason   string   `json:"reason,omitempty"`   // why it is not ready, one line
	Warnings []string `json:"warnings,omitempty"` // what will fail at the next fault, and what anybody may do; a line each
	Version  string   `json:"version"`            // of the quartet that answers
	Data     string   `json:"data"`               // where the members keep data: [DataMemory], [DataDisk] or [DataMixed]
	// of disks, the weakest: "interval" (survives kill -9) or "always" (a power cut)
	Sync      string          `json:"sync,omitempty"`
	Cluster   string          `json:"cluster,omitempty"`    // its identity: see [ClusterName]; "": no view yet
	Epoch     uint64          `json:"epoch"`                // of the installed view; 0: none yet
	Survives  string          `json:"survives,omitempty"`   // what acknowledged data survive, one line
	InProcess bool            `json:"in_process,omitempty"` // the master's own replicas are goroutines of its process, and end with it
	Master    MasterStatus    `json:"master"`
	Replicas  []ReplicaStatus `json:"replicas"` // by id, members or not; never null

	// Masters are those that lead or stand by, by name; none where there can be but one.
	Masters []MasterPeer `json:"masters,omitempty"`
}

// MasterPeer is one of several masters.
type MasterPeer struct {
	Name   string `json:"name"`
	Role   string `json:"role"` // stands by, comes, leads or leaves
	PID    int    `json:"pid"`
	Host   string `json:"host,omitempty"`
	URL    string `json:"url,omitempty"`    // of its NATS server
	Silent uint64 `json:"silent,omitempty"` // for how many ms it has not been heard, where that is long
}

// ClusterName is a cluster's identity as people and programs are shown it: 16 hexadecimal
// digits; "" of 0, which is no identity.
func ClusterName(id uint64) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", id)
}

// The values of [Status.Data].
const (
	DataMemory = "memory"
	DataDisk   = "disk"
	DataMixed  = "mixed" // some members have disks, some have not
)

// MasterStatus is the master's part.
type MasterStatus struct {
	ID          string `json:"id"`
	Name        string `json:"name,omitempty"` // of one that others may follow: see [Status.Masters]
	PID         int    `json:"pid"`
	Host        string `json:"host,omitempty"` // on which its process runs
	Incarnation uint64 `json:"incarnation"`
	Clock       uint64 `json:"clock"`   // Lamport time
	Last        uint64 `json:"last"`    // the highest causal number given out
	Safe        uint64 `json:"safe"`    // the highest causal number that may be read
	Pending     uint64 `json:"pending"` // requests taken and not yet answered
}

// ReplicaStatus is one replica's part, from its last report.
type ReplicaStatus struct {
	ID          string `json:"id"`
	PID         int    `json:"pid"`
	Incarnation uint64 `json:"incarnation"`
	Member      bool   `json:"member"`    // false: it is catching up, was removed, or was never heard
	Clock       uint64 `json:"clock"`     // Lamport time
	Position    uint64 `json:"position"`  // totally ordered operations applied
	Timestamp   uint64 `json:"timestamp"` // the highest causal number seen without a gap
	Safe        uint64 `json:"safe"`      // the highest causal number that it may let be read
	Keys        uint64 `json:"keys"`
	Tombstones  uint64 `json:"tombstones"`       // keys without a value of which it still holds that they were deleted, or ended
	Pending     uint64 `json:"pending"`          // requests taken and not yet answered
	Tentative   uint64 `json:"tentative"`        // weak writes not yet committed
	Queue       uint64 `json:"queue"`            // broadcasts received and not yet delivered
	Reason      string `json:"reason,omitempty"` // why it is no member, one line
	Phase       string `json:"phase,omitempty"`  // boot, member, wedged, learning or caught; "": never heard

	// CollectedAgo is how long before its last report it has collected tombstones last, in
	// milliseconds, 10 at the least; 0: its process never has.
	CollectedAgo uint64 `json:"collected_ms_ago,omitempty"`

	// Unheard are the other replicas from which it has received nothing for the suspicion time,
	// although the master hears both: the network between them is cut.
	Unheard []string `json:"does_not_hear,omitempty"`

	Data string `json:"data,omitempty"` // of a member, as it says itself: [DataMemory] or [DataDisk]; "": it has not said
	Sync string `json:"sync,omitempty"` // of DataDisk

	// Of a process that this master starts and restarts.
	// it is one; false: another master's, or started by hand: this one doesn't start it again
	Supervised bool   `json:"supervised,omitempty"`
	Restarts   int    `json:"restarts,omitempty"`   // how often in a row it has ended since it last lived for half a minute
	LastError  string `json:"last_error,omitempty"` // how it ended last, one line
}
