package history

import "quartet/bus/model"

const (
	sequential   = "sequential"
	transactions = "transactions"
)

// Sequential judges models 1 and 2 over all keys by the order that the recorded
// positions claim, and a pass is a proof: it is one order that respects every session's
// own and explains every get, every condition and every sum.
//
//   - Within a session positions never fall, and an ordered operation is above all that
//     the session has seen.
//   - An ordered operation that returned before another was called is below it. The same holds for
//     linearizable gets, except that they may share a position with what they read and with each
//     other.
//   - A value with a TTL may end by itself, not before its TTL is over, and a later value never
//     ends because of it.
//
// What txns saw is for [Transactions], lists are for [Lists].
//
// A history whose positions claim an order that explains nothing is violated even if
// another order would do: sessions rely on positions. Without positions the verdict is
// undecided; see [SequentialSearch].
func Sequential(h []Operation) Verdict {
	return inOrder(sequential, h, func(w *order) *Verdict {
		r := newReplay(w, func(o *Operation) bool { return o.Type != model.Txn && !prefixed(o.Type) })
		for _, check := range []func() *Verdict{w.positions, w.realTime, r.run} {
			if v := check(); v != nil {
				return v
			}
		}
		return nil
	})
}

// Transactions judges txns by the order that the recorded positions claim: each took the branch
// that its conditions say, read and did what its answer says, all at its one position, or, where a
// step could not be done, nothing. With [Sequential], which judges where they stand, that is strict
// serializability for model 1, and serializability in each session's order for model 2. A txn of
// gets alone has read one cut.
func Transactions(h []Operation) Verdict {
	return inOrder(transactions, h, func(w *order) *Verdict {
		return newReplay(w, func(o *Operation) bool { return o.Type == model.Txn }).run()
	})
}
