package message_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

func request(rid uint64) message.Request { return message.Request{RID: rid} }

// The rIDs of all requests that a message concerns, in its Quartet-Request-Id header.
func TestAppendRIDs(t *testing.T) {
	data := &message.Data{
		Ops: []message.Operation{
			{Op: message.OpStrong, Request: request(7)},
			{Op: message.OpReads, Reads: []uint64{8, 9}, Request: request(99)},
			{Op: message.OpCommit, Number: 3, Request: request(99)},
			{Op: message.OpWeak, Request: request(10)},
			{Op: 200, Request: request(99)},
		},
		Acked: []uint64{1, 2},
	}

	for _, test := range []struct {
		msg  message.Message
		kind message.Kind
		name string
		want []uint64
	}{
		{&message.Hello{}, 1, "HELLO", nil},
		{&message.Install{}, 2, "INSTALL", nil},
		{&message.Installed{}, 3, "INSTALLED", nil},
		{&message.Forward{
			Requests: []message.Request{request(4), request(5)}, Writes: []message.CausalWrite{{Number: 1, Request: request(6)}},
		}, 4, "FORWARD", []uint64{4, 5, 6}},
		{
			&message.Answers{
				Answers: []message.Answer{
					{Answer: model.Answer{RID: 11}, FirstRID: 3}, {Answer: model.Answer{RID: 12}},
				},
			},
			5, "ANSWERS", []uint64{11, 12},
		},
		{data, 6, "DATA", []uint64{7, 8, 9, 10, 1, 2}},
		{&message.Ack{Acked: []uint64{1, 2}}, 7, "ACK", []uint64{1, 2}},
		{&message.Gap{First: 1, Last: 4}, 8, "GAP", nil},
		{&message.Fill{Writes: []message.CausalWrite{{Number: 2, Request: request(13)}}}, 9, "FILL", []uint64{13}},
		{&message.Probe{}, 10, "PROBE", nil},
		{&message.Report{}, 11, "REPORT", nil},
		{&message.Prepare{Attempt: 1, High: 9, Holder: 2}, 12, "PREPARE", nil},
		{&message.State{LastRID: 5}, 13, "STATE", nil},
		{&message.Pull{Number: 9}, 14, "PULL", nil},
		{&message.Chunk{
			Entries: []message.Executed{{RID: 5}}, Records: []message.KeyRecord{{RID: 6}}, LastRID: 7,
			Data: []*message.Data{data}, Writes: []message.CausalWrite{{Number: 1, Request: request(8)}},
		}, 15, "CHUNK", nil},
		{&message.Beat{}, 16, "BEAT", nil},
		{&message.Outdated{}, 17, "OUTDATED", nil},
		{&message.Poll{Attempt: 3}, 18, "POLL", nil},
		{&message.Vote{Attempt: 3}, 19, "VOTE", nil},
	} {
		if got := test.msg.AppendRIDs([]uint64{100}); !slices.Equal(got, append([]uint64{100}, test.want...)) {
			t.Errorf("%s: %v behind 100, want %v", test.name, got, test.want)
		}
		if test.msg.Kind() != test.kind || test.msg.Kind().String() != test.name {
			t.Errorf("%T is kind %d %s, want %d %s", test.msg, test.msg.Kind(), test.msg.Kind(), test.kind, test.name)
		}
	}

	if got := data.AppendOwnRIDs(nil); !slices.Equal(got, []uint64{7, 8, 9, 10}) {
		t.Errorf("own rIDs %v", got)
	}
	for _, k := range []message.Kind{0, 20, 255} {
		if k.String() != "KIND?" {
			t.Errorf("kind %d prints as %q", uint8(k), k)
		}
	}
}

// Positions count ordered operations; each get that shares a place counts.
func TestCount(t *testing.T) {
	for want, op := range map[uint64]message.Operation{
		0: {Op: message.OpReads},
		3: {Op: message.OpReads, Reads: []uint64{1, 2, 3}},
		1: {Op: message.OpStrong},
	} {
		if got := op.Count(); got != want {
			t.Errorf("%+v counts %d, want %d", op, got, want)
		}
	}
}

func TestSoundViews(t *testing.T) {
	members := func(nodes ...lamport.Node) []message.Member {
		var m []message.Member
		for _, n := range nodes {
			m = append(m, message.Member{Node: n, Incarnation: 1})
		}
		return m
	}
	for _, test := range []struct {
		view  message.View
		sound bool
	}{
		{message.View{Epoch: 1, Members: members(1, 2, 3), Faults: 1}, true},
		{message.View{Epoch: 1, Members: members(4)}, true},
		{message.View{Epoch: 1, Members: members(1, 2, 3), Faults: 2}, true},
		{message.View{Epoch: 0, Members: members(1, 2, 3), Faults: 1}, false},
		{message.View{Epoch: 1}, false},
		{message.View{Epoch: 1, Members: members(1, 2, 3), Faults: 3}, false},
		{message.View{Epoch: 1, Members: members(1, 2, 3), Faults: -1}, false},
		{message.View{Epoch: 1, Members: members(2, 1)}, false},
		{message.View{Epoch: 1, Members: members(1, 1)}, false},
		{message.View{Epoch: 1, Members: members(0, 1)}, false},
		{message.View{Epoch: 1, Members: members(1, lamport.Master(1))}, false},
	} {
		if got := test.view.Sound(); got != test.sound {
			t.Errorf("%+v: sound %t", test.view, got)
		}
	}
}

// Each test changes one thing of a record that is sound, so nothing else can be why.
func TestSoundRecords(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*message.Record)
		sound  bool
	}{
		"unchanged":                  {func(*message.Record) {}, true},
		"none may be missing":        {func(r *message.Record) { r.Missing = 0 }, true},
		"one of them is a member":    {func(r *message.Record) { r.Members, r.Faults = r.Members[1:2], 0 }, true},
		"no cut, high or start":      {func(r *message.Record) { r.Cut, r.High, r.Start, r.Nonce = nil, 0, 0, 0 }, true},
		"the last numbers":           {func(r *message.Record) { r.High, r.Start = lamport.Limit-1, lamport.Limit-1 }, true},
		"nothing":                    {func(r *message.Record) { *r = message.Record{} }, false},
		"no epoch":                   {func(r *message.Record) { r.Epoch = 0 }, false},
		"no members":                 {func(r *message.Record) { r.Members = nil }, false},
		"members fall":               {func(r *message.Record) { r.Members[0].Node, r.Members[1].Node = 2, 1 }, false},
		"all members may be missing": {func(r *message.Record) { r.Faults = 2 }, false},
		"negative faults":            {func(r *message.Record) { r.Faults = -1 }, false},
		"member without incarnation": {func(r *message.Record) { r.Members[1].Incarnation = 0 }, false},
		"member not configured":      {func(r *message.Record) { r.Configured[1] = 3 }, false},
		"nobody configured":          {func(r *message.Record) { r.Configured = nil }, false},
		"configured fall":            {func(r *message.Record) { r.Configured[2], r.Configured[3] = 65535, 4 }, false},
		"configured twice":           {func(r *message.Record) { r.Configured[3] = 4 }, false},
		"configured master":          {func(r *message.Record) { r.Configured[3] = lamport.Master(1) }, false},
		"configured nobody":          {func(r *message.Record) { r.Configured = append([]lamport.Node{0}, r.Configured...) }, false},
		"all may be missing":         {func(r *message.Record) { r.Missing = 4 }, false},
		"negative missing":           {func(r *message.Record) { r.Missing = -1 }, false},
		"high beyond the limit":      {func(r *message.Record) { r.High = lamport.Limit }, false},
		"start beyond the limit":     {func(r *message.Record) { r.Start = lamport.Limit }, false},
		"no master":                  {func(r *message.Record) { r.Master = 0 }, false},
		"since this epoch":           {func(r *message.Record) { r.Since = 5 }, true},
		"since a later epoch":        {func(r *message.Record) { r.Since = 6 }, false},
		"no cluster and no lineage":  {func(r *message.Record) { r.Cluster, r.Lineage = 0, nil }, true},
		"ancestor without an epoch":  {func(r *message.Record) { r.Lineage[0].Epoch = 0 }, false},
		"its own ancestor":           {func(r *message.Record) { r.Lineage[1].Epoch = 5 }, false},
		"an ancestor twice":          {func(r *message.Record) { r.Lineage[1].Epoch = 3 }, false},
		"ancestor's high too high":   {func(r *message.Record) { r.Lineage[0].High = lamport.Limit }, false},
		"the longest lineage":        {func(r *message.Record) { r.Epoch, r.Lineage = 100, lineage(message.MaxLineage) }, true},
		"too long a lineage":         {func(r *message.Record) { r.Epoch, r.Lineage = 100, lineage(message.MaxLineage+1) }, false},
	} {

		r := message.Record{
			View:       message.View{Epoch: 5, Members: []message.Member{{Node: 1, Incarnation: 5}, {Node: 2, Incarnation: 6}}, Faults: 1},
			Configured: []lamport.Node{1, 2, 4, 65535}, Missing: 3, Cut: []uint64{7, 0, 8}, High: 9, Start: 10, Master: 1, Nonce: 11,
			Cluster: 12, Lineage: []message.Ancestor{{Epoch: 3, Nonce: 13, High: 14, Position: 15}, {Epoch: 4, Position: message.Unknown}},
		}
		if test.change(&r); r.Sound() != test.sound {
			t.Errorf("%s: %+v: sound %t", name, r, r.Sound())
		}
	}
}

func lineage(n int) []message.Ancestor {
	list := make([]message.Ancestor, n)
	for i := range list {
		list[i].Epoch = uint64(i + 1)
	}
	return list
}

// A FILL stays within one message, whatever a GAP asks for.
func TestFillForIsBounded(t *testing.T) {
	for _, test := range []struct {
		first, last uint64
		bytes       int
		want        int
	}{
		{1, 3, 10, 3},
		{1, 1 << 63, 10, message.FillMost},
		{1, ^uint64(0), 10, message.FillMost},
		{3, 1, 10, 0},
		{1, 100, 100 << 10, 3}, // 256 KiB and one write more
		{1, 100, 512 << 10, 1},
	} {
		t.Run(fmt.Sprintf("%d to %d of %d bytes", test.first, test.last, test.bytes), func(t *testing.T) {
			value := make([]byte, test.bytes)
			writes := message.FillFor(&message.Gap{First: test.first, Last: test.last}, func(n uint64) *message.CausalWrite {
				return &message.CausalWrite{Number: n, Request: message.Request{Request: model.Request{Value: value}}}
			})
			if len(writes) != test.want {
				t.Errorf("%d writes, want %d", len(writes), test.want)
			}
		})
	}

	holes := message.FillFor(&message.Gap{First: 1, Last: 4}, func(n uint64) *message.CausalWrite {
		if n%2 == 0 {
			return nil
		}
		return &message.CausalWrite{Number: n}
	})
	if len(holes) != 2 || holes[0].Number != 1 || holes[1].Number != 3 {
		t.Errorf("with holes: %+v", holes)
	}
}
