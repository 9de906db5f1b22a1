package client_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus/server/servertest"
	"quartet/client"
	"quartet/client/internal/responder"
)

// guarded starts a server with a cluster, and a user who may publish and hear these subjects.
func guarded(t *testing.T, publish, hear []string) (url string) {
	t.Helper()
	s := servertest.Start(t, &natsserver.Options{Users: []*natsserver.User{
		{Username: "cluster", Password: "c"},
		{Username: "guest", Password: "g", Permissions: &natsserver.Permissions{
			Publish: &natsserver.SubjectPermission{Allow: publish}, Subscribe: &natsserver.SubjectPermission{Allow: hear},
		}},
	}})
	responder.On(t, strings.Replace(s.ClientURL(), "://", "://cluster:c@", 1), nil)
	return strings.Replace(s.ClientURL(), "://", "://guest:g@", 1)
}

// What the server refuses is told at once, as what it is: nobody has heard it.
func TestWhatTheServerRefusesIsDefinite(t *testing.T) {
	url := guarded(t, []string{"quartet.status"}, []string{"_INBOX.>"})
	c, err := client.Connect(t.Context(), url, client.WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status, which is allowed: %v", err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, client.ErrPermission) || !errors.Is(err, client.ErrRefused) ||
			errors.Is(err, client.ErrUnknownOutcome) || errors.Is(err, client.ErrNoCluster) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = c.Set(t.Context(), "a", []byte("1"))
	refused("a set", err)
	if !strings.Contains(err.Error(), "publish to quartet.request") {
		t.Errorf("does not say what: %v", err)
	}
	_, err = c.Remove(t.Context(), "r3")
	refused("remove", err)

	for _, err = range c.Watch(t.Context(), "a") {
		refused("a watch", err)
	}

	// Many at once travel in batches; no batch is let through, and no request of it.
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := c.Get(t.Context(), "a")
			refused("a get", err)
		})
	}
	all.Wait()
}

// Who may read alone reads, one by one and many at once, without being told how; and writes
// nothing.
func TestWhoMayReadAloneReads(t *testing.T) {
	url := guarded(t, []string{"quartet.read"}, []string{"_INBOX.>"})
	c, err := client.Connect(t.Context(), url, client.WithTimeout(time.Minute), client.WithRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // before it knows, and after
		if _, err := c.Get(t.Context(), "a"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("a get: %v", err)
		}
	}
	outcomes, err := c.GetMany(t.Context(), []string{"a", "b", "c", "d", "e", "f"})
	if err != nil {
		t.Error(err)
	}
	for i, o := range outcomes {
		if !errors.Is(o.Err, client.ErrNotFound) || o.Attempts != 1 {
			t.Errorf("get %d of many: %v after %d", i, o.Err, o.Attempts)
		}
	}

	_, err = c.Set(t.Context(), "a", []byte("1"))
	if !errors.Is(err, client.ErrPermission) || !strings.Contains(err.Error(), "publish to quartet.request") {
		t.Errorf("a set: %v", err)
	}
	if _, err := c.Get(t.Context(), "a"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a get after that: %v", err)
	}
}

// Batches may be refused where requests are not: they go one by one.
func TestBatchesThatTheServerRefusesGoOneByOne(t *testing.T) {
	url := guarded(t, []string{"quartet.request"}, []string{"_INBOX.>"})
	c, err := client.Connect(t.Context(), url, client.WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := c.Set(t.Context(), "a", []byte("1")); err != nil {
				t.Errorf("a set: %v", err)
			}
		})
	}
	all.Wait()
}

// Who could not hear a reply sends nothing.
func TestAClientThatCannotHearIsRefused(t *testing.T) {
	url := guarded(t, []string{">"}, []string{"elsewhere.>"})
	_, err := client.Connect(t.Context(), url)
	if !errors.Is(err, client.ErrPermission) || !strings.Contains(err.Error(), "subscribe to _INBOX.") {
		t.Errorf("got %v", err)
	}
}

// The connection's own handler hears of a refusal as before.
func TestTheCallersErrorHandlerStays(t *testing.T) {
	url := guarded(t, []string{"quartet.status"}, []string{"_INBOX.>"})
	heard := make(chan error, 10)
	nc, err := nats.Connect(url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { heard <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range 3 { // clients on one connection
		c, err := client.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), "a"); !errors.Is(err, client.ErrPermission) {
			t.Errorf("got %v", err)
		}
		select {
		case err := <-heard:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("heard %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the handler heard nothing")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
