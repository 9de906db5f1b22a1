package replica_test

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica"
	"quartet/replica/store"
)

// collecting makes a replica propose, if it is the first member, that tombstones are collected
// which are two ticks old.
func collecting(c *replica.Config) { c.Collecting = replica.Collecting{Most: 1, LagTicks: 2} }

// collectors is a group of members that collect, of configured replicas.
func collectors(t *testing.T, members, configured int, options ...func(*replica.Config)) *group {
	g := &group{t: t, record: recordOf(1, configured)}
	g.record.Level = message.Level
	g.record.Members = g.record.Members[:members]
	g.record.Faults = min(g.record.Faults, members-1)
	for _, m := range g.record.Members {
		g.start(m.Node, 7, 100, append(options, collecting)...)
	}
	g.install(g.record)
	return g
}

func deletion(rid uint64, text string) message.Request {
	r := request(rid, text+" -")
	r.Type, r.Value = model.Delete, nil
	return r
}

// hear lets everybody hear from the master, and passes ticks, until tombstones can have gone.
func (g *group) hear() {
	for range 10 {
		for _, o := range g.nodes {
			g.send(o.node, &message.Probe{Header: g.header()})
		}
		g.pass(2)
	}
}

// tombstones are those in the store of each replica, and how often each has collected.
func (g *group) tombstones() (left []int, collections []uint64) {
	for _, o := range g.nodes {
		s := o.Stats()
		left, collections = append(left, s.Tombstones), append(collections, s.Collections)
	}
	return left, collections
}

func (g *group) wantTombstones(each int) {
	g.t.Helper()
	left, collections := g.tombstones()
	for _, n := range left {
		if n != each {
			g.t.Fatalf("there are %v tombstones after %v collections, want %d each", left, collections, each)
		}
	}
}

// Tombstones go when all replicas of the cluster are members and have agreed, and not before.
func TestO40TombstonesGoOnceAllHaveAgreed(t *testing.T) {
	g := collectors(t, 3, 3)
	silent := true
	g.lose = func(_ lamport.Node, msg message.Message) bool {
		d, ok := msg.(*message.Data)
		return ok && silent && d.From == 3 && d.Ops[0].Op == message.OpAgree
	}
	g.ask(1, request(1, "linearizable set a 1"), deletion(2, "linearizable delete a"))
	g.hear()
	g.wantTombstones(1) // r3 has not been heard to agree

	silent = false
	g.hear()
	g.wantTombstones(0)
	g.equal(1, 2, 3)

	away := collectors(t, 2, 3)
	away.ask(1, deletion(1, "linearizable delete a"))
	away.hear()
	away.wantTombstones(1) // r3 may come back
}

// What an epoch has begun ends with it: agreements of another epoch do not count.
func TestO40AnEpochBeginsAnew(t *testing.T) {
	g := collectors(t, 3, 3)
	lost := true
	g.lose = func(_ lamport.Node, msg message.Message) bool {
		d, ok := msg.(*message.Data)
		return ok && lost && d.From == 3 && d.Ops[0].Op == message.OpAgree
	}
	g.ask(1, deletion(1, "linearizable delete a"))
	g.hear()
	g.change(1, 2, 3)
	g.wantTombstones(1)
	g.hear() // r1 and r2 agree again, r3 is not heard
	g.wantTombstones(1)

	lost = false
	g.hear()
	g.wantTombstones(0)
	g.equal(1, 2, 3)
}

// An epoch of a build that collects nothing is gone on with as it began; the next one collects.
func TestO40AnEpochOfAnEarlierLevel(t *testing.T) {
	g := collectors(t, 3, 3)
	g.record.Level = message.LevelRevisions
	g.change(1, 2, 3)
	g.ask(1, deletion(1, "linearizable delete a"))
	g.hear()
	g.wantTombstones(1)

	g.record.Level = message.Level
	g.change(1, 2, 3)
	g.hear()
	g.wantTombstones(0)
	g.equal(1, 2, 3)
}

// A member agrees only when the causal writes that may be stamped up to the horizon are committed.
func TestO41CausalWritesComeFirst(t *testing.T) {
	g := collectors(t, 3, 3)
	g.ask(1, deletion(1, "linearizable delete a"))
	for _, o := range g.nodes { // a number is given out, and nobody holds the write
		g.send(o.node, &message.Forward{Header: g.header(), Marks: message.Marks{Last: 1}})
	}
	g.hear()
	g.wantTombstones(1)

	g.numbered(numbered(1, 11))
	g.hear()
	g.wantTombstones(0)
	g.equal(1, 2, 3)
}

// A weak write that is not above the horizon waits at the door; when the tombstones are gone its
// master is told to stamp it anew. One that was executed before is answered with its first outcome.
func TestO41O42TheDoor(t *testing.T) {
	g := collectors(t, 3, 3)
	known := identified(request(5, "eventual set k 1"), "known", 1)
	g.ask(2, known)

	silent := true
	g.lose = func(_ lamport.Node, msg message.Message) bool {
		d, ok := msg.(*message.Data)
		return ok && silent && d.From == 3 && d.Ops[0].Op == message.OpAgree
	}
	g.ask(1, deletion(20, "linearizable delete a"))
	g.hear()

	stale := identified(request(6, "eventual set a 2"), "stale", 2)
	if answers := g.ask(2, stale); len(answers) > 0 {
		t.Fatalf("a write that is not above the horizon is answered at once: %+v", answers)
	}
	fresh := identified(with(request(7, "eventual set b 3"), func(r *message.Request) { r.Version = version(1 << 20) }), "fresh", 3)
	g.node(2).expect(g.ask(2, fresh), "#7 200")

	silent = false
	g.toMaster = nil
	g.hear()
	g.node(2).expect(g.answers(), "#6 404 number 6")
	g.wantTombstones(0)
	if p := g.node(2).Stats().Pending; p != 0 {
		t.Errorf("%d requests are pending", p)
	}

	g.node(3).expect(g.ask(3, known, stale), "#5 200", "#6 404 number 6")
	stale.Version = version(1<<20 + 1)
	g.node(3).expect(g.ask(3, stale), "#6 200")
	g.equal(1, 2, 3)
}

// A process that comes back with its disk takes nothing at the door that it did not take before.
func TestO41TheDoorIsOnDisk(t *testing.T) {
	g := collectors(t, 3, 3, onDisk)
	g.lose = func(_ lamport.Node, msg message.Message) bool {
		d, ok := msg.(*message.Data)
		return ok && d.From == 3 && d.Ops[0].Op == message.OpAgree
	}
	g.ask(1, deletion(20, "linearizable delete a"))
	g.hear()

	b := g.node(3).back() // its agreement is on its disk, and may be inside a cut
	b.step(&message.Probe{Header: b.master(), Nonce: 1})
	if answers := b.ask(request(6, "eventual set a 2")); len(answers) > 0 {
		t.Errorf("a write that is not above the horizon is taken: %+v", answers)
	}
}

// A condition that names the revision of a tombstone that is gone fails, 0 holds, and revisions
// rise.
func TestO43AConditionOnWhatIsGone(t *testing.T) {
	g := collectors(t, 3, 3)
	gone := g.ask(1, request(1, "linearizable set a 1"), deletion(2, "linearizable delete a"))
	revision := gone[1].Revision
	g.hear()
	g.wantTombstones(0)

	when := func(rid, revision uint64) message.Request {
		return with(request(rid, "linearizable set a 9"), func(r *message.Request) { r.HasIf, r.If = true, revision })
	}
	answers := g.ask(2, when(3, revision), when(4, 0))
	if len(answers) != 2 || answers[0].Code != model.Failed || answers[0].Revision != 0 {
		t.Fatalf("a condition on revision %d, of a tombstone that is gone: %+v", revision, answers)
	}
	if answers[1].Code != model.OK || answers[1].Revision <= revision {
		t.Errorf("created anew, after revision %d: %+v", revision, answers[1])
	}
	g.equal(1, 2, 3)
}

// A replica that is loaded while tombstones go holds what the members hold, after a restart, too.
func TestO44ALearnerIsLoadedWithTheFloor(t *testing.T) {
	g := collectors(t, 2, 2, onDisk)
	g.ask(1, request(1, "linearizable set a 1"), deletion(2, "linearizable delete a"), request(3, "linearizable set b 1"))
	g.hear()
	g.wantTombstones(0)

	old := store.Record{Kind: store.KindValue, Value: []byte("old"), Version: version(1), Revision: 1}
	n := g.start(3, 8, 100, collecting, onDisk)
	n.store.Put("a", old) // of a load that it began before
	n.store.Put("c", old)
	g.send(3, &message.Install{Header: g.header(), Record: g.record})
	g.pass(10)
	g.record.Configured = append(g.record.Configured, 3)
	g.change(1, 2, 3)
	g.wantTombstones(0)
	g.equal(1, 2, 3)

	stale := request(6, "eventual set a 2")
	g.node(3).expect(g.ask(3, stale), "#6 404 number 6")
	for range 30 {
		g.pass(1)
	}
	b := g.node(3).back()
	b.step(&message.Probe{Header: b.master(), Nonce: 1})
	b.expect(b.ask(stale), "#6 404 number 6")
}
