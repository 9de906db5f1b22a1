package link

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/bus/server"
)

const wait = 10 * time.Second

var master, r1, r2 = lamport.Master(1), lamport.Replica(1), lamport.Replica(2)

// node is one end: a link and the inbox that its callback fills.
type node struct {
	*Link
	in *bus.Inbox[*nats.Msg]
}

type cluster struct {
	t        *testing.T
	server   *server.Server
	subjects bus.Subjects
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t: t, server: s, subjects: subjects}
}

func (c *cluster) dial(url string) *nats.Conn {
	c.t.Helper()
	return bustest.Dial(c.t, bus.DialOptions{URL: url})
}

func (c *cluster) open(self lamport.Node, log *slog.Logger) node {
	c.t.Helper()
	in := bus.NewInbox[*nats.Msg]()
	l, err := Open(c.dial(c.server.NodeURL()), c.subjects, self, in.Push, log)
	if err != nil {
		c.t.Fatal(err)
	}
	return node{l, in}
}

// next waits for messages of the bus and decodes the first n.
func (n node) next(t *testing.T, count int) []message.Message {
	t.Helper()
	var got []message.Message
	for seen := 0; seen < count; {
		select {
		case <-n.in.Ready():
		case <-time.After(wait):
			t.Fatalf("%d of %d messages", seen, count)
		}
		for _, m := range n.in.Drain(nil) {
			seen++
			if decoded, ok := n.Receive(m); ok {
				got = append(got, decoded)
			}
		}
	}
	return got
}

func forward(rids ...uint64) *message.Forward {
	f := &message.Forward{Header: message.Header{From: master, Epoch: 1, Clock: 5}}
	for _, rid := range rids {
		f.Requests = append(f.Requests, message.Request{RID: rid, Request: model.NewSet(model.Linearizable, "k", []byte("v"))})
	}
	return f
}

func send(t *testing.T, from node, m message.Message, to ...lamport.Node) {
	t.Helper()
	if err := from.Send(m, to...); err != nil {
		t.Fatal(err)
	}
}

// What is sent arrives whole and in order at each destination, and only there; a passive
// client sees each with the ids of the requests that it concerns.
func TestSendAndReceive(t *testing.T) {
	c := newCluster(t)
	m, a, b := c.open(master, nil), c.open(r1, nil), c.open(r2, nil)
	watcher := c.dial(c.server.ClientURL())
	heard := bus.NewInbox[*nats.Msg]()
	if _, err := bus.Subscribe(watcher, c.subjects.All(), heard.Push); err != nil {
		t.Fatal(err)
	}

	sent := []message.Message{
		forward(11, 12),
		forward(),
		&message.Ack{Header: message.Header{From: master, Clock: 6}, Acked: []uint64{12}},
		forward(13),
		&message.Probe{Header: message.Header{From: master, Clock: 7}, Nonce: 1},
		// A CHUNK moves state: it concerns no request.
		&message.Chunk{
			Header: message.Header{From: master, Clock: 8},
			Writes: []message.CausalWrite{{Number: 1, Request: forward(14).Requests[0]}},
		},
	}

	send(t, m, sent[0], r1, r2)
	for _, s := range sent[1:] {
		send(t, m, s, r1)
	}

	messages := append([]message.Message(nil), sent...)
	messages[2] = &message.Ack{Header: message.Header{From: master, Clock: 6}} // Acked is in the header only
	if diff := cmp.Diff(messages, a.next(t, len(sent))); diff != "" {
		t.Errorf("r1: (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(sent[:1], b.next(t, 1)); diff != "" {
		t.Errorf("r2: (-want +got)\n%s", diff)
	}
	if m.in.Len() != 0 {
		t.Errorf("the sender heard %d messages", m.in.Len())
	}

	var got []string
	for len(got) < len(sent)+1 {
		select {
		case <-heard.Ready():
		case <-time.After(wait):
			t.Fatalf("the passive client heard %q", got)
		}
		for _, m := range heard.Drain(nil) {
			got = append(got, m.Subject+" "+strings.Join(m.Header[bus.HeaderRequestID], "|"))
		}
	}

	want := []string{
		"quartet.node.r1 11,12", "quartet.node.r2 11,12", "quartet.node.r1 ", "quartet.node.r1 12",
		"quartet.node.r1 13", "quartet.node.r1 ", "quartet.node.r1 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the passive client: (-want +got)\n%s", diff)
	}

	if diff := cmp.Diff(Counters{Sent: 7}, m.Counters()); diff != "" {
		t.Errorf("master's counters: %s", diff)
	}
	if diff := cmp.Diff(Counters{Received: 6}, a.Counters()); diff != "" {
		t.Errorf("r1's counters: %s", diff)
	}
}

func TestBadMessagesAreDroppedAndWarnedOfSeldom(t *testing.T) {
	c := newCluster(t)
	var out bytes.Buffer // written by Receive only, which this goroutine calls
	a := c.open(r1, slog.New(slog.NewTextHandler(&out, nil)))
	now := time.Unix(1000, 0)
	a.now = func() time.Time { return now }
	bad := &nats.Msg{Subject: "quartet.node.r1", Data: []byte("\x81bad")}
	receive := func(count int) int {
		out.Reset()
		for range count {
			if m, ok := a.Receive(bad); ok || m != nil {
				t.Fatalf("received %v", m)
			}
		}
		return strings.Count(out.String(), "bad message dropped")
	}

	if n := receive(50); n != 1 {
		t.Errorf("%d warnings at once", n)
	}
	now = now.Add(warnEvery - 1)
	if n := receive(1); n != 0 {
		t.Errorf("%d warnings within the second", n)
	}
	now = now.Add(1)
	if n := receive(10); n != 1 || !strings.Contains(out.String(), "since_last_warning=51") {
		t.Errorf("%d warnings a second later: %s", n, out.String())
	}
	if got := a.Counters(); got.Bad != 61 || got.Received != 0 {
		t.Errorf("%+v", got)
	}

	// A bad one over the real bus does not stop the good one behind it.
	raw := c.dial(c.server.NodeURL())
	if err := raw.PublishMsg(bad); err != nil {
		t.Fatal(err)
	}
	if err := raw.FlushTimeout(wait); err != nil {
		t.Fatal(err)
	}
	send(t, c.open(master, nil), forward(1), r1)
	if got := a.next(t, 2); len(got) != 1 || got[0].Kind() != message.KindForward {
		t.Errorf("received %v", got)
	}
}

func TestSendErrors(t *testing.T) {
	c := newCluster(t)
	m := c.open(master, nil)
	if err := m.Send(&message.Installed{}, r1, r2); !errors.Is(err, ErrSend) || !errors.Is(err, codec.ErrMessage) {
		t.Errorf("no sender: %v", err)
	}

	large := forward()
	for rid := range uint64(3) {
		large.Requests = append(large.Requests, message.Request{
			RID: rid, Request: model.NewSet(model.Linearizable, "k", make([]byte, 400<<10)),
		})
	}
	if int64(3*400<<10) < m.MaxPayload() {
		t.Fatalf("max payload is %d", m.MaxPayload())
	}
	if err := m.Send(large, r1); !errors.Is(err, ErrSend) || !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("too large: %v", err)
	}

	m.nc.Close()
	if err := m.Send(forward(1), r1, r2); !errors.Is(err, ErrSend) || !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("closed: %v", err)
	}
	if got := m.Counters(); got.Unsent != 5 || got.Sent != 0 {
		t.Errorf("%+v", got)
	}
	if err := m.Close(); err != nil {
		t.Errorf("closing after the connection: %v", err)
	}
	if _, err := Open(m.nc, c.subjects, r1, func(*nats.Msg) {}, nil); !errors.Is(err, bus.ErrSubscribe) {
		t.Errorf("opened on a closed connection: %v", err)
	}
}

func TestDebugShowsEveryMessage(t *testing.T) {
	c := newCluster(t)
	var sent, received bytes.Buffer
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	m := c.open(master, slog.New(slog.NewTextHandler(&sent, debug)))
	a := c.open(r1, slog.New(slog.NewTextHandler(&received, debug)))
	send(t, m, forward(11, 12), r1, r2)
	send(t, m, &message.Data{Header: message.Header{From: master}, Seq: 77}, r1)
	a.next(t, 2)
	for text, wants := range map[string][]string{
		sent.String():     {"msg=out kind=FORWARD epoch=1 clock=5 rids=11,12", "r1 r2", "kind=DATA", "seq=77"},
		received.String(): {"msg=in kind=FORWARD epoch=1 clock=5 rids=11,12 from=m1", "kind=DATA", "seq=77"},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s, err := server.Start(b.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Shutdown()
	nc, err := bus.Dial(b.Context(), bus.DialOptions{URL: s.NodeURL()})
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(nc, subjects, master, func(*nats.Msg) {}, nil)
	if err != nil {
		b.Fatal(err)
	}
	f := forward(1_000_001)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Send(f, r1, r2); err != nil {
			b.Fatal(err)
		}
	}
}
