package kv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/model"
	"quartet/master"
)

// What anybody was told, through whatever door, is in what is read from a shadow or counted after
// that: a listing, a history, a get of a revision and a status wait until the feed has told it.
func TestWhatIsReadIsNotOlderThanWhatWasTold(t *testing.T) {
	written := model.Answer{Code: model.OK, HasRevision: true, Revision: 20}
	get := model.NewGet(model.Linearizable, "b/k")
	writes := transaction(t, model.Step{Type: model.Set, Key: "b/k", Value: []byte{}})
	reads := transaction(t, model.Step{Type: model.Get, Key: "b/k"})
	for name, test := range map[string]struct {
		request model.Request
		answer  model.Answer
		then    model.EventKind // of the change that the feed tells at last
	}{
		"a write":                   {model.NewSet(model.Sequential, "b/k", nil), written, model.EventSet},
		"a get":                     {get, written, model.EventSet},
		"a get of what was deleted": {get, model.Answer{Code: model.NotFound, Position: 20}, model.EventDelete},
		"a get of what has ended":   {get, model.Answer{Code: model.NotFound, Position: 23}, model.EventExpire},
		"a conflict": {
			model.Request{Model: model.Linearizable, Type: model.Set, Key: "b/k", HasIf: true},
			model.Answer{Code: model.Failed, Revision: 20}, model.EventSet,
		},
		"a transaction that writes": {
			writes, model.Answer{Code: model.OK, HasRevision: true, Revision: 20, Value: results(t, model.Result{Code: model.OK})}, model.EventSet,
		},
		"a transaction that reads": {
			reads, model.Answer{Code: model.OK, Position: 23, Value: results(t, model.Result{Code: model.OK, Revision: 20})}, model.EventSet,
		},
		"a transaction that finds nothing": {
			reads, model.Answer{Code: model.OK, Position: 23, Value: results(t, model.Result{Code: model.NotFound})}, model.EventDelete,
		},
	} {
		for _, read := range []struct{ subject, body string }{
			{"CONSUMER.CREATE.KV_b.n.$KV.b.>", `{"stream_name":"KV_b","config":{"filter_subject":"$KV.b.>","deliver_policy":"last_per_subject"}}`},
			{"CONSUMER.CREATE.KV_b.n.$KV.b.k", `{"stream_name":"KV_b","config":{"filter_subject":"$KV.b.k","deliver_policy":"all"}}`},
			{"CONSUMER.CREATE.KV_b.n.$KV.b.>", `{"stream_name":"KV_b","config":{"filter_subject":"$KV.b.>","deliver_policy":"new"}}`},
			{"DIRECT.GET.KV_b", `{"seq":1}`}, {"STREAM.INFO.KV_b", ""}, {"STREAM.LIST", ""}, {"STREAM.PURGE.KV_b", `{"filter":"$KV.b.k"}`},
		} {
			t.Run(name+"/"+read.subject, func(t *testing.T) {
				f, h, b := opened(t)
				told(b, model.EventSet, "k", "old", 17)
				stored(f, b)

				h.sent = nil
				f.Answered(&test.request, &master.Reply{Answer: test.answer})
				ask(f, read.subject, read.body, nil)
				if len(h.sent) > 0 {
					t.Fatalf("before the feed has told it %q is sent to %s", h.sent[0].Data, h.sent[0].Subject)
				}
				told(b, test.then, "k", "new", 20)
				stored(f, b)
				isServed := false
				for _, m := range h.sent {
					isServed = isServed || m.Subject == "_INBOX.client.1" || strings.HasPrefix(m.Subject, apiPrefix)
				}
				if !isServed {
					t.Error("nothing is served after that")
				}
			})
		}
	}
}

// stored has the shadow acknowledge what it was sent.
func stored(f *Facade, b *bucket) {
	f.Flush()
	f.Hear(&nats.Msg{Subject: "_INBOX.x.A.b", Data: fmt.Appendf(nil, `{"seq":%d}`, b.out.sent)})
}

func transaction(t *testing.T, steps ...model.Step) model.Request {
	t.Helper()
	value, err := bus.PackTransaction(&model.Transaction{Then: steps})
	if err != nil {
		t.Fatal(err)
	}
	return model.Request{Model: model.Linearizable, Type: model.Txn, Value: value}
}

func results(t *testing.T, of ...model.Result) []byte {
	t.Helper()
	value, err := codec.AppendResults(nil, &model.Results{Succeeded: true, Failed: -1, Results: of})
	if err != nil {
		t.Fatal(err)
	}
	return value
}
