package e2e_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/vmihailenco/msgpack/v5"

	"quartet/bus"
	"quartet/bus/model"
)

// packed is a request in msgpack.
func packed(t testing.TB, fields map[string]any) string {
	t.Helper()
	b, err := msgpack.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func packedSet(t testing.TB, c model.Consistency, key, value string) string {
	t.Helper()
	return packed(t, map[string]any{"consistency": int(c), "request": 1, "key": key, "value": []byte(value)})
}

// linearizably reads a key's value where all weak writes are committed.
func linearizably(t testing.TB, nc *nats.Conn, key string) string {
	t.Helper()
	atRest(t, nc)
	return string(mustOK(t, nc, "1, 2, "+key).Data)
}

// The same Nats-Msg-Id again, one after the other: through the same and another replica, in
// the other encoding, after another client has overwritten the value. One effect, the first rID.
func TestDuplicatesInTurn(t *testing.T) {
	t.Parallel()
	nc := connect(t, start(t).url)
	for _, c := range model.All {
		t.Run(c.Word(), func(t *testing.T) {
			key, id := "turn-"+c.Word(), "turn-id-"+c.Word()
			text := fmt.Sprintf("%s, set, %s ::: one", c.Word(), key)
			first := mustOK(t, nc, text, bus.HeaderMsgID, id, bus.HeaderReplica, "r1")
			mustOK(t, nc, fmt.Sprintf("%s, set, %s ::: two", c.Word(), key))

			again := map[string]*nats.Msg{
				"again":           mustOK(t, nc, text, bus.HeaderMsgID, id),
				"another replica": mustOK(t, nc, text, bus.HeaderMsgID, id, bus.HeaderReplica, "r2"),
				"msgpack":         mustOK(t, nc, packedSet(t, c, key, "one"), bus.HeaderMsgID, id, bus.HeaderReplica, "r3"),
				"other spelling":  mustOK(t, nc, fmt.Sprintf(" %d ,SET,  %s:::one\n", c, key), bus.HeaderMsgID, id),
				"lower-case name": mustOK(t, nc, text, "nats-msg-id", id),
			}

			for how, m := range again {
				if rid(t, m) != rid(t, first) {
					t.Errorf("%s: rID %d, the first was %d", how, rid(t, m), rid(t, first))
				}
				for _, name := range []string{bus.HeaderTimestamp, bus.HeaderPosition} {
					if got, want := m.Header.Get(name), first.Header.Get(name); got != want {
						t.Errorf("%s: %s is %q, was %q", how, name, got, want)
					}
				}

				body := key + " ::: one"
				if how == "msgpack" {
					body = ""
				}
				if string(m.Data) != body {
					t.Errorf("%s: body %q, want %q", how, m.Data, body)
				}
			}

			if got := linearizably(t, nc, key); got != "two" {
				t.Errorf("a repeated set took effect again: %q", got)
			}
			checkConflicts(t, nc, c, key, id)
		})
	}
}

// checkConflicts: the id with anything else is refused and has no effect.
func checkConflicts(t *testing.T, nc *nats.Conn, c model.Consistency, key, id string) {
	t.Helper()
	other := model.All[int(c)%4]
	for _, body := range []string{
		fmt.Sprintf("%s, set, %s ::: three", c.Word(), key),
		fmt.Sprintf("%s, set, %s ::: ", c.Word(), key),
		fmt.Sprintf("%s, set, other-%s ::: one", c.Word(), key),
		fmt.Sprintf("%s, set, %s ::: one", other.Word(), key),
		packedSet(t, c, key, "one "),
		fmt.Sprintf("%s, get, %s", c.Word(), key),
	} {
		if m := ask(t, nc, body, bus.HeaderMsgID, id); code(m) != "409" {
			t.Errorf("%q with the id of another request: %q %s", body, code(m), m.Data)
		}
	}

	if got := linearizably(t, nc, key); got != "two" {
		t.Errorf("a refused set took effect: %q", got)
	}
	if m := ask(t, nc, "1, 2, other-"+key); code(m) != "404" {
		t.Errorf("a refused set took effect: %q %s", code(m), m.Data)
	}
	// A refused sending leaves the id as it was.
	mustOK(t, nc, fmt.Sprintf("%s, set, %s ::: one", c.Word(), key), bus.HeaderMsgID, id)
}

// The same id sixteen times at once, over all replicas and in both encodings.
func TestDuplicatesAtOnce(t *testing.T) {
	t.Parallel()
	nc := connect(t, start(t).url)
	for _, c := range model.All {
		for round := range 10 {
			key := fmt.Sprintf("once-%s-%d", c.Word(), round)
			got := make([]*nats.Msg, 16)

			var wg sync.WaitGroup
			for i := range got {
				body := fmt.Sprintf("%s, set, %s ::: value", c.Word(), key)
				if i%2 == 1 {
					body = packedSet(t, c, key, "value")
				}
				wg.Go(func() {
					var err error
					got[i], err = request(nc, body, bus.HeaderMsgID, key, bus.HeaderReplica, fmt.Sprintf("r%d", i%3+1))
					if err != nil {
						t.Errorf("%s: %v", key, err)
					}
				})
			}
			wg.Wait()

			if t.Failed() {
				return
			}
			for i, m := range got {
				if code(m) != "" || rid(t, m) != rid(t, got[0]) ||
					m.Header.Get(bus.HeaderTimestamp) != got[0].Header.Get(bus.HeaderTimestamp) ||
					m.Header.Get(bus.HeaderPosition) != got[0].Header.Get(bus.HeaderPosition) {
					t.Errorf("%s, sending %d: %q %s\n%v\nthe first: %v", key, i, code(m), m.Data, m.Header, got[0].Header)
				}
			}
		}

		// One effect: ten causal sets have ten numbers.
		if s := atRest(t, nc); c == model.Causal && s.Master.Last != 10 {
			t.Errorf("ten causal sets, each sent sixteen times, took %d numbers", s.Master.Last)
		}
	}
}
