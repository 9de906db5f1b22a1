package disk

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"quartet/replica/store"
)

// However much is stored and read, the data that are kept in memory stay within the cache that was
// asked for: the records, the engine's blocks and its memtables. A larger cache keeps more of them.
func TestTheCacheIsAsLargeAsAskedFor(t *testing.T) {
	const (
		keys  = 12000
		value = 8 << 10  // 94 MiB in all, that do not compress
		few   = 64 << 10 // of records and blocks that come before others go
	)
	random := rand.NewChaCha8([32]byte{1})
	values := make([]byte, keys+value)
	if _, err := random.Read(values); err != nil {
		t.Fatal(err)
	}
	valueOf := func(i int) []byte { return values[i : i+value] }

	filled := map[int64]int{}
	for _, size := range []int64{LeastCache, 3 * LeastCache} {
		t.Run(fmt.Sprintf("%d MiB", size>>20), func(t *testing.T) {
			d, _ := mustOpen(t, Options{Dir: filepath.Join(t.TempDir(), "r1"), Cache: size})
			most := 0
			measure := func() {
				m := d.db.Metrics()
				most = max(most, d.cache.size+int(m.BlockCache.Size)+int(m.MemTable.Size))
			}

			for i := range keys {
				d.Put(benchKey(i), store.Record{Value: valueOf(i), Revision: uint64(i + 1)})
				if i%16 == 15 {
					mustCommit(t, d, benchTurn(i))
					measure()
				}
			}
			for i := range keys {
				r, ok := d.Get(benchKey(i))
				if !ok || string(r.Value) != string(valueOf(i)) {
					t.Fatalf("key %d: %t, %d bytes", i, ok, len(r.Value))
				}
				if i%256 == 255 {
					measure()
				}
			}
			mustClose(t, d)

			filled[size] = most
			if most > int(size)+few {
				t.Errorf("%d KiB are in memory, %d at the most", most>>10, size>>10)
			}
		})
	}
	if small, large := filled[LeastCache], filled[3*LeastCache]; large < 2*small {
		t.Errorf("three times the cache kept %d KiB, the small one %d", large>>10, small>>10)
	}
}
