package message_test

import (
	"testing"

	"quartet/bus/message"
)

// The record of epoch 7 knows 3 to 6; nobody has told its master how far epoch 5 had come.
func TestJudge(t *testing.T) {
	const cluster, began = 9, 700
	r := message.Record{
		View: message.View{Epoch: 7}, Cluster: cluster, Nonce: 77, High: 70,
		Lineage: []message.Ancestor{
			{Epoch: 3, Nonce: 33, High: 30, Position: 300}, {Epoch: 4, Nonce: 44, High: 40, Position: 400},
			{Epoch: 5, Nonce: 55, High: 50, Position: message.Unknown}, {Epoch: 6, Nonce: 66, High: 60, Position: 600},
		},
	}
	told := func(epoch, nonce, position, timestamp uint64) message.Told {
		h := message.History{Cluster: cluster, Epoch: epoch, Nonce: nonce}
		return message.Told{History: h, Position: position, Timestamp: timestamp}
	}

	old, none := r, message.Record{}
	old.Cluster = 0

	for name, test := range map[string]struct {
		record *message.Record
		told   message.Told
		want   message.Verdict
	}{
		"now":                           {&r, told(7, 77, 9999, 9999), message.Ours},
		"now, in another history":       {&r, told(7, 76, 0, 0), message.Ended},
		"earlier":                       {&r, told(4, 44, 600, 50), message.Ours},
		"earlier, in another history":   {&r, told(4, 45, 0, 0), message.Ended},
		"more than the next began with": {&r, told(3, 33, 401, 0), message.Ended},
		"later causal than the next":    {&r, told(3, 33, 0, 41), message.Ended},
		"the next is not known":         {&r, told(4, 44, 601, 0), message.Ended},
		"as much as the last":           {&r, told(6, 66, began, 70), message.Ours},
		"more than the last":            {&r, told(6, 66, began+1, 0), message.Ended},
		"later causal than the last":    {&r, told(6, 66, 0, 71), message.Ended},
		"before the lineage":            {&r, told(1, 1, 300, 30), message.Ours},
		"before the lineage, and more":  {&r, told(1, 1, 301, 0), message.Ended},
		"another cluster": {
			&r, message.Told{History: message.History{Cluster: 8, Epoch: 99, Nonce: 77}}, message.OtherCluster,
		},
		"a later epoch":                   {&r, told(8, 88, 0, 0), message.Ahead},
		"of a build without histories":    {&r, message.Told{Position: 9999, Timestamp: 9999}, message.Ours},
		"a record of such a build":        {&old, told(9, 9, 9999, 9999), message.Ours},
		"no record is known yet":          {&none, told(1, 11, 0, 0), message.Ahead},
		"no record, and no history":       {&none, message.Told{Position: 5}, message.Ours},
		"the position of no epoch at all": {&r, told(0, 0, 300, 0), message.Ours},
	} {
		if got := test.record.Judge(&test.told, began); got != test.want {
			t.Errorf("%s: verdict %d, want %d", name, got, test.want)
		}
	}

	past := told(6, 66, 9999, 60)
	if got := r.Judge(&past, message.Unknown); got != message.Ours {
		t.Errorf("nobody has said how far epoch 6 came: verdict %d", got)
	}
	if r.History() != (message.History{Cluster: cluster, Epoch: 7, Nonce: 77}) || old.History() != (message.History{}) {
		t.Errorf("histories %v, %v", r.History(), old.History())
	}
}
