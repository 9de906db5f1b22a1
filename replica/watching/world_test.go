package watching_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/changes"
	"quartet/replica/watching"
)

// world is a replica, as watches see it, that does what a test says.
type world struct {
	position  uint64
	collected uint64 // position at which tombstones were
	committed map[string]message.Change
	tentative map[string]message.Change
	log       *changes.Log
	visible   *changes.Log
	follows   bool
	open      int  // snapshots
	lost      bool // … are lost
	history   message.History
	watches   *watching.Watches
	viewers   map[uint64]*viewer
}

func newWorld(most int) *world {
	w := &world{
		committed: map[string]message.Change{}, tentative: map[string]message.Change{},
		log: changes.New(most, 0), visible: changes.New(most, 0), viewers: map[uint64]*viewer{},
	}
	w.watches = watching.New(w, "r1.1.")
	return w
}

func (w *world) Position() uint64         { return w.position }
func (w *world) History() message.History { return w.history }

func (w *world) Collected() uint64     { return w.collected }
func (w *world) Changes() *changes.Log { return w.log }
func (w *world) Visible() *changes.Log { return w.visible }
func (w *world) Follow(on bool)        { w.follows = on }

func (w *world) Newest(key string) (message.Change, bool) {
	c, ok := w.committed[key]
	if t, found := w.tentative[key]; found && c.Version.Less(t.Version) {
		return t, true
	}
	return c, ok
}

func (w *world) Ascend(from string, f func(string) bool) {
	for _, key := range slices.Sorted(maps.Keys(w.committed)) {
		if key >= from && !f(key) {
			return
		}
	}
}

func (w *world) Tentative(prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.tentative)), func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

type snapshot struct {
	w    *world
	keys []message.Change
}

func (w *world) Snapshot() watching.Snapshot {
	w.open++
	s := &snapshot{w: w}
	for _, key := range slices.Sorted(maps.Keys(w.committed)) {
		s.keys = append(s.keys, w.committed[key])
	}
	return s
}

func (s *snapshot) Ascend(from string, f func(*message.Change) bool) {
	first, _ := slices.BinarySearchFunc(s.keys, from, func(c message.Change, key string) int { return strings.Compare(c.Key, key) })
	for i := first; i < len(s.keys) && f(&s.keys[i]); i++ {
	}
}

func (s *snapshot) Lost() bool { return s.w.lost }
func (s *snapshot) Close()     { s.w.open-- }

// write changes keys at one position. Its version is greater than all that a key holds that is
// delivered, as in the order.
func (w *world) write(value string, keys ...string) {
	w.position++
	for _, key := range keys {
		time := max(1000*w.position, w.committed[key].Version.Time+1)
		c := message.Change{
			Revision: w.position, Kind: message.ChangeSet, Key: key, Value: []byte(value),
			Version: lamport.Version{Timestamp: lamport.Timestamp{Time: time}},
		}
		if value == "" {
			c.Kind, c.Value = message.ChangeDelete, nil
		}
		w.put(c)
	}
}

func (w *world) put(c message.Change) {
	before, _ := w.Newest(c.Key)
	if t, found := w.tentative[c.Key]; found && t.Version == c.Version {
		delete(w.tentative, c.Key)
	}
	w.committed[c.Key] = c
	w.log.Append(c)
	if after, _ := w.Newest(c.Key); w.follows && after.Version != before.Version {
		w.visible.Push(after)
	}
}

// end ends what a key holds. What it leaves there does not say that it was no delete.
func (w *world) end(key string) {
	w.position++
	c := message.Change{
		Revision: w.position, Kind: message.ChangeExpire, Key: key,
		Version: lamport.Version{Timestamp: lamport.Timestamp{Time: 1000 * w.position}},
	}
	w.put(c)
	c.Kind = message.ChangeDelete
	w.committed[key] = c
}

// collect takes all tombstones away.
func (w *world) collect() {
	maps.DeleteFunc(w.committed, func(_ string, c message.Change) bool { return c.Kind != message.ChangeSet })
	w.collected = w.position
}

// accept takes a tentative write.
func (w *world) accept(key, value string, time uint64) {
	before, _ := w.Newest(key)
	c := message.Change{Kind: message.ChangeSet, Key: key, Value: []byte(value), Version: lamport.Version{Timestamp: lamport.Timestamp{Time: time}}}
	if old, found := w.tentative[key]; found && !old.Version.Less(c.Version) {
		return
	}
	w.tentative[key] = c
	if after, _ := w.Newest(key); w.follows && after.Version != before.Version {
		w.visible.Push(after)
	}
}

// deliver commits a tentative write.
func (w *world) deliver(key string) {
	c, found := w.tentative[key]
	if !found {
		return
	}
	w.position++
	if w.committed[key].Version.Less(c.Version) {
		c.Revision = w.position
		w.put(c)
	}
	delete(w.tentative, key)
}

// viewer is a watcher, and all that it was sent.
type viewer struct {
	request message.Request
	began   uint64
	before  map[string]message.Change // the committed layer when it began
	events  []watching.Event
	asked   uint64 // sequence of the last event that it is to acknowledge
	ahead   int    // bytes since the last acknowledgement
	ended   bool
}

func request(id uint64, m model.Consistency, prefix, from string) *message.Request {
	return &message.Request{
		RID: id, Request: model.Request{Model: m, Type: model.Watch, Key: prefix, Range: &model.Range{From: from}},
		Watcher: &message.Watcher{Reply: fmt.Sprint("to.", id), Client: fmt.Sprint("c", id)},
	}
}

func (w *world) begin(t *testing.T, id uint64, m model.Consistency, prefix, from string) *viewer {
	t.Helper()
	r := request(id, m, prefix, from)
	if refusal := w.watches.Begin(r); refusal.Code != 0 {
		t.Fatalf("refused: %+v", refusal)
	}
	v := &viewer{request: *r, began: w.position, before: maps.Clone(w.committed)}
	w.viewers[id] = v
	return v
}

// turn ends a turn, and hands out its events.
func (w *world) turn(t *testing.T) {
	t.Helper()
	for _, e := range w.watches.EndTurn(nil) {
		w.hear(t, e)
	}
}

func (w *world) hear(t *testing.T, e watching.Event) {
	t.Helper()
	v := w.viewers[e.Watch]
	if e.Sequence != uint64(len(v.events))+1 || v.ended || e.To.Reply != v.request.Watcher.Reply {
		t.Fatalf("watch %d is sent number %d after %d events, ended %t", e.Watch, e.Sequence, len(v.events), v.ended)
	}
	if len(v.events) > 0 && e.Stream != v.events[0].Stream {
		t.Fatalf("watch %d is told by %q after %q", e.Watch, e.Stream, v.events[0].Stream)
	}
	v.events = append(v.events, e)
	if e.Kind != model.EventHeartbeat {
		v.ahead += e.Size()
	}
	if e.Flow {
		v.asked = e.Sequence
	}
	v.ended = e.Kind == model.EventEnd
	if v.ahead > watching.Window+600<<10 {
		t.Fatalf("watch %d is %d bytes ahead", e.Watch, v.ahead)
	}
}

// ack acknowledges all that was asked for.
func (w *world) ack(v *viewer) {
	w.watches.Ack(v.request.RID, v.asked)
	v.ahead = 0
	for i := len(v.events) - 1; i >= 0 && v.events[i].Sequence > v.asked; i-- {
		v.ahead += v.events[i].Size()
	}
}

// settle acknowledges and ends turns until nothing more is told.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for n := 0; ; n++ {
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
		if before == after && !w.watches.Busy() {
			return
		}
		if n > 100_000 {
			t.Fatal("it never ends")
		}
	}
}

// told are the events of some kinds, as words.
func (v *viewer) told(kinds ...model.EventKind) []string {
	var words []string
	for _, e := range v.events {
		if slices.Contains(kinds, e.Kind) {
			words = append(words, word(&e.Event))
		}
	}
	return words
}

func word(e *model.Event) string {
	s := fmt.Sprintf("%s %s=%s @%d", e.Kind, e.Key, e.Value, e.Revision)
	if e.More {
		s += " more"
	}
	return s
}

// strong says what a watch of models 1 and 2 is to be told: what was there, and the changes since.
func (w *world) strong(v *viewer) (values, changed []string) {
	at, goesOn := v.request.After()
	if !goesOn {
		at = v.began
		for _, key := range slices.Sorted(maps.Keys(v.before)) {
			if c := v.before[key]; c.Kind == message.ChangeSet && strings.HasPrefix(key, v.request.Key) {
				values = append(values, word(&model.Event{Kind: model.EventValue, Key: key, Value: c.Value, Revision: c.Revision}))
			}
		}
	}
	var below []*model.Event // what the watch is told of
	for i := w.log.First(); i < w.log.Next(); i++ {
		c := w.log.At(i)
		if c.Revision <= at || !strings.HasPrefix(c.Key, v.request.Key) {
			continue
		}
		below = append(below, &model.Event{Kind: c.Kind.Event(), Key: c.Key, Value: c.Value, Revision: c.Revision})
	}
	for i, e := range below {
		e.More = i+1 < len(below) && below[i+1].Revision == e.Revision
		changed = append(changed, word(e))
	}
	return values, changed
}

var theChanges = []model.EventKind{model.EventSet, model.EventDelete, model.EventExpire}

func (w *world) judge(t *testing.T, v *viewer) {
	t.Helper()
	caught := v.told(model.EventCaughtUp)
	if want := []string{fmt.Sprintf("CAUGHT-UP = @%d", v.began)}; !slices.Equal(caught, want) {
		t.Errorf("watch %d: %q; want %q", v.request.RID, caught, want)
	}
	if v.request.Model.Strong() {
		values, changed := w.strong(v)
		if got := v.told(model.EventValue); !slices.Equal(got, values) {
			t.Errorf("watch %d was told of %d values, of %d: %q\n%q", v.request.RID, len(got), len(values), got, values)
		}
		if got := v.told(theChanges...); !slices.Equal(got, changed) {
			t.Errorf("watch %d was told of %d changes of %d", v.request.RID, len(got), len(changed))
		}
		return
	}
	w.judgeWeak(t, v)
}

// judgeWeak: each version once, rising, and the last of each key is what a get sees.
func (w *world) judgeWeak(t *testing.T, v *viewer) {
	t.Helper()
	last := map[string]*watching.Event{}
	for i := range v.events {
		e := &v.events[i]
		if !e.Kind.Concerns() {
			continue
		}
		if before := last[e.Key]; before != nil && !before.Version.Less(e.Version) {
			t.Errorf("watch %d is told of %s at %v after %v", v.request.RID, e.Key, e.Version, before.Version)
		}
		last[e.Key] = e
	}
	keys := maps.Clone(w.committed)
	maps.Copy(keys, w.tentative)
	for key := range keys {
		c, _ := w.Newest(key)
		got := last[key]
		isOver := c.Kind != message.ChangeSet
		switch {
		case !strings.HasPrefix(key, v.request.Key):
			if got != nil {
				t.Errorf("watch %d of %q is told of %q", v.request.RID, v.request.Key, key)
			}
		case got == nil && !isOver, got != nil && got.Version != c.Version, got != nil && string(got.Value) != string(c.Value):
			t.Errorf("watch %d: the last of %q is %+v; want %+v", v.request.RID, key, got, c)
		}
	}
}

// Watches of all models, that begin at any time, acknowledge now and then, and go on from
// anywhere, are told all, once, in order.
func TestO23WatchesAreComplete(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(0)
		value := strings.Repeat("v", 1+r.IntN(60_000))
		key := func() string { return fmt.Sprintf("%c/%d", 'a'+rune(r.IntN(3)), r.IntN(40)) }
		step := func() {
			switch r.IntN(6) {
			case 0:
				w.write("", key())
			case 1:
				w.write(fmt.Sprint(value, w.position), key(), key()+"x", key()+"y")
			case 2:
				w.accept(key(), fmt.Sprint("t", w.position), 1000*w.position+r.Uint64N(3000))
			case 3:
				if waiting := slices.Sorted(maps.Keys(w.tentative)); len(waiting) > 0 {
					w.deliver(waiting[r.IntN(len(waiting))])
				}
			default:
				w.write(fmt.Sprint(value, w.position), key())
			}
		}

		for range r.IntN(200) {
			step()
		}
		id := uint64(0)
		for range 150 {
			for range r.IntN(4) {
				step()
			}
			if r.IntN(15) == 0 {
				id++
				from := ""
				m := model.Consistency(1 + r.IntN(4))
				if m.Strong() && r.IntN(2) == 0 {
					from = fmt.Sprint(r.Uint64N(w.position + 1))
				}
				w.begin(t, id, m, []string{"", "a/", "b", "c/1", "nobody"}[r.IntN(5)], from)
			}
			for _, id := range slices.Sorted(maps.Keys(w.viewers)) {
				v := w.viewers[id]
				if r.IntN(3) == 0 {
					w.ack(v)
				}
			}
			if r.IntN(4) == 0 {
				w.watches.Tick()
			}
			w.turn(t)
		}
		for _, key := range slices.Sorted(maps.Keys(w.tentative)) {
			w.deliver(key)
		}
		w.settle(t)
		for _, v := range w.viewers {
			w.judge(t, v)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		w.watches.End(model.Unavailable, "over")
		if w.open != 0 || w.follows || w.watches.Len() != 0 {
			t.Fatalf("seed %d: %d snapshots are open, follows %t", seed, w.open, w.follows)
		}
	}
}
