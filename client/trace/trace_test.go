package trace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// stage plays messages to a collector, a millisecond apart.
type stage struct {
	t        *testing.T
	c        *collector
	subjects bus.Subjects
	enc      *codec.Encoder
	now      time.Time
}

func newStage(t *testing.T) *stage {
	t.Helper()
	subjects, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return &stage{
		t: t, c: newCollector(subjects), subjects: subjects, enc: codec.NewEncoder(),
		now: time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC),
	}
}

func (s *stage) hear(m *nats.Msg) {
	s.now = s.now.Add(time.Millisecond)
	s.c.hear(m, s.now)
}

// node plays a message from node to node, as package bus/link sends it.
func (s *stage) node(to lamport.Node, m message.Message) {
	s.t.Helper()
	body, err := s.enc.Encode(m)
	if err != nil {
		s.t.Fatal(err)
	}
	out := &nats.Msg{Subject: s.subjects.Node(to), Data: slices.Clone(body)}
	if rids := m.AppendRIDs(nil); len(rids) > 0 {
		out.Header = nats.Header{bus.HeaderRequestID: {string(bus.AppendRIDs(nil, rids))}}
	}
	s.hear(out)
}

func head(from lamport.Node, clock uint64) message.Header {
	return message.Header{From: from, Incarnation: 1, Epoch: 1, Clock: clock}
}

func asked(rid uint64, key string) message.Request {
	return message.Request{RID: rid, Request: model.NewSet(model.Linearizable, key, []byte("v"))}
}

// over lets time pass and returns what has ended.
func (s *stage) over(d time.Duration) []*Trace {
	s.now = s.now.Add(d)
	return s.c.finished(s.now)
}

const (
	r1 = lamport.Node(1)
	r2 = lamport.Node(2)
)

var m1 = lamport.Master(1)

// A batch of a client is one message of requests and one of answers; each request gets
// its own story.
func TestBatch(t *testing.T) {
	s := newStage(t)
	items := []bus.BatchItem{
		{Request: bus.Request{Request: model.NewSet(model.Linearizable, "a", []byte("1"))}},
		{Request: bus.Request{Request: model.NewSet(model.Linearizable, "b", []byte("2"))}},
	}
	var w bus.BatchWriter
	w.Begin(len(items))
	for i := range items {
		w.Add(&items[i])
	}
	s.hear(&nats.Msg{
		Subject: s.subjects.Batch(), Reply: "_INBOX.x.1", Data: slices.Clone(w.Bytes()),
		Header: nats.Header{bus.HeaderClient: {"Client3"}},
	})
	s.node(r1, &message.Forward{Header: head(m1, 10), Requests: []message.Request{asked(7, "a"), asked(8, "b")}})
	s.node(r2, &message.Data{
		Header: head(r1, 12), Seq: 1, Acked: []uint64{6},
		Received: message.Received{LastSeq: 1, Received: []uint64{1, 0}},
		Ops: []message.Operation{
			{Op: message.OpStrong, Request: asked(7, "a")}, {Op: message.OpStrong, Request: asked(8, "b")},
		},
	})
	s.node(m1, &message.Answers{
		Header: head(r1, 14),
		Answers: []message.Answer{
			{Answer: model.Answer{RID: 8, Code: model.OK, Clock: lamport.Timestamp{Time: 14}}},
			{Answer: model.Answer{RID: 7, Code: model.OK, Clock: lamport.Timestamp{Time: 14}}},
		},
	})
	var a bus.AnswersWriter
	for i, rid := range []uint64{8, 7} {
		a.Add(1-i, &bus.Reply{
			Answer: model.Answer{
				RID: rid, Code: model.OK, Clock: lamport.Timestamp{Time: 14, Node: r1}, Replica: r1, Position: rid,
				HasPosition: true,
			},
		})
	}
	body, _ := a.Take()
	s.hear(&nats.Msg{Subject: "_INBOX.x.1", Data: slices.Clone(body)})
	if early := s.over(Linger / 2); len(early) != 0 {
		t.Errorf("%d requests are over before their stragglers can have come", len(early))
	}
	done := s.over(Linger)
	if len(done) != 2 {
		t.Fatalf("%d requests have ended", len(done))
	}
	const diagram = `request 8: linearizable set b of Client3
200 by r1, position 8, 4.000 ms

        ms   clock  client        m1            r1            r2
     0.000       -  |---REQUEST-->|             |             | with 1 other requests
     1.000      10  |             |---FORWARD-->|             | with 1 other requests
     2.000      12  |             |             |----DATA---->| with 2 other requests
     3.000      14  |             |<--ANSWERS---|             | with 1 other requests
     4.000      14  |<---REPLY----|             |             | OK, with 1 other requests
`
	if diff := cmp.Diff(diagram, done[1].Text()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if done[0].Key != "a" || done[0].RID != 7 || done[0].Position != 7 {
		t.Errorf("%+v", done[0])
	}
	// The DATA also acknowledged another request, whose end nobody heard.
	rest := s.over(abandonAfter)
	if len(rest) != 1 || rest[0].RID != 6 || rest[0].Code != 0 || rest[0].Events[0].Detail != DetailAcknowledges ||
		!strings.Contains(rest[0].Text(), "no reply was heard") {
		t.Errorf("%+v", rest)
	}
}

// Of a read in model 1 the fence is a part of the story, of a causal write that replicas hold it. A
// transaction is a read if no DATA carries it. The end of a value is nobody's request.
func TestWhatPassesByARequest(t *testing.T) {
	forward, data := Event{Kind: "FORWARD", At: time.Unix(1, 0)}, Event{Kind: "DATA", At: time.Unix(2, 0)}
	acknowledgement := Event{Kind: "DATA", At: time.Unix(2, 0), Detail: DetailAcknowledges}
	reply := Event{Kind: KindReply, At: time.Unix(4, 0)}
	passing := []Event{{Kind: "ANSWERS", At: time.Unix(3, 0)}}

	for _, test := range []struct {
		model, typ string
		carried    Event
		inserted   bool
	}{
		{"linearizable", "get", acknowledgement, true},
		{"linearizable", "list", acknowledgement, true},
		{"linearizable", "set", data, false},
		{"linearizable", "delete", data, false},
		{"linearizable", "txn", data, false},
		{"linearizable", "txn", acknowledgement, true},
		{"sequential", "txn", acknowledgement, false},
		{"sequential", "get", acknowledgement, false},
		{"causal", "set", acknowledgement, true},
		{"causal", "delete", acknowledgement, true},
		{"causal", "get", acknowledgement, false},
		{"eventual", "delete", data, false},
	} {
		tr := Trace{Model: test.model, Type: test.typ, Events: []Event{forward, test.carried, reply}}
		tr.passedBy(passing)
		if inserted := len(tr.Events) == 4; inserted != test.inserted {
			t.Errorf("%s %s, %q: inserted %t", test.model, test.typ, test.carried.Detail, inserted)
		}
	}

	s := newStage(t)
	s.node(r2, &message.Data{Header: head(r1, 12), Seq: 1, Received: message.Received{LastSeq: 1, Received: []uint64{1, 0}},
		Ops: []message.Operation{{Op: message.OpEnd, Request: message.Request{Request: model.Request{Key: "k"}}, Number: 4}}})
	if len(s.c.requests) != 0 {
		t.Errorf("the end of a value is a request: %+v", s.c.requests)
	}
}

// What a reply says besides is in the outcome; a transaction has no key.
func TestOutcome(t *testing.T) {
	tr := Trace{RID: 7, Model: "sequential", Type: "txn", Code: 412, Replica: "r1", Position: 12, Revision: 3}
	if got := tr.Title(); got != "request 7: sequential txn" {
		t.Errorf("title %q", got)
	}
	if got := tr.Outcome(); got != "412 by r1, position 12, revision 3, 0.000 ms" {
		t.Errorf("outcome %q", got)
	}
}

// Who cannot set headers names the client in the body.
func TestClientOfJSON(t *testing.T) {
	for body, want := range map[string]string{
		`{"consistency":1,"request":2,"key":"k","client":"Phone"}`: "Phone",
		`{"consistency":1,"request":2,"key":"k"}`:                  "Header",
		"1, 2, k": "Header",
	} {
		s := newStage(t)
		m := &nats.Msg{Subject: s.subjects.Request(), Reply: "_INBOX.x.1", Data: []byte(body)}
		if want == "Header" {
			m.Header = nats.Header{bus.HeaderClient: {want}}
		}
		s.hear(m)
		reply := bus.Reply{
			Answer: model.Answer{RID: 7, Code: model.OK, Clock: lamport.Timestamp{Time: 14, Node: r1}, Replica: r1},
			Model:  model.Linearizable, Type: model.Get,
		}
		s.hear(reply.Msg("_INBOX.x.1"))
		if done := s.over(Linger); len(done) != 1 || done[0].Client != want || !strings.Contains(done[0].Title(), "of "+want) {
			t.Errorf("%s: %+v", body, done)
		}
	}
}

// Whatever is on the bus is no harm: foreign messages, damaged ones, and a flood.
func TestNoise(t *testing.T) {
	s := newStage(t)
	for _, m := range []*nats.Msg{
		{Subject: "other.subject", Data: []byte("x")},
		{Subject: "quartet.request", Data: []byte("no request"), Reply: "_INBOX.a"},
		{Subject: "quartet.request", Data: []byte("1, 2, key")},
		{Subject: "quartet.batch", Data: []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, Reply: "_INBOX.b"},
		{Subject: "quartet.node.r1", Data: []byte{0x96, 1, 2}},
		{Subject: "quartet.node.", Data: nil},
		{Subject: "quartet.status", Reply: "_INBOX.c"},
	} {
		s.hear(m)
	}
	s.hear(&nats.Msg{Subject: "quartet.request", Data: []byte("1, 2, key"), Reply: "_INBOX.d"})
	s.hear(&nats.Msg{Subject: "_INBOX.d", Data: []byte("no reply of quartet")})
	for rid := range uint64(mostOpen + 50) {
		s.hear(&nats.Msg{Subject: "quartet.request", Data: []byte("1, 2, key"), Reply: fmt.Sprint("_INBOX.", rid)})
		s.node(r1, &message.Forward{Header: head(m1, rid), Requests: []message.Request{asked(rid+1, "a")}})
	}
	if len(s.c.requests) != mostOpen || len(s.c.order) != mostOpen || len(s.c.sent) > mostOpen || s.c.lost != 50 {
		t.Errorf("%d requests, %d sendings, %d lost", len(s.c.requests), len(s.c.sent), s.c.lost)
	}
	if n := len(s.over(abandonAfter)); n != mostOpen || len(s.c.requests) != 0 {
		t.Errorf("%d have ended, %d are left", n, len(s.c.requests))
	}
}

// Both log formats tell the same story.
func TestReadLogs(t *testing.T) {
	text := map[string]string{
		"m1.log": `time=2026-11-24T15:00:00.000Z level=DEBUG msg=in kind=REQUEST reply=_INBOX.x.1 consistency=SEQUENTIAL request=SET key="a \"key\"" bytes=1 error=<nil>
time=2026-11-24T15:00:00.001Z level=DEBUG msg=out kind=FORWARD epoch=1 clock=10 rids=6,7 to=[r1]
time=2026-11-24T15:00:00.009Z level=INFO msg="something else" rids=7
time=2026-11-24T15:00:00.005Z level=DEBUG msg=out kind=REPLY to=_INBOX.x.1 rids=7 code=200 clock=14.r1 replica=r1 position=9 timestamp=0
`,
		"r1.log":   "time=2026-11-24T15:00:00.002Z level=DEBUG msg=out kind=DATA epoch=1 clock=12 seq=4 rids=7 to=\"[r2 r10]\"\n",
		"r1.1.log": "time=2026-11-24T15:00:00.004Z level=DEBUG msg=out kind=ANSWERS epoch=1 clock=14 rids=7 to=[m1]\n",
		"r2.log":   "time=2026-11-24T15:00:00.003Z level=DEBUG msg=out kind=DATA epoch=1 clock=13 seq=4 rids=8,7 to=[r1]\n",
		"r10.log":  "time=2026-11-24T15:00:00.003Z level=DEBUG msg=out kind=ACK epoch=1 clock=13 rids=7 to=[r1]\n",
	}
	object := map[string]string{
		"m1.log": `{"time":"2026-11-24T15:00:00Z","level":"DEBUG","msg":"in","node":"m1","kind":"REQUEST","reply":"_INBOX.x.1","consistency":"SEQUENTIAL","request":"SET","key":"a \"key\"","bytes":1}
{"time":"2026-11-24T15:00:00.001Z","level":"DEBUG","msg":"out","kind":"FORWARD","clock":10,"rids":"6,7","to":["r1"]}
{"time":"2026-11-24T15:00:00.005Z","level":"DEBUG","msg":"out","kind":"REPLY","to":"_INBOX.x.1","rids":7,"code":200,"clock":"14.r1","replica":"r1","position":9,"timestamp":0}
{"level":"DEBUG", cut off`,
		"r1.log": `{"time":"2026-11-24T15:00:00.002Z","level":"DEBUG","msg":"out","kind":"DATA","clock":12,"rids":"7","to":["r2","r10"]}
{"time":"2026-11-24T15:00:00.004Z","level":"DEBUG","msg":"out","kind":"ANSWERS","clock":14,"rids":"7","to":["m1"]}
`,
		"r2.log":  `{"time":"2026-11-24T15:00:00.003Z","level":"DEBUG","msg":"out","kind":"DATA","clock":13,"rids":"8,7","to":["r1"]}`,
		"r10.log": `{"time":"2026-11-24T15:00:00.003Z","level":"DEBUG","msg":"out","kind":"ACK","clock":13,"rids":"7","to":["r1"]}`,
	}
	const want = `request 7: sequential set a "key"
200 by r1, position 9, 5.000 ms

        ms   clock  client        m1            r1            r2            r10
     0.000       -  |---REQUEST-->|             |             |             |
     1.000      10  |             |---FORWARD-->|             |             | with 1 other requests
     2.000      12  |             |             |-----------DATA----------->|
     2.000      12  |             |             |----DATA---->|             |
     3.000      13  |             |             |<-----------ACK------------|
     3.000      13  |             |             |<---DATA-----|             | acknowledges it, with 1 other requests
     4.000      14  |             |<--ANSWERS---|             |             |
     5.000      14  |<---REPLY----|             |             |             | OK
`
	for name, files := range map[string]map[string]string{"text": text, "JSON": object} {
		dir := t.TempDir()
		for file, body := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ReadLogs(dir, 7)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Text()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if _, err := ReadLogs(dir, 77); !errors.Is(err, ErrNotInLog) {
			t.Errorf("%s: another request: %v", name, err)
		}
	}
}

// FuzzParse: no line of a log does harm.
func FuzzParse(f *testing.F) {
	for _, line := range []string{`a=b c="d e" f`, `a="unended`, `{"a":[1,{}],"b":null}`, `{`, ``, `= = "`, "\xff=\"\\x\""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for name := range parse(line) {
			if strings.Contains(name, "=") && !strings.HasPrefix(line, "{") {
				t.Errorf("a name with =: %q", name)
			}
		}
	})
}

// A watch has no reply: the first event of its stream, from the replica that serves it, ends its
// request, and what follows is no part of it.
func TestAWatchIsShown(t *testing.T) {
	for _, body := range []string{"1, watch, orders/", `{"consistency":1,"request":"watch","prefix":"orders/"}`} {
		s := newStage(t)
		s.hear(&nats.Msg{
			Subject: s.subjects.Request(), Reply: "_INBOX.w", Data: []byte(body), Header: nats.Header{bus.HeaderClient: {"ann"}},
		})
		s.node(r2, &message.Forward{
			Header:   message.Header{From: m1, Epoch: 1, Clock: 7},
			Requests: []message.Request{{RID: 42, Request: model.Request{Model: model.Linearizable, Type: model.Watch, Key: "orders/"}}},
		})
		for n := range uint64(3) {
			e := bus.Event{Event: model.Event{Kind: model.EventValue, Key: "orders/1", Sequence: n + 1, Revision: 5, Value: []byte("tea")}}
			reply := ""
			if n == 0 {
				reply = s.subjects.Flow(r2, 42, 1)
			}
			s.hear(bus.EventMsg("_INBOX.w", reply, &e, body[0] == '{'))
		}

		over := s.over(Linger)
		if len(over) != 1 {
			t.Fatalf("%s: %d traces", body, len(over))
		}
		got := over[0]
		var kinds []string
		for _, e := range got.Events {
			kinds = append(kinds, e.Kind+" "+e.From+" "+e.To)
		}
		want := []string{"REQUEST client m1", "FORWARD m1 r2", "EVENT r2 client"}
		if !slices.Equal(kinds, want) || got.Type != "watch" || got.Key != "orders/" || got.Replica != "r2" || got.Code != 200 ||
			got.Client != "ann" {
			t.Errorf("%s: %q\n%s", body, kinds, got.Text())
		}
	}
}
