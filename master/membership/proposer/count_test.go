package proposer

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/membership"
)

// hand is a proposer whose votes a test gives by hand, and what came of the last turn.
type hand struct {
	*Proposer
	t   *testing.T
	out Output
}

// handed is one in a cluster that began with r1 to r3, and that knows r4, too.
func handed(t *testing.T) *hand {
	t.Helper()
	h := &hand{Proposer: New(Config{Number: 1, Replicas: []lamport.Node{1, 2, 3}, AgainTicks: 3, PatienceTicks: 5}), t: t}
	h.Known([]lamport.Node{1, 2, 3, 4})
	return h
}

func (h *hand) commands(c membership.Command) {
	h.out = Output{}
	h.Command(&c, &h.out)
}

// promises has a replica promise the ballot of now, and say which record it knows.
func (h *hand) promises(n lamport.Node, base *message.Record, counts bool) {
	h.out = Output{}
	v := &message.Vote{Attempt: h.attempt, Base: base, Promised: h.ballot, Counts: counts}
	v.From = n
	h.Vote(v, &h.out)
}

// accepts has a replica accept what is proposed.
func (h *hand) accepts(n lamport.Node) {
	h.out = Output{}
	v := &message.Vote{Attempt: h.attempt, Base: h.base, Promised: h.ballot, Accepted: h.ballot, Value: h.value}
	v.From = n
	h.Vote(v, &h.out)
}

// reads has it read a record that r1 and r2 know.
func (h *hand) reads(base *message.Record) {
	h.t.Helper()
	h.commands(membership.Command{Number: 1})
	h.promises(1, base, true)
	h.promises(2, base, true)
	if r := h.out.Result; r == nil || !same(r.Record, base) {
		h.t.Fatalf("read: %+v", r)
	}
}

// first is a record with which the cluster began.
func first(nonce uint64) *message.Record {
	r := &message.Record{View: message.View{Epoch: 1}, Configured: []lamport.Node{1, 2, 3}, Master: 1, Nonce: nonce, Cluster: 7}
	for n := range lamport.Node(3) {
		r.Members = append(r.Members, message.Member{Node: n + 1, Incarnation: 1, Life: 1})
	}
	return r
}

// A read is answered by the promises of those alone that vote on what follows the record: all who
// are known are asked, since any may know a newer record, and neither who has no vote counts nor
// who is none of the cluster.
func TestD1WhosePromisesCount(t *testing.T) {
	h, base := handed(t), first(10)
	h.commands(membership.Command{Number: 1})
	if asked := h.out.Sends[0].To; !slices.Equal(asked, []lamport.Node{1, 2, 3, 4}) {
		t.Errorf("%v are asked, and r1 to r4 are known", asked)
	}
	h.promises(1, base, true)
	for what, says := range map[string]func(){
		"r1 and r4, which is not configured": func() { h.promises(4, base, true) },
		"r1 and r2, which has no vote":       func() { h.promises(2, base, false) },
	} {
		if says(); h.out.Result != nil {
			t.Fatalf("%s: %+v", what, h.out.Result)
		}
	}
	h.promises(3, base, true)
	if r := h.out.Result; r == nil || r.Fate != membership.Read || !same(r.Record, base) {
		t.Errorf("two of three have promised: %+v", r)
	}
}

// Who has found more than half of the votes for its record follows none of another history, however
// new.
func TestD7RecordsOfAnotherHistory(t *testing.T) {
	h, base := handed(t), first(10)
	h.reads(base)
	other := first(99)
	other.Epoch, other.Lineage = 5, []message.Ancestor{{Epoch: 1, Nonce: 20}}
	h.commands(membership.Command{Number: 2})
	h.promises(3, other, true)
	h.promises(1, base, true)
	h.promises(2, base, true)
	if r := h.out.Result; r == nil || !same(r.Record, base) {
		t.Errorf("read: %+v, base %+v", r, h.base)
	}
}

// What an operator has decided to go on with is decided once all whom it names have accepted it.
func TestD8AllWhomItNamesAccept(t *testing.T) {
	h, base := handed(t), first(10)
	h.reads(base)
	next := first(11)
	next.Epoch, next.Lineage = 2, []message.Ancestor{{Epoch: 1, Nonce: 10}}
	next.Members = next.Members[:2]
	h.commands(membership.Command{Number: 2, Propose: next, Revision: 1, Force: true})
	for range h.cfg.PatienceTicks {
		h.out = Output{}
		h.Tick(&h.out)
	}
	if !h.isForced {
		t.Fatal("nobody has answered, and it is not forced")
	}
	if h.accepts(1); h.out.Result != nil {
		t.Fatalf("one of two has accepted: %+v", h.out.Result)
	}
	if h.accepts(2); h.out.Result == nil || h.out.Result.Fate != membership.Won {
		t.Errorf("both have accepted: %+v", h.out.Result)
	}
}
