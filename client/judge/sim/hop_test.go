package sim_test

import (
	"fmt"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/master/membership"
	"quartet/replica"
	"quartet/replica/abcast"
	"quartet/replica/store"
)

// machines is one master and three replicas in one thread, without a bus: what a request costs
// in the machines alone. Each node takes all that has arrived as one turn.
type machines struct {
	master   *master.Machine
	replicas [3]*replica.Machine
	inbox    [4][]message.Message // replicas, then the master
	out      master.Output
	rout     replica.Output
	token    uint64
	answered int
}

func newMachines(tb testing.TB) *machines {
	h := &machines{}
	cfg := master.Config{
		Self: lamport.Master(1), Incarnation: 1, Missing: 1, TimeoutTicks: 500, ProbeTicks: 10, SuspectTicks: 100,
		AgainTicks: 50,
	}
	for i := range h.replicas {
		n := lamport.Replica(i + 1)
		cfg.Replicas = append(cfg.Replicas, n)
		h.replicas[i] = replica.New(replica.Config{Self: n, Incarnation: 1, Store: store.NewMemory(0), WaitTicks: 5, HelloTicks: 10})
	}
	h.master = master.New(cfg)
	h.endMasterTurn()
	for _, r := range h.replicas {
		r.Tick(&h.rout)
		h.route(h.rout.Sends)
		h.rout.Sends = h.rout.Sends[:0]
	}
	h.run()
	if !h.master.Ready() {
		tb.Fatal(h.master.Snapshot().Why)
	}
	return h
}

func (h *machines) route(sends []abcast.Send) {
	for _, s := range sends {
		for _, to := range s.To {
			at := len(h.replicas)
			if to.IsReplica() {
				at = int(to) - 1
			}
			h.inbox[at] = append(h.inbox[at], s.Msg)
		}
	}
}

// run takes turns until nothing is in flight.
func (h *machines) run() {
	for busy := true; busy; {
		busy = false
		for i, r := range h.replicas {
			if len(h.inbox[i]) == 0 {
				continue
			}
			busy = true
			for _, msg := range h.inbox[i] {
				r.Step(msg, &h.rout)
			}
			clear(h.inbox[i])
			h.inbox[i] = h.inbox[i][:0]
			r.EndTurn(&h.rout)
			h.route(h.rout.Sends)
			clear(h.rout.Sends)
			h.rout.Sends = h.rout.Sends[:0]
		}
		if at := len(h.replicas); len(h.inbox[at]) > 0 {
			busy = true
			for _, msg := range h.inbox[at] {
				h.master.Step(msg, &h.out)
			}
			clear(h.inbox[at])
			h.inbox[at] = h.inbox[at][:0]
			h.endMasterTurn()
		}
	}
}

// tick lets the replicas tell what they owe those who did not wait for it.
func (h *machines) tick() {
	for _, r := range h.replicas {
		r.Tick(&h.rout)
		r.EndTurn(&h.rout)
		h.route(h.rout.Sends)
		clear(h.rout.Sends)
		h.rout.Sends = h.rout.Sends[:0]
	}
	h.run()
}

func (h *machines) endMasterTurn() {
	h.master.EndTurn(&h.out)
	for c := h.out.Command; c != nil; c = h.out.Command { // nobody else writes the record
		fate := membership.Read
		if c.Propose != nil {
			fate = membership.Won
		}
		h.out.Command = nil
		h.master.Result(membership.Result{Number: c.Number, Fate: fate, Revision: c.Number}, &h.out)
		h.master.EndTurn(&h.out)
	}
	h.route(h.out.Sends)
	for i := range h.out.Replies {
		if h.out.Replies[i].Code == model.OK {
			h.answered++
		}
	}
	clear(h.out.Sends)
	clear(h.out.Replies)
	h.out.Sends, h.out.Replies = h.out.Sends[:0], h.out.Replies[:0]
}

// keys are 16 bytes long.
var keys = func() (all [1000]string) {
	for i := range all {
		all[i] = fmt.Sprintf("key%013d", i)
	}
	return all
}()

// ask sends n requests, each of another key, in one turn and runs until all is quiet.
func (h *machines) ask(r message.Request, n int) {
	for range n {
		h.token++
		r.Key = keys[h.token%uint64(len(keys))]
		h.master.Request(master.Incoming{Token: h.token, Request: r, Draw: uint32(h.token)}, &h.out)
	}
	h.endMasterTurn()
	h.run()
	if h.token%512 == 0 { // deadlines are thrown away as time passes
		h.master.Tick(&h.out)
		h.endMasterTurn()
		h.run()
	}
}

// BenchmarkHop is one request, or 64 at once, through the machines of a master and three
// replicas: 16-byte keys, 100-byte values, no bus and no codec. ns/op and allocs/op are
// of one request.
func BenchmarkHop(b *testing.B) {
	value := make([]byte, 100)
	for _, m := range model.All {
		for _, kind := range []model.Type{model.Set, model.Get} {
			for _, batch := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s-%s-%d", m.Word(), kind.Word(), batch), func(b *testing.B) {
					h := newMachines(b)
					r := message.Request{Request: model.Request{Model: m, Type: model.Set, Value: value}}
					h.ask(r, len(keys))
					h.answered = 0
					if r.Type = kind; kind == model.Get {
						r.Value = nil
					}
					b.ReportAllocs()
					asked := 0
					for b.Loop() {
						if asked++; asked%batch == 0 {
							h.ask(r, batch)
						}
					}
					if want := asked - asked%batch; h.answered != want {
						b.Fatalf("%d of %d were answered", h.answered, want)
					}
				})
			}
		}
	}
}

// The benchmark's cluster answers what it is asked, in every model.
func TestHop(t *testing.T) {
	h := newMachines(t)
	for _, m := range model.All {
		for _, kind := range []model.Type{model.Set, model.Get} {
			h.answered = 0
			h.ask(message.Request{Request: model.Request{Model: m, Type: kind, Value: []byte(m.Word())[:2-kind]}}, len(keys))
			if h.answered != len(keys) {
				t.Errorf("%v %v: %d of %d answered", m, kind, h.answered, len(keys))
			}
		}
		h.tick()
		for _, r := range h.replicas {
			if s := r.Stats(); s.Keys != len(keys) || s.Tentative != 0 || s.Queue != 0 || s.Pending != 0 {
				t.Errorf("after %v: %+v", m, s)
			}
		}
	}
}
