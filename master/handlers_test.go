package master

import (
	"testing"

	"quartet/bus/message"
)

// Each message means something to a master, or is dropped by name.
func TestEveryMessageMeansSomethingToAMaster(t *testing.T) {
	if kind := handlers.missing(); kind != 0 {
		t.Errorf("nothing says what is to be done about %v", kind)
	}
	for kind := message.Kind(1); kind <= message.KindLast; kind++ {
		incomplete := handlers
		incomplete[kind] = nil
		if incomplete.missing() != kind {
			t.Errorf("that nothing is said about %v is not seen", kind)
		}
	}
}
