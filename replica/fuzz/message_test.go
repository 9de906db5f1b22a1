// Package fuzz_test gives the machines of master and replica messages of the right types
// with any content: what a hostile, broken or confused node could say after the codec. No
// message may make a machine panic, let a clock jump or fall, or take back a position.
package fuzz_test

import (
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/model"
)

// source draws values from the fuzzer's bytes; behind their end it gives zeros.
type source struct{ data []byte }

func (s *source) byte() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *source) below(n int) int { return int(s.byte()) % n }

// number is mostly small, sometimes at an edge: that is where machines go wrong.
func (s *source) number() uint64 {
	b := s.byte()
	switch {
	case b < 200:
		return uint64(b % 8)
	case b < 230:
		return uint64(b)
	}
	edges := [...]uint64{
		1<<14 - 1, 1 << 14, 1<<14 + 1, 1 << 16, 1<<16 + 5, lamport.MaxJump, lamport.MaxJump + 1,
		lamport.Limit - 1, lamport.Limit, ^uint64(0) - 1, ^uint64(0),
	}
	return edges[int(b)%len(edges)] + uint64(s.below(3)) - 1
}

func (s *source) node() lamport.Node {
	nodes := [...]lamport.Node{1, 2, 3, 2, 3, 4, 0, lamport.Master(1), lamport.Master(2), 1 << 31}
	return nodes[s.below(len(nodes))]
}

func (s *source) header(from lamport.Node, incarnation uint64, clock uint64) message.Header {
	h := message.Header{From: from, Incarnation: incarnation, Epoch: 1, Clock: clock + uint64(s.below(3))}
	switch s.below(16) { // mostly right, so that what stands behind the door is reached
	case 0:
		h.From = s.node()
	case 1:
		h.Incarnation = s.number()
	case 2:
		h.Epoch = s.number()
	case 3:
		h.Clock = s.number()
	}
	return h
}

func (s *source) request() message.Request {
	r := message.Request{
		RID: s.number(), Model: model.Consistency(s.below(6)), Type: model.Type(s.below(4)), Key: string(rune('a' + s.below(3))),
		Version: lamport.Version{Epoch: s.number(), Timestamp: lamport.Timestamp{Time: s.number(), Node: s.node()}},
	}
	if s.below(2) == 0 {
		r.Identity, r.Digest = string(rune('x'+s.below(3))), s.number()
	}
	if s.below(3) == 0 {
		r.Min = s.number()
	}
	if s.below(2) == 0 {
		r.Value = []byte{s.byte()}
	}
	return r
}

func some[T any](s *source, most int, one func() T) []T {
	var all []T
	for range s.below(most + 1) {
		all = append(all, one())
	}
	return all
}

func (s *source) write() message.CausalWrite {
	w := message.CausalWrite{Number: s.number(), Request: s.request()}
	if s.below(4) > 0 {
		w.Request.Model, w.Request.Type = model.Causal, model.Set
	}
	return w
}

func (s *source) operation() message.Operation {
	op := message.Operation{Op: message.Op(s.below(6)), Request: s.request(), Number: uint64(s.below(3))}
	if s.below(8) == 0 {
		op.Number = s.number()
	}
	op.Reads = some(s, 3, s.number)
	return op
}

func (s *source) received() message.Received {
	r := message.Received{LastSeq: s.number(), Received: []uint64{s.number(), s.number(), s.number()}}
	if s.below(16) == 0 {
		r.Received = some(s, 5, s.number)
	}
	return r
}

func (s *source) marks() message.Marks {
	return message.Marks{Last: s.number(), Safe: s.number(), Held: s.number()}
}

func (s *source) view() message.View {
	v := message.View{Epoch: 1, Faults: 1, Members: []message.Member{{Node: 1, Incarnation: 1}, {Node: 2, Incarnation: 1}, {Node: 3, Incarnation: 1}}}
	switch s.below(8) {
	case 0:
		v.Epoch = s.number()
	case 1:
		v.Faults = int(int8(s.byte()))
	case 2:
		v.Members = some(s, 4, func() message.Member { return message.Member{Node: s.node(), Incarnation: s.number()} })
	}
	return v
}

// toReplica is any message for r1, mostly from who may say it.
func (s *source) toReplica(clock uint64) message.Message {
	master := s.header(lamport.Master(1), 1, clock)
	peer := s.header(lamport.Replica(2+s.below(2)), 1, clock)
	switch s.below(12) {
	case 0:
		return &message.Install{Header: master, View: s.view(), Marks: s.marks()}
	case 1, 2:
		return &message.Forward{Header: master, Marks: s.marks(), Requests: some(s, 3, s.request), Writes: some(s, 2, s.write)}
	case 3:
		return &message.Probe{Header: master, Nonce: s.number(), Marks: s.marks()}
	case 4, 5, 6:
		d := &message.Data{Header: peer, Seq: s.number(), Received: s.received(), Ops: some(s, 3, s.operation)}
		if s.below(4) > 0 {
			d.LastSeq = d.Seq
		}
		return d
	case 7, 8:
		return &message.Ack{Header: peer, Received: s.received(), Solicit: s.below(2) == 0}
	case 9:
		return &message.Gap{Header: peer, Causal: s.below(2) == 0, First: s.number(), Last: s.number()}
	case 10:
		return &message.Fill{Header: peer, Writes: some(s, 3, s.write)}
	}
	return s.toMaster(clock) // not a replica's to hear
}

// toMaster is any message for m1, mostly from who may say it.
func (s *source) toMaster(clock uint64) message.Message {
	h := s.header(lamport.Replica(1+s.below(3)), 1, clock)
	switch s.below(6) {
	case 0:
		m := &message.Hello{
			Header: h, PID: s.below(100), View: s.view(), Position: s.number(), Watermark: s.number(), Safe: s.number(),
			LastRID: s.number(), Master: 1,
		}
		if s.below(3) == 0 {
			m.View = message.View{}
		}
		return m
	case 1:
		return &message.Installed{Header: h}
	case 2, 3:
		return &message.Answers{Header: h, Watermark: s.number(), Position: s.number(), Answers: some(s, 4, func() message.Answer {
			return message.Answer{RID: s.number(), FirstRID: s.number(), Code: model.Code(200 + int(s.number()%400)), Timestamp: s.number(), Clock: s.number()}
		})}
	case 4:
		return &message.Gap{Header: h, Causal: s.below(4) > 0, First: s.number(), Last: s.number()}
	}
	return &message.Report{Header: h, Nonce: s.number(), Watermark: s.number(), Position: s.number()}
}
