package replica_test

import (
	"testing"

	"quartet/bus/message"
)

// Weak gets see what was received, strong ones what was delivered.
func TestEventualTentativeLayer(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(weak(o.peer(2), 1, request(10, "eventual set a ten"), request(12, "eventual set a twelve"),
		request(11, "eventual set a eleven")))
	o.expect(o.ask(request(20, "eventual get a"), request(21, "causal get a"), request(22, "sequential get a")),
		"#20 200 twelve", "#21 200 twelve") // the greatest version; a strong get waits its turn
	if s := o.Stats(); s.Tentative != 3 || s.Position != 0 || o.store.Len() != 0 {
		t.Errorf("%+v, %d committed keys", s, o.store.Len())
	}
	o.agree(0, 1)
	o.expect(o.answers(), "#22 200 twelve at 3")
	if s := o.Stats(); s.Tentative != 0 || s.Position != 3 {
		t.Errorf("%+v", s)
	}
}

// Two versions of one identity: the first that is delivered counts, both leave (rule S5).
func TestEventualTentativeVersionsOfOneIdentity(t *testing.T) {
	o := alone(t, 3, 10)
	first := identified(request(10, "eventual set a v"), "x", 5)
	again := with(first, func(r *message.Request) { r.RID, r.Version = 30, version(30) })
	o.step(weak(o.peer(2), 1, first), weak(o.peer(2), 2, again), weak(o.peer(2), 3, first))
	if s := o.Stats(); s.Tentative != 2 {
		t.Errorf("%d tentative, want the two versions", s.Tentative)
	}
	o.agree(0, 3)
	rec, _ := o.store.Get("a")
	if s := o.Stats(); s.Tentative != 0 || s.Position != 3 || rec.Version != version(10) {
		t.Errorf("%+v, committed %v", s, rec.Version)
	}
	// It comes once more, late: it was executed.
	o.step(weak(o.peer(2), 4, again))
	if s := o.Stats(); s.Tentative != 0 {
		t.Errorf("%d tentative after it was executed", s.Tentative)
	}
}

// A strong set takes effect at its place, whatever weak one was accepted before it.
func TestEventualNeverBeatsTheStrongSetBehindIt(t *testing.T) {
	o := alone(t, 1, 10)
	o.ask(request(1, "eventual set a weak"), request(2, "linearizable set a strong"))
	o.expect(o.ask(request(3, "eventual get a"), request(4, "linearizable get a")), "#3 200 strong", "#4 200 strong at 3")
}
