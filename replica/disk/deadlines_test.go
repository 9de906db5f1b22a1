package disk

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/replica/durable"
	"quartet/replica/store"
)

// A deadline of which the record does not know, or that is none: nothing more is committed.
func TestADeadlineThatIsWrong(t *testing.T) {
	for name, key := range map[string][]byte{
		"of no record":    deadlineKey(nil, ending{7, "nobody"}),
		"another one":     deadlineKey(nil, ending{7, "a"}),
		"of a key of now": deadlineKey(nil, ending{7, "b"}),
		"too short":       {prefixDeadline, 1},
	} {
		d, _ := mustOpen(t, inMemory(vfs.NewMem()))
		d.Put("a", store.Record{Kind: store.KindValue, Expires: 8})
		d.Put("b", store.Record{Kind: store.KindValue})
		mustCommit(t, d, &durable.Turn{Changed: true})
		d.soonest = ending{} // as after a start
		if err := d.db.Set(key, []byte{layout}, pebble.Sync); err != nil {
			t.Fatal(err)
		}

		d.Due(100, func(string, store.Record) bool { return true })
		if err := d.Commit(&durable.Turn{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What has ended is not stepped over again: where the next deadline is, is known, by each turn and
// after a start.
func TestWhatHasEndedIsPassedOver(t *testing.T) {
	fs := vfs.NewMem()
	d, _ := mustOpen(t, inMemory(fs))
	const keys = 500
	for i := range keys {
		d.Put(fmt.Sprintf("%04d", i), store.Record{Kind: store.KindValue, Expires: uint64(i + 1)})
	}
	mustCommit(t, d, &durable.Turn{Changed: true})

	for now := uint64(1); now <= keys; now++ {
		var ended []string
		d.Due(now, func(key string, _ store.Record) bool {
			ended = append(ended, key)
			return true
		})
		if len(ended) != 1 {
			t.Fatalf("at %d %q end, want one key", now, ended)
		}
		if d.soonest.expires != now {
			t.Fatalf("at %d what comes first is at %d", now, d.soonest.expires)
		}

		d.Put(ended[0], store.Record{Kind: store.KindTombstone})
		mustCommit(t, d, &durable.Turn{Changed: true})
		if now == keys/2 {
			mustClose(t, d)
			if d, _ = mustOpen(t, inMemory(fs)); d.soonest.expires != now+1 {
				t.Fatalf("after a start at %d what comes first is at %d", now, d.soonest.expires)
			}
		}
	}

	d.Due(math.MaxUint64, func(key string, _ store.Record) bool { t.Errorf("%q ends", key); return true })
	if !d.lasting {
		t.Error("it is not known that nothing ends any more")
	}
}

// A replica that nobody asks has little to step over once it is asked.
func TestWhatHasEndedUnasked(t *testing.T) {
	o := inMemory(vfs.NewMem())
	d, _ := mustOpen(t, o)
	const keys = 500
	for i := range keys {
		d.Put(fmt.Sprintf("%04d", i), store.Record{Kind: store.KindValue, Expires: uint64(i + 1)})
	}
	mustCommit(t, d, &durable.Turn{Changed: true})

	for i := range keys {
		d.Put(fmt.Sprintf("%04d", i), store.Record{Kind: store.KindTombstone})
		mustCommit(t, d, &durable.Turn{Changed: true})
		if behind := i + 2 - int(d.soonest.expires); behind > o.trimEnded && !d.lasting {
			t.Fatalf("%d deadlines that are no more are before the first", behind)
		}
	}
	if d.Due(math.MaxUint64, func(key string, _ store.Record) bool { t.Errorf("%q ends", key); return true }); !d.lasting {
		t.Error("it is not known that nothing ends any more")
	}
}

// A partial turn leaves deadlines out as it does records: they are there with the next turn.
func TestDeadlinesOfAPartialTurn(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d, _ := mustOpen(t, inMemory(fs))
	d.Put("a", store.Record{Kind: store.KindValue, Expires: 5})
	mustCommit(t, d, &durable.Turn{Changed: true})
	d.Put("a", store.Record{Kind: store.KindValue, Expires: 9})
	d.Put("b", store.Record{Kind: store.KindValue, Expires: 7})
	mustCommit(t, d, &durable.Turn{Changed: true, Partial: true})

	want := func(d *Disk, endings ...ending) {
		t.Helper()
		s := snapshot{keys: map[string]store.Record{}}
		for _, p := range endings {
			s.keys[p.key] = store.Record{Kind: store.KindValue, Expires: p.expires}
		}
		if diff := s.deadlinesDiffer(d); diff != "" {
			t.Error(diff)
		}
	}

	o := inMemory(fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}))
	other, _ := mustOpen(t, o)
	want(other, ending{5, "a"})
	want(d, ending{7, "b"}, ending{9, "a"})
	mustCommit(t, d, &durable.Turn{Changed: true})
	want(d, ending{7, "b"}, ending{9, "a"})
	mustClose(t, d)
	d, _ = mustOpen(t, inMemory(fs))
	want(d, ending{7, "b"}, ending{9, "a"})
}

// BenchmarkDue asks for what is due while keys end, 64 a turn.
func BenchmarkDue(b *testing.B) {
	const keys = 100_000
	d, _, err := Open(b.Context(), Options{Dir: filepath.Join(b.TempDir(), "r1")})
	if err != nil {
		b.Fatal(err)
	}
	put := func(i int, r store.Record) {
		d.Put(benchKey(i), r)
		if i%64 != 63 {
			return
		}
		if err := d.Commit(benchTurn(i)); err != nil {
			b.Fatal(err)
		}
	}
	for i := range keys {
		r := benchRecord(i, 100)
		r.Expires = uint64(1 + i/64)
		put(i, r)
	}
	for i := range keys / 2 / 64 * 64 {
		put(i, store.Record{Kind: store.KindTombstone})
	}
	next := uint64(keys/2/64 + 1)

	d.Due(next-1, func(string, store.Record) bool { return true })
	b.Run("nothing", func(b *testing.B) {
		for b.Loop() {
			d.Due(next-1, func(string, store.Record) bool { return true })
		}
	})
	b.Run("64", func(b *testing.B) {
		for b.Loop() {
			n := 0
			d.Due(next, func(string, store.Record) bool { n++; return true })
			if n != 64 {
				b.Fatal(n)
			}
		}
	})
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}
