package codec

import (
	"bytes"
	"fmt"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// benchmarked are the messages on the path of a request: n requests with keys of 16 and
// values of 100 bytes.
func benchmarked(n int) map[string]message.Message {
	forward := &message.Forward{Header: head(lamport.Master(1)), Marks: message.Marks{Last: 1000, Safe: 1000, Held: 990}}
	answers := &message.Answers{Header: head(1), Watermark: 1000, Position: 100_000}
	data := &message.Data{Header: head(1), Seq: 1000, Received: message.Received{LastSeq: 1000, Received: []uint64{1000, 1001, 999}}}
	for i := range n {
		r := message.Request{
			RID:     uint64(1_000_000 + i),
			Request: model.NewSet(model.Linearizable, fmt.Sprintf("key-%012d", i), make([]byte, 100)),
			Version: lamport.Version{
				Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(500_000 + i), Node: lamport.Master(1)},
			},
		}
		forward.Requests = append(forward.Requests, r)
		answers.Answers = append(answers.Answers, message.Answer{
			Answer: model.Answer{
				RID: r.RID, Code: model.OK, Value: r.Value, Position: 100_000, Clock: lamport.Timestamp{Time: 600_000},
			},
		})
		data.Ops = append(data.Ops, message.Operation{Op: message.OpStrong, Request: r})
	}
	return map[string]message.Message{
		"Forward": forward, "Answers": answers, "Data": data,
		"Ack": &message.Ack{Header: head(1), Received: data.Received},
	}
}

func BenchmarkEncode(b *testing.B) {
	each(b, func(b *testing.B, m message.Message) {
		e := NewEncoder()
		for b.Loop() {
			if _, err := e.Encode(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	each(b, func(b *testing.B, m message.Message) {
		encoded, err := NewEncoder().Encode(m)
		if err != nil {
			b.Fatal(err)
		}
		encoded = bytes.Clone(encoded)
		d := NewDecoder()
		b.SetBytes(int64(len(encoded)))
		for b.Loop() {
			if _, err := d.Decode(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func each(b *testing.B, run func(*testing.B, message.Message)) {
	for _, name := range []string{"Forward", "Answers", "Data", "Ack"} {
		for _, n := range []int{1, 32} {
			if name == "Ack" && n > 1 {
				continue // an ack has no requests
			}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				run(b, benchmarked(n)[name])
			})
		}
	}
}

// BenchmarkValue is what a durable replica does beside: keys of 16 and values of 100 bytes.
func BenchmarkValue(b *testing.B) {
	r := message.KeyRecord{
		Key: "key-000000000001", Kind: 1, Value: make([]byte, 100), RID: 1_000_000,
		Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: 500_000, Node: lamport.Master(1)}},
	}
	data := benchmarked(32)["Data"].(*message.Data)
	e, d := NewEncoder(), NewDecoder()

	b.Run("Encode/KeyRecord", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.EncodeKeyRecord(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode/KeyRecord", func(b *testing.B) {
		b.ReportAllocs()
		encoded, err := e.EncodeKeyRecord(&r)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := d.DecodeKeyRecord(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Encode/Data/32", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.EncodeData(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
