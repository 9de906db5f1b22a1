package client_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

// step is one request of a session, the scripted reply, and what the request must ask for.
type step struct {
	kind          string // "set k" or "get k"
	consistency   model.Consistency
	reply         bus.Reply // its code 0: OK
	minTimestamp  uint64
	minPosition   uint64
	wantPositions uint64 // of the session afterwards
}

func TestSessionTokens(t *testing.T) {
	at := func(position uint64) bus.Reply {
		return bus.Reply{Answer: model.Answer{Position: position, HasPosition: true}}
	}
	ts := func(timestamp uint64) bus.Reply { return bus.Reply{Answer: model.Answer{Timestamp: timestamp}} }
	fail := func(code model.Code, r bus.Reply) bus.Reply {
		r.Code, r.Reason = code, "scripted"
		return r
	}
	steps := []step{
		{"get a", 2, at(5), 0, 0, 5},               // a session begins with nothing
		{"get a", 2, at(3), 0, 5, 5},               // positions never fall
		{"set a", 1, at(9), 0, 0, 9},               // linearizable replies count, their requests need no minimum
		{"set a", 2, at(10), 0, 9, 10},             // a sequential set has a minimum too
		{"get b", 2, fail(404, at(12)), 0, 10, 12}, // a missing key is seen at a position
		{"get b", 2, fail(409, at(14)), 0, 12, 14}, // errors advance what they carry
		{"get a", 4, bus.Reply{}, 0, 0, 14},        // eventual: neither sends nor learns
		{"set a", 3, ts(20), 0, 0, 14},             // a causal set needs no minimum
		{"get b", 3, ts(4), 0, 0, 14},              // another key is not bound by the write of a
		{"get a", 3, ts(21), 20, 0, 14},            // the session's own write
		{"get b", 3, ts(0), 21, 0, 14},             // a read binds every key
		{"set b", 3, ts(30), 0, 0, 14},             //
		{"get a", 3, ts(7), 21, 0, 14},             // older reads do not lower it
		{"get b", 3, fail(404, ts(0)), 30, 0, 14},  //
		{"set c", 3, fail(504, ts(40)), 0, 0, 14},  // an unknown outcome with a timestamp may be seen
		{"get c", 3, ts(0), 40, 0, 14},             //
	}

	var now atomic.Int64
	r := responder.Start(t, func(call responder.Call) responder.Action {
		s := steps[now.Load()]
		reply := s.reply
		m := reply.Code
		if m == 0 {
			reply.Code = 200
			reply.RID, reply.Clock.Time, reply.Clock.Node = uint64(call.N), uint64(call.N), 1
			reply.Model, reply.Type = call.Request.Model, call.Request.Type
			return responder.Action{Raw: reply.Msg("")}
		}
		return responder.Action{Code: m, Reply: reply}
	})

	c := dial(t, r.URL, client.WithRetries(0))
	session := c.Session()
	for i, s := range steps {
		now.Store(int64(i))
		var kind, key string
		if _, err := fmt.Sscan(s.kind, &kind, &key); err != nil {
			t.Fatal(err)
		}

		with := client.With(s.consistency)
		var err error
		if kind == "set" {
			_, err = session.Set(t.Context(), key, []byte("v"), with)
		} else {
			_, err = session.Get(t.Context(), key, with)
		}

		if (err != nil) != (s.reply.Code != 0) {
			t.Fatalf("step %d: %v", i, err)
		}

		calls := r.Calls()
		got := calls[len(calls)-1].Options
		if got.MinTimestamp != s.minTimestamp || got.MinPosition != s.minPosition {
			t.Errorf("step %d, %s: asked for timestamp %d and position %d, want %d and %d", i, s.kind, got.MinTimestamp,
				got.MinPosition, s.minTimestamp, s.minPosition)
		}
		if session.Position() != s.wantPositions {
			t.Errorf("step %d, %s: position %d, want %d", i, s.kind, session.Position(), s.wantPositions)
		}
	}
}

// However many keys a session writes: the minimum of each is never below its write, and
// what is kept is bounded.
func TestSessionIsBounded(t *testing.T) {
	r := responder.Start(t, nil)
	session := dial(t, r.URL).Session()
	const keys = 3 * 4096

	newest := map[string]uint64{}
	for i := range keys {
		key := fmt.Sprint("k", i)
		result, err := session.Set(t.Context(), key, nil, client.With(client.Causal))
		if err != nil {
			t.Fatal(err)
		}
		newest[key] = result.Timestamp
	}

	for key, timestamp := range newest {
		if session.Minimum(key) < timestamp {
			t.Fatalf("minimum of %s is %d, below its write %d", key, session.Minimum(key), timestamp)
		}
	}
	if n := client.Written(session); n > 4096 {
		t.Errorf("%d keys kept", n)
	}

	last := fmt.Sprint("k", keys-1)
	if session.Minimum("never written") >= newest[last] {
		t.Error("the floor is as high as the newest write: a key never written waits for more than it must")
	}
	if _, err := session.Get(t.Context(), last, client.With(client.Causal)); err != nil {
		t.Fatal(err)
	}
	if session.Minimum("never written") != newest[last] {
		t.Error("a read does not bind every key")
	}
	if _, err := session.Get(t.Context(), "missing", client.With(client.Causal)); !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
}
