package inprocess_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/master/inprocess"
)

// Where only reads are served gets, lists and watches are, and everything else is refused and has
// no effect.
func TestOnlyReadsAreServedToReaders(t *testing.T) {
	c, err := inprocess.Start(t.Context(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	nc, err := nats.Connect(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask := func(subject, body string) bus.Reply {
		t.Helper()
		m, err := nc.Request(subject, []byte(body), time.Minute)
		if err != nil {
			t.Fatalf("%s on %s: %v", body, subject, err)
		}
		reply, err := bus.ParseReply(m)
		if err != nil {
			t.Fatalf("%s on %s: %v", body, subject, err)
		}
		return reply
	}
	if r := ask("quartet.request", "1, set, k ::: 1"); r.Code != 200 {
		t.Fatalf("%+v", r)
	}

	for body, code := range map[string]int{
		"1, get, k": 200, "3, get, none": 404, "4, get, none": 404, "1, list, ": 200,
		"1, set, k ::: 2": 403, "4, set, k ::: 2": 403, "3, delete, k": 403, "1, add, k ::: 1": 403,
		`{"consistency":"linearizable","request":"txn","then":[{"request":"set","key":"k","value":"2"}]}`: 403,
		"no request": 400,
	} {
		r := ask("quartet.read", body)
		if int(r.Code) != code {
			t.Errorf("%s: %d %s", body, r.Code, r.Reason)
		}
		if code == 403 && !strings.Contains(r.Reason, "quartet.request") {
			t.Errorf("%s: %s", body, r.Reason)
		}
	}
	event, err := nc.Request("quartet.read", []byte("1, watch, "), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if event.Header.Get(bus.HeaderEvent) == "" || event.Header.Get(bus.HeaderErrorCode) != "" {
		t.Errorf("a watch begins with %v", event.Header)
	}
	if r := ask("quartet.read", "1, get, k"); string(r.Value) != "1" {
		t.Errorf("%+v", r)
	}
}
