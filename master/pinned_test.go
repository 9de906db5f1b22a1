package master_test

import (
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Rules P1 and P2, in every model: a get that was under way at the replica that it names, when that
// replica left the view, is refused; a write may have been executed and is finished by another.
func TestP1P2ARequestOfAReplicaThatHasLeft(t *testing.T) {
	gone := map[string]func(o *one){
		"its process has ended": func(o *one) { o.lost(3) },
		"an operator has removed it": func(o *one) {
			o.turn(func() { o.Remove(3) })
			o.lost(3)
		},
	}
	for cause, leave := range gone {
		for _, m := range model.All {
			for _, kind := range []string{"get a", "set a 1", "delete a", "add a 1", "txn a"} {
				request := at(3, in(m.Word()+" "+kind))
				if !request.Request.Type.In(m) {
					continue
				}
				t.Run(cause+"/"+m.Word()+" "+kind, func(t *testing.T) {
					o := ready(t, configured(3, 1))
					o.ask(request)
					leave(o)
					isGet := kind == "get a"
					isCausalGet := m == model.Causal && isGet
					needsNoView := m == model.Eventual || isCausalGet
					var sent []string
					refused := func() {
						if !isGet {
							return
						}
						o.expect("1 #1 503")
						if why := o.reason(); o.out.Replies[0].Replica != 0 || !strings.Contains(why, "replica r3 ") {
							t.Errorf("refused by %v: %s", o.out.Replies[0].Replica, why)
						}
					}
					if needsNoView { // it is settled at once (rule W2), and not again in the next view
						refused()
						sent = o.forwarded()
					}

					o.wedged(0, 1, 2)
					o.decide()
					if !needsNoView {
						refused()
					}
					o.installed()
					sent = append(sent, o.forwarded()...)
					switch {
					case isGet:
						if len(sent) != 0 {
							t.Errorf("forwarded %v", sent)
						}
						o.answer(3, 1, model.OK) // it comes too late
						o.expect()

					case m == model.Causal: // the primary's, whatever replica it names
						o.holds(1, 1)
						o.holds(2, 1)
						if n := o.InFlight(); n != 0 {
							t.Errorf("%d wait", n)
						}

					default:
						toR1, toR2 := slices.Equal(sent, []string{"r1 #1"}), slices.Equal(sent, []string{"r2 #1"})
						if !toR1 && !toR2 {
							t.Fatalf("forwarded %v, want #1 to r1 or r2", sent)
						}
						by := lamport.Replica(1)
						if toR2 {
							by = 2
						}

						o.answer(by, 1, model.OK)
						o.expect("1 #1 200")
						if got := o.out.Replies[0].Replica; got != by {
							t.Errorf("the reply names %v, and %v has executed it", got, by)
						}
					}
				})
			}
		}
	}
}

// A set that no replica has been sent is refused like a get: nothing can have happened.
func TestP2ASetThatNoReplicaWasSentIsRefused(t *testing.T) {
	for _, m := range []model.Consistency{model.Linearizable, model.Sequential} {
		o := ready(t, configured(5, 2))
		o.lost(2)
		o.ask(id("x", at(3, in(m.Word()+" set a 1"))), at(3, in("causal set a 1")))
		o.expect()
		o.lost(3)
		o.wedged(0, 1, 4, 5)
		o.decide()
		o.expect("1 #1 503")
		o.installed()
		if got := o.forwarded(); len(got) != 0 {
			t.Errorf("%s: forwarded %v", m.Word(), got)
		}
		if writes := o.numbered(1); len(writes) != 1 || writes[0].Request.RID != 2 {
			t.Errorf("%s: the causal set is the primary's, and was not numbered: %+v", m.Word(), writes)
		}

		// Its identity is free: sent again without a name it is executed.
		o.ask(id("x", in(m.Word()+" set a 1")))
		if got := o.forwarded(); len(got) != 1 || slices.Contains(got, "r3 #3") {
			t.Errorf("%s: sent again it goes to %v", m.Word(), got)
		}
	}
}
