package quartettest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/quartettest"
)

// BenchmarkCluster is one request from Client.Do to its reply through a real cluster. All of
// it, NATS server and replicas, is in this process, so that allocs/op are all that a request
// allocates on its whole way (and on that of its DATA and acknowledgements).
func BenchmarkCluster(b *testing.B) {
	c := quartettest.Start(b).Client(b)
	value := make([]byte, 100)
	for _, at := range []int{1, 64} {
		for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
			for _, t := range []client.Type{client.TypeSet, client.TypeGet} {
				b.Run(fmt.Sprintf("%s/%s/at=%d", m.Word(), t, at), func(b *testing.B) {
					b.ReportAllocs()
					r := client.Request{Request: model.Request{Model: m, Type: t, Key: "key-of-16-bytes!"}}
					if _, err := c.Set(b.Context(), r.Key, value); err != nil {
						b.Fatal(err)
					}
					if t == client.TypeSet {
						r.Value = value
					}
					b.ResetTimer()
					together(b, at, b.N, func(ctx context.Context) error {
						_, err := c.Do(ctx, r)
						return err
					})
				})
			}
		}
	}
}

// together has do done n times, at at a time.
func together(b *testing.B, at, n int, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for i := range at {
		share := n / at
		if i < n%at {
			share++
		}
		group.Go(func() {
			for range share {
				if err := do(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
