package history

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"quartet/bus/model"
)

// spoilAnswer makes what one answer says of a value another one that was written, or another sum.
func spoilAnswer(r *rand.Rand, h []Operation) bool {
	for _, i := range r.Perm(len(h)) {
		o := &h[i]
		isRead := o.Type == model.Get && o.Model.Strong() && o.Found
		isSum := o.Type == model.Add && o.Outcome == OK && !o.Refused()
		switch {
		case isRead:
			o.Found, o.Output, o.HasRevision, o.Revision, o.Code = false, "", false, 0, 404
			return true
		case isSum:
			n, _ := strconv.Atoi(o.Output)
			o.Output = strconv.Itoa(n + 1)
			return true
		}
	}
	return false
}

// What no order at all explains has no witness, either: of spoilt histories with writes of unknown
// outcome all that the search without positions refuses is refused with them.
func TestWitnessIsAnOrder(t *testing.T) {
	asked := 0
	for seed := range uint64(250) {
		h := newReferenceStore(seed, 3, model.Linearizable, model.Sequential).run(14)
		if !spoilAnswer(rand.New(rand.NewPCG(seed, 9)), h) {
			continue
		}
		search := SequentialSearch(withoutPositions(slices.DeleteFunc(slices.Clone(h), func(o Operation) bool {
			return prefixed(o.Type)
		})), Budget{Steps: 20_000})
		if search.Result != Violated {
			continue
		}

		asked++
		w, why := newOrder(sequential, h, 0)
		if why != nil {
			t.Fatalf("seed %d: %s", seed, why)
		}
		if w.findWitness(func([]Operation) bool { return true }) {
			t.Errorf("seed %d: a witness was found of what has no order: %s", seed, search)
		}
	}
	if asked < 100 {
		t.Errorf("only %d histories were spoilt so that no order explains them", asked)
	}
}
