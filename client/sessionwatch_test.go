package client_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/quartettest"
)

// A watch of a session asks for what the session has seen: at the beginning, and when it goes on.
func TestAWatchOfASessionAsksForWhatWasSeen(t *testing.T) {
	history := bus.History{Cluster: 7, Epoch: 2, Nonce: 3}
	caughtUp := message(model.Event{Kind: model.EventCaughtUp, Sequence: 1, Revision: 4}, history)
	te := tellStreams(t, []*nats.Msg{caughtUp, frame(2, set("k", 40))})
	c := dial(t, te.r.URL)
	token := bus.Session{History: history, Position: 30, Timestamp: 20}.Token()

	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		s, err := c.Resume(token)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range s.Watch(t.Context(), "", client.With(m)) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == client.EventSet && s.Position() != 40 {
				t.Errorf("%s: the session has seen %d when it was told of revision 40", m, s.Position())
			}
			if e.Kind == client.EventSet {
				break
			}
		}

		asked := <-te.asked
		o, err := bus.ParseOptions(asked.Header, m)
		want := bus.Options{History: history, AsksHistory: true}
		switch m {
		case client.Sequential:
			want.MinPosition = 30
		case client.Causal:
			want.MinTimestamp = 20
		}
		if err != nil || o != want {
			t.Errorf("%s: asks for %+v, %v; want %+v", m, o, err, want)
		}
	}
}

// A watch of a session begins after what the session has written, whichever replica serves it, and
// what it tells has been seen: a get in the loop's body is answered with that.
func TestAWatchOfASessionIsOfItsOrder(t *testing.T) {
	cluster := quartettest.Start(t)
	c := cluster.Client(t, client.WithRetries(100))
	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal} {
		s := c.Session()
		for round := range 20 {
			key, value := fmt.Sprint(m.Word(), "/", round), fmt.Sprint(round)
			if _, err := s.Set(t.Context(), key, []byte(value), client.With(m)); err != nil {
				t.Fatal(err)
			}

			var there string
			for e, err := range s.Watch(t.Context(), key, client.With(m)) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Kind == client.EventCaughtUp {
					break
				}
				there = string(e.Value)
				r, err := s.Get(t.Context(), key, client.With(m))
				if err != nil || string(r.Value) != there {
					t.Errorf("%s: %s was told to be %q, and a get says %q, %v", m, key, there, r.Value, err)
				}
			}
			if there != value {
				t.Errorf("%s: %s was set to %q, and a watch begins with %q", m, key, value, there)
			}
		}
	}
}
