package acceptor

import (
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
)

// self is r1 in some incarnation.
type self uint64

func (s self) Named(r *message.Record) bool { return r.Index(1) >= 0 }

func (s self) Speaks(r *message.Record) bool {
	i := r.Index(1)
	return i >= 0 && r.Members[i].Incarnation == uint64(s)
}

// record is one of an epoch, with r1 to r3 in these incarnations; 0: it is no member.
func record(epoch uint64, incarnations ...uint64) *message.Record {
	r := &message.Record{
		View: message.View{Epoch: epoch}, Configured: []lamport.Node{1, 2, 3}, Missing: 1, Master: 1, Nonce: 100 + epoch, Cluster: 7,
	}
	for i, n := range incarnations {
		if n > 0 {
			r.Members = append(r.Members, message.Member{Node: lamport.Replica(i + 1), Incarnation: n})
		}
	}
	for e := uint64(1); e < epoch; e++ {
		r.Lineage = append(r.Lineage, message.Ancestor{Epoch: e, Nonce: 100 + e})
	}
	return r
}

func ballot(round uint64) message.Ballot { return message.Ballot{Round: round, Master: 9} }

// polled is the VOTE on a POLL, and whether anything is to be written to the disk before.
func polled(a *Acceptor, who self, base, value *message.Record, round uint64) (*message.Vote, bool) {
	return a.Poll(&message.Poll{Attempt: 5, Ballot: ballot(round), Base: base, Value: value}, who, true)
}

// Who has a vote on what follows the newest record.
func TestD1WhoVotes(t *testing.T) {
	for _, test := range []struct {
		name    string
		records []*message.Record // that it learns, one after the other
		who     self
		want    bool
	}{
		{"it knows of no record", nil, 1, true},
		{"it is a member", []*message.Record{record(1, 1, 1, 1)}, 1, true},
		{"another process is", []*message.Record{record(1, 2, 1, 1)}, 1, false},
		{"it was left out", []*message.Record{record(1, 1, 1, 1), record(2, 0, 1, 1)}, 1, true},
		{"twice", []*message.Record{record(1, 1, 1, 1), record(2, 0, 1, 1), record(3, 0, 1, 1)}, 1, true},
		{"it has missed a record", []*message.Record{record(1, 1, 1, 1), record(3, 0, 1, 1)}, 1, false},
		{"it was left out, and another process let in", []*message.Record{record(1, 1, 1, 1), record(2, 0, 1, 1), record(3, 2, 1, 1)}, 1, false},
		{"it is let in again", []*message.Record{record(1, 1, 1, 1), record(3, 0, 1, 1), record(4, 1, 1, 1)}, 1, true},
		{"it has no memory", []*message.Record{record(2, 0, 1, 1)}, 1, false},
	} {
		var a Acceptor
		for _, r := range test.records {
			if !a.Learn(r, test.who) {
				t.Errorf("%s: epoch %d is no news", test.name, r.Epoch)
			}
		}
		if v, _ := polled(&a, test.who, nil, nil, 1); v.Counts != test.want {
			t.Errorf("%s: it has a vote: %t", test.name, v.Counts)
		}
	}
}

// Who is kept from voting by something else, as where it is set aside, promises and accepts
// nothing.
func TestD1WhoIsKeptFromVoting(t *testing.T) {
	base := record(1, 1, 1, 1)
	var a Acceptor
	a.Learn(base, self(1))
	for _, value := range []*message.Record{nil, record(2, 1, 1, 1)} {
		v, changed := a.Poll(&message.Poll{Ballot: ballot(1), Base: base, Value: value}, self(1), false)
		if v.Counts || changed || v.Promised.Round > 0 || v.Value != nil {
			t.Errorf("a value %t: %+v, changed %t", value != nil, v, changed)
		}
	}
}

// Who may have lost some of what it has promised has no vote, until a record names it.
func TestD1WhoForgets(t *testing.T) {
	var a Acceptor
	a.Learn(record(1, 1, 1, 1), self(1))
	if !a.Forget() || a.Forget() {
		t.Error("a vote is lost once")
	}
	if v, _ := polled(&a, 1, nil, nil, 1); v.Counts {
		t.Error("it has a vote")
	}
	a.Learn(record(2, 3, 1, 1), self(3))
	if v, _ := polled(&a, 3, nil, nil, 1); !v.Counts {
		t.Error("a record has named it, and it has no vote")
	}
}

// A promise is kept, also by the process that comes after with the disk.
func TestD3Promises(t *testing.T) {
	base, first, second := record(1, 1, 1, 1), record(2, 1, 1, 1), record(2, 1, 0, 1)
	second.Nonce++
	var a Acceptor
	a.Learn(base, self(1))

	restart := func() {
		kept := a.Votes()
		a = Acceptor{}
		a.Restore(kept, base, self(1))
	}
	steps := []struct {
		round    uint64
		value    *message.Record
		promised uint64
		accepted uint64
		changed  bool
	}{
		{5, nil, 5, 0, true},
		{5, nil, 5, 0, false},    // as before
		{4, nil, 5, 0, false},    // below
		{4, first, 5, 0, false},  // below
		{5, first, 5, 5, true},   // accepted
		{7, nil, 7, 5, true},     // and told to whoever goes above
		{6, second, 7, 5, false}, // below
		{8, second, 8, 8, true},  // not below
		{8, nil, 8, 8, false},
	}
	for i, s := range steps {
		v, changed := polled(&a, 1, base, s.value, s.round)
		isAsWanted := v.Promised.Round == s.promised && v.Accepted.Round == s.accepted && changed == s.changed
		if !isAsWanted || !v.Counts || v.Attempt != 5 {
			t.Errorf("step %d: %+v, changed %t", i+1, v, changed)
		}
		if hasValue := v.Value != nil; hasValue != (s.accepted > 0) {
			t.Errorf("step %d: %+v", i+1, v.Value)
		}
		restart()
	}

	if !a.Learn(second, self(1)) || a.Votes().Accepted.Round+a.Votes().Promised.Round > 0 {
		t.Errorf("what was accepted is decided, and not settled: %+v", a.Votes())
	}
}

// Asked about an earlier record, a replica answers with the newest; told a newer one, it knows it.
func TestD7WhatIsKnown(t *testing.T) {
	var a Acceptor
	old, base := record(1, 1, 1, 1), record(2, 1, 1, 1)
	a.Learn(base, self(1))
	if v, _ := polled(&a, 1, old, base, 3); v.Base.Epoch != 2 || v.Value != nil {
		t.Errorf("asked about epoch 1: %+v", v)
	}
	if v, changed := polled(&a, 1, record(3, 1, 1, 1), nil, 3); v.Base.Epoch != 3 || !changed || !v.Counts {
		t.Errorf("told epoch 3: %+v", v)
	}

	other := record(9, 1, 1, 1)
	other.Cluster = 8
	if v, changed := polled(&a, 1, other, nil, 4); v.Base.Epoch != 3 || changed || v.Counts {
		t.Errorf("asked by the master of another cluster: %+v", v)
	}
	if a.Learn(other, self(1)) {
		t.Error("a record of another cluster is news")
	}
}

// Where an operator has decided so, whoever a record names accepts it, with a vote or without one.
func TestD8WhoIsNamedAccepts(t *testing.T) {
	base := record(1, 9, 1, 1) // r1 is another process by now
	for _, forced := range []bool{false, true} {
		var a Acceptor
		a.Learn(base, self(1))
		v, _ := a.Poll(&message.Poll{Ballot: ballot(1), Base: base, Value: record(2, 1), Forced: forced}, self(1), true)
		if v.Counts || (v.Value != nil) != forced {
			t.Errorf("forced %t: %+v", forced, v)
		}
	}

	var other Acceptor
	other.Learn(base, self(1))
	named := record(2, 8) // another process of r1
	if v, _ := other.Poll(&message.Poll{Ballot: ballot(1), Base: base, Value: named, Forced: true}, self(1), true); v.Value != nil {
		t.Errorf("who is not named, and has no vote, accepts: %+v", v)
	}

	var a Acceptor
	a.Learn(record(5, 1, 1, 1), self(1))
	elsewhere := record(5, 1)
	elsewhere.Nonce = 1
	if !a.Follow(elsewhere, self(1)) || a.Base().Nonce != 1 || !a.Votes().Whole {
		t.Errorf("what was installed in place of what was known: %+v", a.Votes())
	}
	if a.Follow(elsewhere, self(1)) {
		t.Error("it is no news twice")
	}
}

// A disk of a build that had no votes: its replica votes by the record that it has installed.
func TestADiskWithoutVotes(t *testing.T) {
	var a Acceptor
	a.Restore(durable.Votes{}, record(4, 1, 1, 1), self(1))
	if v, _ := polled(&a, 1, nil, nil, 1); !v.Counts || v.Base.Epoch != 4 {
		t.Errorf("%+v", v)
	}
}
