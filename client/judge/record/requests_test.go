package record_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
)

// What the later requests asked and came to is in the file: a condition that did not hold is an
// answer, a txn has its steps and results, a list its items, a watch its events.
func TestRecordsTheLaterRequests(t *testing.T) {
	dir := t.TempDir()
	r := opened(t, record.Options{Dir: dir, Complete: true})

	txn := model.Transaction{Then: []model.Step{{Type: model.Get, Key: "k"}}}
	asked, err := codec.AppendTransaction(nil, &txn)
	if err != nil {
		t.Fatal(err)
	}
	results := model.Results{Succeeded: true, Failed: -1, Results: []model.Result{{Code: model.OK, Value: []byte("v"), Revision: 3}}}
	came, err := codec.AppendResults(nil, &results)
	if err != nil {
		t.Fatal(err)
	}
	page := model.Page{Items: []model.Item{{Key: "k", HasValue: true, Value: []byte("v"), Revision: 3}}, Next: "more"}
	shown, err := codec.AppendPage(nil, &page)
	if err != nil {
		t.Fatal(err)
	}

	ended := func(q model.Request, a model.Answer, failure error) {
		request := client.Request{Request: q}
		call := r.Begin("c", "s", &request)
		call.End(&client.Result{Reply: bus.Reply{Answer: a}}, failure)
	}
	ended(model.Request{Model: model.Linearizable, Type: model.Delete, Key: "k", HasIf: true, If: 2},
		model.Answer{Code: model.Failed, HasRevision: true, Revision: 3}, &client.Error{Code: model.Failed})
	ended(model.Request{Model: model.Linearizable, Type: model.Txn, Value: asked}, model.Answer{Code: model.OK, Value: came}, nil)
	ended(model.Request{Model: model.Causal, Type: model.List, Key: "k", Range: &model.Range{Limit: 1, Values: true}},
		model.Answer{Code: model.OK, Value: shown}, nil)

	// The same in the form in which a reply to a request that was sent alone has it.
	alone := bus.Reply{Answer: model.Answer{Code: model.OK, Value: shown}, Model: model.Causal, Type: model.List, Encoding: bus.Msgpack}
	ended(model.Request{Model: model.Causal, Type: model.List, Key: "k", Range: &model.Range{Limit: 1, Values: true}},
		model.Answer{Code: model.OK, Value: alone.Msg("x").Data}, nil)
	alone = bus.Reply{Answer: model.Answer{Code: model.OK, Value: came}, Model: model.Linearizable, Type: model.Txn, Encoding: bus.Msgpack}
	ended(model.Request{Model: model.Linearizable, Type: model.Txn, Value: asked}, model.Answer{Code: model.OK, Value: alone.Msg("x").Data}, nil)

	now := time.Now()
	watch := client.Request{Request: model.Request{Model: model.Sequential, Type: model.Watch, Key: "k", Range: &model.Range{From: "2"}}}
	events := []history.Event{{Kind: history.EventSet, Key: "k", Value: "v", Revision: 3, Sequence: 1, At: r.At(now)}}
	r.Watched("c", "w", &watch, now, now.Add(time.Second), events, true, nil)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	ops := read(t, dir).Operations
	if len(ops) != 6 {
		t.Fatalf("%d operations", len(ops))
	}
	if o := &ops[0]; !o.Refused() || !o.HasIf || o.If != 2 || o.Revision != 3 {
		t.Errorf("a condition that did not hold: %+v", o)
	}
	if o := &ops[1]; cmp.Diff(&txn, o.Txn) != "" || cmp.Diff(&results, o.Results) != "" {
		t.Errorf("a txn: %+v", o)
	}
	if o := &ops[2]; cmp.Diff(page.Items, o.Items) != "" || o.Next != "more" || o.Range == nil || !o.Range.Values {
		t.Errorf("a list: %+v", o)
	}
	if o := &ops[3]; cmp.Diff(page.Items, o.Items) != "" || o.Next != "more" {
		t.Errorf("a list that was sent alone: %+v", o)
	}
	if o := &ops[4]; cmp.Diff(&results, o.Results) != "" {
		t.Errorf("a txn that was sent alone: %+v", o)
	}
	if o := &ops[5]; cmp.Diff(events, o.Events) != "" || !o.Rest || o.Return-o.Call != time.Second.Nanoseconds() {
		t.Errorf("a watch: %+v", o)
	}
}
