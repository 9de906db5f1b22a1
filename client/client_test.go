package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

func dial(t *testing.T, url string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Connect(t.Context(), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestSetThenGet(t *testing.T) {
	r := responder.Start(t, nil)
	c := dial(t, r.URL, client.WithName("Client1"))
	for _, m := range model.All {
		key, value := m.Word(), []byte(" any\x00bytes, ::: and blanks \n")
		set, err := c.Set(t.Context(), key, value, client.With(m))
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		get, err := c.Get(t.Context(), key, client.With(m))
		if err != nil || !get.Found || string(get.Value) != string(value) {
			t.Fatalf("%v: got %q, %v", m, get.Value, err)
		}
		if set.RID == 0 || get.RID <= set.RID || get.Clock.Time <= set.Clock.Time || get.Replica == 0 || get.Attempts != 1 {
			t.Errorf("%v: %+v then %+v", m, set, get)
		}
		if set.Model != m || set.Type != client.TypeSet || get.Type != client.TypeGet || get.Code != model.OK {
			t.Errorf("%v: %+v then %+v", m, set, get)
		}
		if set.HasPosition != m.Strong() || (set.Timestamp != 0) != (m == client.Causal) || get.Timestamp != set.Timestamp {
			t.Errorf("%v: %+v then %+v", m, set, get)
		}
	}
	for _, call := range r.Calls() {
		if call.Options.Client != "Client1" || (call.Options.Identity == "") != (call.Request.Type == model.Get) {
			t.Errorf("headers %v", call.Header)
		}
	}
}

func TestOptionsReachTheCluster(t *testing.T) {
	r := responder.Start(t, nil)
	nc, err := nats.Connect(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c, err := client.New(nc)
	if err != nil {
		t.Fatal(err)
	}

	get := func(opts ...client.RequestOption) {
		t.Helper()
		if _, err := c.Get(t.Context(), "k", opts...); !errors.Is(err, client.ErrNotFound) {
			t.Fatal(err)
		}
	}
	get(client.With(client.Causal), client.WithMinTimestamp(7), client.OnReplica("r2"), client.WithID("mine"))
	get(client.With(client.Sequential), client.WithMinPosition(8))

	calls := r.Calls()
	if want := (bus.Options{Identity: "mine", MinTimestamp: 7, Replica: "r2"}); calls[0].Options != want {
		t.Errorf("got %+v, want %+v", calls[0].Options, want)
	}
	if want := (bus.Options{MinPosition: 8}); calls[1].Options != want {
		t.Errorf("got %+v, want %+v", calls[1].Options, want)
	}

	if _, err := c.Do(t.Context(), client.Request{Request: model.NewSet(4, "a", []byte("b")), Text: true}); err != nil {
		t.Fatal(err)
	}
	if body := r.Calls()[2].Body; body != "eventual, set, a ::: b" {
		t.Errorf("text form %q", body)
	}

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if !nc.IsConnected() {
		t.Error("Close closed a connection that is the caller's")
	}
	if _, err := c.Get(t.Context(), "k"); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

type traceKey struct{}

// A trace that the caller is in goes along, by header and alone, and a bad one does not.
func TestTraceparents(t *testing.T) {
	r := responder.Start(t, nil)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	other := strings.Replace(parent, "b7", "c8", 1)
	c := dial(t, r.URL, client.WithPropagator(func(ctx context.Context) (string, string) {
		s, _ := ctx.Value(traceKey{}).(string)
		return s, "a=b"
	}))
	inTrace := context.WithValue(t.Context(), traceKey{}, parent)
	for _, call := range []struct {
		ctx           context.Context
		opts          []client.RequestOption
		parent, state string
	}{
		{t.Context(), nil, "", ""},
		{inTrace, nil, parent, "a=b"},
		{inTrace, []client.RequestOption{client.WithTraceparent(other)}, other, ""},
		{t.Context(), []client.RequestOption{client.WithTraceparent("00-nonsense\r\nEvil: 1")}, "", ""},
	} {
		if _, err := c.Set(call.ctx, "k", []byte("v"), call.opts...); err != nil {
			t.Fatal(err)
		}
		calls := r.Calls()
		h := calls[len(calls)-1].Header
		if got := h.Get(bus.HeaderTraceparent); got != call.parent || h.Get(bus.HeaderTracestate) != call.state {
			t.Errorf("%q %q, want %q %q", got, h.Get(bus.HeaderTracestate), call.parent, call.state)
		}
	}
}

func TestRefusedBeforeSending(t *testing.T) {
	r := responder.Start(t, nil)
	c := dial(t, r.URL)
	for name, test := range map[string]struct {
		r    client.Request
		code model.Code
	}{
		"no model":     {client.Request{Request: model.Request{Type: 1, Key: "k"}}, 400},
		"no type":      {client.Request{Request: model.Request{Model: 1, Key: "k"}}, 400},
		"no key":       {client.Request{Request: model.Request{Model: 1, Type: 2}}, 400},
		"separator":    {client.NewGet(1, "a:::b"), 400},
		"get of value": {client.Request{Request: model.Request{Model: 1, Type: 2, Key: "a", Value: []byte("v")}}, 400},
		"too large":    {client.NewSet(1, "a", make([]byte, model.MaxKeyValue)), 413},
		"id":           {client.Request{Request: model.NewSet(1, "a", nil), Options: bus.Options{Identity: "line\nend"}}, 400},
		"long id": {
			client.Request{
				Request: model.NewSet(1, "a", nil), Options: bus.Options{Identity: strings.Repeat("x", 257)},
			},
			400,
		},
		"blank in text": {client.Request{Request: model.NewSet(1, "a", []byte(" v")), Text: true}, 400},
	} {
		_, err := c.Do(t.Context(), test.r)
		var e *client.Error
		if !errors.As(err, &e) || e.Code != test.code || e.Attempts != 0 || !errors.Is(err, client.ErrRefused) ||
			errors.Is(err, client.ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
	}

	if n := len(r.Calls()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if _, err := client.Connect(t.Context(), r.URL, client.WithName("a\nb")); !errors.Is(err, client.ErrRefused) {
		t.Errorf("name: %v", err)
	}
	if _, err := client.Connect(t.Context(), r.URL, client.WithPrefix("a b")); !errors.Is(err, bus.ErrPrefix) {
		t.Errorf("prefix: %v", err)
	}
}

// prompt is the timeout of clients to whom some requests are answered, which all of them must hear,
// on a machine that is busy, and others are not, for which they wait as long as this.
const prompt = 700 * time.Millisecond

// A set whose reply is lost is sent again with its id and takes effect once.
func TestRetriesReuseTheID(t *testing.T) {
	t.Parallel()
	lost := map[string]func(responder.Call) responder.Action{
		"reply lost":   func(responder.Call) responder.Action { return responder.Action{Silent: true} },
		"request lost": func(responder.Call) responder.Action { return responder.Action{Ignore: true} },
		"504":          func(responder.Call) responder.Action { return responder.Action{Code: 504} },
		"503":          func(responder.Call) responder.Action { return responder.Action{Code: 503} },
	}

	for name, action := range lost {
		r := responder.Start(t, func(call responder.Call) responder.Action {
			if call.N <= 2 {
				return action(call)
			}
			return responder.Action{}
		})
		c := dial(t, r.URL, client.WithTimeout(prompt))

		result, err := c.Set(t.Context(), "k", []byte("v"))
		if err != nil || result.Attempts != 3 {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}

		calls := r.Calls()
		id := calls[0].Options.Identity
		for _, call := range calls {
			if id == "" || call.Options.Identity != id || call.Body != calls[0].Body {
				t.Errorf("%s: sent again with id %q and body %q, first %q and %q", name, call.Options.Identity,
					call.Body, id, calls[0].Body)
			}
		}

		if r.Executed() != 1 || len(calls) != 3 {
			t.Errorf("%s: executed %d times, sent %d", name, r.Executed(), len(calls))
		}
		if _, err := c.Set(t.Context(), "k", []byte("v")); err != nil || r.Calls()[3].Options.Identity == id {
			t.Errorf("%s: the next set has the id of the last (%v)", name, err)
		}
	}
}

func TestUnknownOutcome(t *testing.T) {
	silent := func(responder.Call) responder.Action { return responder.Action{Silent: true} }
	r := responder.Start(t, silent)
	c := dial(t, r.URL, client.WithTimeout(20*time.Millisecond), client.WithRetries(1))
	_, err := c.Set(t.Context(), "k", []byte("v"))
	checkError(t, "no reply", err, "unknown")
	_, err = c.Get(t.Context(), "k")
	checkError(t, "no reply to a get", err, "unknown")

	patient := dial(t, r.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = patient.Set(ctx, "k", []byte("v"))
	checkError(t, "context", err, "unknown", "deadline")
	_, err = patient.Set(ctx, "k", []byte("v"))
	checkError(t, "context that had ended", err, "deadline")
}

// "Not executed" speaks of one sending. A set that was sent before stays unknown.
func TestRefusalAfterSilenceIsUnknown(t *testing.T) {
	t.Parallel()
	for _, code := range []model.Code{400, 409, 425, 503} {
		r := responder.Start(t, func(call responder.Call) responder.Action {
			if call.N == 1 || call.N == 3 {
				return responder.Action{Ignore: true}
			}
			return responder.Action{Code: code}
		})
		c := dial(t, r.URL, client.WithTimeout(prompt), client.WithRetries(1))
		_, err := c.Set(t.Context(), "k", []byte("v"))
		checkError(t, fmt.Sprint("set, ", code), err, "unknown")
		_, err = c.Get(t.Context(), "k")
		want := map[model.Code][]string{
			400: {"refused", "malformed"}, 409: {"refused", "conflict"}, 425: {"refused", "too early"},
			503: {"unavailable"},
		}[code]
		checkError(t, fmt.Sprint("get, ", code), err, want...)
	}
}

func TestMalformedReplyIsUnknown(t *testing.T) {
	r := responder.Start(t, func(responder.Call) responder.Action {
		return responder.Action{Raw: &nats.Msg{Data: []byte("hello"), Header: nats.Header{bus.HeaderAck: {"MAYBE"}}}}
	})
	c := dial(t, r.URL, client.WithRetries(0))
	_, err := c.Set(t.Context(), "k", []byte("v"))
	checkError(t, "no reply of quartet", err, "unknown")
	if !errors.Is(err, bus.ErrReply) {
		t.Errorf("%v does not say why", err)
	}
}

func TestNoCluster(t *testing.T) {
	s := responder.Server(t)
	c := dial(t, s.ClientURL(), client.WithRetries(1))
	_, err := c.Set(t.Context(), "k", []byte("v"))
	checkError(t, "nobody listens", err, "no cluster", "unavailable")
	_, err = c.Status(t.Context())
	checkError(t, "status", err, "no cluster", "unavailable")
	s.Shutdown()
	s.WaitForShutdown()
	_, err = client.Connect(t.Context(), s.ClientURL())
	checkError(t, "no server", err, "no cluster")
}

// The cluster's server goes away with a request outstanding and comes back: the same
// request, the same id, one answer.
func TestReconnect(t *testing.T) {
	s := responder.Server(t)
	arrived := make(chan struct{}, 1)
	r := responder.On(t, s.ClientURL(), func(call responder.Call) responder.Action {
		arrived <- struct{}{}
		return responder.Action{Ignore: true}
	})
	c := dial(t, s.ClientURL(), client.WithRetries(1000))

	type end struct {
		result client.Result
		err    error
	}
	ends := make(chan end, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		result, err := c.Set(ctx, "k", []byte("v"))
		ends <- end{result, err}
	}()

	<-arrived
	url := s.ClientURL()
	s.Shutdown()
	s.WaitForShutdown()
	again := responder.Again(t, url, nil)

	e := <-ends
	if e.err != nil || e.result.Attempts < 2 {
		t.Fatalf("%+v, %v", e.result, e.err)
	}
	if calls := again.Calls(); len(calls) != 1 || calls[0].Options.Identity != r.Calls()[0].Options.Identity {
		t.Errorf("after the reconnect: %+v", calls)
	}
}

// After a 425 a replica that is known and has not refused is asked; when that one is
// gone it is forgotten; a pinned request stays where it is.
func TestTooEarlyAsksAnother(t *testing.T) {
	var script func(responder.Call) responder.Action
	var mu sync.Mutex
	r := responder.Start(t, func(call responder.Call) responder.Action {
		mu.Lock()
		defer mu.Unlock()
		return script(call)
	})
	use := func(s func(responder.Call) responder.Action) {
		mu.Lock()
		script = s
		mu.Unlock()
	}
	early := func(n lamport.Node) responder.Action {
		return responder.Action{Code: 425, Reply: bus.Reply{Answer: model.Answer{Replica: n, Reason: "ask again later"}}}
	}
	c := dial(t, r.URL)
	use(func(call responder.Call) responder.Action { return responder.Action{} })
	for _, name := range []string{"r1", "r2"} {
		if _, err := c.Set(t.Context(), "k", []byte("v"), client.With(client.Causal), client.OnReplica(name)); err != nil {
			t.Fatal(err)
		}
	}
	before := len(r.Calls())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	use(func(call responder.Call) responder.Action {
		if call.N == before+4 {
			cancel() // that is enough; nothing else would end it soon
		}
		switch call.Options.Replica {
		case "":
			return early(1)
		case "r2":
			return responder.Action{Code: 400, Reply: bus.Reply{Answer: model.Answer{Reason: "no replica r2"}}}
		}
		return responder.Action{Raw: &nats.Msg{}}
	})
	_, err := c.Get(ctx, "k", client.With(client.Causal))
	var e *client.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var asked []string
	for _, call := range r.Calls()[before:] {
		asked = append(asked, call.Options.Replica)
	}
	if len(asked) < 3 || asked[0] != "" || asked[1] != "r2" || asked[2] != "" {
		t.Fatalf("asked %q, want anyone, r2, anyone", asked)
	}
	for _, name := range asked[2:] {
		if name != "" {
			t.Errorf("asked %q although r1 has refused and r2 is forgotten", name)
		}
	}

	// The last sending of the get before may come late: of another key.
	var pinned atomic.Uint64
	use(func(call responder.Call) responder.Action {
		if call.Request.Key == "pinned" && pinned.Add(1) <= 3 {
			return early(3)
		}
		return responder.Action{}
	})
	if _, err := c.Get(t.Context(), "pinned", client.With(client.Causal), client.OnReplica("r3")); !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	for _, call := range r.Calls() {
		if call.Request.Key == "pinned" && call.Options.Replica != "r3" {
			t.Errorf("a request pinned to r3 was sent to %q", call.Options.Replica)
		}
	}
	if n := pinned.Load(); n < 4 {
		t.Errorf("it was sent %d times, and refused three times", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := responder.Start(t, func(call responder.Call) responder.Action {
		if call.N%7 == 0 {
			return responder.Action{Code: 503}
		}
		return responder.Action{}
	})
	c := dial(t, r.URL)

	var group sync.WaitGroup
	for w := range 16 {
		group.Go(func() {
			s := c.Session()
			for i := range 40 {
				key, value := fmt.Sprintf("k%d", w), fmt.Sprintf("%d-%d", w, i)
				m := model.All[i%4]
				if _, err := s.Set(t.Context(), key, []byte(value), client.With(m)); err != nil {
					t.Error(err)
					return
				}
				got, err := s.Get(t.Context(), key, client.With(m))
				if err != nil || string(got.Value) != value {
					t.Errorf("got %q, %v, want %q", got.Value, err, value)
					return
				}
			}
		})

	}
	group.Wait()
	if r.Executed() != 16*40 {
		t.Errorf("%d sets took effect, want %d", r.Executed(), 16*40)
	}
}

func TestStart(t *testing.T) {
	r := responder.Start(t, func(call responder.Call) responder.Action {
		if call.N == 2 {
			return responder.Action{Code: 503}
		}
		return responder.Action{}
	})
	c := dial(t, r.URL)

	ends := make(chan error, 3)
	for range 3 {
		err := c.Start(client.NewSet(4, "k", []byte("v")), func(result client.Result, err error) {
			if (result.Code == model.OK) != (err == nil) {
				err = fmt.Errorf("%+v beside %v", result, err)
			}
			ends <- err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := <-ends, <-ends, <-ends
	if first != nil || !errors.Is(second, client.ErrUnavailable) || third != nil {

		t.Errorf("%v, %v, %v", first, second, third)
	}
	if calls := r.Calls(); len(calls) != 3 || calls[0].Options.Identity != "" {
		t.Errorf("Start sent again, or an id: %+v", calls)
	}
	if err := c.Start(client.Request{Request: model.Request{Model: 9}}, nil); !errors.Is(err, client.ErrRefused) {
		t.Errorf("malformed: %v", err)
	}
}
