package kv

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/model"
	"quartet/master"
)

// host is a process without a cluster: what it is asked is kept, and it answers as a test says.
type host struct {
	asked []model.Request
	how   []bus.Options // of asked
	sent  []*nats.Msg
	reply func(*model.Request) *master.Reply
}

func (h *host) Ask(r model.Request, o bus.Options, _ string, done func(*master.Reply)) {
	h.asked, h.how = append(h.asked, r), append(h.how, o)
	if h.reply != nil && r.Type != model.Watch {
		done(h.reply(&r))
	}
}
func (h *host) Send(m *nats.Msg)                 { h.sent = append(h.sent, m) }
func (h *host) Job(func(context.Context) func()) {}
func (h *host) History() bus.History             { return bus.History{} }
func (h *host) Now() time.Time                   { return time.Unix(1_700_000_000, 0) }
func (h *host) Causal() uint64                   { return 99 }

// last is the newest message that was sent.
func (h *host) last(t testing.TB) *nats.Msg {
	t.Helper()
	if len(h.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return h.sent[len(h.sent)-1]
}

// plain is the configuration of a bucket as nats.go sends it, with a field of its own.
func plain(bucket, more string) string {
	return `{"name":"KV_` + bucket + `","subjects":["$KV.` + bucket + `.\u003e"],"retention":"limits","max_consumers":-1,
		"max_msgs":-1,"max_bytes":-1,"discard":"new","max_age":0,"max_msgs_per_subject":1,"max_msg_size":-1,"storage":"file",
		"num_replicas":1,"duplicate_window":120000000000,"deny_delete":true,"allow_rollup_hdrs":true,"compression":"none",
		"allow_direct":true,"mirror_direct":false,"consumer_limits":{}` + more + `}`
}

// opened is a facade with one open bucket, b, which has a shadow.
func opened(t testing.TB) (*Facade, *host, *bucket) {
	t.Helper()
	subjects, err := bus.NewSubjects("quartet")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{}
	f := New(Options{Subjects: subjects, Inbox: "_INBOX.x.", Host: h, Log: slog.New(slog.DiscardHandler)})
	f.Begin()
	f.ready = true

	config, fault := parseConfig("b", []byte(plain("b", `,"allow_msg_ttl":true`)))
	if fault != nil {
		t.Fatal(fault)
	}
	r := &record{Config: *config, State: stateLive, First: 1, Ceiling: ceilingStep}
	f.recorded(&model.Event{Kind: model.EventSet, Key: Records + "b", Revision: 1, Value: r.encode()})
	b := f.buckets["b"]
	if b == nil {
		t.Fatal("the record of a bucket is not taken")
	}
	b.found(nil, 0, nil)
	b.read(&model.Event{Kind: model.EventCaughtUp})
	return f, h, b
}

// told tells a bucket of a change.
func told(b *bucket, kind model.EventKind, key, value string, revision uint64) {
	b.read(&model.Event{Kind: kind, Key: b.name + "/" + key, Value: []byte(value), Revision: revision})
	b.feed.upTo = revision
	b.feed.waits.release(revision)
}

func ask(f *Facade, subject, body string, header nats.Header) {
	f.Request(&nats.Msg{Subject: "quartet.kv." + subject, Reply: "_INBOX.client.1", Data: []byte(body), Header: header})
}

// What a client's message is as a request of the cluster's, or why it is refused.
func TestWrites(t *testing.T) {
	const last = "Nats-Expected-Last-Subject-Sequence"
	for name, test := range map[string]struct {
		subject string
		header  nats.Header
		want    model.Request
		refused string
	}{
		"put":       {"$KV.b.k", nil, model.NewSet(model.Linearizable, "b/k", []byte("v")), ""},
		"causal":    {"causal.$KV.b.a.b", nil, model.NewSet(model.Causal, "b/a.b", []byte("v")), ""},
		"create":    {"$KV.b.k", nats.Header{last: {"0"}}, model.Request{Model: 1, Type: model.Set, Key: "b/k", HasIf: true}, ""},
		"update":    {"$KV.b.k", nats.Header{last: {"1"}}, model.Request{Model: 1, Type: model.Set, Key: "b/k", HasIf: true, If: 17}, ""},
		"delete":    {"$KV.b.k", nats.Header{"KV-Operation": {"DEL"}}, model.Request{Model: 1, Type: model.Delete, Key: "b/k"}, ""},
		"purge":     {"$KV.b.k", nats.Header{"kv-operation": {"PURGE"}}, model.Request{Model: 1, Type: model.Delete, Key: "b/k"}, ""},
		"TTL":       {"$KV.b.k", nats.Header{"nats-ttl": {"2s"}}, model.Request{Model: 1, Type: model.Set, Key: "b/k", TTL: 2000}, ""},
		"short TTL": {"$KV.b.k", nats.Header{"Nats-TTL": {"10ms"}}, model.Request{}, "10165"},
		"unknown":   {"$KV.b.k", nats.Header{last: {"99"}}, model.Request{}, "10071"},
		"no number": {"$KV.b.k", nats.Header{last: {"x"}}, model.Request{}, "10003"},
		"weak":      {"eventual.$KV.b.k", nats.Header{last: {"1"}}, model.Request{}, "60071"},
		"batch":     {"$KV.b.k", nats.Header{"Nats-Batch-Id": {"1"}}, model.Request{}, "10174"},
		"stream":    {"$KV.b.k", nats.Header{"Nats-Expected-Stream": {"KV_c"}}, model.Request{}, "10060"},
		"sequence":  {"$KV.b.k", nats.Header{"Nats-Expected-Last-Sequence": {"1"}}, model.Request{}, "10003"},
		"no key":    {"$KV.b", nil, model.Request{}, "10003"},
	} {
		t.Run(name, func(t *testing.T) {
			f, h, b := opened(t)
			told(b, model.EventSet, "k", "old", 17)

			h.asked, h.sent = nil, nil
			ask(f, test.subject, "v", test.header)
			if test.refused != "" {
				if got := string(h.last(t).Data); !strings.Contains(got, `"err_code":`+test.refused) || len(h.asked) > 0 {
					t.Errorf("%s, and %d requests", got, len(h.asked))
				}
				return
			}

			if len(h.asked) != 1 {
				t.Fatalf("%d requests", len(h.asked))
			}
			got := h.asked[0]
			got.Value, test.want.Value = nil, nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// A write is acknowledged when its change was told, and not before.
func TestAWriteIsAcknowledgedWhenItsNumberIsKnown(t *testing.T) {
	f, h, b := opened(t)
	h.reply = func(*model.Request) *master.Reply {
		return &master.Reply{Answer: model.Answer{Code: model.OK, HasRevision: true, Revision: 7}}
	}
	h.sent = nil
	ask(f, "$KV.b.k", "v", nil)
	if len(h.sent) > 0 {
		t.Fatalf("an answer before its number is known: %s", h.sent[0].Data)
	}
	told(b, model.EventSet, "k", "v", 7)
	if got := h.last(t); got.Subject != "_INBOX.client.1" || string(got.Data) != `{"stream":"KV_b","seq":1}` {
		t.Errorf("%s %s", got.Subject, got.Data)
	}
}

// A bucket that is deleted goes on, if it is made again, above every number that a watch was told:
// those of the deletes of its keys, too, which the feed may tell after their answers. What is
// written below its name after that has no number.
func TestADeletedBucketGoesOnAboveWhatWasTold(t *testing.T) {
	f, h, b := opened(t)
	told(b, model.EventSet, "k", "v", 17)
	page, err := codec.AppendPage(nil, &model.Page{Items: []model.Item{{Key: "b/k", Revision: 17}}})
	if err != nil {
		t.Fatal(err)
	}
	none, err := codec.AppendPage(nil, &model.Page{})
	if err != nil {
		t.Fatal(err)
	}

	revision := uint64(18)
	h.reply = func(r *model.Request) *master.Reply {
		a := model.Answer{Code: model.OK, HasRevision: true, Revision: revision}
		switch r.Type {
		case model.List:
			a.Value, page, a.HasRevision = page, none, false
		default:
			revision++
		}
		reply := &master.Reply{Answer: a}
		f.Answered(r, reply)
		return reply
	}
	ask(f, "STREAM.DELETE.KV_b", "", nil)
	if b.record.State == stateGone {
		t.Fatalf("the bucket is gone before its delete is told: %+v", b.record)
	}
	told(b, model.EventDelete, "k", "", 19)
	if b.record.State != stateGone || b.record.Ceiling != 2 {
		t.Fatalf("after number 2 was told the record is %+v", b.record)
	}
	ask(f, "STREAM.CREATE.KV_b", plain("b", ""), nil)
	made, newest := new(record), h.asked[len(h.asked)-1]
	if err := json.Unmarshal(newest.Value, made); err != nil || made.First != 3 {
		t.Errorf("the new one begins with number %d: %v", made.First, err)
	}
}

// Numbers that are read back from a shadow mean what they meant.
func TestNumbersAreReadBack(t *testing.T) {
	_, _, b := opened(t)
	for i := range uint64(3) {
		told(b, model.EventSet, "k", "v", 10+i)
	}
	told(b, model.EventDelete, "gone", "", 20)
	before := b.numbers

	b.found([]Stored{
		{Sequence: 3, Key: "k", Revision: 12}, {Sequence: 4, Key: "gone", Revision: 20, Marker: operationDelete},
	}, 4, nil)
	for key, e := range before.keys {
		got := b.numbers.keys[key]
		if got.number != e.number || got.revision != e.revision || got.marker != e.marker {
			t.Errorf("%s: %+v, was %+v", key, got, e)
		}
	}
	if b.numbers.next != before.next {
		t.Errorf("the next is %d, was %d", b.numbers.next, before.next)
	}
}

// The number of a change is found by its revision, and back, among the recent ones and for the
// newest of each key.
func TestNumbers(t *testing.T) {
	n := newNumbers(2, 1)
	n.take("a", entry{revision: 5, size: 10})
	n.take("b", entry{revision: 9, size: 10})
	n.take("a", entry{revision: 11, size: 10})
	n.take("a", entry{revision: 12, size: 10})
	if n.messages != 3 || n.bytes != 30 || n.live != 2 {
		t.Errorf("%d messages, %d bytes, %d live", n.messages, n.bytes, n.live)
	}
	for revision, want := range map[uint64]uint64{5: 1, 9: 2, 11: 3, 12: 4} {
		if got, ok := n.number("a", revision); !ok || got != want {
			t.Errorf("revision %d has number %d", revision, got)
		}
		if got, ok := n.revision("a", want); !ok || got != revision {
			t.Errorf("number %d has revision %d", want, got)
		}
	}

	n.goTo(9)
	n.take("c", entry{revision: 30})
	if _, ok := n.revision("a", 7); ok {
		t.Error("a number that was left out has a revision")
	}
	if got, ok := n.revision("c", 9); !ok || got != 30 {
		t.Errorf("%d %t", got, ok)
	}
	n.take("marker", entry{revision: 40, until: 5, marker: isEnded})
	n.take("written", entry{revision: 41, until: 5, marker: isEnded})
	n.take("written", entry{revision: 42})
	n.forgetEnded(time.Unix(0, 5))
	if _, found := n.keys["marker"]; found || n.keys["written"].revision != 42 {
		t.Errorf("after the end of two markers: %+v", n.keys)
	}
	n.remove("written")
	if n.keep("a", 1) != 1 || n.messages != 3 {
		t.Errorf("%d messages", n.messages)
	}
}

// Whatever is sent below the prefix, it is answered or dropped, and what is answered is JSON or
// has a status.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"INFO", "", ""}, {"STREAM.CREATE.KV_b", plain("b", ""), ""}, {"STREAM.UPDATE.KV_b", plain("b", ""), ""},
		{"STREAM.NAMES", `{"offset":0,"subject":"$KV.*.>"}`, ""}, {"STREAM.LIST", "", ""}, {"STREAM.INFO.KV_b", "", ""},
		{"STREAM.MSG.GET.KV_b", `{"last_by_subj":"$KV.b.k"}`, ""}, {"DIRECT.GET.KV_b", `{"seq":1}`, ""},
		{"DIRECT.GET.KV_b.$KV.b.k", "", ""}, {"STREAM.PURGE.KV_b", `{"filter":"$KV.b.k","keep":1}`, ""},
		{"CONSUMER.CREATE.KV_b.n.$KV.b.>", `{"stream_name":"KV_b","config":{"filter_subject":"$KV.b.>"}}`, ""},
		{"causal.$KV.b.k", "v", "1"}, {"$KV.b.k", "v", "0"}, {"STREAM.DELETE.KV_b", "", ""}, {"CONSUMER.MSG.NEXT.KV_b.n", "1", ""},
	} {
		f.Add(seed[0], []byte(seed[1]), seed[2])
	}
	f.Fuzz(func(t *testing.T, subject string, body []byte, header string) {
		facade, h, b := opened(t)
		told(b, model.EventSet, "k", "v", 17)
		h.sent = nil
		h.reply = func(*model.Request) *master.Reply {
			return &master.Reply{Answer: model.Answer{Code: model.NotFound}}
		}
		ask(facade, subject, string(body), nats.Header{headerLastOfKey: {header}, headerTTL: {header}})
		for _, m := range h.sent {
			isAnswer := m.Subject == "_INBOX.client.1"
			if isAnswer && len(m.Header) == 0 && !json.Valid(m.Data) {
				t.Fatalf("%q is answered with %q", subject, m.Data)
			}
			if !isAnswer && !strings.HasPrefix(m.Subject, apiPrefix) && !strings.HasPrefix(m.Subject, "quartet.shadow.b.") {
				t.Fatalf("%q makes the facade publish to %q", subject, m.Subject)
			}
		}
	})
}

// A record that somebody has written by hand is taken only if it is one.
func FuzzRecord(f *testing.F) {
	f.Add(Records+"b", []byte(`{"config":`+plain("b", "")+`,"state":"live","first":1,"ceiling":9}`))
	f.Add(Records, []byte("{}"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		bucket, r, err := parseRecord(key, value)
		if err != nil {
			return
		}
		if again, _, err := parseRecord(recordKey(bucket), r.encode()); err != nil || again != bucket {
			t.Errorf("%s: %v", bucket, err)
		}
	})
}
