package peers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/measure/load"
)

// What is sent in place of a set.
const (
	deletes = "delete"
	creates = "create"        // of a key that there never was
	txns    = "txn of 8 sets" // of eight keys
	lists   = "list"          // of all keys with their values, in pages of listPage
	watched = "watched put"   // until a watch has shown it
)

const (
	txnKeys  = 8
	listPage = 1000
)

// keys is how many keys one request of the side writes or reads.
func (s *side) keys() float64 {
	if s.request == txns {
		return txnKeys
	}
	return 1
}

// byKey is a ratio of requests as one of keys. Between sides of one request it is the same.
func byKey(s load.Spread, ours, theirs float64) load.Spread {
	times := ours / theirs
	return load.Spread{Median: s.Median * times, Min: s.Min * times, Max: s.Max * times}
}

// operations are the sides of the load of that name that send no sets.
func operations(memory3 string) []side {
	var all []side
	for _, request := range []string{deletes, creates, txns} {
		for _, d := range []driver{goPackage, callbacks} {
			all = append(all, side{
				system: quartetMemory, model: model.Linearizable, driver: d, held: memory3, loads: []string{"operations"}, request: request,
			})
		}
	}
	return append(all, side{
		system: etcdMemory, driver: clientV3, held: "memory (tmpfs) of 2 of 3", loads: []string{"operations"}, request: txns,
	})
}

// listings are the sides of the load of that name. The peers' reads are as fresh as they come: of
// etcd linearizable, and at the revision of the first page; of NATS what a watch begins with, which
// it reads faster than key by key.
func listings(memory3 string) []side {
	load := []string{"list"}
	return []side{
		{quartetMemory, model.Linearizable, goPackage, memory3, "linearizable, one cut", load, lists},
		{quartetMemory, model.Eventual, goPackage, memory3, "may be stale, one cut", load, lists},
		{etcdMemory, 0, clientV3, "memory (tmpfs) of 2 of 3", "linearizable, one revision", load, lists},
		{natsR3, 0, keyValue, "files of 2 of 3, no fsync", "the values of a watch; no one cut", load, lists},
	}
}

// allOf is a prefix that a load's keys have, and nobody else's.
func allOf(op load.Op) string { return op.Key[:1] }

// listAll reads all keys of a load, and reports whether there are as many as were set.
func (o other) listAll(op load.Op, want int) load.Outcome {
	n := 0
	for _, err := range o.c.List(context.Background(), allOf(op), client.With(o.side.model), client.WithValues(), client.WithPage(listPage)) {
		if err != nil {
			return outcomeOf(err)
		}
		n++
	}
	return listed(n, want)
}

// listed is the outcome of a list of so many keys.
func listed(n, want int) load.Outcome {
	if n < want {
		return load.Missing
	}
	return load.OK
}

// txnKey is one of the keys that a transaction writes in place of a load's key: of its length, and
// none that a load has.
func txnKey(key string, i int) string { return fmt.Sprintf("t%d%s", i, key[2:]) }

var created atomic.Uint64

// other sends another request in place of each set, by callbacks.
type other struct {
	c *client.Client
	*side
	keys int // of the load
}

// Send implements [load.Sender].
func (o other) Send(op load.Op, done func(load.Outcome)) error {
	return o.c.Start(o.of(op), func(_ client.Result, err error) { done(outcomeOf(err)) })
}

// otherCaller does so by calls. It is a type of its own, for whatever is a [load.Caller] is called.
type otherCaller struct{ other }

// Send implements [load.Sender].
func (o otherCaller) Send(op load.Op, done func(load.Outcome)) error {
	go func() { done(o.Call(op)) }()
	return nil
}

// Call implements [load.Caller].
func (o otherCaller) Call(op load.Op) load.Outcome {
	if o.request == lists {
		return o.listAll(op, o.keys)
	}
	_, err := o.c.Do(context.Background(), o.of(op))
	return outcomeOf(err)
}

// of is the request in place of a set. Keys that are deleted or created are none of the load's,
// which other sides read.
func (o other) of(op load.Op) client.Request {
	r := client.Request{Request: model.Request{Model: o.side.model, Type: model.Set, Key: op.Key, Value: op.Value}}
	switch o.request {
	case deletes:
		r.Type, r.Key, r.Value = model.Delete, "d"+op.Key[1:], nil
	case creates:
		r.Key, r.HasIf = fmt.Sprintf("c%0*d", len(op.Key)-1, created.Add(1)), true
	case txns:
		t := model.Transaction{Then: make([]model.Step, txnKeys)}
		for i := range t.Then {
			t.Then[i] = model.Step{Type: model.Set, Key: txnKey(op.Key, i), Value: op.Value}
		}
		r.Type, r.Key = model.Txn, ""
		r.Value, _ = bus.PackTransaction(&t) // what is wrong with it the request's end says
	}
	return r
}

func outcomeOf(err error) load.Outcome {
	switch {
	case err == nil:
		return load.OK
	case errors.Is(err, client.ErrUnknownOutcome):
		return load.Unknown
	}
	return load.Failed
}
