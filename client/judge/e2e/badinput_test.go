package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/master/masternode/supervise"
)

// bad is a request that must be refused. Where its codes can be read the reply repeats them.
type bad struct {
	name    string
	body    string
	headers []string
	code    string
	names   string // "CONSISTENCY TYPE" in the reply, where the contract says so; "": not looked at
}

// badText lists requests as text that are refused, or answered with nothing.
func badText() []bad {
	long := strings.Repeat("k", 1025)

	return []bad{
		{name: "empty", body: "", code: "400"},
		{name: "blank", body: " \n", code: "400"},
		{name: "one word", body: "hello", code: "400"},
		{name: "no type", body: "1", code: "400"},
		{name: "no data", body: "1, 1", code: "400", names: "LINEARIZABLE SET"},
		{name: "consistency 0", body: "0, 1, k ::: v", code: "400"},
		{name: "consistency 5", body: "5, 1, k ::: v", code: "400"},
		{name: "consistency 01", body: "01, 1, k ::: v", code: "400"},
		{name: "consistency word", body: "strong, 1, k ::: v", code: "400"},
		{name: "request 0", body: "1, 0, k", code: "400"},
		{name: "request 8", body: "1, 8, k", code: "400"},
		{name: "request word", body: "1, remove, k", code: "400"},

		// The later requests.
		{name: "delete without key", body: "1, delete, ", code: "400"},
		{name: "delete with separator", body: "4, 3, k ::: v", code: "400"},
		{name: "list of a prefix with a separator", body: "1, list, a:::", code: "400"},
		{name: "list of a prefix of 1,025 bytes", body: "3, 4, " + long, code: "400"},
		{name: "list with a limit of 0", body: "1, list, k", headers: []string{bus.HeaderLimit, "0"}, code: "400", names: "LINEARIZABLE LIST"},
		{name: "list with a limit of 10,001", body: "2, list, k", headers: []string{bus.HeaderLimit, "10001"}, code: "400"},
		{name: "list with a limit in words", body: "3, list, k", headers: []string{bus.HeaderLimit, "all"}, code: "400"},
		{name: "list with values maybe", body: "4, list, k", headers: []string{bus.HeaderValues, "maybe"}, code: "400"},
		{name: "list from nonsense", body: "1, list, k", headers: []string{bus.HeaderFrom, "nonsense"}, code: "400", names: "LINEARIZABLE LIST"},
		{name: "list from a revision", body: "4, list, k", headers: []string{bus.HeaderFrom, "17"}, code: "400"},
		{name: "list from nothing", body: "4, list, k", headers: []string{bus.HeaderFrom, ""}, code: "400"},
		{name: "list from 129 letters", body: "2, list, k", headers: []string{bus.HeaderFrom, long[:129]}, code: "400"},
		{name: "list with a condition", body: "1, list, k", headers: []string{bus.HeaderIfRevision, "1"}, code: "400"},
		{name: "list of a prefix with a control character", body: "1, list, a\x01", code: "400"},
		{name: "watch of a prefix with a separator", body: "1, watch, a:::", code: "400"},
		{name: "watch of a prefix of 1,025 bytes", body: "3, 5, " + long, code: "400"},
		{name: "watch without a prefix's place", body: "1, watch", code: "400"},
		{name: "txn as text", body: "1, txn, {}", code: "400"},
		{name: "add without number", body: "1, add, n", code: "400"},
		{name: "add of a word", body: "2, 7, n ::: one", code: "400"},
		{name: "add of 2^63", body: "1, add, n ::: 9223372036854775808", code: "400"},
		{name: "causal add", body: "3, add, n ::: 1", code: "400"},
		{name: "set without separator", body: "1, 1, k v", code: "400", names: "LINEARIZABLE SET"},
		{name: "set without key", body: "2, set, ::: v", code: "400", names: "SEQUENTIAL SET"},
		{name: "get without key", body: "3, get, ", code: "400", names: "CAUSAL GET"},
		{name: "get with separator", body: "4, 2, k ::: v", code: "400", names: "EVENTUAL GET"},
		{name: "key with a control character", body: "1, 2, a\x01b", code: "400", names: "LINEARIZABLE GET"},
		{name: "key with a line end", body: "1, 1, a\nb ::: v", code: "400", names: "LINEARIZABLE SET"},
		{name: "key with U+0085", body: "1, 2, a\u0085b", code: "400"},
		{name: "key that is no UTF-8", body: "1, 2, a\xff", code: "400"},
		{name: "key of 1,025 bytes", body: "1, 2, " + long, code: "400"},
		{name: "long key, large value", body: "1, 1, " + long + " ::: " + strings.Repeat("v", 600<<10), code: "400"},
		{name: "one byte too large", body: "1, 1, k ::: " + strings.Repeat("v", 512<<10), code: "413", names: "LINEARIZABLE SET"},
		{name: "eventual and far too large", body: "4, 1, k ::: " + strings.Repeat("v", 900<<10), code: "413", names: "EVENTUAL SET"},
	}
}

// badMsgpack lists bodies in msgpack that are refused.
func badMsgpack(t *testing.T) []bad {
	set := func(more ...any) string {
		fields := map[string]any{"consistency": 1, "request": 1, "key": "k", "value": "v"}
		for i := 0; i+1 < len(more); i += 2 {
			fields[more[i].(string)] = more[i+1]
			if more[i+1] == nil {
				delete(fields, more[i].(string))
			}
		}
		return packed(t, fields)
	}

	good := set()
	return []bad{
		{name: "msgpack: no key", body: set("key", nil), code: "400"},
		{name: "msgpack: no consistency", body: set("consistency", nil), code: "400"},
		{name: "msgpack: no request", body: set("request", nil), code: "400"},
		{name: "msgpack: set without value", body: set("value", nil), code: "400", names: "LINEARIZABLE SET"},
		{name: "msgpack: get with value", body: set("request", 2), code: "400", names: "LINEARIZABLE GET"},
		{name: "msgpack: consistency 9", body: set("consistency", 9), code: "400"},
		{name: "msgpack: consistency -1", body: set("consistency", -1), code: "400"},
		{name: "msgpack: consistency as word", body: set("consistency", "linearizable"), code: "400"},
		{name: "msgpack: request 8", body: set("request", 8), code: "400"},
		{name: "msgpack: key is a number", body: set("key", 7), code: "400"},
		{name: "msgpack: empty key", body: set("key", ""), code: "400"},
		{name: "msgpack: value is a list", body: set("value", []int{1}), code: "400"},
		{name: "msgpack: unknown field lease", body: set("lease", 5), code: "400"},
		{name: "msgpack: a TTL that is a number", body: set("ttl", 5), code: "400"},
		{name: "msgpack: a condition that is a word", body: set("if_revision", "new"), code: "400"},
		{name: "msgpack: a causal condition", body: set("consistency", 3, "if_revision", 0), code: "400"},
		{name: "msgpack: a limit of a set", body: set("limit", 5), code: "400"},
		{name: "msgpack: a txn of nothing", body: packed(t, map[string]any{"consistency": 1, "request": 6}), code: "400"},
		{
			name: "msgpack: a txn of 129 steps",
			body: packed(t, map[string]any{"consistency": 1, "request": 6, "then": make([]int, 129)}), code: "400",
		},
		{name: "msgpack: a txn nested without end", body: "\x81\xa4then" + strings.Repeat("\x91", 100_000), code: "400"},
		{name: "msgpack: repeated field key", body: "\x84\xabconsistency\x01\xa7request\x02\xa3key\xa1k\xa3key\xa1l", code: "400"},
		{name: "msgpack: bytes after the map", body: good + "\x00", code: "400"},
		{name: "msgpack: cut short", body: good[:len(good)-1], code: "400"},
		{name: "msgpack: a list", body: "\x93\x01\x02\xa1k", code: "400"},
		{name: "msgpack: nil", body: "\xc0", code: "400"},
		{name: "msgpack: never used byte", body: "\xc1", code: "400"},
		{name: "msgpack: a map that claims four billion fields", body: "\xdf\xff\xff\xff\xff", code: "400"},
		{name: "msgpack: a key that claims four gigabytes", body: "\x81\xa3key\xdb\xff\xff\xff\xff", code: "400"},
		{name: "msgpack: nested without end", body: "\x81\xa3key" + strings.Repeat("\x91", 100_000), code: "400"},
		{name: "msgpack: too large", body: set("value", strings.Repeat("v", 512<<10)), code: "413"},
	}
}

// badHeaders lists requests whose headers are refused.
func badHeaders() []bad {
	many := strings.Repeat("i", 257)

	return []bad{
		{name: "condition on a causal set", body: "3, 1, k ::: v", headers: []string{bus.HeaderIfRevision, "0"}, code: "400"},
		{name: "condition on a get", body: "1, 2, k", headers: []string{bus.HeaderIfRevision, "1"}, code: "400"},
		{name: "condition of a word", body: "1, 1, k ::: v", headers: []string{bus.HeaderIfRevision, "latest"}, code: "400"},
		{name: "condition of 2^64", body: "1, 1, k ::: v", headers: []string{bus.HeaderIfRevision, "18446744073709551616"}, code: "400"},
		{name: "TTL without a unit", body: "4, 1, k ::: v", headers: []string{bus.HeaderTTL, "30"}, code: "400"},
		{name: "TTL of 11 years", body: "1, 1, k ::: v", headers: []string{bus.HeaderTTL, "96360h"}, code: "400"},
		{name: "TTL of half a second", body: "1, 1, k ::: v", headers: []string{bus.HeaderTTL, "500ms"}, code: "400"},
		{name: "negative TTL", body: "1, 1, k ::: v", headers: []string{bus.HeaderTTL, "-5s"}, code: "400"},
		{name: "TTL of a delete", body: "1, 3, k", headers: []string{bus.HeaderTTL, "5s"}, code: "400"},
		{name: "limit 0", body: "1, 4, k", headers: []string{bus.HeaderLimit, "0"}, code: "400"},
		{name: "limit 10,001", body: "1, 4, k", headers: []string{bus.HeaderLimit, "10001"}, code: "400"},
		{name: "limit of a watch", body: "1, 5, k", headers: []string{bus.HeaderLimit, "5"}, code: "400"},
		{name: "values: perhaps", body: "1, 4, k", headers: []string{bus.HeaderValues, "perhaps"}, code: "400"},
		{name: "place of 129 letters", body: "1, 4, k", headers: []string{bus.HeaderFrom, strings.Repeat("n", 129)}, code: "400"},
		{name: "watch from a word", body: "1, 5, k", headers: []string{bus.HeaderFrom, "here"}, code: "400"},
		{name: "watch from 2^64", body: "1, 5, k", headers: []string{bus.HeaderFrom, "18446744073709551616"}, code: "400"},
		{name: "watch from -1", body: "2, 5, k", headers: []string{bus.HeaderFrom, "-1"}, code: "400"},
		{name: "values of a watch", body: "1, 5, k", headers: []string{bus.HeaderValues, "true"}, code: "400"},
		{name: "watch at replica r4 of three", body: "4, 5, k", headers: []string{bus.HeaderReplica, "r4"}, code: "400"},
		{name: "condition of a watch", body: "1, 5, k", headers: []string{bus.HeaderIfRevision, "0"}, code: "400"},
		{name: "TTL of a watch", body: "1, 5, k", headers: []string{bus.HeaderTTL, "5s"}, code: "400"},
		{
			name: "watch from what will never be", body: "1, 5, k",
			headers: []string{bus.HeaderFrom, "18446744073709551615"}, code: "425", names: "LINEARIZABLE WATCH",
		},
		{name: "empty id", body: "1, 1, k ::: v", headers: []string{bus.HeaderMsgID, ""}, code: "400", names: "LINEARIZABLE SET"},
		{name: "id of 257 bytes", body: "1, 1, k ::: v", headers: []string{bus.HeaderMsgID, many}, code: "400"},
		{name: "id with a tab in it", body: "1, 1, k ::: v", headers: []string{bus.HeaderMsgID, "a\tb"}, code: "400"},
		{name: "client of 257 bytes", body: "1, 2, k", headers: []string{bus.HeaderClient, many}, code: "400"},
		{
			name: "minimum timestamp is a word", body: "3, 2, k", headers: []string{bus.HeaderMinTimestamp, "new"},
			code: "400", names: "CAUSAL GET",
		},
		{name: "minimum timestamp -1", body: "3, 2, k", headers: []string{bus.HeaderMinTimestamp, "-1"}, code: "400"},
		{
			name: "minimum timestamp of 65 bits", body: "3, 2, k",
			headers: []string{bus.HeaderMinTimestamp, "18446744073709551616"}, code: "400",
		},
		{name: "minimum position 1.5", body: "2, 2, k", headers: []string{bus.HeaderMinPosition, "1.5"}, code: "400"},
		{name: "minimum position of a set", body: "2, 1, k ::: v", headers: []string{bus.HeaderMinPosition, ""}, code: "400"},
		{name: "replica r4 of three", body: "1, 2, k", headers: []string{bus.HeaderReplica, "r4"}, code: "400"},
		{name: "replica r0", body: "4, 1, k ::: v", headers: []string{bus.HeaderReplica, "r0"}, code: "400"},
		{name: "replica m1", body: "4, 2, k", headers: []string{bus.HeaderReplica, "m1"}, code: "400"},
		{name: "replica one", body: "2, 2, k", headers: []string{bus.HeaderReplica, "one"}, code: "400"},
		{name: "replica without name", body: "3, 2, k", headers: []string{bus.HeaderReplica, ""}, code: "400"},
		{
			name: "timestamp that will never be", body: "3, 2, k",
			headers: []string{bus.HeaderMinTimestamp, "18446744073709551615"}, code: "425", names: "CAUSAL GET",
		},
		{
			name: "position that will never be", body: "2, 2, k",
			headers: []string{bus.HeaderMinPosition, "18446744073709551615"}, code: "425", names: "SEQUENTIAL GET",
		},
		{
			name: "position that a set will never have", body: "2, 1, k ::: v",
			headers: []string{bus.HeaderMinPosition, "18446744073709551615"}, code: "425", names: "SEQUENTIAL SET",
		},
		{name: "no value", body: "1, 2, missing", code: "404", names: "LINEARIZABLE GET"},
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	before := mustStatus(t, nc)

	for _, b := range slices.Concat(badText(), badMsgpack(t), badHeaders()) {
		t.Run(b.name, func(t *testing.T) {
			got := ask(t, nc, b.body, b.headers...)
			reason := got.Header.Get(bus.HeaderError)
			if code(got) != b.code || reason == "" || strings.ContainsAny(reason, "\r\n") || string(got.Data) != reason {
				t.Errorf("code %q, want %s; reason %q, body %q", code(got), b.code, reason, got.Data)
			}
			if names := got.Header.Get(bus.HeaderConsistency) + " " + got.Header.Get(bus.HeaderRequest); b.names != "" && names != b.names {
				t.Errorf("the reply is to %q, want %q", names, b.names)
			}

			rid(t, got)
			clockOf(t, got)
			if field := strings.Fields(b.name); strings.Contains(b.name, " field ") && !strings.Contains(reason, field[len(field)-1]) {
				t.Errorf("%q does not name the field", reason)
			}
		})
	}

	if got := ask(t, nc, "1, 2, k"); code(got) != "404" {
		t.Errorf("something of all that was executed: %q", got.Data)
	}
	unharmed(t, nc, before)
}

// What is odd but allowed is served.
func TestOddInput(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc := connect(t, m.url)
	before := mustStatus(t, nc)

	largest := strings.Repeat("v", 512<<10-1)
	key := strings.Repeat("é", 512)
	for _, odd := range []struct{ name, set, get, want string }{
		{"empty value", "1, 1, a :::", "1, 2, a", ""},
		{"separators and commas in the value", "LINEARIZABLE,SET,b ::: x,y ::: z,", "linearizable, get, b", "x,y ::: z,"},
		{"line ends in the value", "1, 1, c ::: one\r\ntwo", "1, 2, c", "one\r\ntwo"},
		{"any bytes", "1, 1, d ::: \xff\x00\xfe", "1, 2, d", "\xff\x00\xfe"},
		{"the largest", "1, 1, e ::: " + largest, "1, 2, e", largest},
		{"the longest key", "1, 1, " + key + " ::: v", "1, 2, " + key, "v"},
		{"commas and colons in the key", "1, 1, f,g::h ::: v", "1, 2, f,g::h", "v"},
		{"msgpack, blanks kept", packed(t, map[string]any{"value": " v ", "key": " g", "request": 1, "consistency": 1}),
			packed(t, map[string]any{"key": " g", "request": 2, "consistency": 1}), " v "},
	} {
		mustOK(t, nc, odd.set)
		if got := mustOK(t, nc, odd.get); string(got.Data) != odd.want {
			t.Errorf("%s: %q, want %q", odd.name, short(string(got.Data)), short(odd.want))
		}
	}
	// A number that a client sent moves nobody's clock; a minimum of another model is ignored.
	mustOK(t, nc, "1, 2, a", bus.HeaderClock, "18446744073709551615.m1", bus.HeaderMinTimestamp, "x", bus.HeaderMinPosition, "-")
	if clock := clockOf(t, mustOK(t, nc, "1, 2, a")); clock > 1<<40 {
		t.Errorf("the clock followed a client's header to %d", clock)
	}

	if err := nc.Publish("quartet.request", make([]byte, nc.MaxPayload()+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("a message above max_payload: %v", err)
	}
	// Nobody wants to know, and it is executed all the same.
	if err := nc.PublishMsg(&nats.Msg{Subject: "quartet.request", Data: []byte("3, 1, quiet ::: v")}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "a request without a reply subject is executed", func() error {
		if got := ask(t, nc, "3, 2, quiet"); string(got.Data) != "v" {
			return fmt.Errorf("%q", got.Data)
		}
		return nil
	})

	unharmed(t, nc, before)
}

// A reply subject that is not a client's: nothing is published on it, nothing executed.
func TestReplySubjects(t *testing.T) {
	t.Parallel()
	m := start(t)
	nc, watcher := connect(t, m.url), connect(t, m.url)
	before := mustStatus(t, nc)

	seen := make(chan *nats.Msg, 1<<16)
	for _, subject := range []string{"quartet", "quartet.>", "$JS.>", "$KV.>"} {
		if _, err := watcher.ChanSubscribe(subject, seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := watcher.Flush(); err != nil {
		t.Fatal(err)
	}

	subjects := []string{
		"quartet", "quartet.node.r1", "quartet.node.m1", "quartet.request", "quartet.status", "quartet.report", "quartet.reply.me",
		"$JS.API.STREAM.CREATE.x", "$JS.API.INFO", "$KV.b.k", "$SYS.REQ.USER.INFO", "$",
	}

	for i, reply := range subjects {
		body := fmt.Sprintf("1, 1, reply%d ::: v", i)
		for _, subject := range []string{"quartet.request", "quartet.status", "quartet.report"} {
			if err := nc.PublishRequest(subject, reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The master takes what comes in order: when these are answered, all before has been dealt
	// with.
	for i, reply := range subjects {
		if got := ask(t, nc, fmt.Sprintf("1, 2, reply%d", i)); code(got) != "404" {
			t.Errorf("a request whose reply subject is %q was executed: %q", reply, got.Data)
		}
	}

	mustStatus(t, nc)
	if err := watcher.Flush(); err != nil {
		t.Fatal(err)
	}

	for len(seen) > 0 {
		got := <-seen
		answer := got.Header.Get(bus.HeaderAck) != "" || strings.HasPrefix(string(got.Data), "{")
		if answer || !strings.HasPrefix(got.Subject, "quartet.") || got.Subject == "quartet.reply.me" {
			t.Errorf("the master published on %q: %q %v", got.Subject, got.Data, got.Header)
		}
	}

	unharmed(t, nc, before)
}

// A client cannot speak as a node, neither on the nodes' subjects nor in their account.
func TestNodesAreOutOfReach(t *testing.T) {
	t.Parallel()
	m := start(t)
	refusals := make(chan error, 100)
	nc := connect(t, m.url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err }))
	before := mustStatus(t, nc)

	for _, subject := range []string{"quartet.node.r1", "quartet.node.r2", "quartet.node.m1", "quartet.node.x.y"} {
		if err := nc.Publish(subject, []byte("\x96\x01\x06 garbage")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refusals:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
				t.Errorf("published on %s: %v", subject, err)
			}
		case <-time.After(askLimit):
			t.Errorf("published on %s, and nobody minds", subject)
		}
	}

	for _, password := range []string{"", "quartet", "quartet-node"} {
		other, err := nats.Connect(m.url, nats.UserInfo("quartet-node", password), nats.MaxReconnects(0))
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("connected as a node with the password %q: %v", password, err)
		}
		if other != nil {
			other.Close()
		}
	}

	unharmed(t, nc, before)
}

// unharmed: no replica has stopped, all are members still, all four models are served.
func unharmed(t testing.TB, nc *nats.Conn, before bus.Status) {
	t.Helper()
	serves(t, nc)
	s := atRest(t, nc)
	if !slices.Equal(pids(s), pids(before)) || s.Epoch != before.Epoch {
		t.Errorf("processes %v in epoch %d, were %v in %d", pids(s), s.Epoch, pids(before), before.Epoch)
	}
	for _, r := range s.Replicas {
		if !r.Member || !supervise.Alive(r.PID) {
			t.Errorf("%s: member %v, alive %v, %s", r.ID, r.Member, supervise.Alive(r.PID), r.Reason)
		}
	}
}

// serves sets and gets in all four models.
func serves(t testing.TB, nc *nats.Conn) {
	t.Helper()
	for _, c := range []string{"1", "2", "3", "4"} {
		key := "serves" + c
		set := mustOK(t, nc, c+", 1, "+key+" ::: still", bus.HeaderReplica, "r1")
		headers := []string{bus.HeaderReplica, "r1"}
		if timestamp := set.Header.Get(bus.HeaderTimestamp); timestamp != "" {
			headers = append(headers, bus.HeaderMinTimestamp, timestamp)
		}
		if position := set.Header.Get(bus.HeaderPosition); position != "" {
			headers = append(headers, bus.HeaderMinPosition, position)
		}
		if got := mustOK(t, nc, c+", 2, "+key, headers...); string(got.Data) != "still" {
			t.Errorf("model %s: %q", c, got.Data)
		}
	}
}

// clockOf is the counter of a reply's Quartet-Clock.
func clockOf(t testing.TB, m *nats.Msg) uint64 {
	t.Helper()
	counter, node, found := strings.Cut(m.Header.Get(bus.HeaderClock), ".")
	n, err := strconv.ParseUint(counter, 10, 64)
	if err != nil || !found || node == "" {
		t.Fatalf("%s is %q", bus.HeaderClock, m.Header.Get(bus.HeaderClock))
	}
	return n
}
