package replica_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica"
)

// at forwards requests at a time of the master's.
func (o *one) at(time uint64, requests ...message.Request) []message.Answer {
	o.step(&message.Forward{Header: o.master(), Time: message.TimeBase + time, Requests: requests})
	return o.answers()
}

// keeping has replicas keep executed sets for so many ticks.
func keeping(ticks uint64) func(*replica.Config) {
	return func(c *replica.Config) { c.KeepTicks = ticks }
}

func named(rid uint64, id string) message.Request {
	return identified(request(rid, "linearizable set a "+id), id, 5)
}

// known reports how a set is answered that is sent again: as one that took effect before, or
// as a new one.
func (o *one) known(time uint64, id string) bool {
	o.t.Helper()
	answers := o.at(time, named(900+time, id))
	if len(answers) != 1 || answers[0].Code != model.OK {
		o.t.Fatalf("%s sent again: %+v", id, answers)
	}
	return answers[0].FirstRID != 0
}

// Executed sets are kept by their age in the order's time, and the last ones whatever their
// age (rule S6).
func TestS6ExecutedSetsAreForgottenInTheOrdersTime(t *testing.T) {
	o := alone(t, 1, 2, keeping(100))
	o.at(0, named(1, "a"), named(2, "b"))
	o.at(50, named(3, "c"))
	o.at(100, named(4, "d"), named(5, "e"))
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		if !o.known(100, id) {
			t.Errorf("%s is forgotten after 100 ticks at the most", id)
		}
	}
	if o.at(151, request(6, "linearizable set b 1")); o.known(151, "a") {
		t.Error("a is known after 151 ticks")
	}
	if o.known(151, "c") { // the set of a has been executed again, so c is none of the last two
		t.Error("c is known after 101 ticks")
	}
	if !o.known(151, "e") {
		t.Error("e is forgotten after 51 ticks")
	}
}

// However much time passes, the last sets are known.
func TestS6TheLastExecutedSetsAreKept(t *testing.T) {
	o := alone(t, 1, 2, keeping(100))
	o.at(0, named(1, "a"), named(2, "b"), named(3, "c"))
	if !o.known(1_000_000, "b") || !o.known(2_000_000, "c") {
		t.Error("one of the last two sets is forgotten")
	}
	if o.known(2_000_000, "a") {
		t.Error("the third last is known")
	}
}

// The order's time is what the masters of its epochs have counted while it went on: it is
// not ahead of the time that has passed, though a master begins to count anew, jumps in an
// epoch that it begins, or is late.
func TestS6TheOrdersTimeIsOfDifferencesOnly(t *testing.T) {
	o := alone(t, 1, 1, keeping(100))
	o.at(500_000, named(1, "a"), named(2, "b")) // the first of its epoch: no difference
	o.at(500_090, named(3, "c"))
	o.wedge()
	o.install(o.next(2))
	o.at(7, named(4, "d"))  // the next master has just begun
	o.at(17, named(5, "e")) // 90 + 10 ticks have passed
	if !o.known(17, "a") {
		t.Error("a is forgotten after 100 ticks")
	}
	o.at(5, named(6, "f")) // late: no time has passed
	if !o.known(17, "b") {
		t.Error("b is forgotten after 100 ticks")
	}
	if o.at(18, named(7, "g")); o.known(18, "a") {
		t.Error("a is known after 101 ticks")
	}
}

// What may be the repetition of a forgotten set is refused, if its sender says how old it is.
func TestS6RepetitionsThatAreTooOld(t *testing.T) {
	first := func(r message.Request, time uint64) message.Request {
		r.First = message.TimeBase + time
		return r
	}
	o := alone(t, 1, 1, keeping(100))
	o.at(10, named(1, "a"), named(2, "b"))
	// Nothing is forgotten yet: a set that never took effect may be as old as it likes.
	o.expect(o.at(60, first(named(3, "c"), 1)), "#3 200 at 3")
	o.at(200, named(4, "d"))

	// Now a and b are, and the time of a was 10. A fifth is added for what the bus takes.
	o.expect(o.at(200, first(named(5, "a"), 10)), "#5 410")
	o.expect(o.at(200, first(named(6, "x"), 10+20)), "#6 410")
	o.expect(o.at(200, first(named(7, "y"), 60+21)), "#7 200 at 7")
	o.expect(o.at(201, first(named(8, "c"), 1)), "#8 410") // c was at 60, and another took its place among the last
	// One that is known is answered, however old it is.
	o.expect(o.at(201, first(named(9, "d"), 1)), "#9 200 at 4 first #4")
	// Who says nothing is executed: it cannot be known.
	o.expect(o.at(201, named(10, "a")), "#10 200 at 10")

	for _, r := range []string{"eventual set a 1", "causal set a 1"} {
		set := identified(request(11, r), r, 5)
		o.expect(o.at(201, first(set, 10)), "#11 410")
		if rec, _ := o.store.Get("a"); rec.RID != 10 {
			t.Errorf("%s was executed: %+v", r, rec)
		}
	}
}

// More than there is room for is forgotten early, the same on every replica, and what is
// refused follows that.
func TestS6ExecutedSetsTakeBoundedMemory(t *testing.T) {
	var replicas []*one
	for range 2 {
		replicas = append(replicas, alone(t, 1, 5, keeping(1000), func(c *replica.Config) { c.KeepBytes = 1000 }))
	}
	for i := range uint64(50) {
		set := named(i+1, fmt.Sprint("id", i))
		replicas[0].at(10*i, set, set) // the second copy has a place as well, and none in the table
		replicas[1].at(10*i, set)
		replicas[1].at(10*i, set, request(100+i, "sequential get a"))
	}
	known := func(o *one) (ids []int) {
		for i := range 50 {
			set := named(200, fmt.Sprint("id", i))
			set.First = message.TimeBase + 1 // so that a forgotten one is not executed
			if a := o.at(500, set); a[0].Code == model.OK {
				ids = append(ids, i)
			} else if a[0].Code != model.Gone {
				t.Errorf("id%d: %+v", i, a)
			}
		}
		return ids
	}
	a, b := known(replicas[0]), known(replicas[1])
	if !slices.Equal(a, b) || len(a) < 20 || len(a) > 40 || a[0] != 50-len(a) {
		t.Errorf("known are %v and %v", a, b)
	}
}

// A learner gets all that is remembered, with its times.
func TestS6ALearnerRemembersAsMuch(t *testing.T) {
	donor := alone(t, 1, 2, keeping(100))
	for i := range uint64(10) {
		donor.at(30*i, named(i+1, fmt.Sprint("id", i)))
	}
	pull := &message.Pull{Header: donor.peer(2), Nonce: 1}
	donor.step(pull)
	chunks := taken[*message.Chunk](donor)
	if len(chunks) != 1 {
		t.Fatalf("%v", donor.out.Sends)
	}
	c := chunks[0]
	// At 270 those of 170 and later are remembered: ids 6 to 9.
	want := message.OrderTime{Now: 270, Tick: message.TimeBase + 270, Horizon: 151, Oldest: 7}
	if c.Order != want || c.First != 7 || len(c.Entries) != 4 || c.Last != 10 {
		t.Errorf("the piece says %+v, and has %d entries from %d to %d", c.Order, len(c.Entries), c.First, c.Last)
	}
	for i, x := range c.Entries {
		if keyed := i >= 2; x.Time != 180+30*uint64(i) || keyed != (x.Key != "") {
			t.Errorf("entry %d: %+v", c.First+uint64(i), x)
		}
	}
}

// What says no age, and has waited for so long that it may be forgotten, is dropped without a
// word (rule S6): in the master, on the bus, or in a replica that stood still.
func TestS6SetsThatHaveWaited(t *testing.T) {
	came := func(r message.Request, time uint64) message.Request {
		r.Came = message.TimeBase + time
		return r
	}
	o := alone(t, 1, 1, keeping(150))
	o.at(10, named(1, "a"), named(2, "b"))
	// Nothing is forgotten yet, and so nothing is dropped.
	o.expect(o.at(100, came(named(3, "c"), 11)), "#3 200 at 3")
	o.at(161, named(4, "d"))

	// Now a and b are, of 10. One that came at 131 was sent first at 11 or later.
	o.expect(o.at(161, came(named(5, "a"), 130)))
	o.expect(o.at(161, came(named(6, "x"), 131)), "#6 200 at 6")
	o.expect(o.at(161, came(named(7, "y"), 160)), "#7 200 at 7")
	o.expect(o.at(161, named(8, "z")), "#8 200 at 8")
	// One that is known is answered, however long it has waited.
	o.expect(o.at(161, came(named(9, "d"), 12)), "#9 200 at 4 first #4")

	for _, r := range []string{"eventual set a 1", "causal set a 1"} {
		set := identified(request(11, r), r, 5)
		o.expect(o.at(161, came(set, 130)))
		// Its FORWARD has stood in the inbox.
		o.expect(o.at(130, set))
	}
	if n := o.Stats().Pending; n != 0 {
		t.Errorf("%d requests are still waited for", n)
	}
}

// Where there is no room for executed sets, those that have not waited are executed all the same.
func TestS6SetsThatHaveNotWaitedAreTaken(t *testing.T) {
	o := alone(t, 1, 1, keeping(1500), func(c *replica.Config) { c.KeepBytes = 100 })
	for i := range uint64(20) {
		o.at(100+i, named(i+1, fmt.Sprint("id", i)))
	}
	set := named(50, "y")
	if set.Came = message.TimeBase + 100; len(o.at(300, set)) != 1 {
		t.Error("it has waited for 200 ticks and is dropped")
	}
	set = named(51, "x")
	if set.Came = message.TimeBase + 100; len(o.at(301, set)) != 0 {
		t.Error("it has waited for 201 ticks, and is executed")
	}
}
