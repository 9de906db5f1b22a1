package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"quartet/bus/lamport"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// benchKey is the key number i of 16 bytes; the keys are in no order.
func benchKey(i int) string { return fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15) }

// benchRecord has a value of n bytes, of which half are zero.
func benchRecord(i, n int) store.Record {
	value := make([]byte, n)
	for at := 0; at < n/2; at += 8 {
		binary.LittleEndian.PutUint64(value[at:], uint64(i+at)*0x9e3779b97f4a7c15)
	}
	return store.Record{
		Kind: store.KindValue, Value: value, RID: uint64(i),
		Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: uint64(i), Node: 1}},
	}
}

func benchTurn(i int) *durable.Turn {
	return &durable.Turn{
		Changed: true,
		State: durable.State{
			Incarnation: 1, Position: uint64(i), Clock: uint64(i),
			Contiguous: []uint64{uint64(i), uint64(i), uint64(i)},
		},
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, mode := range []Sync{Interval, Always} {
		for _, puts := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%v/puts=%d", mode, puts), func(b *testing.B) {
				d, _, err := Open(b.Context(), Options{Dir: filepath.Join(b.TempDir(), "r1"), Sync: mode})
				if err != nil {
					b.Fatal(err)
				}

				keys := make([]string, 100_000)
				for i := range keys {
					keys[i] = benchKey(i)
				}

				n := 0
				for b.Loop() {
					for range puts {
						d.Put(keys[n%len(keys)], benchRecord(n, 100))
						n++
					}
					if err := d.Commit(benchTurn(n)); err != nil {
						b.Fatal(err)
					}
				}

				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	const keys = 200_000
	d, _, err := Open(b.Context(), Options{Dir: filepath.Join(b.TempDir(), "r1")})
	if err != nil {
		b.Fatal(err)
	}
	fillKeys(b, d, keys)

	all := make([]string, keys)
	for i := range all {
		all[i] = benchKey(i)
	}

	for _, c := range []struct {
		name string
		of   int // keys that are asked for
	}{{"hot", 1000}, {"cold", keys}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := d.Get(all[i*7919%c.of]); !ok {
					b.Fatal("a key is missing")
				}
				i++
			}
		})
	}

	b.Run("missing", func(b *testing.B) {
		i := 0
		for b.Loop() {
			if _, ok := d.Get(benchKey(keys + i)); ok {
				b.Fatal("a key is too many")
			}
			i++
		}
	})

	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

// fillKeys commits so many keys with values of 100 bytes, 64 a turn.
func fillKeys(tb testing.TB, d *Disk, keys int) {
	for i := 0; i < keys; i++ {
		d.Put(benchKey(i), benchRecord(i, 100))
		if i%64 == 63 || i == keys-1 {
			if err := d.Commit(benchTurn(i)); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// BenchmarkDeadlines writes 200,000 keys of 16 + 100 bytes, without deadlines and with them, and
// reports what that takes.
func BenchmarkDeadlines(b *testing.B) {
	const keys = 200_000
	for _, ttl := range []uint64{0, 1000} {
		b.Run(fmt.Sprintf("ttl=%d", ttl), func(b *testing.B) {
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), "r1")
				d, _, err := Open(b.Context(), Options{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				for i := range keys {
					r := benchRecord(i, 100)
					if r.Revision = uint64(i + 1); ttl > 0 {
						r.Expires = 1_800_000_000_000 + uint64(i)
					}
					d.Put(benchKey(i), r)
					if i%64 != 63 {
						continue
					}
					if err := d.Commit(benchTurn(i)); err != nil {
						b.Fatal(err)
					}
				}

				b.ReportMetric(resident(b, "VmRSS"), "MiB-now")
				if err := errors.Join(d.db.Compact(b.Context(), []byte{0}, []byte{0xff}, false), d.Close()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(size(b, dir)*(1<<20)/keys, "B-disk/key")
			}
		})
	}
}

// BenchmarkMillion writes 1,000,000 keys twice, reads them, stops and opens again, and
// reports what that takes.
func BenchmarkMillion(b *testing.B) {
	const keys = 1_000_000
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "r1")
		begin := time.Now()
		d, _, err := Open(b.Context(), Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}

		for range 2 {
			fillKeys(b, d, keys)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/write")

		begin = time.Now()
		for i := range keys {
			if _, ok := d.Get(benchKey(i * 7919 % keys)); !ok {
				b.Fatal("a key is missing")
			}
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/read")

		begin = time.Now()
		n := 0
		d.Ascend("", func(string, store.Record) bool { n++; return true })
		if n != keys || d.Len() != keys {
			b.Fatal(n, d.Len())
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/ascend")

		runtime.GC()
		b.ReportMetric(resident(b, "VmRSS"), "MiB-now")
		b.ReportMetric(resident(b, "VmHWM"), "MiB-peak")
		b.ReportMetric(size(b, dir), "MiB-disk")
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}

		begin = time.Now()
		if d, _, err = Open(b.Context(), Options{Dir: dir}); err != nil || d.Len() != keys {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/open")
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// resident returns a figure of this process in MiB.
func resident(b *testing.B, what string) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), what+":")
	kib := 0
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}

// size returns how many MiB the files of a folder have.
func size(b *testing.B, dir string) float64 {
	total := int64(0)
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(total) / (1 << 20)
}
