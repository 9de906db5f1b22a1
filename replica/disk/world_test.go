package disk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// world makes random turns, and is the model of what a disk must hold after them.
type world struct {
	rnd      *rand.Rand
	window   int
	state    durable.State
	data     map[durable.DataID]*message.Data
	writes   map[uint64]message.CausalWrite
	weak     map[durable.WeakID]message.Request
	executed []message.Executed // without a gap up to state.Entries
	keys     map[string]store.Record
	value    int // bytes of the longest value
	names    int // of keys
	clears   int // percent of the turns
}

func newWorld(seed uint64, window int) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 1)), window: window, value: 300, names: 500, clears: 1,
		data: map[durable.DataID]*message.Data{}, writes: map[uint64]message.CausalWrite{},
		weak: map[durable.WeakID]message.Request{}, keys: map[string]store.Record{},
	}
	w.state.Incarnation = 1
	return w
}

func (w *world) chance(percent int) bool { return w.rnd.IntN(100) < percent }

func (w *world) bytes() []byte {
	b := make([]byte, w.rnd.IntN(w.value))
	var word [8]byte
	for i := 0; i < len(b); i += copy(b[i:], word[:]) {
		binary.LittleEndian.PutUint64(word[:], w.rnd.Uint64())
	}
	return b
}

// request makes up a set of some model, now and then with an identity.
func (w *world) request() message.Request {
	w.state.LastRID++
	r := message.Request{
		RID: w.state.LastRID,
		Request: model.NewSet(model.All[w.rnd.IntN(len(model.All))], fmt.Sprintf("k%d", w.rnd.IntN(w.names)),
			w.bytes()),
		Version: lamport.Version{
			Epoch:     w.state.Record.Epoch,
			Timestamp: lamport.Timestamp{Time: w.rnd.Uint64() >> 2, Node: lamport.Master(1)},
		},
		Min: w.rnd.Uint64(),
	}
	if w.chance(50) {
		r.Identity, r.Digest = fmt.Sprintf("id %d", r.RID), w.rnd.Uint64()
	}
	return r
}

// turn makes the next turn, puts its records into s, and applies both to the model.
func (w *world) turn(s store.Store) *durable.Turn {
	t := &durable.Turn{Changed: true}

	w.view(t)
	w.causal(t)

	for range w.rnd.IntN(4) {
		id := durable.DataID{From: lamport.Replica(1 + w.rnd.IntN(3)), Seq: w.rnd.Uint64() >> 1}
		header := message.Header{From: id.From, Incarnation: 1, Epoch: 3, Clock: w.rnd.Uint64() >> 2}
		m := &message.Data{Header: header, Seq: id.Seq}
		m.Received = message.Received{LastSeq: id.Seq, Received: []uint64{1, w.rnd.Uint64(), 3}}
		for range 1 + w.rnd.IntN(3) {
			m.Ops = append(m.Ops, message.Operation{Op: message.OpStrong, Request: w.request()})
		}
		m.Ops = append(m.Ops, message.Operation{Op: message.OpReads, Reads: []uint64{7, 8}}, message.Operation{
			Op: message.OpCommit, Number: 3,
		})
		t.Data = append(t.Data, m)
		w.data[id] = m
	}

	for _, id := range sortedKeys(w.data, func(id durable.DataID) string { return string(dataKey(id.From, id.Seq)) }) {
		if w.chance(40) {
			t.Delivered = append(t.Delivered, id)
			delete(w.data, id)
		}
	}

	for range w.rnd.IntN(3) {
		r := w.request()
		t.Weak = append(t.Weak, &r)
		w.weak[durable.WeakID{RID: r.RID, Version: r.Version}] = r
	}
	for _, id := range sortedKeys(w.weak, func(id durable.WeakID) string { return string(weakKey(id)) }) {
		if w.chance(30) {
			t.WeakGone = append(t.WeakGone, id)
			delete(w.weak, id)
		}
	}

	w.table(t)
	w.state.Position++
	w.state.Clock = w.rnd.Uint64() >> 2
	w.state.Place = lamport.Timestamp{Time: w.rnd.Uint64() >> 1, Node: lamport.Replica(2)}
	w.state.Contiguous = []uint64{w.rnd.Uint64(), 0, w.rnd.Uint64()}
	w.state.Learning, w.state.Scratch = w.chance(50), w.chance(50)
	t.State = w.state

	if w.chance(w.clears) {
		s.Clear()
		clear(w.keys)
	}

	for range w.rnd.IntN(6) {
		key := fmt.Sprintf("k%d", w.rnd.IntN(w.names))
		if w.chance(10) {
			s.Remove(key)
			delete(w.keys, key)
			continue
		}
		r := w.record(t.State.Place)
		s.Put(key, r)
		w.keys[key] = r
	}

	return t
}

// record is a value, with a deadline or without, or a tombstone.
func (w *world) record(at lamport.Timestamp) store.Record {
	r := store.Record{
		Kind: store.KindValue, RID: w.rnd.Uint64(), Number: w.rnd.Uint64(), Version: lamport.Version{Epoch: 1, Timestamp: at},
		Revision: w.state.Position,
	}
	switch {
	case w.chance(20):
		r.Kind = store.KindTombstone
		return r
	case w.chance(40):
		r.Expires = 1 + uint64(w.rnd.IntN(1000))
	}
	r.Value = w.bytes()
	return r
}

// view now and then ends the epoch.
func (w *world) view(t *durable.Turn) {
	if w.state.Record.Epoch > 0 && !w.chance(5) {
		return
	}
	node := func(n int) lamport.Node { return lamport.Replica(n) }
	w.state.Record = message.Record{
		View: message.View{
			Epoch:   w.state.Record.Epoch + 1,
			Members: []message.Member{{Node: node(1), Incarnation: 1}, {Node: node(3), Incarnation: 9}}, Faults: 1,
		},
		Configured: []lamport.Node{node(1), node(2), node(3)}, Missing: 1, Cut: []uint64{w.rnd.Uint64(), 5},
		High: w.state.Watermark, Start: 17, Master: 4, Nonce: w.rnd.Uint64(),
	}
	t.DropData = true
	clear(w.data)
	if w.chance(50) {
		t.Void, t.VoidAbove = true, w.state.Watermark
		maps.DeleteFunc(w.writes, func(n uint64, _ message.CausalWrite) bool { return n > t.VoidAbove })
	}
}

// causal receives causal writes, some behind a gap, and commits some.
func (w *world) causal(t *durable.Turn) {
	for range w.rnd.IntN(5) {
		number := w.state.Watermark + 1 + uint64(w.rnd.IntN(3))
		c := message.CausalWrite{Number: number, Request: w.request()}
		t.Writes = append(t.Writes, &c)
		w.writes[number] = c
		for w.writes[w.state.Watermark+1].Number > 0 {
			w.state.Watermark++
		}
	}
	w.state.Committed += uint64(w.rnd.IntN(int(w.state.Watermark-w.state.Committed) + 1))
	w.state.Safe = w.state.Committed
}

// table adds entries to the table of executed requests, or begins it anew.
func (w *world) table(t *durable.Turn) {
	if w.chance(2) { // begins anew, as for a joiner that is far behind
		w.state.Entries += 1000
		w.executed = nil
	}

	for range w.rnd.IntN(4) {
		w.state.Entries++
		r := w.request()
		x := message.Executed{
			Identity: r.Identity, RID: r.RID, Digest: r.Digest, Position: w.rnd.Uint64(), Timestamp: w.rnd.Uint64(),
			Key: r.Key,
		}

		switch {
		case w.chance(20):
			x.Code, x.Revision = model.Failed, w.rnd.Uint64()
		case w.chance(20):
			x.Result = w.bytes()
		case w.chance(20): // nobody's
			x = message.Executed{Key: r.Key}
		}
		t.Executed = append(t.Executed, x)
		w.executed = append(w.executed, x)
	}

	if n := len(w.executed); n > w.window {
		w.executed = slices.Clone(w.executed[n-w.window:])
	}
}

// snapshot is what a disk must give back.
type snapshot struct {
	saved durable.Saved
	keys  map[string]store.Record
}

func (w *world) snapshot() snapshot {
	s := snapshot{saved: durable.Saved{State: w.state, Executed: slices.Clone(w.executed)}, keys: maps.Clone(w.keys)}
	for n := w.state.Committed + 1; n <= w.state.Watermark; n++ {
		s.saved.Writes = append(s.saved.Writes, w.writes[n])
	}
	s.saved.Data = slices.Collect(maps.Values(w.data))
	s.saved.Weak = slices.Collect(maps.Values(w.weak))
	return s
}

// reborn is the world after a restart from s: what was behind a gap is forgotten.
func (w *world) reborn(s snapshot) {
	w.state = s.saved.State
	w.executed, w.keys = slices.Clone(s.saved.Executed), maps.Clone(s.keys)
	clear(w.data)
	clear(w.weak)
	clear(w.writes)
	for _, m := range s.saved.Data {
		w.data[durable.DataID{From: m.From, Seq: m.Seq}] = m
	}
	for _, r := range s.saved.Weak {
		w.weak[durable.WeakID{RID: r.RID, Version: r.Version}] = r
	}
	for _, c := range s.saved.Writes {
		w.writes[c.Number] = c
	}
}

func sortedKeys[K comparable, V any](m map[K]V, by func(K) string) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return strings.Compare(by(a), by(b)) })
}

// differs says how what a disk gave back differs from s; "" if it does not.
func (s snapshot) differs(d *Disk, saved *durable.Saved) string {
	if saved == nil {
		return "nothing was saved"
	}
	sorted := gocmp.Options{
		cmpopts.EquateEmpty(),
		gocmp.FilterValues(func(a, b []byte) bool { return len(a) > 0 || len(b) > 0 }, gocmp.Comparer(bytes.Equal)),
		cmpopts.SortSlices(func(a, b *message.Data) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Seq, b.Seq)) }),
		cmpopts.SortSlices(func(a, b message.Request) int { return cmp.Compare(a.RID, b.RID) }),
	}
	if diff := gocmp.Diff(&s.saved, saved, sorted...); diff != "" {
		return diff
	}
	if d.Len() != len(s.keys) {
		return fmt.Sprintf("Len = %d, want %d", d.Len(), len(s.keys))
	}
	if diff := s.deadlinesDiffer(d); diff != "" {
		return diff
	}

	keys, diff := 0, ""
	d.Ascend("", func(key string, r store.Record) bool {
		want, ok := s.keys[key]
		if got, found := d.Get(key); !ok || !found || !same(r, want) || !same(got, want) {
			diff = fmt.Sprintf("%q is %+v, by Get %+v; want %+v", key, r, got, want)
		}
		keys++
		return diff == ""
	})
	if diff == "" && keys != len(s.keys) {
		diff = fmt.Sprintf("%d keys, want %d", keys, len(s.keys))
	}
	return cmp.Or(diff, errorText(d.Err()))
}

// deadlinesDiffer is differs, of the number of values and of what is due.
func (s snapshot) deadlinesDiffer(d *Disk) string {
	live := 0
	var want, got []ending
	for key, r := range s.keys {
		live += int(isValue(&r))
		if r.Expires > 0 {
			want = append(want, ending{r.Expires, key})
		}
	}
	slices.SortFunc(want, ending.compare)

	d.Due(math.MaxUint64, func(key string, r store.Record) bool {
		if !same(r, s.keys[key]) {
			key += " with another record"
		}
		got = append(got, ending{r.Expires, key})
		return true
	})
	if !slices.Equal(got, want) {
		return fmt.Sprintf("due are %v, want %v", got, want)
	}
	if d.Live() != live {
		return fmt.Sprintf("Live = %d, want %d", d.Live(), live)
	}
	return ""
}

func same(a, b store.Record) bool {
	sameWrite := a.Version == b.Version && a.Number == b.Number && a.RID == b.RID && a.Revision == b.Revision
	return a.Kind == b.Kind && bytes.Equal(a.Value, b.Value) && sameWrite && a.Expires == b.Expires
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func mustOpen(t *testing.T, o Options) (*Disk, *durable.Saved) {
	t.Helper()
	d, saved, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, saved
}

func mustCommit(t *testing.T, d *Disk, turn *durable.Turn) {
	t.Helper()
	if err := d.Commit(turn); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t *testing.T, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// discard is a store for a world without a disk.
type discard struct{ store.Store }

func (discard) Put(string, store.Record) {}
func (discard) Remove(string)            {}
func (discard) Clear()                   {}
