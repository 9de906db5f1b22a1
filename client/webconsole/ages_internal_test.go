package webconsole

import (
	"testing"
	"time"

	"quartet/bus/model"
	"quartet/client/webconsole/pane"
)

func TestAges(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	a := newAges()
	a.wrote(model.Linearizable, "k", []byte("one"), at(1), at(2))
	a.wrote(model.Linearizable, "k", []byte("two"), at(3), at(4))
	a.wrote(model.Linearizable, "k", []byte("late"), at(5), at(9)) // under way for long

	a.wrote(model.Eventual, "weak", []byte("one"), at(1), at(2))
	a.wrote(model.Eventual, "weak", []byte("two"), at(3), at(4))

	for name, test := range map[string]struct {
		value string
		began int
		want  pane.Age
	}{
		"the newest":                 {"two", 6, pane.Age{Known: true, Old: 6 * time.Second}},
		"one that was replaced":      {"one", 6, pane.Age{Known: true, Old: 8 * time.Second, Stale: true, Replaced: 2 * time.Second}},
		"replaced while it was read": {"one", 3, pane.Age{Known: true, Old: 8 * time.Second}},
		"of somebody else":           {"three", 6, pane.Age{}},
	} {
		if got := a.of(model.Linearizable, "k", []byte(test.value), at(test.began), at(10)); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}

	for m, want := range map[model.Consistency]bool{model.Linearizable: false, model.Sequential: false, model.Causal: true, model.Eventual: true} {
		if got := a.of(m, "weak", []byte("one"), at(6), at(10)); got.Stale != want {
			t.Errorf("%s: of a weak write: %+v", m, got)
		}
	}

	for range 2 * agedWrites {
		a.wrote(model.Linearizable, "k", []byte("more"), at(10), at(11))
	}
	for i := range 2 * agedKeys {
		a.wrote(model.Linearizable, string(rune('A'+i)), nil, at(10), at(11))
	}
	if len(a.keys) != agedKeys || len(a.order) != agedKeys {
		t.Errorf("%d keys are kept, %d in order", len(a.keys), len(a.order))
	}
}
