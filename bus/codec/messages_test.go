package codec

import (
	"strings"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

func head(from lamport.Node) message.Header {
	return message.Header{From: from, Incarnation: 3, Epoch: 2, Clock: 289}
}

func request(rid uint64, c model.Consistency, key, value string) message.Request {
	return message.Request{
		RID: rid, Identity: "id-1", Digest: 1<<64 - 1, Request: model.NewSet(c, key, []byte(value)),
		Version: lamport.Version{Epoch: 2, Timestamp: lamport.Timestamp{Time: 70_000, Node: lamport.Master(1)}},
		Min:     300, First: 1_048_576,
	}
}

// conditional is a request with all that a set may say.
func conditional(rid uint64, c model.Consistency, key, value string) message.Request {
	r := request(rid, c, key, value)
	r.HasIf, r.If, r.TTL, r.Wall = true, 1<<64-1, 90_000, 1_700_000_000_000
	return r
}

// ending is a request with all that a weak set may say.
func ending(rid uint64, c model.Consistency, key, value string) message.Request {
	r := request(rid, c, key, value)
	r.TTL, r.Wall = 90_000, 1_700_000_000_000
	return r
}

func listing() message.Request {
	r := message.Request{RID: 16, Request: model.Request{Model: model.Eventual, Type: model.List}}
	r.Range = &model.Range{Limit: 500, Values: true, From: "r2.7"}
	return r
}

func end() message.Operation {
	return message.Operation{Op: message.OpEnd, Request: message.Request{Request: model.Request{Key: "key1"}}, Number: 512}
}

// collecting is an operation that collects tombstones.
func collecting(op message.Op) message.Operation {
	return message.Operation{Op: op, Request: message.Request{Version: stamp(60_000)}}
}

// stamp is a version that is above all of its time.
func stamp(time uint64) lamport.Version {
	return lamport.Version{Epoch: 2, Timestamp: lamport.Timestamp{Time: time, Node: 1<<32 - 1}}
}

// samples holds every kind, each with every field set and with as few as may be.
func samples() map[string]message.Message {
	record := epochRecord()
	heard := []message.Heard{{Node: 1, Silent: 0}, {Node: 65535, Silent: 1 << 20}}
	marks := message.Marks{Last: 9, Safe: 8, Held: 7}
	get := message.Request{RID: 12, Request: model.NewGet(model.Sequential, "ключ")}
	empty := request(13, model.Eventual, "k", "")
	received := message.Received{LastSeq: 5, Received: []uint64{5, 0, 1 << 33}}
	writes := []message.CausalWrite{
		{Number: 8, Request: ending(21, model.Causal, "a", "1")},
		{Number: 9, Request: request(22, model.Causal, "b", "\x00\xff")},
	}

	return map[string]message.Message{
		"hello": &message.Hello{
			Header: head(2), PID: 4711, Phase: message.PhaseCaught, Position: 1, Keys: 2, LastRID: 3, Master: 1 << 40,
			Nonce: 5, Whole: true, Committed: 4, Heard: heard,
			Past: message.Past{Life: 1 << 60, Reason: "put back", Record: &record},
		},
		"hello_first":   &message.Hello{Header: message.Header{From: 1}, Phase: message.PhaseBoot},
		"install":       &message.Install{Header: head(lamport.Master(1)), Record: record},
		"install_first": &message.Install{Header: message.Header{From: lamport.Master(1)}, Record: smallestRecord()},
		"installed":     &message.Installed{Header: head(3), Position: 512, PID: 4713, Keeps: message.KeepsInterval, View: 77},
		"forward": &message.Forward{
			Header: head(lamport.Master(1)), Round: 1 << 40, Marks: marks,
			Requests: []message.Request{conditional(11, model.Linearizable, "key1", "first"), get, empty, listing(), watching()},
			Writes:   writes, Time: 1_048_577,
		},
		"forward_empty": &message.Forward{Header: head(lamport.Master(1))},
		"answers": &message.Answers{
			Header: head(1), Round: 300, Watermark: 9, Position: 512,
			Answers: []message.Answer{
				{
					Answer: model.Answer{
						RID: 11, Code: model.OK, Value: []byte("first"), Position: 512, Timestamp: 8, HasRevision: true,
						Revision: 511, Expires: 1_700_000_090_000, Clock: lamport.Timestamp{Time: 290},
					},
					FirstRID: 3,
				},
				{Answer: model.Answer{RID: 12, Code: model.NotFound, Reason: "no value"}},
				{Answer: model.Answer{RID: 13, Code: model.OK, Value: []byte{}}},
			},
		},
		"answers_empty": &message.Answers{Header: head(1)},
		"data": &message.Data{
			Header: head(1), Seq: 5, Received: received,
			Ops: []message.Operation{
				{Op: message.OpStrong, Request: conditional(11, model.Linearizable, "key1", "first")},
				{Op: message.OpReads, Reads: []uint64{14, 15, 1 << 63}}, {Op: message.OpWeak, Request: empty},
				{Op: message.OpCommit, Number: 9}, end(), collecting(message.OpHorizon), collecting(message.OpAgree),
			},
			Time: 1_048_578,
		},
		"data_empty": &message.Data{Header: head(1)},
		"ack":        &message.Ack{Header: head(1), Received: received, Solicit: true},
		"ack_first":  &message.Ack{Header: head(65535)},
		"gap":        &message.Gap{Header: head(2), First: 3, Last: 1<<64 - 1, Of: 65535},
		"gap_causal": &message.Gap{Header: head(2), Causal: true, First: 3, Last: 4},
		"fill":       &message.Fill{Header: head(2), Writes: writes, Data: held()},
		"fill_empty": &message.Fill{Header: head(2)},
		"probe":      &message.Probe{Header: head(lamport.Master(65535)), Nonce: 1 << 50, Marks: marks},
		"report": &message.Report{
			Header: head(2), Nonce: 1, Position: 2, Watermark: 3, Safe: 4, Keys: 5, Pending: 6, Tentative: 7, Queue: 8,
			Own: 3, Heard: heard, Tombstones: 9, Collected: 10,
		},
		"report_nothing": &message.Report{Header: head(2)},
		"prepare":        &message.Prepare{Header: head(lamport.Master(1)), Attempt: 2, High: 1 << 40, Holder: 65535, Cut: received.Received},
		"prepare_first":  &message.Prepare{Header: head(lamport.Master(1)), Attempt: 1},
		"state": &message.State{
			Header: head(2), Attempt: 2, Contiguous: received.Received, Watermark: 9, Position: 512, LastRID: 22,
			Proof: message.Proof{Life: 1 << 60, View: 77, Safe: 8, Told: [][]uint64{{1, 2}, nil, {3}}},
		},
		"state_empty": &message.State{Header: head(2)},
		"pull": &message.Pull{
			Header: head(4), Nonce: 1 << 50, Entry: 70_000, Cursor: "ключ\x00", Scanned: true, Wedged: true,
			Held: received.Received, Number: 9, Changes: 511,
		},
		"pull_first":  &message.Pull{Header: head(4)},
		"chunk":       chunk(),
		"outdated":    &message.Outdated{Header: head(lamport.Master(1)), Newest: 1 << 61, Life: 1 << 60, Replaced: true},
		"chunk_empty": &message.Chunk{Header: head(2)},
		"beat":        &message.Beat{Header: head(2)},
		"poll": &message.Poll{
			Header: head(lamport.Master(1)), Attempt: 1 << 60, Ballot: message.Ballot{Round: 3, Master: 1 << 61}, Base: &record,
			Value: following(&record), Forced: true,
		},
		"poll_first": &message.Poll{Header: message.Header{From: lamport.Master(1)}, Ballot: message.Ballot{Round: 1}},
		"vote": &message.Vote{
			Header: head(2), Attempt: 1 << 60, Base: &record, Counts: true, Promised: message.Ballot{Round: 3, Master: 1 << 61},
			Accepted: message.Ballot{Round: 3, Master: 1 << 60}, Value: following(&record),
		},
		"vote_first": &message.Vote{Header: message.Header{From: 1}},
	}
}

// following is a record of the epoch after another one.
func following(r *message.Record) *message.Record {
	next := *r
	next.Epoch, next.Nonce = r.Epoch+1, 88
	return &next
}

func epochRecord() message.Record {
	return message.Record{
		View: message.View{
			Epoch: 2, Faults: 1,
			Members: []message.Member{
				{Node: 1, Incarnation: 1, Life: 9}, {Node: 2, Incarnation: 1 << 40, Life: 1 << 63},
				{Node: 3, Incarnation: 3},
			},
		},
		Configured: []lamport.Node{1, 2, 3, 65535}, Missing: 2, Cut: []uint64{5, 0, 1 << 33}, High: 9,
		Start: lamport.Limit - 1, Master: 7, Nonce: 1<<64 - 1, Since: 1, Level: message.Level,
		Cluster: 1 << 63, Lineage: []message.Ancestor{{Epoch: 1, Nonce: 1 << 62, High: 8, Position: message.Unknown}},
	}
}

func smallestRecord() message.Record {
	return message.Record{
		View:       message.View{Epoch: 1, Members: []message.Member{{Node: 1, Incarnation: 1}}},
		Configured: []lamport.Node{1}, Master: 1,
	}
}

func executed() []message.Executed {
	return []message.Executed{
		{
			Identity: "id-1", RID: 11, Digest: 1<<64 - 1, Position: 512, Key: "key1", Time: 1_048_579,
			Code: model.Failed, Revision: 511, Result: []byte("12"),
		},
		{RID: 21, Timestamp: 8, Key: strings.Repeat("k", model.MaxKey)},
		{},
	}
}

func keyRecords() []message.KeyRecord {
	version := lamport.Version{Epoch: 2, Timestamp: lamport.Timestamp{Time: 70_000, Node: lamport.Master(1)}}
	return []message.KeyRecord{
		{
			Key: "key1", Kind: 1, Value: []byte("first\x00\xff"), Version: version, Number: 8, RID: 11, Revision: 512,
			Expires: 1_700_000_090_000,
		},
		{Key: "ключ", Kind: 255},
		{Key: "k", Kind: 1, Value: []byte{}},
	}
}

func held() []*message.Data {
	return []*message.Data{
		{Header: head(3), Seq: 6, Received: message.Received{LastSeq: 6, Received: []uint64{5, 0, 6}}, Ops: []message.Operation{
			{Op: message.OpStrong, Request: conditional(11, model.Linearizable, "key1", "first")},
			{Op: message.OpReads, Reads: []uint64{14, 1 << 63}},
			{Op: message.OpWeak, Request: request(13, model.Eventual, "k", "")}, {Op: message.OpCommit, Number: 9}, end(),
			collecting(message.OpHorizon), collecting(message.OpAgree),
		}, Time: 1_048_578},
		{Header: message.Header{From: 1}},
	}
}

func chunk() *message.Chunk {
	return &message.Chunk{
		Header: head(2), Nonce: 1 << 50, Restart: true, Position: 512, Place: lamport.Timestamp{Time: 288, Node: 3},
		First: 70_001, Entries: executed(), Last: 70_003, Records: keyRecords(), Cursor: strings.Repeat("k", MaxCursor),
		Scanned: true, LastRID: 22,
		Wedged: true, Done: true, Contiguous: []uint64{5, 0, 1 << 33}, Data: held(),
		Writes:    []message.CausalWrite{{Number: 9, Request: ending(22, model.Causal, "b", "\x00\xff")}},
		Committed: 7, Watermark: 9, Safe: 8, Order: message.OrderTime{Now: 2, Tick: 1_048_580, Horizon: 1, Oldest: 70_000},
		Changes: message.Changes{Since: 400, To: 512, List: changes()},
		Removed: []string{"key0", "ключ"}, Collection: message.Collection{
			Floor: stamp(60_000), Position: 400, Horizon: stamp(1 << 60), Agreed: 1<<64 - 1,
		},
	}
}

func changes() []message.Change {
	version := lamport.Version{Epoch: 2, Timestamp: lamport.Timestamp{Time: 70_000, Node: lamport.Master(1)}}
	return []message.Change{
		{Revision: 411, Kind: message.ChangeSet, Key: "key1", Value: []byte("first\x00\xff"), Version: version, Number: 8, Expires: 1_700_000_090_000},
		{Revision: 411, Kind: message.ChangeDelete, Key: "ключ", Version: version},
		{Revision: 412, Kind: message.ChangeExpire, Key: "k"},
	}
}

// watching is a watch with all that it may say.
func watching() message.Request {
	r := message.Request{RID: 17, Request: model.Request{Model: model.Causal, Type: model.Watch, Key: "orders/"}}
	r.Range, r.Watcher = &model.Range{From: "411"}, &message.Watcher{Reply: "_INBOX.x", Client: "Client1", JSON: true, Fields: 10}
	return r
}
