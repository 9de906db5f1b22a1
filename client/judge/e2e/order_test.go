package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/model"
)

// A request that was sent after another's reply has the greater rID and the greater clock,
// whatever its model, its type, the replica that serves it, and the client that sends it.
func TestIDsAndClocksRise(t *testing.T) {
	t.Parallel()
	m := start(t)
	conns := []*nats.Conn{connect(t, m.url), connect(t, m.url)}

	var lastRID, lastClock uint64
	for n := range 1000 {
		c := model.All[n%4]
		body := fmt.Sprintf("%s, get, rise%d", c.Word(), n%7)
		switch {
		case n%50 == 49:
			body = "nonsense"
		case n/4%2 == 0:
			body = fmt.Sprintf("%s, set, rise%d ::: %d", c.Word(), n%7, n)
		}

		var headers []string
		if n%3 == 0 {
			headers = []string{bus.HeaderReplica, fmt.Sprintf("r%d", n/3%3+1)}
		}

		got := ask(t, conns[n%2], body, headers...)
		id, clock := rid(t, got), clockOf(t, got)
		if id <= lastRID || clock <= lastClock {
			t.Fatalf("request %d (%s): rID %d after %d, clock %s after %d", n, body, id, lastRID,
				got.Header.Get(bus.HeaderClock), lastClock)
		}
		lastRID, lastClock = id, clock
	}
}

// Who listens to everything can tell the story of one linearizable set: who forwarded it,
// who broadcast it, that every replica acknowledged it, who answered.
func TestStoryOfARequest(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc, watcher := connect(t, m.url), connect(t, m.url)
	seen := make(chan *nats.Msg, 1<<16)
	if _, err := watcher.ChanSubscribe("quartet.>", seen); err != nil {
		t.Fatal(err)
	}
	if err := watcher.Flush(); err != nil {
		t.Fatal(err)
	}

	for n := range 20 { // with much and with little that could carry an acknowledgement
		id := fmt.Sprint(rid(t, mustOK(t, nc, fmt.Sprintf("1, 1, story ::: %d", n), bus.HeaderReplica, "r2")))
		want := map[string]bool{
			"FORWARD m1 to r2": true, "DATA r2 to r1": true, "DATA r2 to r3": true, "ANSWERS r2 to m1": true,
			"ack of r1": true, "ack of r3": true,
		}
		limit := time.After(askLimit)
		for len(want) > 0 {
			select {
			case got := <-seen:
				if carries(got, id) {
					for _, event := range events(t, got) {
						delete(want, event)
					}
				}
			case <-limit:
				t.Fatalf("request %s: nobody saw %v", id, want)
			}
		}
	}
}

func carries(m *nats.Msg, id string) bool {
	return slices.Contains(strings.Split(m.Header.Get(bus.HeaderRequestID), ","), id)
}

// events are what a message between nodes tells of the requests in its header.
func events(t testing.TB, m *nats.Msg) []string {
	t.Helper()
	to, found := strings.CutPrefix(m.Subject, "quartet.node.")
	if !found {
		t.Fatalf("a message on %s carries a %s", m.Subject, bus.HeaderRequestID)
	}
	msg, err := codec.NewDecoder().Decode(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	kind, from := msg.Kind().String(), msg.Head().From.String()
	all := []string{fmt.Sprintf("%s %s to %s", kind, from, to)}
	if kind == "ACK" || kind == "DATA" {
		all = append(all, "ack of "+from)
	}
	return all
}
