package fuzz_test

import (
	"math/rand/v2"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/master/membership"
	"quartet/replica"
	"quartet/replica/dedup"
	"quartet/replica/store"
)

// seeds are byte strings for the default suite: long enough for some hundred messages.
func seeds(f *testing.F, n int) {
	random := rand.New(rand.NewPCG(2, 9))
	for range n {
		data := make([]byte, 2000)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
}

// step is the most that a message may move a clock: a jump, and the events of its turn.
const step = lamport.MaxJump + 1000

func FuzzReplica(f *testing.F) {
	seeds(f, 600)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &source{data: data, epoch: 1}
		var out replica.Output
		cfg := replica.Config{
			Self: 1, Incarnation: 1, Store: store.NewMemory(0), Forms: codec.Forms{},
			WaitTicks: 3, HelloTicks: 4, Limits: dedup.Limits{Window: 4}, Durable: s.below(2) == 0,
		}
		m := replica.New(cfg)

		if s.below(8) > 0 {
			r := message.Record{
				View: message.View{
					Epoch: 1, Faults: 1,
					Members: []message.Member{
						{Node: 1, Incarnation: 1}, {Node: 2, Incarnation: 1}, {Node: 3, Incarnation: 1},
					},
				},
				Configured: []lamport.Node{1, 2, 3}, Missing: 1, Master: 1,
			}
			if s.below(3) == 0 { // a learner's life is a short one unless it begins with it
				r.Members = r.Members[1:]
			}
			m.Step(&message.Install{Header: message.Header{From: lamport.Master(1), Incarnation: 1, Epoch: 1, Clock: 5}, Record: r}, &out)
		}

		for len(s.data) > 0 {
			before, told := m.Stats(), false
			for range 1 + s.below(3) {
				msg := s.toReplica(m.Stats().Clock)
				_, install := msg.(*message.Install)
				told = told || install
				m.Step(msg, &out)
				s.epoch = max(m.Stats().Epoch, 1)
			}

			if s.below(3) == 0 {
				m.Tick(&out)
			}
			m.EndTurn(&out)
			for _, sent := range out.Sends {
				if p, ok := sent.Msg.(*message.Pull); ok {
					s.nonce = p.Nonce
				}
			}
			out.Sends = out.Sends[:0]

			after := m.Stats()
			contradicts := after.Epoch != before.Epoch && after.Safe > after.Watermark
			if m.Fault() != "" || contradicts {
				return // a record that contradicts what was told before
			}
			check(t, before, after, told)
		}
	})
}

// fell reports whether a figure that only rises in an epoch has fallen.
func fell(before, after replica.Stats) bool {
	return after.Position < before.Position || after.Safe < before.Safe || after.Watermark < before.Watermark
}

// check compares a replica before and after a turn. What an order guards never goes back,
// nor jumps; one who is outside of it may be given another state, and one who was told a
// record another clock.
func check(t *testing.T, before, after replica.Stats, told bool) {
	t.Helper()
	inside := func(s replica.Stats) bool { return s.Phase == message.PhaseMember || s.Phase == message.PhaseWedged }
	same := inside(before) && inside(after) && before.Epoch == after.Epoch
	switch {
	case after.Clock < before.Clock, same && !told && after.Clock > before.Clock+3*step:
		t.Fatalf("the clock goes from %d to %d", before.Clock, after.Clock)
	case after.Epoch < before.Epoch, same && before.Phase == message.PhaseWedged && after.Phase != message.PhaseWedged:
		t.Fatalf("from %+v to %+v", before, after)
	case same && fell(before, after), after.Safe > after.Watermark:
		t.Fatalf("from %+v to %+v", before, after)
	case before.Phase == message.PhaseWedged && after.Phase == message.PhaseWedged && after.Position != before.Position:
		t.Fatalf("it delivers while it is wedged: from %+v to %+v", before, after)
	case after.Pending < 0:
		t.Fatalf("answered more than was asked: %+v", after)
	}
}

// registry is a store of the record that others write to as well.
type registry struct {
	record   *message.Record
	revision uint64
}

// execute is the outcome of a command, not always the true one for who asked: it may be
// unknown, and another master may have been faster.
func (r *registry) execute(c *membership.Command, s *source) membership.Result {
	if s.below(12) == 0 {
		other := s.record()
		if r.record != nil && other.Epoch > r.record.Epoch && other.Sound() {
			r.record, r.revision = &other, r.revision+1
		}
	}
	result := membership.Result{Number: c.Number, Fate: membership.Read}
	switch {
	case c.Propose == nil:
		result.Record, result.Revision = r.record, r.revision
	case c.Revision != r.revision:
		result.Fate = membership.Lost
	default:
		r.record, r.revision = c.Propose, r.revision+1
		result.Fate, result.Revision = membership.Won, r.revision
	}
	switch s.below(8) {
	case 0:
		result.Fate, result.Record = membership.Unknown, nil
	case 1:
		result.Number = s.number()
	}
	return result
}

func FuzzMaster(f *testing.F) {
	seeds(f, 600)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &source{data: data}
		var out master.Output
		var records registry
		m := master.New(master.Config{
			Self: lamport.Master(1), Incarnation: 1, Replicas: []lamport.Node{1, 2, 3}, Missing: 1,
			TimeoutTicks: 8, ProbeTicks: 2, SuspectTicks: 6, ReadmitTicks: 4, JoinTicks: 2, AgainTicks: 2,
			Limits: dedup.Limits{Window: 4}, MaxInFlight: 20, Voting: s.below(3) == 0,
		})

		waiting := map[uint64]bool{}
		for token := uint64(1); len(s.data) > 0; token++ {
			before, ready := m.Now(), m.Ready()
			switch s.below(5) {
			case 0:
				waiting[token] = true
				m.Request(master.Incoming{
					Token: token, Request: s.client(), Replica: s.node() % 5, Draw: uint32(s.number()),
					Wall: s.number(), ReadOnly: s.below(2) == 0,
				}, &out)
			case 1:
				m.Tick(&out)
			case 2:
				if s.below(8) == 0 {
					m.Lost(s.node(), s.below(3))
				}
			default:
				m.Step(s.toMaster(before), &out)
			}

			m.EndTurn(&out)
			for out.Command != nil {
				c := out.Command
				out.Command = nil
				m.Result(records.execute(c, s), &out)
				m.EndTurn(&out)
			}

			s.epoch = m.Snapshot().Epoch
			for _, r := range out.Replies {
				if !waiting[r.Token] {
					t.Fatalf("token %d is answered twice, or was never asked: %+v", r.Token, r)
				}
				delete(waiting, r.Token)
			}

			out = master.Output{}
			now := m.Now()
			jumps := ready && now > before+step
			if now < before || jumps {
				t.Fatalf("the clock goes from %d to %d", before, now)
			}
			if m.InFlight() != len(waiting) {
				t.Fatalf("%d in flight, %d wait for an answer", m.InFlight(), len(waiting))
			}
		}

		for range 9 {
			m.Tick(&out)
			m.EndTurn(&out)
		}
		if n := m.InFlight(); n != 0 {
			t.Fatalf("%d were never answered", n)
		}
	})
}

// client is a request that has passed the door: its codes are known, and its model has such
// requests.
func (s *source) client() message.Request {
	r := s.request()
	r.Model, r.Type = 1+r.Model%4, model.Types[s.below(len(model.Types))]
	if !r.Type.In(r.Model) {
		r.Type = model.Delete
	}
	return r
}
