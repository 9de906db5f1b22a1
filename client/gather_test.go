package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

// startMany begins n sets at once, calls begun, and returns their ends in order.
func startMany(t *testing.T, c *client.Client, n int, begun func(), change func(i int, r *client.Request)) []error {
	t.Helper()
	ends := make([]error, n)
	var group sync.WaitGroup
	group.Add(n)
	begin := func(i int) {
		r := client.NewSet(4, fmt.Sprint("k", i), []byte(fmt.Sprint(i)))
		if change != nil {
			change(i, &r)
		}
		if err := c.Start(r, func(_ client.Result, err error) { ends[i] = err; group.Done() }); err != nil {
			t.Error(err)
			group.Done()
		}
	}
	for i := range n {
		begin(i)
	}
	begun()
	group.Wait()
	return ends
}

// What comes while requests are on their way goes in batches, each request gets its own
// answer, whatever the order and the number of the messages in which they come, and the
// options of a request and the client's name arrive.
func TestRequestsGather(t *testing.T) {
	r := responder.Start(t, nil)
	batches := r.TakeBatches(t, 3)
	c := dial(t, r.URL, client.WithName("Client7"))
	const n = 2500 // more than one batch may hold
	for i, err := range startMany(t, c, n, func() {}, func(i int, r *client.Request) {
		r.Identity = fmt.Sprint("id", i)
	}) {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	calls := r.Calls()
	if got := batches(); got == 0 || len(calls) != n || r.Executed() != n {
		t.Fatalf("%d batches, %d requests, %d executed; want %d requests, some of them in batches", got, len(calls), r.Executed(), n)
	}
	for _, call := range calls {
		if call.Options.Client != "Client7" || call.Options.Identity != "id"+call.Request.Key[1:] ||
			string(call.Request.Value) != call.Request.Key[1:] {
			t.Fatalf("%+v", call)
		}
	}
	for i := range n {
		if got, err := c.Get(t.Context(), fmt.Sprint("k", i), client.With(model.Eventual)); err != nil ||
			string(got.Value) != fmt.Sprint(i) {
			t.Fatalf("k%d: %q, %v", i, got.Value, err)
		}
	}
}

// A lone request is an ordinary one: any responder that keeps the contract serves it.
func TestALoneRequestIsNoBatch(t *testing.T) {
	r := responder.Start(t, nil)
	batches := r.TakeBatches(t, 100)
	c := dial(t, r.URL)
	for i := range 20 {
		if _, err := c.Set(t.Context(), "k", []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := batches(); got != 0 {
		t.Errorf("%d batches of one request after the other", got)
	}
}

// Where nobody listens for batches each request is sent by itself, once.
func TestNobodyListensForBatches(t *testing.T) {
	r := responder.Start(t, nil)
	c := dial(t, r.URL)
	const n = 300
	for i, err := range startMany(t, c, n, func() {}, nil) {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if calls := r.Calls(); len(calls) != n {
		t.Errorf("%d requests came, want %d", len(calls), n)
	}
}

// Requests of one batch end each in their own way.
func TestEndsWithinABatch(t *testing.T) {
	release := make(chan struct{})
	r := responder.Start(t, func(call responder.Call) responder.Action {
		switch call.Request.Key {
		case "k0": // alone on its way, while the others gather
			<-release
		case "k3":
			return responder.Action{Code: 503}
		case "k5":
			return responder.Action{Silent: true}
		}
		return responder.Action{}
	})
	batches := r.TakeBatches(t, 2)

	c := dial(t, r.URL, client.WithTimeout(prompt))
	ends := startMany(t, c, 40, func() { close(release) }, func(i int, r *client.Request) {
		if i == 7 {
			r.Type, r.Value, r.Key = model.Get, nil, "missing"
		}
	})

	for i, err := range ends {
		var want error
		switch i {
		case 3:
			want = client.ErrUnavailable
		case 5:
			want = client.ErrUnknownOutcome
		case 7:
			want = client.ErrNotFound
		}
		if !errors.Is(err, want) {
			t.Errorf("request %d: %v, want %v", i, err, want)
		}
	}
	if batches() == 0 {
		t.Error("no batch came")
	}
}

// An answer to the batch as a whole is the answer to each of its requests; one that is
// none says nothing of what happened.
func TestABatchIsRefused(t *testing.T) {
	s := responder.Server(t)
	r := responder.On(t, s.ClientURL(), nil)
	headers := nats.Header{}
	for name, value := range map[string]string{
		"Quartet-Request-Id": "5", "Quartet-Ack": "FAIL", "Quartet-Clock": "7.m1", "Nats-Service-Error-Code": "503",
		"Nats-Service-Error": "no room",
	} {
		headers.Set(name, value)
	}
	for name, c := range map[string]struct {
		answer nats.Msg
		want   error
	}{
		"refused":  {nats.Msg{Header: headers, Data: []byte("no room")}, client.ErrUnavailable},
		"nonsense": {nats.Msg{Data: []byte("\x91\x92\x01\x02")}, client.ErrUnknownOutcome},
		"empty":    {nats.Msg{}, client.ErrUnknownOutcome},
	} {
		t.Run(name, func(t *testing.T) { refusedBatches(t, r, c.answer, c.want) })
	}
}

func refusedBatches(t *testing.T, r *responder.Responder, answer nats.Msg, want error) {
	taken := refuseBatches(t, r, answer)
	c := dial(t, r.URL, client.WithTimeout(prompt))
	for refused := 0; refused == 0 && !t.Failed(); { // which requests gather is the scheduler's choice
		ends := startMany(t, c, 40, func() {}, nil)
		inBatches := taken()
		for i, err := range ends {
			want := want
			if !inBatches[fmt.Sprint("k", i)] {
				want = nil
			}
			if !errors.Is(err, want) {
				t.Errorf("request %d: %v, want %v", i, err, want)
			}
		}
		refused = len(inBatches)
	}
}

// refuseBatches answers each batch with a copy of answer until the next call; taken returns
// the keys that have come in batches since the last call of it.
func refuseBatches(t *testing.T, r *responder.Responder, answer nats.Msg) (taken func() map[string]bool) {
	t.Helper()
	var mu sync.Mutex
	keys := map[string]bool{}
	sub, err := r.Conn.Subscribe("quartet.batch", func(m *nats.Msg) {
		items, err := bus.ParseBatch(m.Data, nil)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		for _, item := range items {
			keys[item.Key] = true
		}
		mu.Unlock()
		answer.Subject = m.Reply
		_ = r.Conn.PublishMsg(&answer)
	})

	if err == nil {
		err = r.Conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })

	return func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		was := keys
		keys = map[string]bool{}
		return was
	}
}

// Who gives up waiting does not keep the others of the batch from their ends, and what
// is outstanding when the client is closed ends.
func TestGivingUpAndClosing(t *testing.T) {
	r := responder.Start(t, func(call responder.Call) responder.Action {
		return responder.Action{Silent: call.Request.Key != "served"}
	})
	r.TakeBatches(t, 100)
	c := dial(t, r.URL, client.WithTimeout(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())

	pending := make([]*client.Pending, 50)
	for i := range pending {
		key := "silent"
		if i%2 == 1 {
			key = "served"
		}
		var err error
		if pending[i], err = c.Begin(ctx, client.NewSet(1, key, []byte("v"))); err != nil {
			t.Fatal(err)
		}
	}

	cancel()
	for i := 0; i < 20; i += 2 {
		if _, err := pending[i].Wait(ctx); !errors.Is(err, client.ErrUnknownOutcome) {
			t.Fatalf("request %d was given up: %v", i, err)
		}
	}
	for i := 1; i < len(pending); i += 2 {
		if _, err := pending[i].Wait(t.Context()); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 20; i < len(pending); i += 2 {
		if _, err := pending[i].Wait(t.Context()); !errors.Is(err, client.ErrUnknownOutcome) {
			t.Fatalf("request %d at the close: %v", i, err)
		}
	}
	if _, err := c.Set(t.Context(), "k", nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}

// A bus that carries little carries smaller batches; and the end of a request that it
// cannot carry at all does not come before Start has returned: each end may start the next.
func TestANarrowBus(t *testing.T) {
	const most = 8 << 10
	r := responder.On(t, responder.Narrow(t, most).ClientURL(), nil)
	batches := r.TakeBatches(t, 10)
	c := dial(t, r.URL)

	value := make([]byte, 300)
	for i, err := range startMany(t, c, 200, func() {}, func(_ int, r *client.Request) { r.Value = value }) {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if got := batches(); got == 0 {
		t.Error("no batch came")
	}

	large := client.NewSet(4, "k", make([]byte, 2*most))
	ended := make(chan error, 1)
	var mine sync.Mutex // of who starts it; its end takes it too
	mine.Lock()
	go func() {
		defer mine.Unlock()
		if err := c.Start(large, func(_ client.Result, err error) {
			mine.Lock()
			defer mine.Unlock()
			ended <- err
		}); err != nil {
			ended <- err
		}
	}()

	select {
	case err := <-ended:
		if !errors.Is(err, client.ErrRefused) {
			t.Errorf("a request that the bus cannot carry: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("its end waits for Start to return")
	}
}
