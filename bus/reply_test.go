package bus

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// repliesInText are replies, and the messages that carry them.
func repliesInText(clock lamport.Timestamp) map[string]replyInText {
	return map[string]replyInText{
		"linearizable set": {
			Reply{
				Answer: model.Answer{
					RID: 41, Code: model.OK, Clock: clock, Replica: 2, Position: 12, HasPosition: true,
				},
				Model: model.Linearizable, Type: model.Set, Body: AppendEcho(nil, "k", []byte("v")),
			},
			nats.Header{
				"Quartet-Request-Id": {"41"}, "Quartet-Ack": {"OK"}, "Quartet-Consistency": {"LINEARIZABLE"},
				"Quartet-Request": {"SET"}, "Quartet-Clock": {"289.r2"}, "Quartet-Replica": {"r2"},
				"Quartet-Position": {"12"},
			},
			"k ::: v",
		},
		"sequential get at position 0": {
			Reply{
				Answer: model.Answer{RID: 1, Code: model.OK, Clock: clock, Replica: 9, HasPosition: true},
				Model:  model.Sequential, Type: model.Get,
			},
			nats.Header{
				"Quartet-Request-Id": {"1"}, "Quartet-Ack": {"OK"}, "Quartet-Consistency": {"SEQUENTIAL"},
				"Quartet-Request": {"GET"}, "Quartet-Clock": {"289.r2"}, "Quartet-Replica": {"r9"},
				"Quartet-Position": {"0"},
			},
			"",
		},
		"causal set by the master": {
			Reply{
				Answer: model.Answer{
					RID: 1<<64 - 1, Code: model.OK,
					Clock: lamport.Timestamp{Time: 1<<64 - 1, Node: lamport.Master(65535)}, Timestamp: 1<<64 - 1,
				},
				Model: model.Causal, Type: model.Set,
			},
			nats.Header{
				"Quartet-Request-Id": {"18446744073709551615"}, "Quartet-Ack": {"OK"},
				"Quartet-Consistency": {"CAUSAL"}, "Quartet-Request": {"SET"},
				"Quartet-Clock": {"18446744073709551615.m65535"}, "Quartet-Timestamp": {"18446744073709551615"},
			},
			"",
		},

		// of requests that failed
		"everything at once": {
			Reply{
				Answer: model.Answer{
					RID: 1, Code: model.Unknown, Reason: "r", Clock: lamport.Timestamp{Node: 65535}, Replica: 65535,
					Timestamp: 1<<64 - 1, Position: 1<<64 - 1, HasPosition: true,
				},
				Model: model.Eventual, Type: model.Get,
			},
			nats.Header{
				"Quartet-Request-Id": {"1"}, "Quartet-Ack": {"FAIL"}, "Quartet-Consistency": {"EVENTUAL"},
				"Quartet-Request": {"GET"}, "Quartet-Clock": {"0.r65535"}, "Quartet-Replica": {"r65535"},
				"Quartet-Timestamp": {"18446744073709551615"}, "Quartet-Position": {"18446744073709551615"},
				"Nats-Service-Error-Code": {"504"}, "Nats-Service-Error": {"r"},
			},
			"r",
		},
		"not found": {
			Reply{
				Answer: model.Answer{RID: 5, Code: model.NotFound, Reason: "no value", Clock: clock, Replica: 1},
				Model:  model.Eventual, Type: model.Get,
			},
			nats.Header{
				"Quartet-Request-Id": {"5"}, "Quartet-Ack": {"FAIL"}, "Quartet-Consistency": {"EVENTUAL"},
				"Quartet-Request": {"GET"}, "Quartet-Clock": {"289.r2"}, "Quartet-Replica": {"r1"},
				"Nats-Service-Error-Code": {"404"}, "Nats-Service-Error": {"no value"},
			},
			"no value",
		},
		"unreadable, with a reason of several lines": {
			Reply{
				Answer: model.Answer{RID: 6, Code: model.Malformed, Reason: " a\r\nNats-Fake: b\n", Clock: clock},
				Body:   []byte("unused"),
			},
			nats.Header{
				"Quartet-Request-Id": {"6"}, "Quartet-Ack": {"FAIL"}, "Quartet-Clock": {"289.r2"},
				"Nats-Service-Error-Code": {"400"}, "Nats-Service-Error": {"a Nats-Fake: b"},
			},
			"a Nats-Fake: b",
		},
	}
}

type replyInText struct {
	reply  Reply
	header nats.Header
	body   string
}

func TestReplyMessage(t *testing.T) {
	clock := lamport.Timestamp{Time: 289, Node: lamport.Replica(2)}
	for name, c := range repliesInText(clock) {
		m := c.reply.Msg("to")
		if m.Subject != "to" || m.Reply != "" || string(m.Data) != c.body {
			t.Errorf("%s: %q %q %q", name, m.Subject, m.Reply, m.Data)
		}
		if diff := cmp.Diff(c.header, m.Header); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}

		back, err := ParseReply(m)
		want := c.reply
		want.Body = m.Data
		want.Reason = m.Header.Get(HeaderError)
		if diff := cmp.Diff(want, back); err != nil || diff != "" {
			t.Errorf("%s: read back: %v %s", name, err, diff)
		}
	}

	for _, reason := range []string{"", " ", "\r\n"} {
		r := Reply{Answer: model.Answer{RID: 1, Code: model.Unavailable, Reason: reason, Clock: clock}}
		if m := r.Msg("to"); m.Header.Get(HeaderError) == "" || len(m.Data) == 0 {
			t.Errorf("a FAIL without a reason: %v %q", m.Header, m.Data)
		}
	}
}

// Values of one message's headers share an array; adding to one must not reach another.
func TestReplyHeadersDoNotOverlap(t *testing.T) {
	r := Reply{Answer: model.Answer{RID: 1, Code: model.OK, Clock: lamport.Timestamp{Time: 2, Node: 3}}}
	m := r.Msg("to")
	for name := range m.Header {
		m.Header.Add(name, "added")
	}
	for name, values := range m.Header {
		if len(values) != 2 || values[0] == "added" {
			t.Errorf("%s: %v", name, values)
		}
	}
}

func TestReplyRefused(t *testing.T) {
	good := func() nats.Header {
		r := Reply{
			Answer: model.Answer{
				RID: 1, Code: model.NotFound, Reason: "x", Clock: lamport.Timestamp{Time: 2, Node: 3}, Replica: 1,
				Timestamp: 4, HasPosition: true,
			},
			Model: 1, Type: 2,
		}
		return r.Msg("to").Header
	}
	if _, err := ParseReply(&nats.Msg{Header: good()}); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct{ header, value string }{
		{HeaderRequestID, ""}, {HeaderRequestID, "x"}, {HeaderRequestID, "1,2"}, {HeaderAck, "MAYBE"}, {HeaderAck, ""},
		{HeaderConsistency, "STRONG"}, {HeaderRequest, "REMOVE"}, {HeaderRevision, "x"}, {HeaderRevision, ""},
		{HeaderExpires, "soon"}, {HeaderExpires, "1969-01-01T00:00:00Z"}, {HeaderNext, ""}, {HeaderNext, "a\nb"},
		{HeaderClock, "5"}, {HeaderClock, "5."}, {HeaderClock, ".r1"},
		{HeaderClock, "5.x1"}, {HeaderClock, "-5.r1"}, {HeaderReplica, "m1"}, {HeaderReplica, ""}, {HeaderTimestamp, "x"},
		{HeaderPosition, "-1"}, {HeaderErrorCode, "x"}, {HeaderErrorCode, "65536"}, {HeaderErrorCode, "200"},
	} {
		h := good()
		h[c.header] = []string{c.value}
		if r, err := ParseReply(&nats.Msg{Header: h}); !errors.Is(err, ErrReply) || !strings.Contains(err.Error(), c.header) {
			t.Errorf("%s %q: %+v %v", c.header, c.value, r, err)
		}
	}

	for _, header := range []string{HeaderRequestID, HeaderAck, HeaderClock, HeaderErrorCode} {
		h := good()
		delete(h, header)
		if r, err := ParseReply(&nats.Msg{Header: h}); !errors.Is(err, ErrReply) {
			t.Errorf("without %s: %+v %v", header, r, err)
		}
	}

	if _, err := ParseReply(&nats.Msg{Data: []byte("hello")}); !errors.Is(err, ErrReply) {
		t.Errorf("no headers: %v", err)
	}
}

func TestReplyNobodyThere(t *testing.T) {
	r, err := ParseReply(&nats.Msg{Header: nats.Header{"Status": {"503"}}})
	if !errors.Is(err, ErrNoResponders) || r.Code != model.Unavailable {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := ParseReply(&nats.Msg{Header: nats.Header{"Status": {"503"}}, Data: []byte("x")}); errors.Is(err, ErrNoResponders) {
		t.Error("a status message with a body is no server's")
	}
}

func BenchmarkReplyMsg(b *testing.B) {
	r := Reply{
		Answer: model.Answer{
			RID: 123456789, Code: model.OK, Clock: lamport.Timestamp{Time: 987654, Node: 2}, Replica: 2, Position: 4711,
			HasPosition: true,
		},
		Model: model.Linearizable, Type: model.Get, Body: make([]byte, 100),
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Msg("_INBOX.abcdefgh.1")
	}
}

func BenchmarkParseRequest(b *testing.B) {
	r := Request{Request: model.NewSet(model.Linearizable, "sixteen-byte-key", make([]byte, 100))}
	packed, err := AppendMsgpack(nil, &r.Request)
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string][]byte{"text": AppendText(nil, &r.Request), "msgpack": packed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRequest(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
