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
)

const txnKeys = 8

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

// txnKey is one of the keys that a transaction writes in place of a load's key: of its length, and
// none that a load has.
func txnKey(key string, i int) string { return fmt.Sprintf("t%d%s", i, key[2:]) }

var created atomic.Uint64

// other sends another request in place of each set.
type other struct {
	c *client.Client
	*side
}

// Send implements [load.Sender].
func (o other) Send(op load.Op, done func(load.Outcome)) error {
	if o.driver == callbacks {
		return o.c.Start(o.of(op), func(_ client.Result, err error) { done(outcomeOf(err)) })
	}
	go func() { done(o.Call(op)) }()
	return nil
}

// Call implements [load.Caller].
func (o other) Call(op load.Op) load.Outcome {
	_, err := o.c.Do(context.Background(), o.of(op))
	return outcomeOf(err)
}

// of is the request in place of a set. Keys that are deleted or created are none of the load's, which
// other sides read.
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
