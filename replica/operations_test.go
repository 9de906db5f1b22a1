package replica_test

import (
	"fmt"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// leveled is a group in epoch 1 of a record of the present level.
func leveled(t *testing.T, members int) *group {
	g := &group{t: t, record: recordOf(1, members)}
	g.record.Level = message.Level
	for _, m := range g.record.Members {
		g.start(m.Node, 7, 100)
	}
	g.install(g.record)
	return g
}

// numbered brings causal writes to everybody, as safe and held by all.
func (g *group) numbered(writes ...message.CausalWrite) {
	last := writes[len(writes)-1].Number
	for _, o := range g.nodes {
		g.send(o.node, &message.Forward{
			Header: g.header(), Marks: message.Marks{Last: last, Safe: last, Held: last}, Writes: writes,
		})
	}
	g.pass(3)
}

// revisions are those of keys at each replica.
func (g *group) revisions(keys ...string) string {
	said := ""
	for _, o := range g.nodes {
		said += fmt.Sprintf("%d:", o.Stats().Position)
		for _, key := range keys {
			rec, _ := o.store.Get(key)
			said += fmt.Sprintf(" %s %d", key, rec.Revision)
		}
		said += "; "
	}
	return said
}

// A marker takes a position for each write that it commits. In an epoch of level 0 it takes one,
// and everything has the least revision.
func TestO1EachWriteHasAPosition(t *testing.T) {
	writes := []message.CausalWrite{
		{Number: 1, Request: request(11, "causal set a 1")}, {Number: 2, Request: request(12, "causal set b 2")},
		{Number: 3, Request: request(13, "causal set a 3")},
	}
	g := leveled(t, 3)
	g.ask(1, request(1, "linearizable set c 1"))
	g.numbered(writes...)
	answers := g.ask(2, request(2, "linearizable set c 2"), request(3, "sequential get a"))
	if got, want := g.revisions("a", "b", "c"), "5: a 4 b 3 c 5; 5: a 4 b 3 c 5; 5: a 4 b 3 c 5; "; got != want {
		t.Errorf("positions and revisions are %s, want %s", got, want)
	}
	for _, a := range answers {
		if want := map[uint64]uint64{2: 5, 3: 4}[a.RID]; !a.HasRevision || a.Revision != want {
			t.Errorf("told is %+v, want revision %d", a, want)
		}
	}

	old := newGroup(t, 3, 100)
	old.ask(1, request(1, "linearizable set c 1"))
	old.numbered(writes...)
	if got, want := old.revisions("a", "b", "c"), "2: a 1 b 1 c 1; 2: a 1 b 1 c 1; 2: a 1 b 1 c 1; "; got != want {
		t.Errorf("in an epoch of level 0 positions and revisions are %s, want %s", got, want)
	}
}

// A causal session that finds a key deleted is told the number of the delete.
func TestO2ADeleteHasANumber(t *testing.T) {
	g := leveled(t, 3)
	gone := with(request(11, "causal set a 1"), func(r *message.Request) { r.Type, r.Value = model.Delete, nil })
	g.numbered(message.CausalWrite{Number: 1, Request: gone})
	g.node(1).expect(g.ask(2, request(2, "causal get a"), request(3, "linearizable get a")), "#2 404 number 1", "#3 404 at 2")
}

// A condition that failed is told with the same words whenever the request is sent.
func TestO3AFailureIsRepeated(t *testing.T) {
	g := leveled(t, 3)
	g.ask(1, request(1, "linearizable set a 1"))
	cas := identified(with(request(2, "sequential set a 2"), func(r *message.Request) { r.HasIf, r.If = true, 9 }), "x", 5)
	first := g.ask(1, cas)
	g.ask(1, request(3, "linearizable set a 3"))
	again := g.ask(2, with(cas, func(r *message.Request) { r.RID = 4 }))
	if len(first) != 1 || len(again) != 1 {
		t.Fatalf("answers %+v, %+v", first, again)
	}
	a, b := first[0], again[0]
	if a.Code != model.Failed || a.Revision != 1 || !a.HasRevision || a.Position != 2 || a.Reason == "" {
		t.Errorf("it fails with %+v", a)
	}
	if b.FirstRID != 2 || b.Code != a.Code || b.Revision != a.Revision || b.Position != a.Position || b.Reason != a.Reason {
		t.Errorf("it is repeated with %+v, and was %+v", b, a)
	}
}

// The first member proposes the end of what is due by its own clock, once; nobody else does. In the
// next epoch the next first member proposes it again.
func TestO5TheFirstMemberEndsValues(t *testing.T) {
	g := leveled(t, 3)
	g.ask(1, with(request(1, "linearizable set a 1"), func(r *message.Request) { r.TTL, r.Wall = 500, 1000 }))
	has := func(n lamport.Node) bool {
		rec, _ := g.node(n).store.Get("a")
		return rec.Kind == store.KindValue
	}

	g.node(1).Wall(1499)
	g.node(2).Wall(5000)
	g.node(3).Wall(5000)
	g.pass(5)
	if !has(1) || g.node(2).Stats().Position != 1 {
		t.Fatal("a value ends before its time, or by the clock of another than the first member")
	}

	g.lose = func(_ lamport.Node, msg message.Message) bool { _, data := msg.(*message.Data); return data }
	g.node(1).Wall(1500)
	g.pass(3)
	g.lose = nil
	g.remove(1) // with it the end that it had proposed
	g.pass(5)
	for _, n := range []lamport.Node{2, 3} {
		if p := g.node(n).Stats().Position; has(n) || p != 2 {
			t.Errorf("%v stands at position %d and has a value: %t", n, p, has(n))
		}
	}
	g.equal(2, 3)
}

// A learner has the revisions, ends, tombstones and outcomes of its donors.
func TestO7ALearnerHasRevisionsAndEnds(t *testing.T) {
	g := leveled(t, 3)
	g.ask(1, request(1, "linearizable set a 1"),
		with(request(2, "linearizable set b 1"), func(r *message.Request) { r.TTL, r.Wall = 500, 1000 }),
		with(request(3, "linearizable set c 1"), func(r *message.Request) { r.Type, r.Value = model.Delete, nil }))
	failed := identified(with(request(4, "linearizable set a 2"), func(r *message.Request) { r.HasIf = true }), "x", 5)
	g.ask(1, failed)

	g.remove(3)
	g.start(3, 8, 100)
	g.install(g.record)
	g.pass(30)
	g.change(1, 2, 3)
	g.equal(1, 2, 3)
	for _, key := range []string{"a", "b", "c"} {
		want, _ := g.node(1).store.Get(key)
		if got, _ := g.node(3).store.Get(key); got.Kind != want.Kind || got.Revision != want.Revision ||
			got.Expires != want.Expires || got.Revision == 0 {
			t.Errorf("%s is %+v at the learner, and was %+v", key, got, want)
		}
	}
	if again := g.ask(3, with(failed, func(r *message.Request) { r.RID = 9 })); len(again) != 1 ||
		again[0].Code != model.Failed || again[0].Revision != 1 {
		t.Errorf("what had failed is told now as %+v", again)
	}
}
