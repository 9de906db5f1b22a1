package kv

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
	"quartet/master"
)

// A session that was forgotten for newer ones reads as one that is new: nothing that it may have
// seen is taken from it.
func TestAForgottenSessionGoesBackBehindNothing(t *testing.T) {
	f, h, b := opened(t)
	told(b, model.EventSet, "k", "v", 17)
	h.reply = func(*model.Request) *master.Reply {
		return &master.Reply{Answer: model.Answer{Code: model.NotFound, HasPosition: true, Position: 17, Timestamp: 5}}
	}
	get := func(m, inbox string) (model.Consistency, uint64, uint64) {
		h.asked, h.how = nil, nil
		f.Request(&nats.Msg{Subject: "quartet.kv." + m + ".DIRECT.GET.KV_b.$KV.b.k", Reply: "_INBOX." + inbox + ".1"})
		if len(h.asked) != 1 {
			t.Fatalf("%d requests", len(h.asked))
		}
		return h.asked[0].Model, h.how[0].MinPosition, h.how[0].MinTimestamp
	}

	if m, _, _ := get("sequential", "first"); m != model.Linearizable {
		t.Errorf("the first get of a session has model %s", m.Word())
	}
	if m, position, _ := get("sequential", "first"); m != model.Sequential || position != 17 {
		t.Errorf("the second get has model %s and position %d", m.Word(), position)
	}
	if _, _, timestamp := get("causal", "other"); timestamp != 99 {
		t.Errorf("the first causal get asks for timestamp %d", timestamp)
	}
	if _, _, timestamp := get("causal", "other"); timestamp == 0 {
		t.Error("the second causal get asks for nothing")
	}

	for i := range maxSessions {
		get("sequential", fmt.Sprint("n", i))
	}
	if m, _, _ := get("sequential", "first"); m != model.Linearizable {
		t.Errorf("the first get of a forgotten session has model %s", m.Word())
	}
	if _, _, timestamp := get("causal", "other"); timestamp != 99 {
		t.Errorf("the first causal get of a forgotten session asks for timestamp %d", timestamp)
	}
	if c := f.Counts(); c.Sessions != maxSessions || c.Evicted != 4 {
		t.Errorf("%d sessions, %d forgotten", c.Sessions, c.Evicted)
	}
}
