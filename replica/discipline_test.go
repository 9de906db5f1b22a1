package replica

import (
	"testing"

	"quartet/bus/message"
	"quartet/bus/model"
)

// The four conditions, one beside the other: what a replica must have seen of the order before
// it may answer a get whose session has come to position or number 5.
func TestMayAnswer(t *testing.T) {
	m := New(Config{Self: 1})
	tests := []struct {
		seen                                       seen
		linearizable, sequential, causal, eventual bool
	}{
		{seen{}, false, false, false, true},
		{seen{position: 9, safe: 9}, false, false, true, true}, // its turn has not come
		{seen{turn: true}, true, false, false, true},           // behind its session
		{seen{turn: true, position: 4, safe: 4}, true, false, false, true},
		{seen{turn: true, position: 5, safe: 4}, true, true, false, true},
		{seen{turn: true, position: 4, safe: 5}, true, false, true, true},
		{seen{turn: true, position: 5, safe: 5}, true, true, true, true},
	}
	for _, test := range tests {
		for consistency, want := range map[model.Consistency]bool{
			model.Linearizable: test.linearizable, model.Sequential: test.sequential, model.Causal: test.causal,
			model.Eventual: test.eventual,
		} {
			r := &message.Request{}
			r.Model, r.Min = consistency, 5
			if got := m.disciplines[consistency].mayAnswer(r, test.seen); got != want {
				t.Errorf("%v, seen %+v: %v", consistency, test.seen, got)
			}
		}
	}
}
