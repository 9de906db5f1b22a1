package history

import (
	"testing"

	"quartet/bus/model"
)

// Whatever a correct store answers, with revisions and positions, every checker accepts.
func TestAcceptsTheReference(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(300) {
		for _, models := range [][]model.Consistency{
			{model.Linearizable}, {model.Sequential}, {model.Linearizable, model.Sequential},
			{model.Linearizable, model.Eventual}, {model.Linearizable, model.Sequential, model.Eventual},
		} {
			h := newReferenceStore(seed, 3, models...).run(40)
			for _, v := range All(h, Budget{}) {
				count[v.Check]++
				if !v.OK() {
					t.Fatalf("seed %d, %v: %s", seed, models, v)
				}
			}
		}
	}
	for _, check := range []string{transactions, lists, watches, revisions} {
		if count[check] < 500 {
			t.Errorf("%s judged %d histories", check, count[check])
		}
	}
}
