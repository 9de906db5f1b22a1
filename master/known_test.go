package master_test

import (
	"fmt"
	"testing"

	"quartet/bus/message"
	"quartet/bus/model"
)

// causalSet has all replicas acknowledge a causal set, and returns how it is answered.
func (o *one) causalSet(name string, age uint64) string {
	o.t.Helper()
	r := id(name, in("causal set a 1"))
	r.Age = age
	o.ask(r)
	if len(o.out.Replies) == 0 {
		last := o.Snapshot().Marks.Last
		for n := range o.record.Members {
			o.holds(o.record.Members[n].Node, last)
			if len(o.out.Replies) > 0 {
				break
			}
		}
	}
	if len(o.out.Replies) != 1 {
		o.t.Fatalf("%s: %+v", name, o.out.Replies)
	}
	reply := o.out.Replies[0]
	return fmt.Sprintf("%d at %d, repeated %t", reply.Code, reply.Timestamp, reply.Repeated)
}

// Causal sets get no second number for as long as they are kept, and what may be the
// repetition of one that is forgotten is refused (rule S6).
func TestS6CausalSetsAreKnownForTheirTime(t *testing.T) {
	cfg := configured(1, 0)
	cfg.Window, cfg.KeepTicks = 2, 100
	o := ready(t, cfg)
	expect := func(name string, age uint64, want string) {
		t.Helper()
		if got := o.causalSet(name, age); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	expect("a", 0, "200 at 1, repeated false")
	expect("b", 0, "200 at 2, repeated false")
	expect("c", 0, "200 at 3, repeated false") // a has left the table of the last two
	o.pass(100)
	expect("a", 0, "200 at 1, repeated true")
	o.pass(1)
	expect("a", 200, "410 at 0, repeated false")
	expect("x", 101, "410 at 0, repeated false")
	expect("y", 20, "200 at 4, repeated false") // younger than what is forgotten
	expect("c", 500, "200 at 3, repeated true") // known, however old
}

// A flight that is under way is known, though more sets than the table holds came after it.
func TestAFlightIsNotForgotten(t *testing.T) {
	cfg := configured(3, 1)
	cfg.Window = 2
	o := ready(t, cfg)
	o.ask(id("a", in("linearizable set a 1")))
	rid := taken[*message.Forward](o)[0].Requests[0].RID
	for i := range 5 {
		o.ask(id(fmt.Sprint("x", i), in("linearizable set a 1")))
	}
	again := id("a", in("linearizable set a 1"))
	o.ask(again)
	for _, f := range taken[*message.Forward](o) {
		for _, r := range f.Requests {
			if r.Identity == "a" && r.RID != rid {
				t.Errorf("a second flight, #%d, of #%d", r.RID, rid)
			}
		}
	}
	o.answer(1, rid, model.OK)
	if n := len(o.out.Replies); n != 2 {
		t.Errorf("%d sendings of a are answered, want both: %+v", n, o.out.Replies)
	}
	o.ask(again) // it has landed, and there was no room for it any more
	if len(o.out.Replies) != 0 {
		t.Errorf("it is known: %+v", o.out.Replies)
	}
}

// A sending that joins a flight and says how old the set is says it of the flight: what the
// master forwards again must not be younger by its word than it is, or a replica that has
// forgotten the set executes it once more (rule S6).
func TestS6AFlightIsAsOldAsItsSendingsSay(t *testing.T) {
	cfg := configured(3, 1)
	cfg.AgainTicks = 1
	o := ready(t, cfg)
	o.pass(50)
	o.ask(id("a", in("linearizable set a 1"))) // it may be the first sending, or not: it does not say
	taken[*message.Forward](o)
	o.pass(1)

	old := id("a", in("linearizable set a 1"))
	old.Age = 40
	o.ask(old)
	forwards := taken[*message.Forward](o)
	if len(forwards) != 1 || len(forwards[0].Requests) != 1 {
		t.Fatalf("forwarded again: %+v", forwards)
	}
	if f := forwards[0]; f.Requests[0].First != f.Time-40 {
		t.Errorf("sent first at %d by its word, want %d", f.Requests[0].First, f.Time-40)
	}
}

// The master says when a set came whose client says no age: with the latest sending of its flight,
// whatever is forwarded when, and never beside an age (rule S6).
func TestS6AMasterSaysWhenASetCame(t *testing.T) {
	cfg := configured(3, 1)
	cfg.AgainTicks = 1
	o := ready(t, cfg)
	sent := func() (message.Request, uint64) {
		t.Helper()
		forwards := taken[*message.Forward](o)
		if len(forwards) != 1 || len(forwards[0].Requests) != 1 {
			t.Fatalf("forwarded: %+v", forwards)
		}
		return forwards[0].Requests[0], forwards[0].Time
	}

	set := id("a", in("linearizable set a 1"))
	o.ask(set)
	r, now := sent()
	if r.Came != 0 || r.First != 0 {
		t.Errorf("it has just come: came %d, first %d", r.Came, r.First)
	}
	came := now

	o.pass(2)
	o.ask(set)
	if r, now = sent(); r.Came != 0 || now == came {
		t.Errorf("the second sending has just come: came %d at %d", r.Came, now)
	}
	came = now

	o.lost(1)
	o.pass(1)
	o.wedged(0, 2, 3)
	o.decide()
	o.installed()
	for _, f := range taken[*message.Forward](o) {
		for _, r := range f.Requests {
			if r.Came != came {
				t.Errorf("sent again in the next view: came %d, want %d", r.Came, came)
			}
			came = 0
		}
	}
	if came != 0 {
		t.Error("it was not sent again")
	}

	o.pass(1)
	set.Age = 40
	o.ask(set)
	if r, now = sent(); r.Came != 0 || r.First != now-40 {
		t.Errorf("with an age: came %d, first %d at %d", r.Came, r.First, now)
	}
}
