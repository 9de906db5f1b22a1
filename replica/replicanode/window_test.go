package replicanode_test

import (
	"testing"

	"quartet/bus"
	"quartet/bus/host/loop"
	"quartet/replica/layers"
)

// What replicas keep is what the public contract promises to clients, and a part more for
// what the bus takes.
func TestReplicasKeepWhatIsPromised(t *testing.T) {
	if kept := layers.DefaultKeepTicks * loop.Tick; kept*4/5 != bus.RetryWindow {
		t.Errorf("executed sets are kept for %s, four fifths of which are %s, and clients are promised %s", kept, kept*4/5, bus.RetryWindow)
	}
}
