package follow_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"quartet/bus/follow"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// order is what has been committed, in its order.
type order struct {
	changes []model.Event // revisions rise; those of a transaction share one
	last    uint64
}

func (o *order) add(r *rand.Rand) {
	o.last += 1 + r.Uint64N(3)
	keys := []string{"a", "b", "c", "d", "e"}
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	keys = keys[:1+r.IntN(4)*r.IntN(2)]
	for i, key := range keys {
		e := model.Event{Kind: model.EventSet, Key: key, Value: []byte(fmt.Sprint(o.last, key)), Revision: o.last, More: i+1 < len(keys)}
		if r.IntN(4) == 0 {
			e.Kind, e.Value = model.EventDelete, nil
		}
		o.changes = append(o.changes, e)
	}
}

// at is the state at a revision.
func (o *order) at(revision uint64) map[string]model.Event {
	state := map[string]model.Event{}
	for _, e := range o.changes {
		if e.Revision > revision {
			break
		}
		state[e.Key] = e
	}
	maps.DeleteFunc(state, func(_ string, e model.Event) bool { return e.Kind != model.EventSet })
	return state
}

// stream is what a replica tells of the order, up to where the replica is.
func (o *order) stream(from string, least, upTo uint64, r *rand.Rand) []model.Event {
	var events []model.Event
	after, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		after = max(least, upTo-min(upTo, r.Uint64N(3)))
		state := o.at(after)
		for _, key := range slices.Sorted(maps.Keys(state)) {
			e := state[key]
			e.Kind, e.Initial, e.More = model.EventValue, true, false
			events = append(events, e)
		}
		events = append(events, model.Event{Kind: model.EventCaughtUp, Revision: after})
	}

	for _, e := range o.changes {
		if e.Revision <= after || e.Revision > upTo {
			continue
		}
		if r.IntN(6) == 0 {
			events = append(events, model.Event{Kind: model.EventHeartbeat})
		}
		events = append(events, e)
	}
	if err == nil {
		events = append(events, model.Event{Kind: model.EventCaughtUp, Revision: upTo})
	}
	events = append(events, model.Event{Kind: model.EventHeartbeat, Revision: max(after, upTo)})
	for i := range events {
		events[i].Sequence = uint64(i) + 1
	}
	return events
}

// A watch of models 1 and 2 is complete, in order, and without a repeat, wherever its streams
// break off or lose something: inside a transaction, too (rule O24).
func TestO24StrongWatchesGoOn(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		o := &order{}
		for range r.IntN(20) {
			o.add(r)
		}
		from := ""
		if r.IntN(3) == 0 {
			from = fmt.Sprint(r.Uint64N(o.last + 1))
		}

		f := follow.New(model.Linearizable, from)
		var given []model.Event
		give := func(e model.Event) { given = append(given, e) }
		for round := range 12 {
			for range r.IntN(4) {
				o.add(r)
			}
			events := o.stream(f.Begin(), f.Least(), o.last, r)
			until, lost := len(events), -1
			if round < 11 {
				until, lost = r.IntN(len(events)+1), r.IntN(3*len(events))
			}
			for i := range events[:until] {
				if i == lost {
					continue
				}
				if verdict := f.Take("r1.1", &events[i], give); verdict != follow.GoesOn {
					if i < lost || lost < 0 {
						t.Fatalf("seed %d: %v of %+v", seed, verdict, events[i])
					}
					break
				}
			}
		}
		if what := wrong(o, from, given, f.From()); what != "" {
			t.Fatalf("seed %d: %s", seed, what)
		}
	}
}

// wrong says what is wrong with what was given out of a watch, or "".
func wrong(o *order, from string, given []model.Event, at uint64) string {
	state, caught, after := map[string]model.Event{}, -1, uint64(0)
	for i, e := range given {
		if e.Kind == model.EventCaughtUp {
			if caught >= 0 {
				return "caught up twice"
			}
			caught, after = i, e.Revision
		}
	}
	if caught < 0 || at != o.last {
		return fmt.Sprintf("%d events, caught up at %d, now at %d of %d", len(given), caught, at, o.last)
	}

	changed := given[caught+1:]
	if n, err := strconv.ParseUint(from, 10, 64); err == nil {
		changed, after = slices.Delete(slices.Clone(given), caught, caught+1), n
	} else {
		for _, e := range given[:caught] { // what was there, of one or several streams
			if e.Kind == model.EventDelete {
				delete(state, e.Key)
				continue
			}
			if state[e.Key].Revision >= e.Revision {
				return fmt.Sprintf("%+v after %+v", e, state[e.Key])
			}
			state[e.Key] = e
		}
		want := o.at(after)
		for key, e := range want {
			if state[key].Revision != e.Revision {
				return fmt.Sprintf("at %d %s is %+v; want %+v", after, key, state[key], e)
			}
		}
		if len(state) != len(want) {
			return fmt.Sprintf("%d keys at %d; want %d", len(state), after, len(want))
		}
	}

	i := 0
	for _, want := range o.changes {
		if want.Revision <= after {
			continue
		}
		if i == len(changed) {
			return fmt.Sprintf("%+v is missing", want)
		}
		got := changed[i]
		if got.Key != want.Key || got.Revision != want.Revision || got.Kind != want.Kind {
			return fmt.Sprintf("%+v in place of %+v", got, want)
		}
		i++
	}
	if i != len(changed) {
		return fmt.Sprintf("%+v is too much", changed[i])
	}
	return ""
}

func TestTheEndOfAStream(t *testing.T) {
	for code, want := range map[model.Code]follow.Verdict{model.Gone: follow.Gone, model.Unavailable: follow.Resume} {
		f := follow.New(model.Sequential, "")
		f.Begin()
		if got := f.Take("", &model.Event{Kind: model.EventEnd, Sequence: 1, Code: code}, nil); got != want {
			t.Errorf("%d: %v", code, got)
		}
	}
}

func weak(kind model.EventKind, key string, version uint64) model.Event {
	return model.Event{Kind: kind, Key: key, Version: lamport.Version{Timestamp: lamport.Timestamp{Time: version}}}
}

// A watch of models 3 and 4 gives out each version once, at whichever replica it goes on; what a
// replica shows that is only late is not given out, and what stays is.
func TestWeakWatchesGoOn(t *testing.T) {
	f := follow.New(model.Eventual, "")
	var given []string
	give := func(e model.Event) { given = append(given, fmt.Sprintf("%s %s %d", e.Kind, e.Key, e.Version.Time)) }
	stream := func(events ...model.Event) {
		t.Helper()
		for i := range events {
			events[i].Sequence = uint64(i) + 1
			if v := f.Take("r1.1", &events[i], give); v != follow.GoesOn {
				t.Fatalf("%v of %+v", v, events[i])
			}
		}
	}
	caughtUp, beat := model.Event{Kind: model.EventCaughtUp}, model.Event{Kind: model.EventHeartbeat}

	if from := f.Begin(); from != "" {
		t.Errorf("from %q", from)
	}
	stream(weak(model.EventValue, "a", 5), weak(model.EventValue, "b", 6), weak(model.EventValue, "d", 7), caughtUp,
		weak(model.EventSet, "a", 8), weak(model.EventDelete, "c", 9), weak(model.EventSet, "e", 10))

	if from := f.Begin(); from != "0" {
		t.Errorf("from %q", from)
	}
	stream(weak(model.EventSet, "a", 5), weak(model.EventSet, "b", 11), weak(model.EventDelete, "d", 7), weak(model.EventDelete, "z", 3), caughtUp,
		beat, weak(model.EventSet, "a", 8), weak(model.EventSet, "f", 12), beat, beat)

	want := []string{
		"VALUE a 5", "VALUE b 6", "VALUE d 7", "CAUGHT-UP  0", "SET a 8", "DELETE c 9", "SET e 10",
		"SET b 11", "DELETE d 7", "SET f 12", "DELETE e 0", // e was lost with the first replica
	}
	if !slices.Equal(given, want) {
		t.Errorf("%q\n%q", given, want)
	}
}

// A replica of an older build says that there is more of a transaction where the rest is not below
// the watch's prefix. The watch goes on all the same, in that stream and in the next.
func TestMoreThatNeverComes(t *testing.T) {
	f := follow.New(model.Sequential, "5")
	f.Begin()
	var given []uint64
	for i, e := range []model.Event{
		{Kind: model.EventSet, Key: "a", Revision: 6, More: true}, {Kind: model.EventSet, Key: "b", Revision: 7},
		{Kind: model.EventSet, Key: "a", Revision: 8, More: true},
	} {
		e.Sequence = uint64(i) + 1
		if v := f.Take("r1.1", &e, func(e model.Event) { given = append(given, e.Revision) }); v != follow.GoesOn {
			t.Fatalf("%v of %+v", v, e)
		}
	}
	if from := f.Begin(); from != "7" || !slices.Equal(given, []uint64{6, 7, 8}) {
		t.Errorf("given %v, and it goes on from %q", given, from)
	}
}

// Strong writes that came in one broadcast have one version: the one of the greater revision is
// given out, too, and an earlier one that is told later is not.
func TestO23WritesOfOneVersion(t *testing.T) {
	version := lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: 9, Node: 3}}
	set := func(sequence, revision uint64) *model.Event {
		return &model.Event{Kind: model.EventSet, Key: "a", Sequence: sequence, Revision: revision, Version: version}
	}
	f := follow.New(model.Eventual, "")
	f.Begin()
	var given []uint64
	give := func(e model.Event) { given = append(given, e.Revision) }
	f.Take("r1.1", &model.Event{Kind: model.EventCaughtUp, Sequence: 1}, func(model.Event) {})
	for i, revision := range []uint64{7, 8, 7, 8} {
		f.Take("r1.1", set(uint64(i)+2, revision), give)
	}
	if want := []uint64{7, 8}; !slices.Equal(given, want) {
		t.Errorf("given out are revisions %d, want %d", given, want)
	}
}

// Two replicas may tell one watcher. What the second says is no part of the first's stream, though
// its sequence would fit: of what was told before it nothing has come. The next stream may be that
// of anybody, and so may each whose replica names none.
func TestO29TwoStreamsAreNotOne(t *testing.T) {
	f := follow.New(model.Linearizable, "")
	var given []uint64
	take := func(stream string, sequence, revision uint64) follow.Verdict {
		e := model.Event{Kind: model.EventSet, Sequence: sequence, Key: "a", Revision: revision}
		if sequence == 1 {
			e.Kind = model.EventCaughtUp
		}
		return f.Take(stream, &e, func(e model.Event) { given = append(given, e.Revision) })
	}

	for i, told := range []struct {
		begins             bool
		stream             string
		sequence, revision uint64
		want               follow.Verdict
	}{
		{true, "r1.x.1", 1, 4, follow.GoesOn},
		{false, "r2.y.1", 2, 6, follow.Resume}, // and r2's first, of revision 5, is lost
		{true, "r1.x.2", 1, 4, follow.GoesOn},
		{false, "r1.x.1", 2, 5, follow.Resume}, // of the same process, for an earlier request
		{true, "r2.y.2", 1, 4, follow.GoesOn},
		{false, "r2.y.2", 2, 5, follow.GoesOn},
		{false, "", 3, 6, follow.Resume},
		{true, "", 1, 5, follow.GoesOn},
		{false, "", 2, 6, follow.GoesOn},
	} {
		if told.begins {
			f.Begin()
		}
		if got := take(told.stream, told.sequence, told.revision); got != told.want {
			t.Errorf("%d: event %d of %q: %v, want %v", i, told.sequence, told.stream, got, told.want)
		}
	}

	if want := []uint64{4, 5, 6}; !slices.Equal(given, want) {
		t.Errorf("given out are revisions %d, want %d", given, want)
	}
}
