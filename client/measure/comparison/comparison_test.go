package comparison_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
	"quartet/client/measure/comparison"
	"quartet/client/measure/load"
)

func connect(t *testing.T, r *responder.Responder, opts ...client.Option) []*client.Client {
	t.Helper()
	var all []*client.Client
	for range 2 {
		c, err := client.Connect(t.Context(), r.URL, opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	return all
}

var script = []load.Op{
	{Type: model.Set, Key: "a", Value: []byte("1")}, {Type: model.Get, Key: "a"}, {Type: model.Get, Key: "none"},
}

func TestScript(t *testing.T) {
	r := responder.Start(t, nil)
	var last load.Progress
	o := comparison.Options{
		Clients: 3, Script: script, Times: 4, Distinct: true, Prefix: "p.",
		Progress: func(p load.Progress) { last = p },
	}

	got, err := comparison.Run(t.Context(), model.Causal, connect(t, r), o)
	if err != nil {
		t.Fatal(err)
	}
	if got.Model != model.Causal || got.Early || got.Window <= 0 || got.Sets.Counts != [4]uint64{12} ||
		got.Gets.Counts != [4]uint64{12, 12} ||
		got.Sets.Latency.TotalCount() != 12 || got.Gets.Latency.TotalCount() != 24 {
		t.Errorf("%+v", got)
	}

	// It is one store, so nothing is stale; no key is looked for that somebody set.
	if s := got.Staleness; s.Judged != 24 || s.Stale+s.Doubted+s.Foreign != 0 {
		t.Errorf("%+v", s)
	}
	if last.Share <= 0 || last.Share > 1 || last.Answers == 0 {
		t.Errorf("progress: %+v", last)
	}

	values := map[string]bool{}
	for _, c := range r.Calls() {
		if c.Request.Model != model.Causal || !strings.HasPrefix(c.Request.Key, "p.") {
			t.Errorf("%+v", c.Request)
		}
		if c.Request.Type == model.Set {
			values[string(c.Request.Value)] = true
		}
	}
	if len(values) != 12 || !values["1 #3.4.1"] {
		t.Errorf("values %v", values)
	}
}

// Each client's requests are in one session: after a write a causal get names it.
func TestSessions(t *testing.T) {
	r := responder.Start(t, nil)
	if _, err := comparison.Run(t.Context(), model.Causal, connect(t, r), comparison.Options{
		Clients: 1, Script: script[:2], Times: 2,
	}); err != nil {
		t.Fatal(err)
	}
	calls := r.Calls()
	if len(calls) != 4 || calls[1].Options.MinTimestamp != 1 || calls[3].Options.MinTimestamp != 2 {
		t.Errorf("%+v", calls)
	}
}

func TestLoad(t *testing.T) {
	for name, rate := range map[string]float64{"closed": 0, "open": 400} {
		r := responder.Start(t, nil)
		o := comparison.Options{Clients: 4, Prefix: "load.", Load: load.Options{
			Rate: rate, Spacing: load.Fixed, Duration: 200 * time.Millisecond, Gets: 50, Keys: 5, KeySize: 8, ValueSize: 20, Seed: 1,
		}}

		var seen atomic.Uint64
		o.Observe = func(load.Observation) { seen.Add(1) }
		got, err := comparison.Run(t.Context(), model.Eventual, connect(t, r), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}

		counted := got.Sets.Answered() + got.Gets.Answered()
		if counted == 0 || got.Sets.Counts[load.OK] == 0 || got.Gets.Counts[load.OK] == 0 || got.Window != o.Load.Duration ||
			seen.Load() < counted+5 || seen.Load() > counted+5+uint64(o.Clients) {
			t.Errorf("%s: %d seen, %+v", name, seen.Load(), got)
		}
		if rate > 0 && counted+got.Beyond != 80 {
			t.Errorf("%s: %d counted, %d not sent", name, counted, got.Beyond)
		}

		// The keys were set before, under the same model, and every value differs.
		if s := got.Staleness; s.Judged == 0 || s.Stale+s.Doubted+s.Foreign != 0 || got.Gets.Counts[load.Missing] != 0 {
			t.Errorf("%s: %+v", name, s)
		}

		values := map[string]bool{}
		for _, c := range r.Calls() {
			repeated := values[string(c.Request.Value)] || len(c.Request.Value) != 20
			wrongSet := c.Request.Type == model.Set && repeated
			if c.Request.Model != model.Eventual || wrongSet {
				t.Fatalf("%s: %s %q", name, c.Request.Model, c.Request.Value)
			}
			values[string(c.Request.Value)] = c.Request.Type == model.Set
		}
	}
}

func TestFailuresAreCounted(t *testing.T) {
	r := responder.Start(t, func(c responder.Call) responder.Action {
		switch c.N {
		case 1:
			return responder.Action{Code: model.Conflict}
		case 2:
			return responder.Action{Code: model.Unknown}
		}
		return responder.Action{}
	})
	got, err := comparison.Run(t.Context(), model.Linearizable, connect(t, r, client.WithRetries(0)),
		comparison.Options{Clients: 1, Script: script[:1], Times: 3})
	if err != nil || got.Failed != 1 || got.Unknown != 1 ||
		got.Sets.Counts != [4]uint64{load.OK: 1, load.Failed: 1, load.Unknown: 1} ||
		got.Sets.Latency.TotalCount() != 1 {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestEndedEarly(t *testing.T) {
	r := responder.Start(t, nil)
	for name, o := range map[string]comparison.Options{
		"script": {Clients: 2, Script: script, Times: 1 << 30},
		"load":   {Clients: 2, Load: load.Options{Duration: time.Hour, Gets: 50, Keys: 2, KeySize: 8, ValueSize: 20}},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		var n atomic.Int64
		o.Observe = func(load.Observation) {
			if n.Add(1) == 20 {
				cancel(enough)
			}
		}
		got, err := comparison.Run(ctx, model.Sequential, connect(t, r), o)
		if !errors.Is(err, enough) || !got.Early || got.Window <= 0 || got.Staleness.Judged == 0 {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

func TestOptions(t *testing.T) {
	good := comparison.Options{Clients: 1, Script: script, Times: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	long := strings.Repeat("x", model.MaxKey)
	for name, o := range map[string]comparison.Options{
		"no client":        {Script: script, Times: 1},
		"too many clients": {Clients: comparison.MaxClients + 1, Script: script, Times: 1},
		"never":            {Clients: 1, Script: script},
		"a long key":       {Clients: 1, Script: []load.Op{{Type: model.Get, Key: long}}, Times: 1, Prefix: "p"},
		"a large value": {
			Clients: 1, Script: []load.Op{{Type: model.Set, Key: "k", Value: make([]byte, model.MaxKeyValue-2)}},
			Times: 1, Distinct: true,
		},
		"long keys":    {Clients: 1, Load: load.Options{Duration: 1, Keys: 1, KeySize: model.MaxKey, ValueSize: 20}, Prefix: "p"},
		"short values": {Clients: 1, Load: load.Options{Duration: 1, Keys: 1, KeySize: 9, ValueSize: 2}},
	} {
		_, err := comparison.Run(t.Context(), model.Causal, []*client.Client{nil}, o)
		if !errors.Is(err, comparison.ErrOptions) && !errors.Is(err, load.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := comparison.Run(t.Context(), model.Causal, nil, good); !errors.Is(err, comparison.ErrOptions) {
		t.Errorf("no connection: %v", err)
	}
}
