package layers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
	"quartet/replica/durable"
	"quartet/replica/layers"
	"quartet/replica/store"
)

func fresh() *layers.Layers {
	return layers.New(layers.Config{Store: store.NewMemory(0), Forms: codec.Forms{}, Limits: dedup.Limits{Window: 4, KeepTicks: 100}})
}

// at is a version, greater with a greater time.
func at(time uint64) lamport.Version {
	return lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: time, Node: 1}}
}

// set is a set of key to its rID, with a version.
func set(rid uint64, key string, version uint64) *message.Request {
	return &message.Request{RID: rid, Request: model.NewSet(model.Eventual, key, fmt.Append(nil, rid)), Version: at(version)}
}

// committed and newest say what models 1 and 2, and what models 3 and 4, read at a key.
func committed(l *layers.Layers, key string) string {
	rec, _ := l.Committed(key)
	return string(rec.Value)
}

func newest(l *layers.Layers, key string) string {
	rec, _ := l.Newest(key)
	return string(rec.Value)
}

// A weak write is seen by models 3 and 4 when it is received, and by all when it is delivered.
func TestWeakWriteMovesFromTheTentativeLayerToTheCommittedOne(t *testing.T) {
	l := fresh()
	w := set(1, "a", 5)

	l.Hold(w, 0)
	if committed(l, "a") != "" || newest(l, "a") != "1" {
		t.Errorf("received: committed %q, newest %q", committed(l, "a"), newest(l, "a"))
	}
	if first, ok := l.Received(w); !ok || first.RID != 1 {
		t.Errorf("received, and found as %+v, %v", first, ok)
	}

	l.CommitWeak(w, 0, 1)
	if all, _ := l.Tentative(); all != 0 || committed(l, "a") != "1" || newest(l, "a") != "1" {
		t.Errorf("delivered: %d tentative, committed %q, newest %q", all, committed(l, "a"), newest(l, "a"))
	}
	if l.Hold(w, 0); newest(l, "a") != "1" {
		t.Error("a late copy counts")
	} else if all, _ := l.Tentative(); all != 0 {
		t.Error("a late copy is tentative again")
	}
}

// A weak write never takes the place of a greater version, and is remembered all the same.
func TestWeakWriteStandsBehindAGreaterVersion(t *testing.T) {
	l := fresh()
	l.Count(1)
	l.CommitStrong(set(1, "a", 0), at(9), 1)
	late := set(2, "a", 5)
	l.CommitWeak(late, 7, 1)
	if committed(l, "a") != "1" {
		t.Errorf("committed is %q", committed(l, "a"))
	}
	if first, ok := l.Executed(late); !ok || first.Timestamp != 7 {
		t.Errorf("the late write ended as %+v, %v", first, ok)
	}
	if first, ok := l.Executed(set(1, "a", 0)); !ok || first.Position != 1 {
		t.Errorf("the strong set ended as %+v, %v", first, ok)
	}
}

// A retry that a restarted master stamped anew is a second version of one identity: the one
// that is delivered first counts, and both leave the tentative layer (rule S5).
func TestS5OfTwoVersionsTheFirstDeliveredCounts(t *testing.T) {
	l := fresh()
	older, younger := set(1, "a", 5), set(1, "a", 6)
	younger.Value = []byte("younger")
	l.Hold(older, 0)
	l.Hold(younger, 0)
	if newest(l, "a") != "younger" {
		t.Errorf("newest is %q", newest(l, "a"))
	}

	l.CommitWeak(older, 0, 1)
	l.CommitWeak(younger, 0, 2)
	if all, _ := l.Tentative(); all != 0 || committed(l, "a") != "1" || newest(l, "a") != "1" {
		t.Errorf("%d tentative, committed %q, newest %q", all, committed(l, "a"), newest(l, "a"))
	}
}

// What is delivered decides alone: two replicas that received the weak writes in other orders,
// or not at all before their delivery, hold the same.
func TestLayersDependOnDeliveredOperationsAlone(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		ops := operations(r, 60)

		a, b := fresh(), fresh()
		for _, i := range r.Perm(len(ops)) {
			if w := ops[i]; !w.strong && r.IntN(3) > 0 {
				a.Hold(w.request, w.number)
			}
		}
		for i := range ops {
			ops[i].deliver(a)
			ops[i].deliver(b)
		}

		if x, y := state(a), state(b); !slices.Equal(x, y) {
			t.Fatalf("seed %d:\n%v\n%v", seed, x, y)
		}
		if all, _ := a.Tentative(); all != 0 {
			t.Fatalf("seed %d: all is delivered, and %d are tentative", seed, all)
		}
	}
}

// A learner that takes the table and the keys of a member holds what that one holds (F6).
func TestF6LearnerHoldsWhatItsDonorHolds(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		donor, learner := fresh(), fresh()
		for _, op := range operations(r, 40) {
			op.deliver(donor)
		}

		var entries []message.Executed
		donor.EachEntry(donor.FirstEntry(), func(x message.Executed) bool {
			entries = append(entries, x)
			return true
		})
		half := len(entries) / 2
		first := donor.FirstEntry()
		if !learner.Load(first, entries[:half]) || learner.Load(first+uint64(half)+1, entries[half:]) ||
			!learner.Load(first+uint64(half), entries[half:]) {
			t.Fatalf("seed %d: entries are taken with a gap, or are not taken without one", seed)
		}
		donor.EachKey("", func(key string, rec store.Record) bool {
			learner.LoadKey(&message.KeyRecord{
				Key: key, Kind: uint8(rec.Kind), Value: rec.Value, Version: rec.Version, Number: rec.Number, RID: rec.RID,
				Revision: rec.Revision, Expires: rec.Expires,
			})
			return true
		})
		learner.Reached(donor.Position(), donor.Order(), &message.Collection{})

		if x, y := state(donor), state(learner); !slices.Equal(x, y) {
			t.Fatalf("seed %d:\n%v\n%v", seed, x, y)
		}
	}
}

// What the journal tells the disk is what a restarted replica needs of the tentative layer:
// writes that were accepted and not delivered, each once.
func TestJournalKeepsWhatWasAcceptedAndNotDelivered(t *testing.T) {
	var disk durable.Turn
	cfg := layers.Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 4}, Journal: &disk}
	l := layers.New(cfg)
	for rid := range uint64(4) {
		l.Accept(set(rid+1, "a", rid+1))
	}
	l.KeepEventual() // all are on the disk already
	l.CommitWeak(set(2, "a", 2), 0, 1)
	if len(disk.Weak) != 4 || len(disk.WeakGone) != 1 || disk.WeakGone[0].RID != 2 || len(disk.Executed) != 1 {
		t.Fatalf("%d weak writes, gone %v, executed %v", len(disk.Weak), disk.WeakGone, disk.Executed)
	}

	saved := &durable.Saved{Executed: disk.Executed, State: durable.State{Entries: 1, Position: l.Position(), Order: l.Order()}}
	for _, w := range disk.Weak {
		saved.Weak = append(saved.Weak, *w)
	}
	back := layers.New(cfg)
	back.Restore(saved)
	if all, own := back.Tentative(); all != 3 || own != 3 || newest(back, "a") != "4" {
		t.Errorf("%d tentative, %d of them its own, newest %q", all, own, newest(back, "a"))
	}
	if x, y := state(l), state(back); !slices.Equal(x, y) {
		t.Errorf("\n%v\n%v", x, y)
	}
}

// Eventual writes are handed out in the order of their versions; one that was executed
// meanwhile leaves instead (rule F5: whoever holds one submits it again).
func TestF5EventualWritesAreHandedOutAgain(t *testing.T) {
	l := fresh()
	for _, version := range []uint64{3, 1, 2} {
		l.Hold(set(version, "a", version), 0)
	}
	l.Hold(set(9, "b", 9), 4) // causal
	l.Accept(set(5, "c", 5))

	var again []uint64
	l.EachEventual(func(r *message.Request) { again = append(again, r.RID) })
	if !slices.Equal(again, []uint64{1, 2, 3, 5}) {
		t.Errorf("handed out are %v", again)
	}

	l.ForgetCausal()
	if all, own := l.Tentative(); all != 4 || own != 1 || newest(l, "b") != "" {
		t.Errorf("%d tentative, %d of them its own, b is %q", all, own, newest(l, "b"))
	}
}

// operation is one of the order.
type operation struct {
	request *message.Request
	strong  bool
	place   uint64
	number  uint64 // causal
}

// operations are some of few keys, whose weak ones come again now and then.
func operations(r *rand.Rand, n int) []operation {
	var ops []operation
	number := uint64(0)
	for i := range uint64(n) {
		key := string(rune('a' + r.IntN(4)))
		op := operation{place: 10 * (i + 1), strong: r.IntN(3) == 0}
		op.request = set(i+1, key, op.place-r.Uint64N(60)%op.place)
		switch {
		case op.strong:
		case r.IntN(3) == 0 && len(ops) > 0 && !ops[len(ops)-1].strong && ops[len(ops)-1].number == 0:
			again := *ops[len(ops)-1].request
			again.Version = op.request.Version
			op.request = &again
		case r.IntN(2) == 0:
			number++
			op.number = number
		}
		ops = append(ops, op)
	}
	return ops
}

func (op *operation) deliver(l *layers.Layers) {
	l.Count(1)
	l.Advance(op.place)
	if !op.strong {
		l.CommitWeak(op.request, op.number, l.Position())
		return
	}
	if _, again := l.Executed(op.request); !again {
		l.CommitStrong(op.request, at(op.place), l.Position())
	}
}

// state is all that replicas at one position must agree on.
func state(l *layers.Layers) []string {
	all := []string{fmt.Sprint(l.Position(), l.Entries(), l.FirstEntry(), l.Order())}
	l.EachEntry(l.FirstEntry(), func(x message.Executed) bool {
		x.Key = "" // known of the last entries only
		all = append(all, fmt.Sprintf("%+v", x))
		return true
	})
	l.EachKey("", func(key string, rec store.Record) bool {
		all = append(all, fmt.Sprintf("%s: %+v", key, rec))
		return true
	})
	return all
}
