package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

// What a master had that has died is sent again once another begins to lead, and not when its time
// is over. It is executed once.
func TestARequestOfAMasterThatHasDied(t *testing.T) {
	lost := make(chan struct{}, 1)
	r := responder.Start(t, func(c responder.Call) responder.Action {
		if c.N == 1 {
			lost <- struct{}{}
		}
		return responder.Action{Silent: c.N == 1}
	})
	c := dial(t, r.URL, client.WithTimeout(time.Hour))
	go func() {
		<-lost
		_ = r.Conn.Publish("quartet.led", []byte(`{}`))
	}()
	set, err := c.Set(t.Context(), "k", []byte("v"))
	if err != nil || set.Attempts != 2 {
		t.Errorf("%+v, %v", set, err)
	}
	if n := r.Executed(); n != 1 {
		t.Errorf("executed %d times", n)
	}
}

// What is never sent again ends, as unknown.
func TestARequestThatIsSentOnceOfAMasterThatHasDied(t *testing.T) {
	taken := make(chan struct{}, 1)
	r := responder.Start(t, func(responder.Call) responder.Action {
		taken <- struct{}{}
		return responder.Action{Ignore: true}
	})
	c := dial(t, r.URL, client.WithTimeout(time.Hour))
	ends := make(chan error, 1)
	if err := c.Start(client.NewSet(client.Linearizable, "k", nil), func(_ client.Result, err error) { ends <- err }); err != nil {
		t.Fatal(err)
	}
	<-taken
	if err := r.Conn.Publish("quartet.led", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-ends; !errors.Is(err, client.ErrUnknownOutcome) {
		t.Error(err)
	}
}

// A watch that a master had which has died is asked for again, although the next one began to lead
// after the watch was asked for and before the client waited for its next message.
func TestAWatchOfAMasterThatHasDied(t *testing.T) {
	server := responder.Server(t)
	nc, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	watches, sets := make(chan string, 10), make(chan string, 10) // where each is to be answered
	if _, err := nc.Subscribe("quartet.request", func(m *nats.Msg) {
		request, err := bus.ParseRequest(m.Data)
		switch {
		case err != nil:
			t.Error(err)
		case request.Type == model.Watch:
			watches <- m.Reply
		default:
			sets <- m.Reply
		}
	}); err != nil {
		t.Fatal(err)
	}
	await := func(asked <-chan string, what string) string {
		t.Helper()
		select {
		case inbox := <-asked:
			return inbox
		case <-time.After(30 * time.Second):
			t.Fatalf("%s was not asked for", what)
			return ""
		}
	}

	c := dial(t, server.ClientURL(), client.WithTimeout(time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for range c.Watch(ctx, "orders/") {
		}
	}()
	defer func() { cancel(); <-watched }()
	first := await(watches, "the watch")

	// A set that is never sent again ends when the client knows of the master that begins. Only then
	// comes what ends the watch's wait for a message: it is no event, and is passed over.
	ended := make(chan string, 1)
	if err := c.Start(client.NewSet(client.Linearizable, "k", nil), func(client.Result, error) { ended <- "" }); err != nil {
		t.Fatal(err)
	}
	await(sets, "the set")
	if err := nc.Publish("quartet.led", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	await(ended, "the end of the set")
	if err := nc.Publish(first, []byte("no event")); err != nil {
		t.Fatal(err)
	}
	if again := await(watches, "the watch, again,"); again == first {
		t.Errorf("both watches are to be answered at %s", first)
	}
}
