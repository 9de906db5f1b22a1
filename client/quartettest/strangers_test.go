package quartettest_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/client"
	"quartet/client/quartettest"
)

// A client that has JetStream may have a stream take all subjects; it then acknowledges every
// request before the cluster has answered. What is none of the cluster's is passed over.
func TestAStreamThatTakesRequests(t *testing.T) {
	cluster := quartettest.Start(t, quartettest.JetStream())
	c := cluster.Client(t)
	js, err := jetstream.New(cluster.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "AUDIT", Subjects: []string{"quartet.>"}, Storage: jetstream.MemoryStorage,
	}); err != nil {
		t.Fatal(err)
	}
	// Which of the two answers first is chance: it has been the stream once, so it can be.
	testkit.Await(t, "an answer of the stream that comes first", func() bool {
		m, err := cluster.NATS(t).Request("quartet.status", nil, client.DefaultTimeout)
		return err == nil && bytes.Contains(m.Data, []byte("AUDIT"))
	})

	for _, model := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		key := model.Word()
		if _, err := c.Set(t.Context(), key, []byte("v"), client.With(model)); err != nil {
			t.Errorf("%s set: %v", key, err)
		}
		// A weak set may be committed later than it is acknowledged.
		testkit.Await(t, key+" get of what was set", func() bool {
			r, err := c.Get(t.Context(), key, client.With(client.Linearizable))
			return err == nil && string(r.Value) == "v"
		})
	}
	keys := make([]string, 300)
	for i := range keys {
		keys[i] = fmt.Sprint("none-", i)
	}
	if outcomes, err := c.GetMany(t.Context(), keys); err != nil || !errors.Is(outcomes[299].Err, client.ErrNotFound) {
		t.Errorf("a batch: %v", err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Epoch == 0 || len(s.Replicas) == 0 {
		t.Errorf("status: %+v %v", s, err)
	}
	if r, err := c.Report(t.Context()); err != nil || r.Started.IsZero() || r.Total.Count == 0 {
		t.Errorf("report: %+v %v", r, err)
	}
	if a, err := c.Remove(t.Context(), "r9"); err != nil || a.Error == "" || a.Begun {
		t.Errorf("remove: %+v %v", a, err)
	}
	if a, err := c.Recover(t.Context(), bus.RecoverRequest{}); err != nil || !a.Ready {
		t.Errorf("recover: %+v %v", a, err)
	}
}
