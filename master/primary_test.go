package master_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// A number is safe when f+1 members hold it, and held when all do.
func TestSafeAndHeld(t *testing.T) {
	for _, test := range []struct {
		faults     int
		watermarks []uint64
		safe, held uint64
	}{
		{0, []uint64{4}, 4, 4},
		{0, []uint64{4, 2}, 4, 2}, // f=0: whoever holds it will be there
		{1, []uint64{4, 2, 0}, 2, 0},
		{1, []uint64{0, 0, 4}, 0, 0},
		{1, []uint64{3, 4, 3}, 3, 3},
		{2, []uint64{5, 5, 5, 0, 0}, 5, 0},
		{2, []uint64{5, 5, 4, 3, 2}, 4, 2},
		{3, []uint64{1, 2, 3, 4, 5, 5, 5}, 4, 1},
		{4, []uint64{5, 5, 5, 5, 1, 1, 1, 1, 1}, 1, 1},
		{4, []uint64{5, 4, 5, 4, 5, 1, 2, 3, 0}, 4, 0},
	} {
		t.Run(fmt.Sprintf("f=%d %v", test.faults, test.watermarks), func(t *testing.T) {
			o := ready(t, configured(len(test.watermarks), test.faults))
			for range 5 {
				o.ask(in("causal set a 1"))
			}

			var safe []uint64
			for i, w := range test.watermarks {
				o.holds(lamport.Replica(i+1), w)
				for _, r := range o.out.Replies {
					if r.Code != model.OK || r.Timestamp != r.Token {
						t.Errorf("reply %+v", r)
					}
					safe = append(safe, r.Timestamp)
				}
			}

			marks := o.Snapshot().Marks
			if marks != (message.Marks{Last: 5, Safe: test.safe, Held: test.held}) {
				t.Errorf("marks %+v, want safe %d, held %d", marks, test.safe, test.held)
			}
			if uint64(len(safe)) != test.safe || !slices.IsSorted(safe) {
				t.Errorf("answered %v", safe)
			}
		})
	}
}

func TestAClaimOfANumberThatWasNotGivenIsRefused(t *testing.T) {
	o := ready(t, configured(1, 0))
	o.ask(in("causal set a 1"))
	before := o.Refused()
	o.holds(1, 2)
	o.expect()
	if o.Refused() != before+1 || o.Snapshot().Marks.Safe != 0 {
		t.Errorf("%d refused, marks %+v", o.Refused()-before, o.Snapshot().Marks)
	}
}

// The primary keeps a write until all hold it, and fills gaps from there.
func TestThePrimaryFillsGaps(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(in("causal set a 1"), in("causal set a 2"), in("causal set a 3"))
	gap := func() []message.CausalWrite {
		o.step(&message.Gap{Header: o.from(3), Causal: true, First: 1, Last: 3})
		if f := taken[*message.Fill](o); len(f) > 0 {
			return f[0].Writes
		}
		return nil
	}
	if got := gap(); len(got) != 3 || got[0].Number != 1 {
		t.Errorf("filled with %+v", got)
	}
	for n := range 3 {
		o.holds(lamport.Replica(n+1), 2)
	}
	if got := gap(); len(got) != 1 || got[0].Number != 3 {
		t.Errorf("filled with %+v, want number 3 alone", got)
	}
	before := o.Refused()
	o.step(&message.Gap{Header: o.from(3), First: 1, Last: 3})
	if o.Refused() != before+1 || len(o.out.Sends) != 0 {
		t.Error("a master has no DATA, and was asked for some")
	}
}

func TestTheReplicaAskedFor(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(9, in("eventual get a")), at(2, in("eventual get a")), at(9, in("causal set a 1")))
	o.expect("1 #1 400")
	if got := o.forwarded(); !slices.Equal(got, []string{"r2 #2"}) {
		t.Errorf("forwarded %v", got)
	}
	o.silent[1] = true
	o.pass(suspect + 1)
	o.ask(at(1, in("eventual get a")), at(2, in("eventual get a")))
	o.expect("4 #4 503")
	o.step(&message.Report{Header: o.from(1), Nonce: o.nonce}) // it is heard again, and trusted
	o.ask(at(1, in("eventual get a")))
	o.expect()
}

// Requests for any replica are spread evenly by the caller's numbers, over those that serve.
func TestDrawIsFair(t *testing.T) {
	o := ready(t, configured(5, 2))
	o.lost(4)
	counts := map[lamport.Node]int{}
	for i := range uint32(4000) {
		request := in("eventual get a")
		request.Draw = i * 2654435761 // spread over the range, the upper half included
		o.ask(request)
		for _, s := range o.out.Sends {
			if f, ok := s.Msg.(*message.Forward); ok {
				counts[s.To[0]]++
				o.answer(s.To[0], f.Requests[0].RID, model.NotFound)
			}
		}
	}
	for _, n := range []lamport.Node{1, 2, 3, 5} {
		if counts[n] < 900 || counts[n] > 1100 {
			t.Errorf("%v serves %d of 4000: %v", n, counts[n], counts)
		}
	}
	if counts[4] != 0 {
		t.Errorf("r4 is lost and serves %d", counts[4])
	}
}

// A batch goes to a replica that is free; while all are busy it gathers.
func TestABatchGathersWhileAllAreBusy(t *testing.T) {
	o := ready(t, configured(2, 0))
	o.ask(in("eventual get a"))
	o.ask(in("eventual get a"))
	o.ask(in("eventual get a"))
	o.ask(in("eventual get a"))
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v to a busy replica", got)
	}
	o.answer(2, 1, model.NotFound) // whoever answers is free
	if got := o.forwarded(); !slices.Equal(got, []string{"r2 #3", "r2 #4"}) {
		t.Errorf("forwarded %v", got)
	}
}

// A request that was answered Unknown while it waited for a free replica does not leave.
func TestWhatWasAnsweredDoesNotLeave(t *testing.T) {
	o := ready(t, configured(1, 0))
	o.ask(id("x", in("eventual set a 1")))
	o.silent[1] = true
	o.lost(1)
	o.ask(id("x", in("eventual set a 1")))
	o.pass(timeout)
	o.expect("1 #1 504", "2 #1 504 repeated")
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v", got)
	}
}

func TestMessagesOfOthersAreRefused(t *testing.T) {
	for name, change := range map[string]func(*message.Header){
		"an older process": func(h *message.Header) { h.Incarnation = 6 }, "no process": func(h *message.Header) { h.Incarnation = 0 },
		"a master": func(h *message.Header) { h.From = lamport.Master(2) }, "nobody": func(h *message.Header) { h.From = 0 },
		"a jump": func(h *message.Header) { h.Clock = 3 * lamport.MaxJump },
	} {
		t.Run(name, func(t *testing.T) {
			o := ready(t, configured(3, 1))
			o.ask(at(1, in("linearizable set a 1")))
			before, h := o.Refused(), o.from(1)
			change(&h)
			o.step(&message.Answers{Header: h, Answers: []message.Answer{{Answer: model.Answer{RID: 1, Code: model.OK}}}})
			o.expect()
			if o.Refused() != before+1 || o.Now() > 1<<20 {
				t.Errorf("%d refused, clock %d", o.Refused()-before, o.Now())
			}
		})
	}
}
