package quartettest_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"quartet/client"
	"quartet/client/quartettest"
)

// watchedKeys are used in turn, so that of 100 watches of disjoint prefixes each is told as much.
const watchedKeys = 10_000

// BenchmarkWatched is a linearizable set, 64 at once, beside no watch, one of everything and 100 of
// disjoint prefixes. CPU-ns/op is of the whole cluster, the load and the watchers, and says more
// than the time where other programs have the processors, too.
func BenchmarkWatched(b *testing.B) {
	cluster := quartettest.Start(b)
	c := cluster.Client(b)
	value := make([]byte, 100)
	keys := make([]string, watchedKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%015d", i*7919%watchedKeys)
	}

	for _, n := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("watches=%d", n), func(b *testing.B) {
			stop := watchBeside(b, cluster.Client(b), n)
			defer stop()
			var next sync.Mutex
			i := 0
			b.ReportAllocs()
			before := processorTime(b)
			b.ResetTimer()
			together(b, 64, b.N, func(ctx context.Context) error {
				next.Lock()
				i++
				key := keys[i%len(keys)]
				next.Unlock()
				_, err := c.Set(ctx, key, value)
				return err
			})
			b.StopTimer()
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "CPU-ns/op")
		})
	}
}

// watchBeside begins watches that have caught up when it returns.
func watchBeside(b *testing.B, c *client.Client, n int) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var group, caught sync.WaitGroup
	caught.Add(n)
	for i := range n {
		prefix := ""
		if n > 1 {
			prefix = fmt.Sprintf("k%013d", i) // and two digits
		}
		group.Go(func() {
			for e, err := range c.Watch(ctx, prefix) {
				switch {
				case ctx.Err() != nil:
				case err != nil:
					b.Errorf("the watch of %q: %v", prefix, err)
				case e.Kind == client.EventCaughtUp:
					caught.Done()
				}
			}
		})
	}
	caught.Wait()
	return func() {
		cancel()
		group.Wait()
	}
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	p, err := procfs.NewProc(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	stat, err := p.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second))
}
