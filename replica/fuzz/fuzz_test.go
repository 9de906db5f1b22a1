package fuzz_test

import (
	"math/rand/v2"
	"testing"

	"quartet/master"
	"quartet/replica"
	"quartet/replica/lamport"
	"quartet/replica/message"
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
		s := &source{data: data}
		var out replica.Output
		m := replica.New(replica.Config{Self: 1, Incarnation: 1, Store: store.NewMemory(), WaitTicks: 3, HelloTicks: 4, Window: 4})
		if s.below(8) > 0 {
			m.Step(&message.Install{Header: message.Header{From: lamport.Master(1), Incarnation: 1, Epoch: 1, Clock: 5}, View: (&source{data: []byte{7}}).view()}, &out)
		}
		for len(s.data) > 0 {
			before, installed := m.Stats(), m.Installed()
			for range 1 + s.below(3) {
				m.Step(s.toReplica(m.Stats().Clock), &out)
			}
			if s.below(3) == 0 {
				m.Tick(&out)
			}
			m.EndTurn(&out)
			out.Sends = out.Sends[:0]
			after := m.Stats()
			switch {
			case after.Clock < before.Clock, installed && after.Clock > before.Clock+3*step:
				t.Fatalf("the clock goes from %d to %d", before.Clock, after.Clock)
			case after.Position < before.Position, after.Safe < before.Safe, after.Safe > after.Watermark:
				t.Fatalf("from %+v to %+v", before, after)
			case after.Pending < 0:
				t.Fatalf("answered more than was asked: %+v", after)
			}
		}
	})
}

func FuzzMaster(f *testing.F) {
	seeds(f, 600)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &source{data: data}
		var out master.Output
		m := master.New(master.Config{
			Self: lamport.Master(1), Incarnation: 1, Replicas: []lamport.Node{1, 2, 3}, Faults: 1,
			TimeoutTicks: 8, ProbeTicks: 2, SuspectTicks: 6, AgainTicks: 2, Window: 4, MaxInFlight: 20,
		})
		waiting := map[uint64]bool{}
		for token := uint64(1); len(s.data) > 0; token++ {
			before, epoch := m.Now(), m.Snapshot().Epoch
			switch s.below(4) {
			case 0:
				waiting[token] = true
				m.Request(master.Incoming{Token: token, Request: s.client(), Replica: s.node() % 5, Draw: uint32(s.number())}, &out)
			case 1:
				m.Tick(&out)
			default:
				m.Step(s.toMaster(before), &out)
			}
			m.EndTurn(&out)
			for _, r := range out.Replies {
				if !waiting[r.Token] {
					t.Fatalf("token %d is answered twice, or was never asked: %+v", r.Token, r)
				}
				delete(waiting, r.Token)
			}
			out = master.Output{}
			if now := m.Now(); now < before || epoch > 0 && now > before+step {
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

// client is a request that has passed the door: its codes are known.
func (s *source) client() message.Request {
	r := s.request()
	r.Model, r.Type = 1+r.Model%4, 1+r.Type%2
	return r
}
