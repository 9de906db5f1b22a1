package disk

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
)

// sampleState has every field, and its record encoded.
func sampleState(t *testing.T) (durable.State, []byte) {
	t.Helper()
	var s durable.State
	fillFields(t, reflect.ValueOf(&s).Elem())
	s.Changes = durable.Span{} // a value of its own has it
	s.Record = message.Record{
		View:       message.View{Epoch: 2, Members: []message.Member{{Node: 1, Incarnation: 1}, {Node: 2, Incarnation: 2}}, Faults: 1},
		Configured: []lamport.Node{1, 2}, Missing: 1, Cut: []uint64{1, 2}, High: 3, Start: 4, Master: 5, Nonce: 6,
	}
	s.Votes.Base, s.Votes.Value = s.Record, s.Record
	s.Votes.Base.Epoch, s.Votes.Value.Epoch = 3, 4
	encoded, err := codec.NewEncoder().EncodeRecord(&s.Record)
	if err != nil {
		t.Fatal(err)
	}
	return s, encoded
}

// pastOf is the records of a state, encoded.
func pastOf(t *testing.T, s *durable.State) *past {
	t.Helper()
	encode := func(r *message.Record) []byte {
		b, err := codec.NewEncoder().EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return &past{record: encode(&s.Record), base: encode(&s.Votes.Base), value: encode(&s.Votes.Value)}
}

// A past of a build whose disks had no votes.
func TestThePastBeforeThereWereVotes(t *testing.T) {
	s, encoded := sampleState(t)
	b := appendNumbers([]byte{pastFirst}, 7, uint64(s.Node), 1, 77)
	b = append(appendNumbers(append(appendNumbers(b, 3), "why"...), 0), encoded...)

	var got durable.State
	turn, err := decodePast(b, &got, codec.NewDecoder())
	want := durable.State{Node: s.Node, Lives: []uint64{77}, Back: "why", Record: s.Record, Votes: durable.Votes{Base: s.Record}}
	if diff := gocmp.Diff(want, got); err != nil || turn != 7 || diff != "" {
		t.Errorf("turn %d, %v\n%s", turn, err, diff)
	}
}

// A field that is added to the state must be kept, too.
func TestEveryFieldOfTheState(t *testing.T) {
	s, encoded := sampleState(t)
	c := counts{1, 7, 3, 4, 5, 6, 2}
	b, past := appendState(nil, &c, &s), appendPast(nil, c.past, &s, pastOf(t, &s))

	gotCounts, got, err := decodeState(b, codec.NewDecoder())
	if err != nil || gotCounts != c {
		t.Fatalf("%+v, %v", gotCounts, err)
	}
	if turn, err := decodePast(past, &got, codec.NewDecoder()); err != nil || turn != c.past {
		t.Fatalf("turn %d, %v", turn, err)
	}
	if diff := gocmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}

	for n := range len(b) {
		if _, _, err := decodeState(b[:n], codec.NewDecoder()); err == nil {
			t.Errorf("the first %d of %d bytes are a state", n, len(b))
		}
	}
	if _, _, err := decodeState(appendState(nil, &counts{keys: 2, past: 1, live: 3}, &s), codec.NewDecoder()); err == nil {
		t.Error("more values than keys are a state")
	}
	if _, _, err := decodeState(append(slices.Clone(b), 0), codec.NewDecoder()); err == nil {
		t.Error("a byte more is a state")
	}
	for n := range len(past) {
		var s durable.State
		if _, err := decodePast(past[:n], &s, codec.NewDecoder()); err == nil && n != len(past)-len(encoded) {
			t.Errorf("the first %d of %d bytes are a past", n, len(past))
		}
	}
}

// A change of any field that stands in the value of its own is seen.
func TestSamePast(t *testing.T) {
	s, _ := sampleState(t)
	if same := s; !samePast(&s, &same) {
		t.Error("a state differs from itself")
	}
	for name, change := range map[string]func(*durable.State){
		"node":   func(s *durable.State) { s.Node++ },
		"lives":  func(s *durable.State) { s.Lives = append(slices.Clone(s.Lives), 1) },
		"back":   func(s *durable.State) { s.Back = "" },
		"aside":  func(s *durable.State) { s.Aside += "." },
		"record": func(s *durable.State) { s.Record.Nonce++ },

		"whole":    func(s *durable.State) { s.Votes.Whole = !s.Votes.Whole },
		"promise":  func(s *durable.State) { s.Votes.Promised.Round++ },
		"accepted": func(s *durable.State) { s.Votes.Accepted.Master++ },
		"base":     func(s *durable.State) { s.Votes.Base.Nonce++ },
		"value":    func(s *durable.State) { s.Votes.Value.Nonce++ },
	} {
		other := s
		if change(&other); samePast(&s, &other) {
			t.Errorf("%s: a change is not seen", name)
		}
	}
}

// appendLives is appendState as builds of layout 2 had it.
func appendLives(c *counts, s *durable.State, record []byte) []byte {
	b := appendNumbers([]byte{layoutLives}, c.turn, c.keys, c.firstEntry, c.firstMark, c.lastMark)
	b = appendNumbers(b, flagLearning|flagScratch, s.Incarnation, s.Clock, s.LastRID, s.Position, s.Place.Time, uint64(s.Place.Node))
	b = appendNumbers(b, s.Entries, s.Committed, s.Watermark, s.Safe, s.Order.Now, s.Order.Tick, s.Order.Horizon, s.Order.Oldest)
	b = appendNumbers(append(appendNumbers(b, uint64(len(s.Contiguous))), appendNumbers(nil, s.Contiguous...)...))
	b = append(appendNumbers(b, uint64(s.Node), uint64(len(s.Lives))), appendNumbers(nil, s.Lives...)...)
	b = append(appendNumbers(b, uint64(len(s.Back))), s.Back...)
	b = append(appendNumbers(b, uint64(len(s.Aside))), s.Aside...)
	b = appendNumbers(b, uint64(len(s.Told)))
	for _, v := range s.Told {
		b = append(appendNumbers(b, uint64(len(v))), appendNumbers(nil, v...)...)
	}
	return append(b, record...)
}

// A state of layout 2 is read: it has all in one value.
func TestAStateWithItsRecord(t *testing.T) {
	s, encoded := sampleState(t)
	known := counts{turn: 1, keys: 2, firstEntry: 3, firstMark: 4, lastMark: 5}
	c, got, err := decodeState(appendLives(&known, &s, encoded), codec.NewDecoder())
	if err != nil || c != (counts{1, 2, 3, 4, 5, 0, 2}) {
		t.Fatalf("%+v, %v", c, err)
	}
	if diff := gocmp.Diff(uncollected(s), got); diff != "" {
		t.Error(diff)
	}
}

// uncollected is what builds before layoutFloor said of a state.
func uncollected(s durable.State) durable.State {
	s.Collected, s.Shut, s.Votes = message.Collection{}, lamport.Version{}, durable.Votes{}
	return s
}

// A directory of layout 2 opens; the first turn writes the newest layout, and all is there.
func TestADirectoryOfTheLayoutBefore(t *testing.T) {
	fs := vfs.NewMem()
	s, encoded := sampleState(t)
	s = uncollected(s)
	s.Learning, s.Scratch, s.Contiguous, s.Told = true, true, nil, nil
	s.Committed, s.Watermark, s.Safe, s.Entries, s.Order = 0, 0, 0, 0, message.OrderTime{}
	d, _ := mustOpen(t, inMemory(fs))
	mustCommit(t, d, &durable.Turn{Changed: true, State: s})
	old := appendLives(&d.counts, &s, encoded)
	if err := errors.Join(d.db.Set(stateKey, old, pebble.Sync), d.db.Delete(pastKey, pebble.Sync)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)

	for range 2 {
		d, saved := mustOpen(t, inMemory(fs))
		if diff := gocmp.Diff(s, saved.State); diff != "" {
			t.Fatal(diff)
		}
		s.Clock++
		mustCommit(t, d, &durable.Turn{Changed: true, State: s})
		mustClose(t, d)
	}
}

// The record is written where it has changed, and in no other turn.
func TestTheRecordIsWrittenOnce(t *testing.T) {
	d, _ := mustOpen(t, inMemory(vfs.NewMem()))
	s, _ := sampleState(t)
	s.Entries, s.Order = 0, message.OrderTime{}

	written := func(turns int) uint64 {
		for range turns {
			s.Clock++
			mustCommit(t, d, &durable.Turn{Changed: true, State: s})
		}
		return d.counts.past
	}

	if at := written(10); at != 1 {
		t.Errorf("written in turn %d of 10, want the first", at)
	}

	s.Lives = append(slices.Clone(s.Lives), 7)
	if at := written(10); at != 11 {
		t.Errorf("with a life more it is written in turn %d, want 11", at)
	}

	s.Record.Epoch, s.Record.Nonce = 3, 8
	if at := written(10); at != 21 {
		t.Errorf("with another record it is written in turn %d, want 21", at)
	}

	mustClose(t, d)
}

// A state of layout 1 is read: it says neither whose disk it is, nor which processes
// have used it, nor what was told.
func TestAStateOfTheFirstLayout(t *testing.T) {
	b := appendNumbers([]byte{layout}, 1, 2, 3, 4, 5)
	b = appendNumbers(b, flagLearning, 7, 8, 9, 10, 11, 2)
	b = appendNumbers(b, 12, 13, 14, 15, 2, 16, 17)
	c, s, err := decodeState(b, codec.NewDecoder())
	want := durable.State{
		Learning: true, Incarnation: 7, Clock: 8, LastRID: 9, Position: 10, Place: lamport.Timestamp{Time: 11, Node: 2},
		Entries: 12, Committed: 13, Watermark: 14, Safe: 15, Contiguous: []uint64{16, 17},
	}
	if err != nil || c != (counts{1, 2, 3, 4, 5, 0, 2}) {
		t.Fatalf("%+v, %v", c, err)
	}
	if diff := gocmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}
