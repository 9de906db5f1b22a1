package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// chunks counts what donors send, and checks that each fits the bus.
type chunks struct {
	byDonor  map[lamport.Node]int
	restarts int
	records  int
	stop     func(to lamport.Node, msg message.Message) bool // if set, loses what it says
}

// watch makes the group count chunks.
func (g *group) watch(stop func(to lamport.Node, msg message.Message) bool) *chunks {
	c := &chunks{byDonor: map[lamport.Node]int{}, stop: stop}
	encoder := codec.NewEncoder()
	g.lose = func(to lamport.Node, msg message.Message) bool {
		if chunk, ok := msg.(*message.Chunk); ok {
			c.byDonor[chunk.From]++
			c.records += len(chunk.Records)
			if chunk.Restart {
				c.restarts++
			}
			if b, err := encoder.Encode(chunk); err != nil || len(b) >= 1<<20 {
				g.t.Errorf("a CHUNK of %d bytes, error %v", len(b), err)
			}
		}
		return c.stop != nil && c.stop(to, msg)
	}
	return c
}

// await lets time pass until a replica is in a phase.
func (g *group) await(n lamport.Node, phase message.Phase) {
	g.t.Helper()
	for range 500 {
		if g.node(n).Stats().Phase == phase {
			return
		}
		g.pass(1)
	}
	g.t.Fatalf("r%d is in phase %d, want %d", n, g.node(n).Stats().Phase, phase)
}

func set(rid uint64, text, value string) message.Request {
	r := request(rid, text+" -")
	r.Value = []byte(value)
	return r
}

// fill writes so many keys of so many bytes each.
func (g *group) fill(n lamport.Node, first, keys, size int) {
	for i := first; i < first+keys; i++ {
		g.ask(n, set(uint64(i), fmt.Sprintf("linearizable set key%04d", i), fmt.Sprintf("%d.%s", i, strings.Repeat("x", size))))
	}
}

// A learner is loaded while the members work, and enters with the next view: the same
// committed layer at the same position, the same table, what is tentative, and the causal
// numbers.
func TestF6ALearnerBecomesAMember(t *testing.T) {
	g := newGroup(t, 3, 100)
	g.ask(2, identified(request(900, "linearizable set a 1"), "x", 5), request(901, "eventual set b 2"))
	g.remove(1)
	g.fill(2, 10, 20, 30<<10)

	c := g.watch(nil)
	o := g.start(1, 8, 100)
	o.record = g.record
	g.send(1, &message.Install{Header: g.header(), Record: g.record})

	// While it loads the members go on; keys that it has already got change as well.
	for i := range uint64(12) {
		g.ask(3, set(100+i, fmt.Sprintf("sequential set key%04d", 10+i), "new"), request(200+i, "eventual set e 1"))
	}

	g.await(1, message.PhaseCaught)
	if o.Stats().Keys == 0 || c.byDonor[2] < 3 {
		t.Errorf("%d keys in %v chunks", o.Stats().Keys, c.byDonor)
	}

	// Until it is in the view it serves nothing strong.
	g.expect(g.ask(1, request(300, "linearizable get a"), request(301, "sequential get a")))

	writes := []message.CausalWrite{causal(1, "causal set c 1"), causal(2, "causal set d 1")}
	for _, n := range []lamport.Node{2, 3} {
		g.send(n, &message.Forward{Header: g.header(), Marks: message.Marks{Last: 2, Safe: 2}, Writes: writes})
	}

	g.change(1, 2, 3)
	g.equal(1, 2, 3)
	if s := o.Stats(); s.Watermark != 2 || s.Safe != 2 {
		t.Errorf("%+v", s)
	}

	g.expect(g.ask(1, identified(request(400, "linearizable set a 1"), "x", 5)), "#400 200 at 1 first #900")
	g.expect(g.ask(1, with(request(401, "causal get d"), func(r *message.Request) { r.Min = 2 })), "#401 200 1 number 2")
}

func (g *group) expect(answers []message.Answer, want ...string) {
	g.t.Helper()
	g.nodes[0].expect(answers, want...)
}

// The donor dies, before the learner has all keys or while members are wedged: it goes on
// with another where it was, and what it has it does not load again.
func TestTheDonorDies(t *testing.T) {
	for _, after := range []int{0, 1, 3} {
		t.Run(fmt.Sprintf("after %d chunks", after), func(t *testing.T) {
			g := newGroup(t, 4, 100)
			g.remove(1)
			g.fill(2, 10, 20, 60<<10)

			var donor lamport.Node
			var c *chunks
			c = g.watch(func(_ lamport.Node, msg message.Message) bool {
				chunk, ok := msg.(*message.Chunk)
				if !ok {
					return false
				}
				if donor == 0 {
					donor = chunk.From
				}
				return chunk.From == donor && c.byDonor[donor] > after
			})

			o := g.start(1, 8, 100)
			o.record = g.record
			g.send(1, &message.Install{Header: g.header(), Record: g.record})

			g.await(1, message.PhaseCaught)
			if len(c.byDonor) < 2 || c.restarts != 0 {
				t.Errorf("chunks of %v, %d restarts", c.byDonor, c.restarts)
			}
			if c.records > 20+10 { // one piece was sent twice
				t.Errorf("%d records were sent for 20 keys", c.records)
			}

			g.change(1, 2, 3, 4)
			g.equal(1, 2, 3, 4)
		})
	}

	t.Run("while it is wedged", func(t *testing.T) {
		g := newGroup(t, 4, 100)
		g.remove(1)
		g.fill(2, 10, 5, 10)

		o := g.start(1, 8, 100)
		o.record = g.record
		g.send(1, &message.Install{Header: g.header(), Record: g.record})
		g.await(1, message.PhaseCaught)

		g.ask(2, request(50, "linearizable set last 1"))
		g.watch(func(_ lamport.Node, msg message.Message) bool {
			chunk, ok := msg.(*message.Chunk)
			return ok && chunk.From == 2
		})

		g.change(1, 3, 4)
		g.equal(1, 3, 4)
	})
}

// A piece that is lost, comes late or comes twice costs nothing.
func TestPiecesAreLostAndRepeated(t *testing.T) {
	g := newGroup(t, 3, 100)
	g.remove(1)
	g.fill(2, 10, 20, 40<<10)
	count := 0
	var last message.Message
	g.watch(func(to lamport.Node, msg message.Message) bool {
		if _, ok := msg.(*message.Chunk); !ok {
			return false
		}
		if last != nil {
			g.flying = append(g.flying, underWay{to: to, msg: last}) // an old one again
		}
		last = msg
		count++
		return count%2 == 1
	})
	o := g.start(1, 8, 100)
	o.record = g.record
	g.send(1, &message.Install{Header: g.header(), Record: g.record})
	g.await(1, message.PhaseCaught)
	g.change(1, 2, 3)
	g.lose = nil
	g.pass(5)
	g.equal(1, 2, 3)
}

// The table forgets what the learner lacks: the members' table does not say any more which
// keys changed, so it begins anew.
func TestTheTableWasTrimmed(t *testing.T) {
	const window = 4
	g := newGroup(t, 3, window)
	g.remove(1)
	g.fill(2, 10, 12, 60<<10)
	blocked := false
	c := g.watch(func(to lamport.Node, msg message.Message) bool {
		_, pull := msg.(*message.Pull)
		return pull && blocked
	})
	o := g.start(1, 8, window)
	o.record = g.record
	blocked = true
	g.send(1, &message.Install{Header: g.header(), Record: g.record})
	blocked = false
	for o.Stats().Keys == 0 {
		g.pass(1)
	}
	blocked = true
	for i := range uint64(2 * window) {
		g.ask(3, set(100+i, fmt.Sprintf("linearizable set key%04d", 10+i), "new"))
	}
	blocked = false
	g.await(1, message.PhaseCaught)
	g.change(1, 2, 3)
	g.equal(1, 2, 3)
	if c.restarts != 1 {
		t.Errorf("%d restarts, want 1; %d records were sent", c.restarts, c.records)
	}
}

// One that was a member and missed a little needs only what it missed.
func TestOneThatWasRemovedNeedsOnlyWhatItMissed(t *testing.T) {
	g := newGroup(t, 3, 100)
	g.fill(2, 10, 20, 40<<10)
	r1 := g.node(1)
	g.lose = func(to lamport.Node, msg message.Message) bool { return to == 1 || msg.Head().From == 1 } // paused
	g.nodes = slices.Delete(g.nodes, 0, 1)
	g.change(2, 3)
	g.ask(2, request(50, "linearizable set last 1"), request(51, "eventual set weak 1"))
	c := g.watch(nil)
	g.nodes = append(g.nodes, r1)
	g.send(1, &message.Install{Header: g.header(), Record: g.record})
	r1.record = g.record
	if r1.Incarnation() != 8 {
		t.Errorf("incarnation %d", r1.Incarnation())
	}
	g.await(1, message.PhaseCaught)
	if c.records != 2 || c.restarts != 0 {
		t.Errorf("%d records were sent, %d restarts, want the 2 that it missed", c.records, c.restarts)
	}
	g.change(1, 2, 3)
	g.equal(1, 2, 3)
}

// The epoch ends while a learner loads, and without it: it goes on with the members of the
// next.
func TestTheEpochEndsWhileOneLoads(t *testing.T) {
	g := newGroup(t, 4, 100)
	g.remove(1)
	g.fill(2, 10, 20, 40<<10)
	o := g.start(1, 8, 100)
	o.record = g.record
	pieces := 0
	c := g.watch(func(_ lamport.Node, msg message.Message) bool {
		if _, ok := msg.(*message.Chunk); ok {
			pieces++
			return pieces > 2
		}
		return false
	})
	g.send(1, &message.Install{Header: g.header(), Record: g.record})
	g.change(2, 3, 4)
	c.records, c.stop = 0, nil
	if o.Stats().Phase != message.PhaseLearning || o.Record().Epoch != g.record.Epoch {
		t.Fatalf("phase %d in epoch %d", o.Stats().Phase, o.Record().Epoch)
	}
	g.await(1, message.PhaseCaught)
	if c.records >= 20 || c.restarts != 0 {
		t.Errorf("%d records after the change, %d restarts: it has not gone on where it was", c.records, c.restarts)
	}
	g.change(1, 2, 3, 4)
	g.equal(1, 2, 3, 4)
}

// Values of the greatest size, and identities and keys too: committed, in DATA that are not
// delivered, in causal writes. Every CHUNK stays below 1 MiB.
func TestLargeValuesFit(t *testing.T) {
	g := newGroup(t, 3, 100)
	large := func(rid uint64, text string) message.Request {
		r := request(rid, text+" -")
		r.Key += strings.Repeat("k", model.MaxKey-len(r.Key))
		r.Value = make([]byte, model.MaxKeyValue-len(r.Key))
		r.Identity, r.Digest = fmt.Sprintf("%0*d", model.MaxIdentity, rid), 9
		return r
	}

	g.remove(1)
	for i := range uint64(4) {
		g.ask(2, large(10+i, fmt.Sprintf("linearizable set k%d", i)))
	}
	for i := range 300 { // long entries, small values
		r := request(uint64(100+i), "linearizable set k v")
		r.Key = fmt.Sprintf("%0*d", model.MaxKey, i%3)
		r.Identity, r.Digest = fmt.Sprintf("%0*d", model.MaxIdentity, 100+i), 9
		g.ask(2, r)
	}

	c := g.watch(nil)
	o := g.start(1, 8, 100)
	o.record = g.record
	g.send(1, &message.Install{Header: g.header(), Record: g.record})
	g.await(1, message.PhaseCaught)

	// Not delivered when they wedge: sent by r2, and r3's ACKs are lost.
	g.watch(func(_ lamport.Node, msg message.Message) bool {
		_, ack := msg.(*message.Ack)
		return ack
	})
	for i := range uint64(3) {
		g.send(2, &message.Forward{Header: g.header(), Requests: []message.Request{
			large(500+10*i, "linearizable set s"), request(501+10*i, "sequential set t 1"), large(502+10*i, "eventual set e"),
		}})
	}

	var writes []message.CausalWrite
	for i := range uint64(3) {
		writes = append(writes, message.CausalWrite{Number: i + 1, Request: large(600+i, "causal set c")})
	}
	for _, n := range []lamport.Node{2, 3} {
		g.send(n, &message.Forward{Header: g.header(), Marks: message.Marks{Last: 3}, Writes: writes})
	}

	if g.node(2).Stats().Queue < 3 {
		t.Fatalf("%d DATA wait", g.node(2).Stats().Queue)
	}

	g.change(1, 2, 3)
	g.watch(nil)
	g.pass(10)

	for _, n := range []lamport.Node{2, 3} {
		if a, b := o.layer(), g.node(n).layer(); !slices.Equal(a, b) {
			t.Errorf("r1 holds %d keys, r%d %d", len(a), n, len(b))
		}
	}
	if s := o.Stats(); s.Phase != message.PhaseMember || s.Safe != 3 {
		t.Errorf("%+v", s)
	}

	if c.byDonor[2]+c.byDonor[3] < 4 {
		t.Errorf("chunks %v", c.byDonor)
	}
}

// Eventual sets that only the learner holds, accepted while it was outside, are submitted
// when it enters; what the table knows already is dropped.
func TestWhatALearnerHoldsItself(t *testing.T) {
	g := newGroup(t, 3, 100)
	r1 := g.node(1)
	known := identified(request(20, "eventual set known 1"), "id", 3)
	r1.step(&message.Forward{Header: g.header(), Requests: []message.Request{known, request(21, "eventual set only 1")}})
	g.lose = func(to lamport.Node, msg message.Message) bool { return to == 1 }
	g.nodes = slices.Delete(g.nodes, 0, 1)
	g.change(2, 3)
	g.ask(2, known) // the client's retry
	g.lose = nil
	g.nodes = append(g.nodes, r1)
	r1.record = g.record
	g.send(1, &message.Install{Header: g.header(), Record: g.record})
	g.expect(g.ask(1, request(22, "eventual get only")), "#22 200 1")
	g.await(1, message.PhaseCaught)
	if n := r1.Stats().Tentative; n != 1 {
		t.Errorf("%d tentative, want the one that nobody else has", n)
	}
	g.change(1, 2, 3)
	g.pass(3)
	g.equal(1, 2, 3)
	if rec, ok := g.node(3).store.Get("only"); !ok || rec.RID != 21 {
		t.Errorf("r3 holds %+v", rec)
	}
}

// The donor that a learner began with was further than all that are left: it waits for
// them, and begins anew when none comes as far.
func TestAScanThatNobodyCanGoOnWith(t *testing.T) {
	o := fresh(t, 100)
	o.install(without(recordOf(2, 3), 1))
	first := taken[*message.Pull](o)[0]
	o.step(&message.Chunk{
		Header: o.peer(2), Nonce: first.Nonce, Position: 9, First: 1, Last: 1, Cursor: "m",
		Entries: []message.Executed{{RID: 1, Position: 9, Key: "a"}},
	})
	if p := taken[*message.Pull](o); len(p) != 1 || p[0].Entry != 1 || p[0].Cursor != "m" || p[0].Scanned {
		t.Fatalf("it goes on with %+v", p)
	}
	for waited := 0; ; waited++ {
		o.pass(1)
		p := taken[*message.Pull](o)
		if len(p) == 1 && p[0].Cursor == "" && p[0].Entry == 0 {
			if waited < 30 {
				t.Errorf("it begins anew after %d ticks", waited)
			}
			break
		}
		if waited > 200 {
			t.Fatal("it never begins anew")
		}
	}
}

// A donor answers what it can answer truly, and nothing else.
func TestDonors(t *testing.T) {
	o := alone(t, 3, 10)
	pull := func(change func(*message.Pull)) *message.Chunk {
		p := &message.Pull{Header: o.peer(2), Nonce: 5}
		p.Incarnation = 8
		change(p)
		o.step(p)
		if c := taken[*message.Chunk](o); len(c) == 1 {
			if c[0].Nonce != 5 {
				t.Errorf("nonce %d", c[0].Nonce)
			}
			return c[0]
		}
		return nil
	}

	o.ask(request(1, "linearizable set a 1"), request(2, "linearizable set b 1"))
	o.agree(1, 0)
	c := pull(func(*message.Pull) {})
	if c == nil || len(c.Entries) != 2 || c.First != 1 || c.Last != 2 || len(c.Records) != 2 || !c.Scanned ||
		c.Position != 2 || c.Wedged || c.Done {
		t.Errorf("the first piece is %+v", c)
	}

	c = pull(func(p *message.Pull) { p.Entry, p.Scanned = 1, true })
	if c == nil || len(c.Entries) != 1 || c.First != 2 || len(c.Records) != 1 || c.Records[0].Key != "b" {
		t.Errorf("a later piece is %+v", c)
	}

	if c = pull(func(p *message.Pull) { p.Entry = 3 }); c != nil {
		t.Errorf("behind the learner, it answers %+v", c)
	}
	if c = pull(func(p *message.Pull) { p.Wedged = true }); c != nil {
		t.Errorf("not wedged, it answers %+v", c)
	}

	for i := range uint64(20) {
		o.ask(request(10+i, "linearizable set c 1"))
	}
	o.agree(21, 0)
	if c = pull(func(p *message.Pull) { p.Entry, p.Scanned = 2, true }); c == nil || !c.Restart || len(c.Entries) != 0 {
		t.Errorf("trimmed, it answers %+v", c)
	}
	if c = pull(func(p *message.Pull) {}); c == nil || c.Restart || c.First != 1 || len(c.Entries) != 22 || c.Last != 22 {
		t.Errorf("to one that begins it answers %+v", c)
	}

	o.step(strong(o.peer(2), 1, request(40, "linearizable set d 1")), strong(o.peer(2), 2, request(41, "linearizable set d 2")))
	o.wedge()
	c = pull(func(p *message.Pull) { p.Entry, p.Scanned, p.Wedged = 22, true, true })
	if c == nil || !c.Wedged || !c.Done || len(c.Data) != 2 || !slices.Equal(c.Contiguous, []uint64{21, 2, 0}) {
		t.Errorf("wedged, it answers %+v", c)
	}

	c = pull(func(p *message.Pull) { p.Entry, p.Scanned, p.Wedged, p.Held = 22, true, true, []uint64{0, 1, 0} })
	if c == nil || len(c.Data) != 1 || c.Data[0].Seq != 2 {
		t.Errorf("the rest is %+v", c)
	}
	if c = pull(func(p *message.Pull) { p.Entry, p.Scanned, p.Wedged = 25, true, true }); c == nil {
		t.Error("a copy whose donor was further is not completed by a wedged member")
	}
}
