// Package fuzz_test gives the machines of master and replica messages of the right types
// with any content: what a hostile, broken or confused node could say after the codec. No
// message may make a machine panic, let a clock jump or fall, or take back a position.
package fuzz_test

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// source draws values from the fuzzer's bytes; behind their end it gives zeros.
type source struct {
	data  []byte
	epoch uint64 // that most messages are of
	nonce uint64 // that most CHUNKs have
}

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
	h := message.Header{From: from, Incarnation: incarnation, Epoch: s.epoch, Clock: clock + uint64(s.below(3))}
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
		RID: s.number(),
		Request: model.Request{
			Model: model.Consistency(s.below(6)), Type: model.Type(s.below(4)), Key: string(rune('a' + s.below(3))),
		},
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

// record is mostly the record of the next epoch, with r1 in it or not.
func (s *source) record() message.Record {
	r := message.Record{
		View:       message.View{Epoch: s.epoch + uint64(s.below(3)), Faults: 1},
		Configured: []lamport.Node{1, 2, 3}, Missing: 1, Cut: []uint64{s.number(), s.number(), s.number()},
		High: s.number(), Start: s.number(), Master: 1, Nonce: uint64(s.below(2)),
	}
	for n := range 3 {
		r.Members = append(r.Members, message.Member{Node: lamport.Replica(n + 1), Incarnation: 1 + uint64(s.below(2))})
	}

	switch s.below(12) {
	case 0:
		r.Epoch = s.number()
	case 1:
		r.Faults, r.Missing = int(int8(s.byte())), int(int8(s.byte()))
	case 2:
		r.Members = some(s, 4, func() message.Member { return message.Member{Node: s.node(), Incarnation: s.number()} })
	case 3:
		r.Configured = some(s, 4, s.node)
	case 4:
		r.Cut = some(s, 4, s.number)
	case 5:
		r.Master = s.number()
	case 6, 7:
		r.Members = r.Members[1:]
	}

	if s.below(3) > 0 {
		r.High, r.Start = 0, 0
		clear(r.Cut)
	}
	return r
}

func (s *source) chunk(from message.Header) *message.Chunk {
	c := &message.Chunk{
		Header: from, Nonce: s.nonce, Restart: s.below(16) == 0, Position: s.number(),
		Place: lamport.Timestamp{Time: s.number(), Node: s.node()},
		First: uint64(s.below(4)), Last: uint64(s.below(6)), Scanned: s.below(2) == 0, LastRID: s.number(),
		Wedged: s.below(2) == 0, Done: s.below(2) == 0, Committed: s.number(), Watermark: s.number(), Safe: s.number(),
	}

	c.Entries = some(s, 3, func() message.Executed {
		return message.Executed{
			Identity: string(rune('x' + s.below(3))), RID: s.number(), Digest: s.number(), Position: s.number(),
			Timestamp: s.number(), Key: "a",
		}
	})
	c.Records = some(s, 2, func() message.KeyRecord {
		return message.KeyRecord{
			Key: string(rune('a' + s.below(3))), Kind: s.byte(), Value: []byte{s.byte()}, Number: s.number(),
			RID: s.number(),
		}
	})
	c.Contiguous = []uint64{s.number(), s.number(), s.number()}
	c.Data = some(s, 2, func() *message.Data {
		h := s.header(lamport.Replica(1+s.below(3)), 1, 0)
		return &message.Data{Header: h, Seq: s.number(), Received: s.received(), Ops: some(s, 2, s.operation)}
	})
	c.Writes = some(s, 2, s.write)

	switch s.below(12) {
	case 0:
		c.Nonce = s.number()
	case 1:
		c.First, c.Last = s.number(), s.number()
	case 2:
		c.Contiguous = some(s, 4, s.number)
	case 3:
		c.Cursor = string(rune('a' + s.below(3)))
	}
	return c
}

func (s *source) ballot() message.Ballot {
	return message.Ballot{Round: s.number(), Master: uint64(s.below(3))}
}

// someRecord is a record, or none.
func (s *source) someRecord() *message.Record {
	if s.below(3) == 0 {
		return nil
	}
	r := s.record()
	return &r
}

func (s *source) poll(h message.Header) *message.Poll {
	p := &message.Poll{Header: h, Attempt: s.number(), Ballot: s.ballot(), Base: s.someRecord(), Forced: s.below(4) == 0}
	if s.below(2) == 0 {
		p.Value = s.someRecord()
	}
	return p
}

func (s *source) vote(h message.Header) *message.Vote {
	v := &message.Vote{
		Header: h, Attempt: s.number(), Base: s.someRecord(), Counts: s.below(4) > 0, Promised: s.ballot(), Accepted: s.ballot(),
	}
	if s.below(2) == 0 {
		v.Value = s.someRecord()
	}
	return v
}

func (s *source) broadcast(h message.Header) *message.Data {
	d := &message.Data{Header: h, Seq: s.number(), Received: s.received(), Ops: some(s, 3, s.operation)}
	if s.below(4) > 0 {
		d.LastSeq = d.Seq
	}
	return d
}

// toReplica is any message for r1, mostly from who may say it.
func (s *source) toReplica(clock uint64) message.Message {
	master := s.header(lamport.Master(1), 1, clock)
	peer := s.header(lamport.Replica(2+s.below(2)), 1, clock)

	switch s.below(20) {
	case 17, 18:
		return s.poll(master)
	case 0:
		return &message.Install{Header: master, Record: s.record()}
	case 1, 2:
		return &message.Forward{
			Header: master, Round: s.number(), Marks: s.marks(), Requests: some(s, 3, s.request),
			Writes: some(s, 2, s.write),
		}
	case 3:
		return &message.Probe{Header: master, Nonce: s.number(), Marks: s.marks()}
	case 4, 5, 6:
		return s.broadcast(peer)
	case 7, 8:
		return &message.Ack{Header: peer, Received: s.received(), Solicit: s.below(2) == 0}
	case 9:
		g := &message.Gap{Header: peer, Causal: s.below(2) == 0, First: s.number(), Last: s.number()}
		if s.below(3) == 0 {
			g.Of = s.node()
		}
		return g
	case 10:
		held := func() *message.Data { return s.broadcast(s.header(s.node(), 1, clock)) }
		return &message.Fill{Header: peer, Writes: some(s, 3, s.write), Data: some(s, 2, held)}
	case 11:
		p := &message.Prepare{Header: master, Attempt: s.number()}
		if s.below(3) == 0 {
			p.High, p.Holder = s.number(), s.node()
		}
		if s.below(3) == 0 {
			p.Cut = some(s, 4, s.number)
		}
		return p
	case 12:
		return &message.Pull{
			Header: peer, Nonce: s.number(), Entry: s.number(), Cursor: string(rune('a' + s.below(3))), Scanned: s.below(2) == 0,
			Wedged: s.below(2) == 0, Held: some(s, 4, s.number), Number: s.number(),
		}
	case 13, 14, 15, 16:
		return s.chunk(peer)
	}
	return s.toMaster(clock) // not a replica's to hear
}

// toMaster is any message for m1, mostly from who may say it.
func (s *source) toMaster(clock uint64) message.Message {
	h := s.header(lamport.Replica(1+s.below(3)), 1+uint64(s.below(8)/7), clock)

	switch s.below(11) {
	case 9, 10:
		return s.vote(h)
	case 0, 1:
		m := &message.Hello{
			Header: h, PID: s.below(3), Phase: message.Phase(s.below(7)), Position: s.number(), Keys: s.number(),
			LastRID: uint64(s.below(9)), Master: 1,
		}
		switch s.below(4) {
		case 0:
			m.Epoch, m.Phase = 0, message.PhaseBoot
		case 1:
			m.LastRID = s.number()
		}
		if s.below(40) == 0 {
			m.Master = s.number()
		}
		return m
	case 2, 3:
		st := &message.State{
			Header: h, Attempt: s.number(), Contiguous: []uint64{s.number(), s.number(), s.number()},
			Watermark: uint64(s.below(9)),
		}
		switch s.below(12) {
		case 0:
			st.Contiguous = some(s, 4, s.number)
		case 1:
			st.Watermark, st.LastRID = s.number(), s.number()
		}
		return st
	case 4:
		return &message.Installed{Header: h, Position: s.number()}
	case 5, 6:
		round, watermark, position := s.number(), s.number(), s.number()
		answers := some(s, 4, func() message.Answer {
			return message.Answer{
				Answer: model.Answer{
					RID: s.number(), Code: model.Code(200 + int(s.number()%400)), Timestamp: s.number(),
					Clock: lamport.Timestamp{Time: s.number()},
				},
				FirstRID: s.number(),
			}
		})
		return &message.Answers{
			Header: h, Round: round, Watermark: watermark, Position: position, Answers: answers,
		}
	case 7:
		return &message.Gap{Header: h, Causal: s.below(4) > 0, First: s.number(), Last: s.number()}
	}
	return &message.Report{Header: h, Nonce: s.number(), Watermark: s.number(), Position: s.number()}
}
