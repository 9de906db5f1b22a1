package replicanode_test

import (
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/host/loop"
	"quartet/replica/dedup"
)

// What replicas keep is what the public contract promises to clients, and a part more for
// what the bus takes.
func TestReplicasKeepWhatIsPromised(t *testing.T) {
	limits := dedup.Limits{}.Filled()
	if promised := time.Duration(limits.Promised()) * loop.Tick; promised != bus.RetryWindow {
		t.Errorf("%d ticks are kept, %s of them for clients, who are promised %s", limits.KeepTicks, promised, bus.RetryWindow)
	}
}
