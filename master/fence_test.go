package master_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
)

// rounds tells to whom the FORWARDs of this turn that carry a round went, and with which
// requests: "r1 round 1 [4 5]".
func (o *one) rounds() []string {
	var all []string
	for _, s := range o.out.Sends {
		if f, ok := s.Msg.(*message.Forward); ok && f.Round > 0 {
			all = append(all, fmt.Sprintf("%s round %d %v", s.To[0], f.Round, f.AppendRIDs([]uint64{})))
		}
	}
	return all
}

func (o *one) wantRounds(want ...string) {
	o.t.Helper()
	if got := o.rounds(); !slices.Equal(got, want) {
		o.t.Errorf("rounds %q, want %q", got, want)
	}
}

// echo is a turn in which these members confirm a round.
func (o *one) echo(round uint64, nodes ...lamport.Node) {
	var all []message.Message
	for _, n := range nodes {
		all = append(all, &message.Answers{Header: o.from(n), Round: round})
	}
	o.step(all...)
}

// The answer is let go when f members other than the replica that gave it have echoed its
// round, whichever comes last.
func TestL4AFencedGetWaitsForEchoes(t *testing.T) {
	t.Run("the echo last", func(t *testing.T) {
		o := ready(t, configured(5, 2))
		o.ask(at(1, in("linearizable get a")), at(1, in("linearizable get b")))
		o.wantRounds("r1 round 1 [1 2]", "r2 round 1 []", "r3 round 1 []")

		o.echo(1, 2)
		o.answer(1, 1, model.OK)
		o.answer(1, 2, model.NotFound)
		o.expect()
		o.echo(1, 1) // its own, and one that comes twice
		o.echo(1, 2)
		o.expect()

		o.echo(1, 3)
		o.expect("1 #1 200", "2 #2 404")
		if n := o.InFlight(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	})

	t.Run("the answer last", func(t *testing.T) {
		o := ready(t, configured(5, 2))
		o.ask(at(1, in("linearizable get a")))
		o.echo(1, 4, 5) // whoever confirms it
		o.expect()
		o.answer(1, 1, model.OK)
		o.expect("1 #1 200")
	})

	t.Run("nobody may be missing", func(t *testing.T) {
		o := ready(t, configured(3, 0))
		o.ask(at(1, in("linearizable get a")))
		o.wantRounds("r1 round 1 [1]")
		o.answer(1, 1, model.OK)
		o.expect("1 #1 200")
	})

	t.Run("ordered", func(t *testing.T) {
		cfg := configured(3, 1)
		cfg.OrderedGets = true
		o := ready(t, cfg)
		o.ask(at(1, in("linearizable get a")))
		o.wantRounds()
		o.answer(1, 1, model.OK)
		o.expect("1 #1 200")
	})
}

// The echo of an earlier round says nothing of what was answered since; that of a later one
// does.
func TestL4AnEchoIsOfItsRoundOrAnEarlierOne(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, in("linearizable get a")))
	o.ask(at(1, in("linearizable get b")))
	o.answer(1, 2, model.OK)
	o.echo(1, 2)
	o.expect()
	o.answer(1, 1, model.OK)
	o.expect("1 #1 200")
	o.echo(2, 3)
	o.expect("2 #2 200")
	o.ask(at(1, in("linearizable get c")))
	o.ask(at(1, in("linearizable get d")))
	o.answer(1, 3, model.OK)
	o.echo(4, 2)
	o.expect("3 #3 200")
	before := o.Refused()
	o.echo(5, 2)
	if o.Refused() != before+1 {
		t.Error("a round that was never sent is not refused")
	}
}

// A round costs nothing where enough members get a FORWARD anyway, and else the members
// confirm it in turn.
func TestL3WhoConfirms(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, in("linearizable get a")), at(3, in("eventual set b 1")))
	o.wantRounds("r1 round 1 [1]", "r3 round 1 [2]")
	o.ask(at(1, in("linearizable get a")), at(2, in("linearizable get b")), at(3, in("eventual get b")))
	o.wantRounds("r1 round 2 [3]", "r2 round 2 [4]", "r3 round 2 [5]")
	o.ask(at(3, in("eventual get b")))
	o.wantRounds()
	// Those that have gets confirm each other's, but they may be slow: they wait for sets.
	o.ask(at(1, in("linearizable get a")), at(2, in("linearizable get b")))
	o.wantRounds("r1 round 3 [7]", "r2 round 3 [8]", "r3 round 3 []")
	o.ask(at(1, in("linearizable get a")), at(2, in("linearizable get b")), at(3, in("linearizable get b")))
	o.wantRounds("r1 round 4 [9]", "r2 round 4 [10]", "r3 round 4 [11]")
	confirmed := map[string]int{}
	for range 20 {
		o.ask(at(1, in("linearizable get a")))
		for _, s := range o.out.Sends {
			if f, ok := s.Msg.(*message.Forward); ok && len(f.Requests) == 0 {
				confirmed[s.To[0].String()]++
			}
		}
	}
	if confirmed["r2"] != 10 || confirmed["r3"] != 10 {
		t.Errorf("20 rounds were confirmed by %v", confirmed)
	}
}

// A member that does not echo is not asked while there is another: it may stand still.
func TestL3WhoIsSilentIsNotAsked(t *testing.T) {
	o := ready(t, configured(3, 1))
	asked := func() (nodes []string) {
		for range 4 {
			o.ask(at(1, in("linearizable get a")))
			nodes = append(nodes, o.rounds()[1][:2])
		}
		return nodes
	}
	o.step() // nobody owes anything
	first := asked()
	o.echo(o.round, 1, 3)
	o.pass(2)
	o.echo(o.round, 3)
	if got := asked(); slices.Contains(got, "r2") || !slices.Contains(first, "r2") {
		t.Errorf("asked %v, and %v after r2 was silent", first, got)
	}
	o.pass(2) // nor does r3 now: one of them has to be asked
	if got := asked(); !slices.Contains(got, "r2") || !slices.Contains(got, "r3") {
		t.Errorf("asked %v while both are silent", got)
	}
}

// A lost fence, or its lost echo, is repeated with ticks, at all members; a lost get goes
// to another replica.
func TestL5AFenceIsRepeated(t *testing.T) {
	cfg := configured(3, 1)
	cfg.AgainTicks = 6
	o := ready(t, cfg)
	o.ask(at(1, in("linearizable get a")))
	o.pass(1)
	o.wantRounds()
	o.pass(1)
	o.wantRounds("r1 round 1 []", "r2 round 1 []", "r3 round 1 []")
	o.echo(1, 2)
	o.pass(4) // the replica that was asked for is asked again
	o.expect()
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #1"}) {
		t.Errorf("forwarded %v", got)
	}
	o.answer(1, 1, model.OK)
	o.expect()
	o.echo(2, 3)
	o.expect("1 #1 200")

	o.ask(in("linearizable get a"))
	first := o.forwarded()
	o.pass(6)
	again := o.forwarded()
	if len(first) != 1 || len(again) != 1 || first[0] == again[0] {
		t.Fatalf("forwarded %v, and again %v", first, again)
	}
	by, _ := lamport.ParseNode(first[0][:2])
	o.echo(4, 1, 2, 3)
	o.answer(by, 2, model.OK) // it has it no more
	o.expect()
	by, _ = lamport.ParseNode(again[0][:2])
	o.answer(by, 2, model.OK)
	o.expect("2 #2 200")
	o.pass(10)
	o.wantRounds()
}

// A get that was sent again, with a later round, does not hold up one of an earlier round.
func TestL1ALaterRoundHoldsUpNone(t *testing.T) {
	cfg := configured(3, 1)
	cfg.AgainTicks = 6
	o := ready(t, cfg)
	o.ask(at(1, in("linearizable get a")))
	o.pass(3)
	o.ask(at(1, in("linearizable get b")))
	o.pass(3) // the first is sent again
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #1"}) {
		t.Fatalf("forwarded %v", got)
	}
	o.answer(1, 1, model.OK)
	o.answer(1, 2, model.OK)
	o.expect()
	o.echo(2, 2)
	o.expect("2 #2 200")
	o.echo(3, 2)
	o.expect("1 #1 200")
}

// What was said in an epoch that has ended answers nothing; the get is sent again.
func TestL4FencesEndWithTheirEpoch(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, in("linearizable get a")), at(1, in("linearizable get b")))
	o.answer(1, 1, model.OK) // held
	late, echo := o.from(1), o.from(2)
	o.lost(3)
	o.wedged(0, 1, 2)
	o.decide()
	o.step(&message.Answers{Header: late, Answers: []message.Answer{{Answer: model.Answer{RID: 2, Code: model.OK}}}},
		&message.Answers{Header: echo, Round: 1})
	o.expect()
	o.installed()
	o.wantRounds("r1 round 2 [1 2]", "r2 round 2 []")
	o.answer(1, 1, model.OK)
	o.expect()
	stranger := o.from(2)
	stranger.Incarnation++
	o.step(&message.Answers{Header: stranger, Round: 2}) // another process under the name
	o.expect()
	o.answer(1, 2, model.OK)
	o.expect()
}

// A master that hears no echo answers nothing from what a replica said, and keeps nothing.
func TestHeldAnswersDoNotOutliveTheirRequests(t *testing.T) {
	o := ready(t, configured(3, 1))
	for range 3 {
		o.ask(at(1, in("linearizable get a")))
	}
	for rid := uint64(1); rid <= 3; rid++ {
		o.answer(1, rid, model.OK)
		o.expect()
	}
	o.pass(timeout)
	o.expect("1 #1 504", "2 #2 504", "3 #3 504")
	if n := o.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
	o.echo(o.round, 2, 3)
	o.expect()
	o.pass(10)
	o.wantRounds()
}

// A get costs no memory that it did not cost without its fence: the lists of gets and of
// answers are used again.
func BenchmarkFencedGets(b *testing.B) {
	for _, ordered := range []bool{true, false} {
		b.Run(map[bool]string{true: "ordered", false: "fenced"}[ordered], func(b *testing.B) {
			cfg := configured(3, 1)
			cfg.OrderedGets, cfg.TimeoutTicks, cfg.SuspectTicks = ordered, 100, 1<<40
			o := ready(&testing.T{}, cfg)

			const batch = 64
			get := in("linearizable get a")
			answers := make([]message.Answer, batch)

			b.ReportAllocs()
			var out master.Output
			for n := 0; b.Loop(); n++ {
				if n%16 == 0 {
					o.Tick(&out)
				}
				out.Sends, out.Replies, out.Sent, out.Heard = out.Sends[:0], out.Replies[:0], out.Sent[:0], out.Heard[:0]

				for range batch {
					o.Request(get, &out)
				}
				o.EndTurn(&out)

				for _, s := range out.Sends {
					f, ok := s.Msg.(*message.Forward)
					if !ok {
						continue
					}
					h := message.Header{From: s.To[0], Incarnation: 7, Epoch: 1, Clock: f.Clock}
					for i := range f.Requests {
						answers[i] = message.Answer{Answer: model.Answer{RID: f.Requests[i].RID, Code: model.OK}}
					}
					o.Step(&message.Answers{Header: h, Round: f.Round, Answers: answers[:len(f.Requests)]}, &out)
				}

				if len(out.Replies) != batch || out.Replies[0].Code != model.OK {
					b.Fatalf("%d replies to %d gets, the first %+v", len(out.Replies), batch, out.Replies[0])
				}
			}
		})
	}
}
