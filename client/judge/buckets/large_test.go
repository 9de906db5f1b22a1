package buckets_test

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
	"quartet/client/quartettest"
)

var largeKeys = flag.Int("buckets.keys", 1_000_000, "keys of BenchmarkALargeBucket")

// BenchmarkALargeBucket is what a bucket of many keys costs: that its stream is written when the
// bucket is made over keys that are there, a listing, a watch, names, and a put meanwhile. The
// cluster is in this process; heap is what it holds of the bucket, three replicas and the stream.
func BenchmarkALargeBucket(b *testing.B) {
	c := quartettest.Start(b)
	native := c.Client(b)
	before := heap()
	var all sync.WaitGroup
	for w := range 256 {
		all.Go(func() {
			for i := w; i < *largeKeys; i += 256 {
				r := client.NewSet(model.Linearizable, fmt.Sprintf("large/key.%07d", i), fmt.Appendf(nil, "value %d", i))
				if _, err := native.Do(b.Context(), r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-filled")

	for range b.N {
		timed(b, "open", func() {
			kv := bucket(b, manager(b, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: "large", Storage: jetstream.MemoryStorage})
			testkit.Eventually(b, 5*time.Minute, "an open bucket", func() error {
				s, err := kv.Status(b.Context())
				if err == nil && s.Values() != uint64(*largeKeys) {
					return fmt.Errorf("%d values", s.Values())
				}
				return err
			})
		})
		kv := bucket(b, manager(b, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: "large", Storage: jetstream.MemoryStorage})
		timed(b, "first-watch", func() { // refused while its stream is being written
			testkit.Eventually(b, 5*time.Minute, "a watch", func() error { return count(b, kv, *largeKeys) })
		})
		timed(b, "keys", func() {
			keys, err := kv.ListKeys(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for range keys.Keys() {
				n++
			}
			if n != *largeKeys {
				b.Fatalf("%d keys of %d", n, *largeKeys)
			}
		})
		timed(b, "watch", func() {
			if err := count(b, kv, *largeKeys); err != nil {
				b.Fatal(err)
			}
		})
		timed(b, "put", func() { put(b, kv, "key.0000001", "again") })
		timed(b, "names", func() {
			for range manager(b, c, "quartet.kv").KeyValueStoreNames(b.Context()).Name() {
			}
		})
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-open")
	}
}

// count reads what a watch begins with.
func count(b *testing.B, kv jetstream.KeyValue, want int) error {
	w, err := kv.WatchAll(b.Context())
	if err != nil {
		return err
	}
	defer w.Stop()
	n := 0
	for e := range w.Updates() {
		if e == nil {
			break
		}
		n++
	}
	if n != want {
		return fmt.Errorf("a watch shows %d keys of %d", n, want)
	}
	return nil
}

func timed(b *testing.B, what string, f func()) {
	began := time.Now()
	f()
	b.ReportMetric(float64(time.Since(began).Milliseconds()), what+"-ms")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
