package bus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

var events = map[string]bus.Event{
	"value":     {Event: model.Event{Kind: model.EventValue, Sequence: 1, Key: "orders/1", Value: []byte("x"), Revision: 17, Initial: true}},
	"caught up": {Event: model.Event{Kind: model.EventCaughtUp, Sequence: 2, Revision: 17}, Stream: "r1.1z141z3.7"},
	"set": {Event: model.Event{
		Kind: model.EventSet, Sequence: 3, Key: "orders/1", Value: []byte("a\r\nb"), Revision: 18, More: true, Expires: 1_700_000_000_123,
	}, Stream: "r1.1z141z3.7"},
	"weak set": {Event: model.Event{
		Kind: model.EventSet, Sequence: 4, Key: "ü", Value: []byte{}, Timestamp: 7,
		Version: lamport.Version{Epoch: 3, Timestamp: lamport.Timestamp{Time: 900, Node: lamport.Replica(2)}},
	}},
	"binary":    {Event: model.Event{Kind: model.EventSet, Sequence: 5, Key: "k", Value: []byte{0xff, 0}, Revision: 19}},
	"delete":    {Event: model.Event{Kind: model.EventDelete, Sequence: 6, Key: `"k"`, Revision: 20}},
	"expire":    {Event: model.Event{Kind: model.EventExpire, Sequence: 7, Key: " k ", Revision: 21}},
	"heartbeat": {Event: model.Event{Kind: model.EventHeartbeat, Sequence: 8, Missed: 12}},
	"no such":   {Event: model.Event{Kind: model.EventEnd, Code: model.Unavailable, Reason: "it serves no such watch"}},
	"end":       {Event: model.Event{Kind: model.EventEnd, Sequence: 9, Code: model.Gone, Reason: "not kept any more"}},
	"history":   {Event: model.Event{Kind: model.EventHeartbeat, Sequence: 10, Revision: 4}, History: bus.History{Cluster: 1, Epoch: 2, Nonce: 3}},
}

// What an event says in headers is read again, and a message has the subject on which it is to be
// acknowledged.
func TestEventsAreReadAgain(t *testing.T) {
	for name, want := range events {
		m := bus.EventMsg("_INBOX.x", "quartet.flow.r1.7.1", &want, false)
		if m.Subject != "_INBOX.x" || m.Reply != "quartet.flow.r1.7.1" || !bus.IsEvent(m) {
			t.Errorf("%s: %+v", name, m)
		}
		got, err := bus.ParseEvent(throughTheBus(t, m))
		if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// throughTheBus is a message as its receiver has it: headers lose the blanks around their values.
func throughTheBus(t *testing.T, m *nats.Msg) *nats.Msg {
	t.Helper()
	h := nats.Header{}
	for name, values := range m.Header {
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n") {
				t.Errorf("header %s holds a line end: %q", name, v)
			}
			h.Add(name, strings.Trim(v, " \t"))
		}
	}
	return &nats.Msg{Subject: m.Subject, Reply: m.Reply, Header: h, Data: m.Data}
}

// In JSON an event is one object on one line, with the fields of the contract.
func TestEventsInJSON(t *testing.T) {
	want := map[string]string{
		"value":     `{"event":"VALUE","key":"orders/1","revision":17,"sequence":1,"value":"x","initial":true}`,
		"caught up": `{"event":"CAUGHT-UP","revision":17,"sequence":2,"stream":"r1.1z141z3.7"}`,
		"set":       `{"event":"SET","key":"orders/1","revision":18,"sequence":3,"stream":"r1.1z141z3.7","value":"a\r\nb","more":true,"expires":"2023-11-14T22:13:20.123Z"}`,
		"weak set":  `{"event":"SET","key":"ü","sequence":4,"value":"","version":"3.900.2","timestamp":7}`,
		"binary":    `{"event":"SET","key":"k","revision":19,"sequence":5,"value_base64":"/wA="}`,
		"delete":    `{"event":"DELETE","key":"\"k\"","revision":20,"sequence":6}`,
		"expire":    `{"event":"EXPIRE","key":" k ","revision":21,"sequence":7}`,
		"heartbeat": `{"event":"HEARTBEAT","sequence":8,"missed":12}`,
		"history":   `{"event":"HEARTBEAT","revision":4,"sequence":10,"history":"` + bus.HistoryWord(bus.History{Cluster: 1, Epoch: 2, Nonce: 3}) + `"}`,
		"no such":   `{"event":"END","code":503,"error":"it serves no such watch"}`,
		"end":       `{"event":"END","sequence":9,"code":410,"error":"not kept any more"}`,
	}
	for name, e := range events {
		if got := string(bus.EventMsg("to", "", &e, true).Data); got != want[name] {
			t.Errorf("%s:\n%s\n%s", name, got, want[name])
		}
	}

	large := bus.Event{Event: model.Event{Kind: model.EventSet, Sequence: 1, Key: "k", Value: bytes.Repeat([]byte{1}, model.MaxKeyValue-1)}}
	body := bus.EventMsg("to", "", &large, true).Data
	var o bus.JSONEvent
	if err := json.Unmarshal(body, &o); err != nil || o.Value != nil || len(body) > 1<<20 {
		t.Errorf("a value full of what JSON escapes: %d bytes, %v", len(body), err)
	}
}

func TestWhatIsNoEvent(t *testing.T) {
	sound := func() nats.Header {
		e := events["set"]
		return bus.EventMsg("to", "", &e, false).Header
	}
	for name, value := range map[string]string{
		bus.HeaderEvent: "set", bus.HeaderSequence: "-1", bus.HeaderRevision: "x", bus.HeaderMore: "yes",
		bus.HeaderKey: "a:::b", bus.HeaderVersion: "1.2", bus.HeaderExpires: "soon", bus.HeaderTimestamp: "1e3",
		bus.HeaderStream: strings.Repeat("s", bus.MaxStream+1),
	} {
		h := sound()
		h.Set(name, value)
		if _, err := bus.ParseEvent(&nats.Msg{Header: h}); !errors.Is(err, bus.ErrEvent) {
			t.Errorf("%s: %s: %v", name, value, err)
		}
	}
	if bus.IsEvent(&nats.Msg{}) || bus.IsEvent(&nats.Msg{Header: nats.Header{bus.HeaderAck: {"OK"}}}) {
		t.Error("a reply is taken for an event")
	}
}

// Whatever headers come, reading them does not panic, and what is read is written again alike.
func FuzzParseEvent(f *testing.F) {
	for _, e := range events {
		h := bus.EventMsg("to", "", &e, false).Header
		f.Add(h.Get(bus.HeaderEvent), h.Get(bus.HeaderSequence), h.Get(bus.HeaderKey), h.Get(bus.HeaderRevision),
			h.Get(bus.HeaderVersion), h.Get(bus.HeaderExpires))
	}
	f.Fuzz(func(t *testing.T, event, sequence, key, revision, version, expires string) {
		h := nats.Header{}
		for name, value := range map[string]string{
			bus.HeaderEvent: event, bus.HeaderSequence: sequence, bus.HeaderKey: key, bus.HeaderRevision: revision,
			bus.HeaderVersion: version, bus.HeaderExpires: expires,
		} {
			if value != "" {
				h.Set(name, value)
			}
		}
		e, err := bus.ParseEvent(&nats.Msg{Header: h})
		if err != nil || e.Kind == model.EventEnd {
			return
		}
		again, err := bus.ParseEvent(throughTheBus(t, bus.EventMsg("to", "", &e, false)))
		if diff := cmp.Diff(e, again, cmp.Comparer(bytes.Equal)); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestFlowSubjects(t *testing.T) {
	s, err := bus.NewSubjects("a.b")
	if err != nil {
		t.Fatal(err)
	}
	subject := s.Flow(lamport.Replica(2), 17, 300)
	if subject != "a.b.flow.r2.17.300" || s.Flows(lamport.Replica(2)) != "a.b.flow.r2.>" || !s.Reserved(subject) {
		t.Errorf("%s, %s", subject, s.Flows(lamport.Replica(2)))
	}
	if n, rid, sequence, ok := s.ParseFlow(subject); n != lamport.Replica(2) || rid != 17 || sequence != 300 || !ok {
		t.Errorf("%v %d %d %t", n, rid, sequence, ok)
	}
	for _, bad := range []string{
		"", "a.b.flow", "a.b.flow.r2.17", "a.b.flow.r2.17.3.4", "a.b.flow.m1.17.3", "a.b.flow.r2.x.3",
		"a.b.flow.r2.1.-3", "c.flow.r2.1.3",
	} {
		if _, _, _, ok := s.ParseFlow(bad); ok {
			t.Errorf("%q is read", bad)
		}
	}
}

// Each key has a subject of its own that names one subject, and plain keys are as they are.
func TestChangeSubjects(t *testing.T) {
	s, err := bus.NewSubjects("q")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for key, want := range map[string]string{
		"orders.1": "q.changes.orders.1", "orders/1": "q.changes.orders/1", "ü": "q.changes.ü", "a b": "q.changes.a%20b",
		"a*": "q.changes.a%2A", ">": "q.changes.%3E", "50%": "q.changes.50%25", "a..b": "q.changes.a.%00.b",
		".": "q.changes.%00.%00", "a.": "q.changes.a.%00", ".a": "q.changes.%00.a", "50%25": "q.changes.50%2525", "\u00a0": "q.changes.%C2%A0",
	} {
		got := s.Change(key)
		if got != want || seen[got] != "" {
			t.Errorf("%q is %q, want %q (and %q has it)", key, got, want, seen[got])
		}
		seen[got] = key
		if plain, _ := bus.NewSubjects("other"); plain.Reserved(got) {
			t.Errorf("%q is no one subject", got)
		}
	}
}
