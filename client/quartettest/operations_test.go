package quartettest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"quartet/client/quartettest"
)

// BenchmarkOperations is a linearizable set, delete, create and transaction of 8 sets, 64 at once,
// of keys that differ. CPU-ns/op is of the whole cluster and the load.
func BenchmarkOperations(b *testing.B) {
	const steps = 8
	c := quartettest.Start(b).Client(b)
	value := make([]byte, 100)
	var n atomic.Uint64

	key := func(of string) string { return fmt.Sprintf("%s%015d", of, n.Add(1)) }

	for _, op := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"set", func(ctx context.Context) error { _, err := c.Set(ctx, key("k"), value); return err }},
		{"delete", func(ctx context.Context) error { _, err := c.Delete(ctx, key("k")); return err }},
		{"create", func(ctx context.Context) error { _, err := c.Create(ctx, key("c"), value); return err }},
		{"txn", func(ctx context.Context) error {
			t := c.Txn()
			for range steps {
				t.Then().Set(key("t"), value)
			}
			_, err := t.Commit(ctx)
			return err
		}},
	} {
		b.Run(op.name, func(b *testing.B) {
			b.ReportAllocs()
			before := processorTime(b)
			together(b, 64, b.N, op.do)
			b.StopTimer()
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "CPU-ns/op")
		})
	}
}
