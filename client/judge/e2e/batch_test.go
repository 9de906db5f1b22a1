package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
)

// answersTo sends a batch and returns the answers by index, and the messages they came in.
func answersTo(t *testing.T, nc *nats.Conn, body []byte, want int, pairs ...string) (map[int]bus.Reply, []*nats.Msg) {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}

	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishMsg(&nats.Msg{Subject: "quartet.batch", Reply: inbox, Header: header(pairs...), Data: body}); err != nil {
		t.Fatal(err)
	}

	answers := map[int]bus.Reply{}
	var messages []*nats.Msg
	var reader bus.AnswersReader
	for len(answers) < want {
		m, err := sub.NextMsg(askLimit)
		if err != nil {
			t.Fatalf("%d of %d answers: %v", len(answers), want, err)
		}
		messages = append(messages, m)

		rids, err := bus.ParseRIDs(m.Header.Get(bus.HeaderRequestID))
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.Read(m.Data, func(i int, r *bus.Reply) {
			if _, twice := answers[i]; twice {
				t.Errorf("request %d was answered twice", i)
			}
			if len(rids) == 0 || rids[0] != r.RID {
				t.Errorf("the header lists %v, the answer is to %d", rids, r.RID)
			} else {
				rids = rids[1:]
			}
			answers[i] = *r
		}); err != nil {
			t.Fatal(err)
		}
	}

	return answers, messages
}

func batchOf(items ...bus.BatchItem) []byte {
	var w bus.BatchWriter
	w.Begin(len(items))
	for i := range items {
		w.Add(&items[i])
	}
	return w.Bytes()
}

func setOf(m model.Consistency, key, value, id string) bus.BatchItem {
	return bus.BatchItem{Request: bus.Request{Request: model.NewSet(m, key, []byte(value))}, Options: bus.Options{Identity: id}}
}

func getOf(m model.Consistency, key string) bus.BatchItem {
	return bus.BatchItem{Request: bus.Request{Request: model.NewGet(m, key)}}
}

// The requests of a batch are served as they would be alone: all models, wrong ones
// beside right ones, ids that were used before.
func TestBatch(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	before := mustStatus(t, nc)

	mustOK(t, nc, "1, 1, first ::: alone", bus.HeaderMsgID, "known")
	first := mustOK(t, nc, "1, 1, first ::: alone", bus.HeaderMsgID, "known")

	pinned, late := getOf(model.Linearizable, "first"), getOf(model.Causal, "k")
	pinned.Replica, late.MinTimestamp = "r2", 1<<60
	nobody := getOf(model.Eventual, "first")
	nobody.Replica = "r8"
	bad := getOf(model.Linearizable, "a:::b")
	answers, _ := answersTo(t, nc, batchOf(
		setOf(1, "l", "1", ""), setOf(2, "s", "2", "i2"), setOf(3, "c", "3", "i3"), setOf(4, "e", "4", ""),
		setOf(1, "first", "alone", "known"), setOf(1, "first", "another", "known"),
		getOf(1, "missing"), pinned, late, nobody, bad,
	), 11, bus.HeaderClient, "Client1", bus.HeaderReplica, "none", bus.HeaderMsgID, "") // the last two are not a batch's

	want := []model.Code{200, 200, 200, 200, 200, 409, 404, 200, 425, 400, 400}
	seen := map[uint64]bool{}
	for i, code := range want {
		a := answers[i]
		saysWhy := a.Reason != "" && string(a.Body) == a.Reason
		unexplained := code != 200 && !saysWhy
		if a.Code != code || seen[a.RID] || a.RID == 0 || a.Clock.Time == 0 || unexplained {
			t.Errorf("request %d: %+v, want code %d", i, a, code)
		}
		seen[a.RID] = true
	}

	switch {
	case answers[4].RID != rid(t, first):
		t.Errorf("a repeated set has rID %d, want the first one's %d", answers[4].RID, rid(t, first))
	case !answers[0].HasPosition || !answers[1].HasPosition || answers[3].HasPosition:
		t.Errorf("positions: %+v", answers)
	case answers[2].Timestamp == 0:
		t.Errorf("a causal set without a timestamp: %+v", answers[2])
	case string(answers[7].Body) != "alone" || answers[7].Replica != 2:
		t.Errorf("from r2: %+v", answers[7])
	}

	for key, value := range map[string]string{"l": "1", "s": "2", "c": "3", "e": "4"} {
		testkit.Eventually(t, restLimit, "set "+key+" is seen", func() error {
			if got := ask(t, nc, "1, 2, "+key); string(got.Data) != value {
				return fmt.Errorf("%q", got.Data)
			}
			return nil
		})
	}

	unharmed(t, nc, before)
}

// Values that do not fit into one message of the bus come in several.
func TestAnswersOfManyMessages(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	large := strings.Repeat("v", 300<<10)
	var gets []bus.BatchItem
	for i := range 8 {
		mustOK(t, nc, fmt.Sprintf("1, 1, k%d ::: %d%s", i, i, large))
		gets = append(gets, getOf(model.Linearizable, fmt.Sprint("k", i)))
	}
	answers, messages := answersTo(t, nc, batchOf(gets...), len(gets))
	for i := range gets {
		if got := string(answers[i].Body); got != fmt.Sprint(i)+large {
			t.Errorf("request %d: %d bytes %.20q", i, len(got), got)
		}
	}
	if len(messages) < 3 {
		t.Errorf("%d messages for %d bytes", len(messages), 8*len(large))
	}
}

// A body that is no batch is answered once, like a lone request, and nothing of it is
// executed; without a reply subject a batch is executed all the same.
func TestBatchesThatAreRefused(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	before := mustStatus(t, nc)

	good := string(batchOf(setOf(1, "a", "v", "")))
	for name, body := range map[string]string{
		"empty": "", "text": "1, 1, a ::: v", "a map": packed(t, map[string]any{"consistency": 1, "request": 1, "key": "a", "value": "v"}),
		"no requests": "\x90", "cut": good[:len(good)-1], "more after it": good + "\x00",
		"a wrong form in the second": "\x92" + good[1:] + "\x92\x01\x01",
	} {
		got, err := nc.Request("quartet.batch", []byte(body), askLimit)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if code(got) != "400" || string(got.Data) != got.Header.Get(bus.HeaderError) {
			t.Errorf("%s: %v %q", name, got.Header, got.Data)
		}
	}

	for _, reply := range []string{"quartet.node.r1", "$JS.API.INFO", "quartet.request"} {
		if err := nc.PublishRequest("quartet.batch", reply, []byte(good)); err != nil {
			t.Fatal(err)
		}
	}
	answersTo(t, nc, batchOf(getOf(1, "x")), 1) // all before it has been dealt with
	if got := ask(t, nc, "1, 2, a"); code(got) != "404" {
		t.Errorf("something of all that was executed: %q", got.Data)
	}

	if err := nc.Publish("quartet.batch", batchOf(setOf(1, "quiet", "v", ""))); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "a batch without a reply subject is executed", func() error {
		if got := ask(t, nc, "1, 2, quiet"); string(got.Data) != "v" {
			return fmt.Errorf("%q", got.Data)
		}
		return nil
	})

	unharmed(t, nc, before)
}
