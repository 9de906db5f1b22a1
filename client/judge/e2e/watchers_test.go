package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
)

// plain is a watch of a plain NATS client.
type plain struct {
	nc       *nats.Conn
	sub      *nats.Subscription
	messages chan *nats.Msg
	next     uint64 // sequence
}

// watchPlainly asks for a watch as any NATS client does.
func watchPlainly(t *testing.T, nc *nats.Conn, body string, headers ...string) *plain {
	t.Helper()
	s := &plain{nc: nc, messages: make(chan *nats.Msg, 1<<16), next: 1}
	inbox := nc.NewInbox()
	var err error
	if s.sub, err = nc.ChanSubscribe(inbox, s.messages); err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: "quartet.request", Reply: inbox, Data: []byte(body), Header: header(headers...)}
	if err := nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	return s
}

// event waits for the next message, which has to be an event without a gap.
func (s *plain) event(t *testing.T) (bus.Event, *nats.Msg) {
	t.Helper()
	select {
	case m := <-s.messages:
		e, err := bus.ParseEvent(m)
		if err != nil || e.Sequence != s.next {
			t.Fatalf("event %d: %v: %v %s", s.next, err, m.Header, m.Data)
		}
		s.next++
		return e, m
	case <-time.After(restLimit):
		t.Fatalf("event %d does not come", s.next)
		return bus.Event{}, nil
	}
}

// caughtUp takes the events up to CAUGHT-UP, and returns the subject on which they are
// acknowledged.
func (s *plain) caughtUp(t *testing.T) string {
	t.Helper()
	for {
		if e, m := s.event(t); e.Kind == model.EventCaughtUp {
			return m.Reply
		}
	}
}

// A watcher that does not listen any more is forgotten within 15 s: whoever acknowledges in its
// name then is told that there is no such watch.
func TestWatchersThatAreGone(t *testing.T) {
	const bound = 15 * time.Second
	m := start(t)
	nc, probe := connect(t, m.url), connect(t, m.url)
	stays := watchPlainly(t, nc, "1, watch, ")
	s := watchPlainly(t, nc, "1, watch, ")
	flow, kept := s.caughtUp(t), stays.caughtUp(t)
	if err := errors.Join(s.sub.Unsubscribe(), nc.Flush()); err != nil {
		t.Fatal(err)
	}

	gone := time.Now()
	testkit.Eventually(t, restLimit, "the watch is forgotten", func() error {
		answer, err := probe.Request(flow, nil, 200*time.Millisecond)
		if err != nil {
			return err // an acknowledgement of a watch that is there is not answered
		}
		e, err := bus.ParseEvent(answer)
		if err != nil || e.Kind != model.EventEnd || e.Code != model.Unavailable {
			t.Fatalf("%v: %v %s", err, answer.Header, answer.Data)
		}
		return nil
	})
	if took := time.Since(gone); took > bound {
		t.Errorf("forgotten after %s", took)
	}
	if answer, err := probe.Request(kept, nil, time.Second); err == nil {
		t.Errorf("the watch that is there is not known: %v %s", answer.Header, answer.Data)
	}
}

// A viewer that acknowledges nothing is sent 1 MiB, and then told how many changes wait for it.
// Once it acknowledges it is told all of them, without a gap.
func TestAViewerThatDoesNotAcknowledge(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	s := watchPlainly(t, connect(t, m.url), "1, watch, k")
	s.caughtUp(t)

	const sets = 60
	value := strings.Repeat("v", 64<<10)
	for i := range sets {
		mustOK(t, nc, fmt.Sprintf("1, 1, k%d ::: %s", i, value))
		mustOK(t, nc, fmt.Sprintf("1, 1, elsewhere%d ::: %s", i, value))
	}

	told, bytes, flow := 0, 0, ""
	take := func() (e bus.Event) {
		t.Helper()
		e, m := s.event(t)
		if e.Kind == model.EventSet {
			told++
			bytes += len(e.Value)
			if want := fmt.Sprint("k", told-1); e.Key != want {
				t.Fatalf("%s is told in place of %s", e.Key, want)
			}
		}
		if m.Reply != "" {
			flow = m.Reply
		}
		return e
	}
	for {
		if e := take(); e.Kind == model.EventHeartbeat && told+int(e.Missed) == sets {
			break
		}
	}
	if bytes > 1<<20 || told == sets {
		t.Errorf("%d bytes in %d sets were sent, and nothing was acknowledged", bytes, told)
	}

	for told < sets {
		if err := s.nc.Publish(flow, nil); err != nil {
			t.Fatal(err)
		}
		take()
	}
}

// With --publish-changes each committed change is published once, on the subject of its key, in the
// order of revisions; also when the replica that did it has died. What changes while the view does
// may be left out.
func TestO28ChangesArePublished(t *testing.T) {
	t.Parallel()
	m := start(t, "--publish-changes")
	nc := connect(t, m.url)
	changes := make(chan *nats.Msg, 1<<10)
	if _, err := nc.ChanSubscribe("quartet.changes.orders.>", changes); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	newest := uint64(0)
	next := func() string {
		t.Helper()
		select {
		case c := <-changes:
			revision, err := strconv.ParseUint(c.Header.Get(bus.HeaderRevision), 10, 64)
			if err != nil || revision <= newest || c.Header.Get(bus.HeaderSequence) != "" {
				t.Fatalf("after revision %d: %v", newest, c.Header)
			}
			newest = revision
			return c.Header.Get(bus.HeaderEvent) + " " + c.Header.Get(bus.HeaderKey) + " " + c.Subject + " " + string(c.Data)
		case <-time.After(restLimit):
			t.Fatal("no change is published")
			return ""
		}
	}
	for _, step := range []struct{ body, want string }{
		{"1, set, orders.1 ::: tea", "SET orders.1 quartet.changes.orders.1 tea"},
		{"4, set, orders.a b ::: x", "SET orders.a b quartet.changes.orders.a%20b x"},
		{"2, delete, orders.1", "DELETE orders.1 quartet.changes.orders.1 "},
		{"1, add, orders.n ::: 5", "SET orders.n quartet.changes.orders.n 5"},
	} {
		mustOK(t, nc, step.body)
		if got := next(); got != step.want {
			t.Errorf("%s: %q, want %q", step.body, got, step.want)
		}
	}

	mustOK(t, nc, "1, set, elsewhere ::: x")
	pid := replicaOf(mustStatus(t, nc), "r1").PID
	kill(t, pid)
	awaitMember(t, nc, "r1", pid)
	mustOK(t, nc, "1, set, orders.2 ::: milk")
	if got, want := next(), "SET orders.2 quartet.changes.orders.2 milk"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// One client may have 256 watches at a replica, and is refused more; others are served.
func TestTooManyWatches(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)

	began, refused := 0, 0
	for range 1000 {
		s := watchPlainly(t, nc, "4, watch, ", bus.HeaderClient, "greedy", bus.HeaderReplica, "r1")
		first := <-s.messages
		switch {
		case bus.IsEvent(first):
			began++
		case code(first) == "503" && strings.Contains(first.Header.Get(bus.HeaderError), "256"):
			refused++
		default:
			t.Fatalf("%v %s", first.Header, first.Data)
		}
	}

	if began != 256 || refused != 1000-256 {
		t.Errorf("%d watches began, %d were refused", began, refused)
	}
	watchPlainly(t, nc, "4, watch, ", bus.HeaderClient, "modest", bus.HeaderReplica, "r1").caughtUp(t)
}

// A watch after a restored backup does not go on in another history: it is refused at its door, and
// the Go package's ends.
func TestAWatchOfAHistoryThatHasEnded(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	data, backup := filepath.Join(p.tmp, "data"), filepath.Join(p.tmp, "backup")
	args := []string{"--listen", testkit.FreeAddress(t), "--dir", data, "--suspect", calm, "--replicas", "2"}
	m := startIn(t, p, args...)
	mustOK(t, connect(t, m.url), "1, 1, k ::: early")
	m.stop(t, os.Interrupt)
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	m = startIn(t, p, args...)
	nc := connect(t, m.url)
	c, err := client.New(outlives(t, m.url), client.WithRetries(100))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	told, ended := make(chan client.Event, 100), make(chan error, 1)
	go func() {
		for e, err := range c.Watch(context.WithoutCancel(t.Context()), "") {
			if err != nil {
				ended <- err
				return
			}
			told <- e
		}
	}()
	history, last := bus.History{}, uint64(0)
	s := watchPlainly(t, nc, "1, watch, ")
	first, _ := s.event(t) // k as it was, which says where the history stands
	history = first.History
	s.caughtUp(t)
	for range 20 {
		mustOK(t, nc, "1, 1, k ::: late")
	}
	for n := 0; n < 20; {
		if e, _ := s.event(t); e.Kind == model.EventSet {
			n, last = n+1, e.Revision
		}
	}
	for e := range told {
		if e.Revision == last {
			break
		}
	}
	m.stop(t, os.Interrupt)

	if err := errors.Join(os.RemoveAll(data), os.Rename(backup, data)); err != nil {
		t.Fatal(err)
	}
	m = startIn(t, p, args...)
	nc = connect(t, m.url)
	answer := ask(t, nc, "1, watch, ", bus.HeaderFrom, fmt.Sprint(last), bus.HeaderHistory, bus.HistoryWord(history))
	if code(answer) != "421" {
		t.Errorf("from %d of %v: %v %s", last, history, answer.Header, answer.Data)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, client.ErrOtherHistory) {
			t.Errorf("the watch ends with %v", err)
		}
	case <-time.After(restLimit):
		t.Error("the watch goes on")
	}
}
