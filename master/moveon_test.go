package master_test

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// W2: what needs no view, and was sent to a replica that has ended since, is sent to another at
// once, though no next view stands; a get that names the replica is refused. A late answer changes
// nothing.
func TestW2WeakRequestsMoveOn(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(3, in("eventual get a")), at(3, in("eventual set a 1")), at(1, in("causal get a")))
	sent := versions(o)
	o.lost(3)
	o.expect("1 #1 503")
	moved := versions(o)
	if len(moved) != 1 || moved[2] == (lamport.Version{}) || moved[2] != sent[2] {
		t.Fatalf("sent %v, moved on %v", sent, moved)
	}

	o.answer(1, 3, model.OK)
	o.expect("3 #3 200")
	o.answer(3, 1, model.OK)
	o.expect()
}

// versions are those of the requests that are forwarded, by rID.
func versions(o *one) map[uint64]lamport.Version {
	list := map[uint64]lamport.Version{}
	for _, f := range taken[*message.Forward](o) {
		for _, r := range f.Requests {
			list[r.RID] = r.Version
		}
	}
	return list
}
