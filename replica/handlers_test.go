package replica

import (
	"testing"

	"quartet/bus/message"
)

// Each message means something in each condition, or is dropped by name. TestTheDoor
// shows what comes in of it.
func TestEveryMessageMeansSomethingInEveryCondition(t *testing.T) {
	if place := handlers.missing(); place != "" {
		t.Errorf("nothing says what is to be done about %s", place)
	}
	for kind := message.Kind(1); kind <= message.KindLast; kind++ {
		for c := range conditions {
			table := handlers
			table[kind][c] = reaction{}
			if table.missing() == "" {
				t.Errorf("that nothing is said about %v while %s is not seen", kind, conditionNames[c])
			}
		}
	}
}

// Only messages that are for masters are dropped in every condition.
func TestWhatIsDroppedAlways(t *testing.T) {
	toMasters := map[message.Kind]bool{
		message.KindHello: true, message.KindInstalled: true, message.KindAnswers: true, message.KindReport: true, message.KindState: true,
		message.KindVote: true,
	}
	for kind := message.Kind(1); kind <= message.KindLast; kind++ {
		always := true
		for c := range conditions {
			always = always && handlers[kind][c].take == nil
		}
		if always != toMasters[kind] {
			t.Errorf("%v is dropped in every condition: %v", kind, always)
		}
	}
}
