package watching_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/watching"
)

// Who does not acknowledge is sent 1 MiB, and then heartbeats that count what waits; it goes on
// where it was once it acknowledges.
func TestO25FlowIsControlled(t *testing.T) {
	w := newWorld(0)
	v := w.begin(t, 1, model.Linearizable, "", "")
	for i := range 300 {
		w.write(strings.Repeat("x", 10_000), fmt.Sprint("k", i))
		w.turn(t)
	}
	sent := len(v.told(theChanges...))
	if ahead := w.watches.Ahead(); ahead > watching.Window || ahead < watching.Window-20_000 {
		t.Errorf("%d bytes are said to be ahead", ahead)
	}
	if sent < 90 || sent > 110 {
		t.Fatalf("%d changes of 10 kB were sent without an acknowledgement", sent)
	}

	for range watching.BeatTicks {
		w.watches.Tick()
	}
	w.turn(t)
	beat := v.events[len(v.events)-1]
	if beat.Kind != model.EventHeartbeat || beat.Missed != uint64(300-sent) || !beat.Flow || beat.Revision != 0 {
		t.Errorf("%+v; %d wait", beat.Event, 300-sent)
	}

	w.settle(t)
	w.judge(t, v)
	for range watching.BeatTicks {
		w.watches.Tick()
	}
	w.turn(t)
	if beat := v.events[len(v.events)-1]; beat.Kind != model.EventHeartbeat || beat.Missed != 0 || beat.Revision != w.position {
		t.Errorf("%+v at %d", beat.Event, w.position)
	}
}

// A watcher that is behind what is kept hears so, and that it cannot go on: 410.
func TestTooFarBehind(t *testing.T) {
	w := newWorld(200)
	v := w.begin(t, 1, model.Sequential, "", "")
	w.turn(t)
	for i := range 500 {
		w.write(strings.Repeat("x", 10_000), fmt.Sprint("k", i))
		w.turn(t)
	}
	w.settle(t)
	last := v.events[len(v.events)-1]
	if last.Kind != model.EventEnd || last.Code != model.Gone || last.Reason == "" || w.watches.Len() != 0 {
		t.Errorf("%+v, %d watches", last.Event, w.watches.Len())
	}
	changed := v.told(theChanges...)
	_, want := w.strong(v)
	if len(changed) == 0 || len(changed) >= len(want)+300 {
		t.Errorf("%d changes were told", len(changed))
	}

	r := request(2, model.Sequential, "", "100")
	if refusal := w.watches.Begin(r); refusal.Code != model.Gone {
		t.Errorf("from 100, kept since %d: %+v", w.log.Since(), refusal)
	}
	w.begin(t, 3, model.Sequential, "", fmt.Sprint(w.log.Since()))
}

// What is lost while what is there is being told is no end of what may be asked for again.
func TestTooMuchChangesMeanwhile(t *testing.T) {
	w := newWorld(200)
	for i := range 300 {
		w.write(strings.Repeat("x", 10_000), fmt.Sprint("k", i))
	}
	v := w.begin(t, 1, model.Linearizable, "", "")
	w.turn(t)
	for i := range 500 {
		w.write("y", fmt.Sprint("k", i))
		w.turn(t)
	}
	w.settle(t)
	if last := v.events[len(v.events)-1]; last.Kind != model.EventEnd || last.Code != model.Unavailable {
		t.Errorf("%+v", last.Event)
	}

	w.lost = true
	v = w.begin(t, 2, model.Linearizable, "", "")
	w.settle(t)
	if last := v.events[len(v.events)-1]; last.Kind != model.EventEnd || last.Code != model.Unavailable || w.open != 0 {
		t.Errorf("a lost snapshot: %+v, %d open", last.Event, w.open)
	}
}

// The first event of a stream says where the history stands, and so does each at which that is
// another.
func TestO27WhereTheHistoryStands(t *testing.T) {
	w := newWorld(0)
	w.history = message.History{Cluster: 1, Epoch: 2, Nonce: 3}
	v := w.begin(t, 1, model.Sequential, "", "")
	w.write("x", "a")
	w.turn(t)
	w.history = message.History{Cluster: 1, Epoch: 3, Nonce: 4}
	w.write("x", "b", "c")
	w.turn(t)

	var epochs []uint64
	for _, e := range v.events {
		epochs = append(epochs, e.History.Epoch)
	}
	if want := []uint64{2, 0, 3, 0}; !slices.Equal(epochs, want) {
		t.Errorf("the events say epochs %d, want %d", epochs, want)
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(0)
	refused := 0
	for i := range uint64(1000) {
		r := request(i+1, model.Eventual, "", "")
		r.Watcher.Client = "greedy"
		if refusal := w.watches.Begin(r); refusal.Code == model.Unavailable && refusal.Reason != "" {
			refused++
		}
	}
	if w.watches.Len() != watching.MostOfClient || refused != 1000-watching.MostOfClient {
		t.Errorf("%d watches of one client, %d refused", w.watches.Len(), refused)
	}

	for i := range uint64(2 * watching.MostWatches) {
		w.watches.Begin(request(2000+i, model.Eventual, "", ""))
	}
	if w.watches.Len() != watching.MostWatches {
		t.Errorf("%d watches", w.watches.Len())
	}
	w.watches.Gone(1)
	r := request(1001, model.Linearizable, "", "")
	r.Watcher.Client = "greedy"
	if refusal := w.watches.Begin(r); refusal.Code != 0 || w.watches.Len() != watching.MostWatches {
		t.Errorf("the place of a watch that is gone: %+v", refusal)
	}

	r.RID, r.Watcher = 1002, nil
	if refusal := w.watches.Begin(r); refusal.Code != model.Malformed {
		t.Errorf("without a reply subject: %+v", refusal)
	}
}

// A watch that is asked for again, since the master has not heard that it began, is one watch.
func TestAskedForAgain(t *testing.T) {
	w := newWorld(0)
	v := w.begin(t, 1, model.Linearizable, "", "")
	w.write("x", "k")
	w.turn(t)
	if refusal := w.watches.Begin(&v.request); refusal.Code != 0 || w.watches.Len() != 1 {
		t.Errorf("%+v", refusal)
	}
	w.settle(t)
	w.judge(t, v)
}

// Who watches what nobody changes hears how far it is often enough to go on from there.
func TestProgressOfAQuietPrefix(t *testing.T) {
	w := newWorld(0)
	v := w.begin(t, 1, model.Linearizable, "quiet/", "")
	w.turn(t)
	for range 49_900 {
		w.write("x", "loud")
		if w.position%100 == 0 {
			w.watches.Tick()
			w.turn(t)
		}
	}
	beats := v.told(model.EventHeartbeat)
	if want := []string{"HEARTBEAT = @20000", "HEARTBEAT = @40000"}; !slices.Equal(beats, want) {
		t.Errorf("%q; want %q", beats, want)
	}
}

// Where the connection to watchers was away they hear at once how far they are told, and see what
// they lack.
func TestO29RejoinedWatchesAreToldHowFarTheyAre(t *testing.T) {
	w := newWorld(0)
	of := []*viewer{w.begin(t, 1, model.Linearizable, "", ""), w.begin(t, 2, model.Causal, "a", "")}
	w.write("x", "k")
	w.turn(t)

	w.watches.Rejoined()
	w.turn(t)
	for _, v := range of {
		if beats := len(v.told(model.EventHeartbeat)); beats != 1 {
			t.Errorf("%d heartbeats", beats)
		}
		if last := v.events[len(v.events)-1]; last.Sequence != uint64(len(v.events)) || last.Kind != model.EventHeartbeat {
			t.Errorf("last, as number %d of %d: %v", last.Sequence, len(v.events), last.Kind)
		}
	}

	w.turn(t)
	for range watching.BeatTicks - 1 {
		w.watches.Tick()
	}
	w.turn(t)
	for _, v := range of {
		if beats := len(v.told(model.EventHeartbeat)); beats != 1 {
			t.Errorf("%d heartbeats before the next is due", beats)
		}
	}
}

// One turn does a bounded amount for watches that are behind, and all have their turn.
func TestATurnIsBounded(t *testing.T) {
	w := newWorld(0)
	for i := range 6_000 {
		w.write("x", fmt.Sprintf("k%04d", i))
	}
	for id := range uint64(20) {
		w.begin(t, id+1, model.Linearizable, "", "")
	}

	turns := 0
	for ; w.watches.Busy(); turns++ {
		before := 0
		for _, v := range w.viewers {
			before += len(v.events)
			w.ack(v)
		}
		w.turn(t)
		after := 0
		for _, v := range w.viewers {
			after += len(v.events)
		}
		if after-before > 4200 {
			t.Fatalf("%d events in one turn", after-before)
		}
	}
	if turns < 20*6_000/4200 {
		t.Errorf("%d turns", turns)
	}
	for _, v := range w.viewers {
		w.judge(t, v)
	}
}

// A watch of models 3 and 4 that goes on is told of deletes whose tombstones are gone, where
// nothing stands by now; if the log does not tell of them any more it is refused, unless it asks
// for all that there is.
func TestO45DeletesThatWereCollected(t *testing.T) {
	w := newWorld(50)
	for i := range 9 {
		w.write("x", fmt.Sprint("a/", i))
	}
	after := w.position
	w.write("", "a/0", "b")
	w.write("", "a/1")
	w.write("", "a/2")
	w.write("", "a/3")
	w.collect()
	w.write("y", "a/1")
	w.accept("a/2", "z", 1000*w.position+1)
	w.write("", "a/4")

	v := w.begin(t, 1, model.Eventual, "a/", fmt.Sprint(after))
	all := w.begin(t, 2, model.Causal, "a/", "0")
	w.settle(t)
	want := []string{"DELETE a/0= @10", "DELETE a/3= @13", "SET a/2=z @0", "SET a/1=y @14", "DELETE a/4= @15"}
	if got := v.told(theChanges...); !slices.Equal(got, want) {
		t.Errorf("told after %d:\n%q, want\n%q", after, got, want)
	}
	for _, x := range want {
		if got := all.told(theChanges...); !slices.Contains(got, x) {
			t.Errorf("%q is not among all that there is: %q", x, got)
		}
	}

	for i := range 60 {
		w.write("x", fmt.Sprint("c/", i))
	}
	if refusal := w.watches.Begin(request(3, model.Eventual, "a/", fmt.Sprint(after))); refusal.Code != model.Gone {
		t.Errorf("after %d, and changes are kept after %d: %+v", after, w.log.Since(), refusal)
	}
	w.begin(t, 4, model.Eventual, "a/", fmt.Sprint(w.collected))
	w.begin(t, 5, model.Eventual, "a/", "0")
	w.settle(t)
}

// A watch of models 3 and 4 that goes on is told that a value has ended, and not that it was
// deleted, as long as the log tells; and so is one that was there.
func TestO23AnEndIsToldAsOne(t *testing.T) {
	w := newWorld(20)
	w.write("x", "a/0", "a/1", "a/2")
	w.end("a/0")
	w.write("", "a/1")
	w.write("y", "a/3")
	w.end("a/3")
	was := w.begin(t, 1, model.Causal, "a/", "1")
	one := w.begin(t, 2, model.Eventual, "a/", "3")
	w.settle(t)
	w.end("a/2")
	w.settle(t)

	ended := []string{"EXPIRE a/0= @2", "DELETE a/1= @3", "EXPIRE a/3= @5", "EXPIRE a/2= @6"}
	if got := was.told(theChanges...); !slices.Equal(got, ended) {
		t.Errorf("told after 1: %q", got)
	}
	if got := one.told(theChanges...); !slices.Equal(got, ended[2:]) {
		t.Errorf("told after 3: %q", got)
	}

	for range 60 {
		w.write("z", "b")
	}
	late := w.begin(t, 3, model.Eventual, "a/", "4") // nothing was collected: it may go on from there
	w.settle(t)
	if got, want := late.told(theChanges...), []string{"DELETE a/2= @6", "DELETE a/3= @5"}; !slices.Equal(got, want) {
		t.Errorf("told after 4, of which the log does not tell: %q", got)
	}
}

// A key that is set and deleted anew while such deletes are told is not told of an older one after.
func TestO45ALaterChangeComesAlone(t *testing.T) {
	w := newWorld(0)
	for i := range 20_000 {
		w.write("", fmt.Sprintf("k%05d", i))
	}
	w.collect()
	v := w.begin(t, 1, model.Eventual, "", "1")
	w.turn(t)
	w.write("x", "k19999")
	w.write("", "k19998")
	w.settle(t)
	w.judgeWeak(t, v)
	if n := len(v.told(model.EventDelete)); n != 20_000-3+1 { // k00000 is of revision 1
		t.Errorf("%d deletes are told", n)
	}
}

// Each stream has a name of its own, that of a watch which is asked for again after its end, too,
// and one that another process of the replica tells.
func TestO29EachStreamHasAName(t *testing.T) {
	names := map[string]bool{}
	named := func(w *world, id uint64) {
		t.Helper()
		w.watches.Begin(request(id, model.Eventual, "", ""))
		told := w.watches.EndTurn(nil)
		if len(told) == 0 || told[0].Stream == "" || names[told[0].Stream] {
			t.Fatalf("watch %d: %+v; names so far %v", id, told, names)
		}
		names[told[0].Stream] = true
	}
	w := newWorld(0)
	named(w, 1)
	named(w, 2)
	w.watches.End(model.Unavailable, "the view has changed")
	named(w, 1)

	another := newWorld(0)
	another.watches = watching.New(another, "r1.2.")
	named(another, 1)
}
