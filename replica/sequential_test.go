package replica_test

import (
	"testing"

	"quartet/bus/message"
)

// A session's request waits until this replica has come as far, and is refused after the wait.
func TestSequentialMinimumPosition(t *testing.T) {
	min := func(n uint64) func(*message.Request) { return func(r *message.Request) { r.Min = n } }
	t.Run("reached: served", func(t *testing.T) {
		o := alone(t, 1, 10)
		o.ask(request(1, "linearizable set a 1"))
		o.expect(o.ask(with(request(2, "sequential get a"), min(1)), with(request(3, "sequential set a 2"), min(1))),
			"#3 200 at 2", "#2 200 2 at 2")
	})
	t.Run("reached in time: served then, the set in its order", func(t *testing.T) {
		o := alone(t, 1, 10)
		o.expect(o.ask(with(request(1, "sequential get a"), min(2)), with(request(2, "sequential set a 2"), min(1))))
		o.pass(wait - 1)
		o.expect(o.ask(request(3, "linearizable set a 1")), "#3 200 at 1", "#2 200 at 2", "#1 200 2 at 2")
	})
	t.Run("not reached: refused after the wait, and for good", func(t *testing.T) {
		o := alone(t, 1, 10)
		set := with(request(2, "sequential set a never"), min(1))
		o.ask(with(request(1, "sequential get a"), min(1)), set)
		o.pass(wait - 1)
		o.expect(o.answers())
		o.pass(1)
		o.expect(o.answers(), "#2 425", "#1 425")
		o.ask(request(3, "linearizable set b 1"))
		o.expect(o.ask(set), "#2 425 at 1")
		if _, ok := o.store.Get("a"); ok {
			t.Error("a refused set was executed")
		}
	})
}

// "Not executed" is a promise: a late copy of a refused set is refused, too.
func TestSequentialRefusalsAreForgottenOnlyAfterManyMore(t *testing.T) {
	o := alone(t, 1, 10)
	set := request(1, "sequential set a never")
	set.Min = 1
	o.ask(set)
	o.pass(wait)
	for rid := uint64(2); rid < 1<<14; rid++ {
		other := set
		other.RID = rid
		o.ask(other)
	}
	o.pass(wait)
	o.ask(request(1<<20, "linearizable set b 1"))
	o.expect(o.ask(set), "#1 425 at 1")
}
