package client_test

import (
	"errors"
	"testing"
	"time"

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
