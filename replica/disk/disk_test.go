package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/bus/codec"
	"quartet/bus/message"
	"quartet/replica/durable"
	"quartet/replica/store"
	"quartet/replica/store/storetest"
)

// inMemory are options for a store in a file system that can crash.
func inMemory(fs vfs.FS) Options {
	return Options{
		Dir: "/r1", BootID: "boot 1", SyncEvery: time.Hour, Window: 50, records: 4 << 10,
		fs: fs, memTable: 256 << 10, trimEnded: 16,
	}
}

// committing commits after each so many puts.
type committing struct {
	*Disk
	t     *testing.T
	every int
	puts  int
}

func (c *committing) Put(key string, r store.Record) {
	c.Disk.Put(key, r)
	if c.puts++; c.puts%c.every == 0 {
		mustCommit(c.t, c.Disk, &durable.Turn{Changed: true})
	}
}

func TestStore(t *testing.T) {
	for _, every := range []int{1, 7, 1 << 30} { // the last one: all is in the turn
		t.Run(fmt.Sprintf("commit=%d", every), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				d, _ := mustOpen(t, inMemory(vfs.NewMem()))
				t.Cleanup(func() {
					if err := d.Err(); err != nil {
						t.Error(err)
					}
				})
				return &committing{Disk: d, t: t, every: every}
			})
		})
	}
}

func TestNothingWasSaved(t *testing.T) {
	fs := vfs.NewMem()
	for range 3 { // opened and closed, it is still empty
		d, saved := mustOpen(t, inMemory(fs))
		if saved != nil || d.Len() != 0 || d.TailMayBeMissing() {
			t.Fatalf("an empty store has %+v, %d keys, tail %t", saved, d.Len(), d.TailMayBeMissing())
		}
		mustCommit(t, d, nil)
		mustCommit(t, d, &durable.Turn{})
		mustClose(t, d)
	}
}

// fillFields sets every field to something that is not zero, but for the record.
func fillFields(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64, reflect.Uint32:
			f.SetUint(rand.Uint64()>>33 + 1)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.String:
			f.SetString("why")
		case reflect.Slice:
			if f.Type() == reflect.TypeFor[[][]uint64]() {
				f.Set(reflect.ValueOf([][]uint64{{1}, {1 << 40, 2}}))
				continue
			}
			f.Set(reflect.ValueOf([]uint64{1, 1 << 40}))
		case reflect.Struct:
			if f.Type() != reflect.TypeFor[message.Record]() {
				fillFields(t, f)
			}
		default:
			t.Fatalf("a field of kind %v", f.Kind())
		}
	}
}

// appendFirst is appendRecord as builds without revisions had it.
func appendFirst(b []byte, r *store.Record) []byte {
	b = append(b, recordFirst, byte(r.Kind))
	b = appendNumbers(b, r.Version.Epoch, r.Version.Time, uint64(r.Version.Node), r.Number, r.RID)
	return append(b, r.Value...)
}

func TestRecordsOfAnotherLayout(t *testing.T) {
	r := store.Record{Kind: store.KindValue, Value: []byte("v"), RID: 300, Revision: 1 << 40, Expires: 1 << 41}
	first := r
	first.Revision, first.Expires = firstRevision, 0
	for _, c := range []struct {
		b    []byte
		want store.Record
	}{{appendRecord(nil, &r), r}, {appendFirst(nil, &r), first}} {
		if got, err := decodeRecord(c.b); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Fatalf("%+v, %v; want %+v", got, err, c.want)
		}
		for n := range len(c.b) - 1 {
			if _, err := decodeRecord(c.b[:n]); !errors.Is(err, errValue) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}

	for _, layout := range []byte{0, recordLayout + 1} {
		if _, err := decodeRecord(append([]byte{layout}, appendRecord(nil, &r)[1:]...)); !errors.Is(err, errValue) {
			t.Errorf("layout %d: %v", layout, err)
		}
	}
}

// Whatever is read: no panic, and what is a record is written as it was read.
func FuzzRecord(f *testing.F) {
	for _, r := range []store.Record{
		{Kind: store.KindValue, Value: []byte("v"), RID: 300},
		{Kind: store.KindTombstone, Revision: 5},
		{Kind: store.KindValue, Revision: 7, Expires: 1 << 41},
	} {
		f.Add(appendRecord(nil, &r))
		f.Add(appendFirst(nil, &r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if again, err := decodeRecord(appendRecord(nil, &r)); err != nil || !same(again, r) {
			t.Errorf("%+v is read again as %+v, %v", r, again, err)
		}
	})
}

func TestTurnsThatContradict(t *testing.T) {
	entry := []message.Executed{{RID: 1, Key: "k"}}
	for name, turn := range map[string]*durable.Turn{
		"no state":               {WeakGone: []durable.WeakID{{RID: 1}}},
		"too many entries":       {Changed: true, Executed: entry},
		"entries, no state":      {Executed: entry},
		"a request that is none": {Changed: true, Weak: []*message.Request{{}}},
		"too many members":       {Changed: true, State: durable.State{Contiguous: make([]uint64, codec.MaxMembers+1)}},
		"an impossible record":   {Changed: true, State: durable.State{Record: message.Record{View: message.View{Epoch: 1}}}},
	} {
		d, _ := mustOpen(t, inMemory(vfs.NewMem()))
		if err := d.Commit(turn); !errors.Is(err, ErrTurn) {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.Commit(&durable.Turn{Changed: true}); !errors.Is(err, ErrTurn) {
			t.Errorf("%s: the error is not kept: %v", name, err)
		}
		if err := d.Close(); !errors.Is(err, ErrTurn) {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no directory": {}, "sync": {Dir: "d", Sync: 3}, "negative": {Dir: "d", SyncEvery: -1},
		"boot id":       {Dir: "d", BootID: string(make([]byte, 65))},
		"a small cache": {Dir: "d", Cache: LeastCache - 1}, "a large cache": {Dir: "d", Cache: MostCache + 1},
	} {
		if _, _, err := Open(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if Interval.String() != "interval" || Always.String() != "always" {
		t.Error(Interval, Always)
	}
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r1")
	d, _ := mustOpen(t, Options{Dir: dir})
	if _, _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) {
		t.Errorf("by this process: %v", err)
	}
	mustClose(t, d)
	c := startChild(t, "hold", dir, Interval, 1)
	c.waitFor("open")
	if _, _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) {
		t.Errorf("by another process: %v", err)
	}
	c.kill()
	d, _ = mustOpen(t, Options{Dir: dir}) // kill -9 leaves no lock behind
	mustClose(t, d)
	if err := d.Commit(&durable.Turn{Changed: true}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	mustClose(t, d)
}

// Keys that are asked for again and again stay, whatever passes by.
func TestCacheKeepsWhatIsHot(t *testing.T) {
	c := newCache(100 * (entryCost + 6))
	misses := 0
	ask := func(key string) {
		if c.get(key) == nil {
			c.add(key, store.Record{}, true)
			misses++
		}
	}

	for i := range 10_000 {
		ask(fmt.Sprintf("%06d", i)) // once
		if i == 5000 {
			misses = 0
		}
		if i > 1000 { // what comes into a full cache must be able to stay
			ask(fmt.Sprint("hot", i%40))
		}
	}

	if misses > 5000+50 {
		t.Errorf("%d of 5000 hot gets have missed", misses-5000)
	}
}

func TestCache(t *testing.T) {
	c := newCache(40 * (entryCost + 2 + 10))
	rnd := rand.New(rand.NewPCG(1, 1))
	turn := []*entry{}

	for i := range 10_000 {
		key := fmt.Sprintf("%02d", rnd.IntN(100))
		e := c.get(key)
		if e == nil {
			e = c.add(key, store.Record{}, false)
		}
		if rnd.IntN(3) == 0 {
			c.set(e, store.Record{Value: make([]byte, rnd.IntN(20))}, true)
			if !e.dirty {
				e.dirty = true
				turn = append(turn, e)
			}
		}

		for _, e := range turn {
			if c.byKey[e.key] != e {
				t.Fatalf("step %d: a record of the turn is gone", i)
			}
		}

		if i%30 == 0 {
			c.settle(turn)
			turn = turn[:0]
			if c.size > c.limit {
				t.Fatalf("step %d: %d bytes, more than %d", i, c.size, c.limit)
			}
		}

		size := 0
		for at, e := range c.ring {
			if e.at != at || c.byKey[e.key] != e {
				t.Fatalf("step %d: entry %d is out of place", i, at)
			}
			size += e.size()
		}
		if size != c.size || len(c.ring) != len(c.byKey) {
			t.Fatalf("step %d: %d bytes are counted, %d are there", i, c.size, size)
		}
	}

	if len(c.ring) < 30 {
		t.Errorf("only %d entries are kept", len(c.ring))
	}
}
