package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/quartettest"
)

// TestMain starts a real cluster within this process, for the examples and for the tests
// that say so.
func TestMain(m *testing.M) {
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Minute) // of all examples together
	status := quartettest.Run(m, func(cluster *quartettest.Cluster) {
		url = cluster.URL
		var err error
		if c, err = client.Connect(ctx, url); err != nil {
			log.Fatal(err)
		}
	})
	if c != nil {
		c.Close()
	}
	cancel()
	os.Exit(status)
}

// Sessions of a real cluster, many at once, each on keys of its own: whatever replica
// serves, a session reads what it wrote last, in every model but the eventual one, and
// positions never fall.
func TestSessionsOfARealCluster(t *testing.T) {
	c := dial(t, url)
	var group sync.WaitGroup
	for w := range 12 {
		model := []client.Consistency{client.Linearizable, client.Sequential, client.Causal}[w%3]
		group.Go(func() {
			s := c.Session()
			var position uint64
			for i := range 30 {
				key, value := fmt.Sprintf("session-%d-%d", w, i%3), fmt.Sprint(i)
				if _, err := s.Set(t.Context(), key, []byte(value), client.With(model)); err != nil {
					t.Errorf("%v: %v", model, err)
					return
				}
				got, err := s.Get(t.Context(), key, client.With(model))
				if err != nil || string(got.Value) != value {
					t.Errorf("%v: read %q after writing %q from %s: %v", model, got.Value, value, got.Replica, err)
					return
				}
				if s.Position() < position {
					t.Errorf("%v: position fell from %d to %d", model, position, s.Position())
				}
				position = s.Position()
			}
		})
	}
	group.Wait()
}

// A set that is sent again with its id executes nothing and has the first outcome; the
// id used for another request is refused.
func TestIdentityOnARealCluster(t *testing.T) {
	c := dial(t, url)
	for _, model := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		key, id := "identity-"+model.Word(), client.WithID("test-identity-"+model.Word())
		with := client.With(model)
		first, err := c.Set(t.Context(), key, []byte("1"), with, id)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Set(t.Context(), key, []byte("1"), with, id)
		if err != nil || again.RID != first.RID || again.Timestamp != first.Timestamp {
			t.Errorf("%v: first %+v, again %+v, %v", model, first, again, err)
		}
		if _, err := c.Set(t.Context(), key, []byte("2"), with, id); !errors.Is(err, client.ErrRefused) {
			t.Errorf("%v: the id for another request: %v", model, err)
		}
	}
	_, err := c.Get(t.Context(), "k", client.OnReplica("r9"))
	var e *client.Error
	if !errors.As(err, &e) || e.Code != 400 || e.Attempts != 1 {
		t.Errorf("a replica that does not exist: %v", err)
	}
}
