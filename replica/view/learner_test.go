package view_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/abcast"
	"quartet/replica/dedup"
	"quartet/replica/layers"
	"quartet/replica/store"
	"quartet/replica/view"
)

func fresh() *layers.Layers {
	return layers.New(layers.Config{Store: store.NewMemory(0), Limits: dedup.Limits{Window: 20, KeepTicks: 1000}})
}

// deliver delivers one set of the order, the same to all.
func deliver(to []*layers.Layers, place uint64) {
	for _, l := range to {
		r := &message.Request{RID: place, Request: model.NewSet(model.Linearizable, fmt.Sprint("key", place*7%31), fmt.Append(nil, place))}
		l.Count(1)
		l.Advance(place)
		l.CommitStrong(r, lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: place, Node: 2}}, place)
	}
}

// contents are what replicas at one position agree on.
func contents(l *layers.Layers) []string {
	all := []string{fmt.Sprint(l.Position(), l.Entries(), l.Order())}
	l.EachEntry(l.FirstEntry(), func(x message.Executed) bool {
		all = append(all, fmt.Sprintf("%s %d %d", x.Identity, x.RID, x.Position))
		return true
	})
	l.EachKey("", func(key string, rec store.Record) bool {
		all = append(all, fmt.Sprintf("%s: %s %v", key, rec.Value, rec.Version))
		return true
	})
	return all
}

// A learner is loaded in small pieces while the members go on, from one member and then from
// the other: pieces are lost, donors are silent, and what it has in the end is what they have
// (rule F6).
func TestF6LearnerHoldsWhatMembersHold(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		members := []*layers.Layers{fresh(), fresh()} // r2 and r3
		place := uint64(0)
		for range r.IntN(60) {
			place++
			deliver(members, place)
		}

		mine := fresh()
		l := view.NewLearner(lamport.Replica(1), mine, 7)
		l.Begin(record(1).View, 0)
		now := uint64(0)
		for ; !l.Caught() || mine.Entries() < place; now++ {
			if now > 20_000 {
				t.Fatalf("seed %d: it has come to entry %d of %d", seed, mine.Entries(), place)
			}
			if place < 100 && r.IntN(4) == 0 {
				place++
				deliver(members, place)
			}
			p, to := l.Pull(now)
			if p == nil || r.IntN(5) == 0 {
				continue // lost, or its answer
			}
			donor := view.Donor{Layers: members[int(to)-2], View: &record(1).View, Bytes: 200 + r.IntN(500)}
			if piece := donor.Chunk(p); piece != nil {
				if taken, copied := l.Take(piece); taken == view.Gap || copied != nil {
					t.Fatalf("seed %d: %d, a copy: %v", seed, taken, copied != nil)
				}
				if taken, _ := l.Take(piece); taken != view.Late {
					t.Fatalf("seed %d: a piece that comes twice is taken twice", seed)
				}
			}
		}

		if !l.Whole() {
			t.Errorf("seed %d: it has caught up, and its layer is no prefix of the order", seed)
		}
		if got, want := contents(mine), contents(members[0]); !slices.Equal(got, want) {
			t.Fatalf("seed %d:\n%v\n%v", seed, got, want)
		}
	}
}

// The copy of a wedged member is that member's, down to what it has not delivered, and it is
// none before the last piece (rule F6).
func TestF6CopyOfAWedgedMember(t *testing.T) {
	member := fresh()
	deliver([]*layers.Layers{member}, 1)
	at := lamport.Timestamp{Time: 1, Node: lamport.Replica(2)}
	rest := &abcast.Remains{View: record(1).View, Contiguous: []uint64{0, 1, 3}, Place: at}
	for seq := uint64(1); seq <= 3; seq++ {
		d := &message.Data{Header: message.Header{From: lamport.Replica(3), Clock: 10 + seq}, Seq: seq}
		d.Ops = []message.Operation{
			{
				Op:      message.OpStrong,
				Request: message.Request{RID: 50 + seq, Request: model.Request{Key: "k", Value: make([]byte, 200)}},
			},
		}
		rest.Queue = append(rest.Queue, d)
	}
	write := &message.CausalWrite{Number: 1, Request: message.Request{RID: 60, Request: model.Request{Key: "c"}}}
	donor := view.Donor{
		Layers: member, View: &rest.View, Rest: rest, Place: rest.Place, Bytes: 300, Safe: 1, Watermark: 1,
		Write: func(uint64) *message.CausalWrite { return write },
	}

	l := view.NewLearner(lamport.Replica(1), fresh(), 7)
	l.Begin(record(1).View, 0)
	l.Prepare()
	var copied *view.Copy
	pieces := 0
	for now := uint64(0); copied == nil; now++ {
		if l.Copied() || now > 1000 {
			t.Fatalf("at %d it says that it is a copy: %v", now, l.Copied())
		}
		if p, _ := l.Pull(now); p != nil {
			pieces++
			_, copied = l.Take(donor.Chunk(p))
		}
	}

	if pieces < 3 || !l.Copied() || len(copied.Rest.Queue) != 3 || copied.Rest.Place != at ||
		!slices.Equal(copied.Rest.Contiguous, rest.Contiguous) {
		t.Errorf("after %d pieces: %+v", pieces, copied.Rest)
	}
	if len(copied.Writes) != 1 || copied.Watermark != 1 || copied.Safe != 1 {
		t.Errorf("causal writes %v, held up to %d, safe up to %d", copied.Writes, copied.Watermark, copied.Safe)
	}
	if p, _ := l.Pull(5000); p != nil {
		t.Error("it has all, and asks for more")
	}
}

// One that is not wedged gives nothing of what it has not delivered, and one that is behind
// what the learner has gives nothing at all.
func TestF6DonorsThatHaveNothingToGive(t *testing.T) {
	member := fresh()
	deliver([]*layers.Layers{member}, 1)
	donor := view.Donor{Layers: member, View: &record(1).View}
	if c := donor.Chunk(&message.Pull{Wedged: true}); c != nil {
		t.Errorf("it is not wedged, and gives %+v", c)
	}
	if c := donor.Chunk(&message.Pull{Entry: 2}); c != nil {
		t.Errorf("it is behind, and gives %+v", c)
	}
	if c := donor.Chunk(&message.Pull{Entry: 1, Cursor: "k"}); c == nil || c.Restart {
		t.Errorf("it can go on, and gives %+v", c)
	}
}

// A scan that none of the donors that are left can go on with begins anew.
func TestF6LoadBeginsAnew(t *testing.T) {
	member := fresh()
	for place := uint64(1); place <= 40; place++ {
		deliver([]*layers.Layers{member}, place)
	}
	mine := fresh()
	l := view.NewLearner(lamport.Replica(1), mine, 7)
	l.Begin(record(1).View, 0)
	p, _ := l.Pull(0)
	donor := view.Donor{Layers: member, View: &record(1).View, Bytes: 1500}
	if taken, _ := l.Take(donor.Chunk(p)); taken != view.Loaded || mine.Entries() == 0 || l.Caught() {
		t.Fatalf("%d, entry %d", taken, mine.Entries())
	}
	begun := uint64(0)
	for now := uint64(1); now < 200 && begun == 0; now++ {
		if p, _ := l.Pull(now); p != nil && p.Entry == 0 {
			begun = now
		}
	}
	if begun < 80 || begun > 110 {
		t.Errorf("it begins anew at %d, after nine silent donors of 10 ticks each", begun)
	}
}

// A learner whose keys are ahead of a wedged member begins anew: what that member delivers later
// would be done a second time on what the keys hold already.
func TestF6ALearnerThatIsAheadBeginsAnew(t *testing.T) {
	ahead, behind := fresh(), fresh()
	place := uint64(0)
	add := func(to []*layers.Layers, key string) {
		place++
		r := &message.Request{RID: place, Request: model.Request{Model: model.Linearizable, Type: model.Add, Key: key, Value: []byte("1")}}
		for _, l := range to {
			l.Count(1)
			l.CommitStrong(r, lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: place, Node: 2}}, place)
		}
	}
	for i := range 8 {
		add([]*layers.Layers{ahead, behind}, fmt.Sprint("key", i))
	}

	mine := fresh()
	l := view.NewLearner(lamport.Replica(1), mine, 7)
	l.Begin(record(1).View, 0)
	l.Prepare()
	now := uint64(0)
	load := func(from *layers.Layers, pieces int) (copied *view.Copy) {
		for ; pieces > 0 && copied == nil; pieces-- {
			now += 20
			p, _ := l.Pull(now)
			if p == nil {
				t.Fatal("it asks for nothing")
			}
			rest := &abcast.Remains{View: record(1).View, Contiguous: []uint64{9, 9, 9}}
			_, copied = l.Take((&view.Donor{Layers: from, View: &record(1).View, Rest: rest, Bytes: 150}).Chunk(p))
		}
		return copied
	}

	load(behind, 5) // it has begun to read keys
	for range 10 {  // more entries than a piece has room for, each with its key as it is then
		add([]*layers.Layers{ahead}, "key0")
	}
	load(ahead, 1)
	if rec, _ := mine.Committed("key0"); string(rec.Value) != "11" || mine.Entries() >= ahead.Entries() {
		t.Fatalf("key0 is %s, with %d entries: the schedule is another one", rec.Value, mine.Entries())
	}
	for place = mine.Entries(); behind.Entries() < mine.Entries(); {
		place = behind.Entries()
		add([]*layers.Layers{behind}, "key0")
	}

	if load(behind, 200) == nil {
		t.Fatal("it is no copy after 200 pieces")
	}
	for place = mine.Position(); place < ahead.Position(); { // what is inside the cut
		add([]*layers.Layers{mine}, "key0")
	}
	if got, want := contents(mine), contents(ahead); !slices.Equal(got, want) {
		t.Errorf("%v\n%v", got, want)
	}
}

// Keys that were collected at a member are gone from what a learner has loaded of it, before its
// table says when: a member that is wedged before the collection cannot go on with that load.
func TestO44ALearnerThatKnowsALaterFloorBeginsAnew(t *testing.T) {
	ahead, behind := fresh(), fresh()
	at := func(n uint64) lamport.Version {
		return lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: n, Node: 2}}
	}
	write := func(kind model.Type, key string, to ...*layers.Layers) {
		for _, l := range to {
			l.Count(1)
			r := &message.Request{RID: l.Position(), Request: model.Request{Model: model.Linearizable, Type: kind, Key: key, Value: []byte("1")}}
			l.CommitStrong(r, at(l.Position()), l.Position())
		}
	}
	for i := range 8 {
		write(model.Set, fmt.Sprint("key", i), ahead, behind)
	}
	write(model.Delete, "key0", ahead)
	ahead.Count(1)
	if !ahead.Propose(at(9)) || !ahead.Agree(at(9), 0, 1) || !ahead.Sweep() {
		t.Fatal("the tombstone is not collected")
	}

	mine := fresh()
	l := view.NewLearner(lamport.Replica(1), mine, 7)
	l.Begin(record(1).View, 0)
	l.Prepare()
	now := uint64(0)
	load := func(from *layers.Layers, pieces int) (taken view.Taken, copied *view.Copy) {
		for ; pieces > 0 && copied == nil && taken != view.Restarted; pieces-- {
			now += 20
			p, _ := l.Pull(now)
			if p == nil {
				t.Fatal("it asks for nothing")
			}
			rest := &abcast.Remains{View: record(1).View, Contiguous: []uint64{9, 9, 9}}
			taken, copied = l.Take((&view.Donor{Layers: from, View: &record(1).View, Rest: rest, Bytes: 150}).Chunk(p))
		}
		return taken, copied
	}

	load(ahead, 1) // entries, and how far tombstones are collected
	if mine.Floor() != at(9) || mine.Entries() >= behind.Entries() {
		t.Fatalf("the floor is %v, with %d entries: the schedule is another one", mine.Floor(), mine.Entries())
	}
	if taken, _ := load(behind, 200); taken != view.Restarted {
		t.Fatalf("%v of a member that has not collected", taken)
	}
	if _, copied := load(behind, 200); copied == nil || mine.Floor() != (lamport.Version{}) {
		t.Errorf("the copy %v has floor %v", copied, mine.Floor())
	}
	if got, want := contents(mine), contents(behind); !slices.Equal(got, want) {
		t.Errorf("%v\n%v", got, want)
	}
}
