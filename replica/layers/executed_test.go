package layers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
	"quartet/replica/durable"
	"quartet/replica/store"
)

func table(limits dedup.Limits) *executed {
	e := newExecuted(&Config{Store: store.NewMemory(0), Limits: limits})
	return &e
}

// outcome is entry number n: some have an identity, some are nobody's, some have a result.
func outcome(rnd *rand.Rand, n int) done {
	d := done{key: fmt.Sprint("key ", n%7), Outcome: Outcome{RID: uint64(n), Position: uint64(3 * n), time: uint64(n)}}
	switch rnd.IntN(4) {
	case 0:
		d.id, d.Digest = fmt.Sprintf([...]string{"client %d", "client.%d"}[rnd.IntN(2)], n), uint64(n)
	case 1:
		d.RID = 0
	}
	switch rnd.IntN(3) {
	case 0:
		d.Code, d.Revision = model.Failed, uint64(n/2)
	case 1:
		d.Result = bytes.Repeat([]byte{byte(n)}, rnd.IntN(100))
	}
	return d
}

func sameDone(a, b *done, keyed bool) bool {
	identity := a.id == b.id && a.RID == b.RID && a.Digest == b.Digest
	place := a.Position == b.Position && a.Timestamp == b.Timestamp && a.time == b.time
	answer := a.Code == b.Code && a.Revision == b.Revision && bytes.Equal(a.Result, b.Result)
	sameKey := !keyed || a.key == b.key
	return identity && place && answer && sameKey
}

// The table is the last of a list, with the keys of the last, and knows all of the entry's answer.
func TestExecutedAgainstAList(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		window := 1 + rnd.IntN(20)
		e := table(dedup.Limits{Window: window, KeepTicks: 50, KeepBytes: 3000})
		var list []done
		for n := 1; n <= 400; n++ {
			list = append(list, outcome(rnd, n))
			e.add(list[n-1])
			e.advance(uint64(n))
			compareTable(t, e, list, window)
		}
		if e.first() == 1 || e.order.Horizon == 0 {
			t.Errorf("seed %d: nothing was forgotten", seed)
		}
	}
}

func compareTable(t *testing.T, e *executed, list []done, window int) {
	t.Helper()
	n := e.first()
	ring := uint64(len(list) - min(window, len(list)))
	e.each(0, func(d *done) bool {
		if !sameDone(d, &list[n-1], n > ring) {
			t.Fatalf("entry %d of %d is %+v, want %+v", n, len(list), d, list[n-1])
		}
		n++
		return true
	})
	if n != uint64(len(list)+1) {
		t.Fatalf("the newest entry is %d, want %d", n-1, len(list))
	}

	for i := range list {
		d := &list[i]
		kept := uint64(i+1) >= e.first()
		nobodys := d.id == "" && d.RID == 0
		got, ok := e.lookup(&message.Request{Identity: d.id, RID: d.RID})
		if want := kept && !nobodys; ok != want {
			t.Fatalf("entry %d of %d, kept %t, nobody's %t: found %t", i+1, len(list), kept, nobodys, ok)
		}
		if ok && !sameDone(&done{id: d.id, Outcome: got}, d, false) {
			t.Fatalf("entry %d is found as %+v, want %+v", i+1, got, d)
		}
	}
}

// Results that are more than the memory of the table push even the last entries out, and the
// horizon says so; entries without results stay, whatever the limit is (rule S6).
func TestS6LongResultsAreForgottenForLackOfRoom(t *testing.T) {
	const window, most, size = 1000, 1 << 20, 100 << 10
	e := table(dedup.Limits{Window: window, KeepTicks: 50, KeepBytes: most})
	for n := 1; n <= window; n++ {
		e.add(done{Outcome: Outcome{RID: uint64(n), time: uint64(n)}})
	}
	if e.first() != 1 {
		t.Fatalf("the last %d are kept from %d on, without results", window, e.first())
	}

	for n := window + 1; n <= 2*window; n++ {
		e.add(done{Outcome: Outcome{RID: uint64(n), Result: make([]byte, size), time: uint64(n)}})
		if e.memory.Results() > most {
			t.Fatalf("after %d entries there are %d bytes of results", n, e.memory.Results())
		}
	}
	if kept := e.number - e.first() + 1; kept != most/size {
		t.Errorf("%d entries are kept, want %d", kept, most/size)
	}
	if want := uint64(2*window - most/size + 1); e.order.Horizon != want {
		t.Errorf("the horizon is at %d, want %d", e.order.Horizon, want)
	}
}

// What a table forgets depends on its entries alone: a table that was loaded, in pieces, from one
// that has forgotten goes on to forget the same.
func TestS6ALoadedTableForgetsTheSame(t *testing.T) {
	limits := dedup.Limits{Window: 10, KeepTicks: 1000, KeepBytes: 1500}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		donor := New(Config{Store: store.NewMemory(0), Limits: limits})
		n := 1
		for ; n < 100; n++ {
			donor.executed.add(outcome(rnd, n))
		}

		learner := New(Config{Store: store.NewMemory(0), Limits: limits})
		for from := donor.FirstEntry(); from <= donor.Entries(); from = learner.Entries() + 1 {
			var piece []message.Executed
			donor.EachEntry(from, func(x message.Executed) bool {
				piece = append(piece, x)
				return len(piece) < 7
			})
			if !learner.Load(from, piece) {
				t.Fatal("the piece does not go on")
			}
		}
		learner.Reached(donor.Position(), donor.Order(), &message.Collection{})

		for ; n < 200; n++ {
			d := outcome(rnd, n)
			donor.executed.add(d)
			learner.executed.add(d)
			if donor.Order() != learner.Order() || donor.FirstKeyed() != learner.FirstKeyed() {
				t.Fatalf("seed %d, entry %d: %+v and %+v", seed, n, donor.Order(), learner.Order())
			}
		}
	}
}

// A record that is loaded has all that its donor's has, tombstones too.
func TestF6ALoadedRecordIsWhole(t *testing.T) {
	l := New(Config{Store: store.NewMemory(0)})
	for _, want := range []store.Record{
		{Kind: store.KindValue, Value: []byte("v"), Number: 3, RID: 4, Revision: 5, Expires: 6},
		{Kind: store.KindTombstone, Number: 3, RID: 4, Revision: 7},
	} {
		l.LoadKey(&message.KeyRecord{
			Key: "k", Kind: uint8(want.Kind), Value: want.Value, Number: want.Number, RID: want.RID,
			Revision: want.Revision, Expires: want.Expires,
		})
		got, ok := l.Committed("k")
		sameEnd := got.Revision == want.Revision && got.Expires == want.Expires
		if !ok || got.Kind != want.Kind || !sameEnd {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// The record of a key and a long result do not go into one message: each has an entry of its own,
// and the disk's turn counts the bytes of both.
func TestF6LongResultsStandApartFromTheirKeys(t *testing.T) {
	for size, want := range map[int][]string{10: {"k"}, longResult: {"k"}, longResult + 1: {"", "k"}, 512 << 10: {"", "k"}} {
		var journal durable.Turn
		l := New(Config{Store: store.NewMemory(0), Journal: &journal})
		l.enter(done{id: "id", key: "k", Outcome: Outcome{RID: 1, Result: make([]byte, size)}})

		var keys []string
		for i := range journal.Executed {
			x := &journal.Executed[i]
			keys = append(keys, x.Key)
			named := x.RID != 0 || x.Identity != "" || len(x.Result) > 0
			if i > 0 && named {
				t.Errorf("%d bytes: entry %d is not nobody's: %.100v", size, i, x)
			}
		}
		if !slices.Equal(keys, want) || l.Entries() != uint64(len(want)) {
			t.Errorf("%d bytes: %d entries of %q, want %q", size, l.Entries(), keys, want)
		}
		if got, ok := l.Executed(&message.Request{Identity: "id"}); !ok || len(got.Result) != size || l.Unsaved() != size {
			t.Errorf("%d bytes: found %t with %d bytes, %d to be saved", size, ok, len(got.Result), l.Unsaved())
		}
	}
}
